"""Loss terms over one forward pass, and their weighted sum; ``fgtune.catalog.terms`` is the registry."""
