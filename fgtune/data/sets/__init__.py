"""The data sets by name: which files or generators they are made of, and what their classes are."""
