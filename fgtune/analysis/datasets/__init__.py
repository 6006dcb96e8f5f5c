"""A comparison over several data sets, answered over all of them together."""
