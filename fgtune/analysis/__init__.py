"""Tables, statistics, verdicts and the numbers behind every figure, from a study folder alone."""
