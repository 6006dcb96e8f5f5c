"""What ``fgtune import`` does around its study: reading the table, making the study of it, writing the folder."""
