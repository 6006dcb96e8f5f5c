"""One call on a study: opening it, driving it, recording the result of every cell."""
