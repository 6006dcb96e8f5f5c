"""Results as sentences: the answers of a study or search, and warnings."""
