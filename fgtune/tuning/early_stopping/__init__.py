"""Which running cells are stopped, judged by seed block."""
