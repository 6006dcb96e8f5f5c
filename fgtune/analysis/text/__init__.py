"""Numbers as sentences: the answer of a study, its warnings, and how values are written."""
