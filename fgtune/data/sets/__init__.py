"""The data sets: which files or generators they come from, and what their classes are."""
