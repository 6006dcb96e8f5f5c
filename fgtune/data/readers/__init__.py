"""Readers for every kind of file, which never run anything that a file contains."""
