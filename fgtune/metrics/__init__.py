"""Metrics of fine-class discovery: pure functions of arrays.

``fgtune.catalog`` says what each number means: its range, its direction, whether it reads fine labels. Import the
functions from the submodules.
"""
