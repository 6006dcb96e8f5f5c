"""What a search found: its best trials, its axes, importances, and what was chosen without fine labels."""
