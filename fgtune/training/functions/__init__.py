"""A user's own trainer: the function that a study names, called for a cell and read as an iterator of epochs."""
