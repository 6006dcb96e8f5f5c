"""Metrics of fine-class discovery: pure functions of arrays.

What each number means (its range, its direction, whether it reads fine labels) is said in ``fgtune.catalog``. The
functions are imported from the submodules.
"""
