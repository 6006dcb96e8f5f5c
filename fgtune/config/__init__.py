"""Typed, frozen configs of studies and trials, and their expansion into a plan of cells."""
