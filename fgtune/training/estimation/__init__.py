"""Estimates of the number of fine classes K_F from coarse labels alone."""
