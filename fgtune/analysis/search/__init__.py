"""What a search found: its best trials, its axes, importances, and label-free choices."""
