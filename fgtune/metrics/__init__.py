"""Metrics of fine-class discovery: pure functions of arrays.

``fgtune.catalog`` defines what each value means: its range, its direction, and whether it reads fine labels. Import
the functions from the submodules.
"""
