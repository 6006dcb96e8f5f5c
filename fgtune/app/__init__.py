"""What a person calls: the command line, the Python interface, one file a verb."""
