"""One call on a study: opening it, driving it, recording what became of every cell."""
