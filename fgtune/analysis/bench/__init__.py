"""The table of a benchmark, from the study folders of its data sets."""
