"""What ``fgtune bench`` runs: its methods, the study of a data set, and methods of a user's own."""
