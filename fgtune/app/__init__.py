"""What users call: the command line, the Python interface, one file per verb."""
