"""Tables, statistics, verdicts and the numbers behind every figure, all computed from a study folder."""
