"""The checks of ``fgtune verify``: one file for each kind of thing in a study folder."""
