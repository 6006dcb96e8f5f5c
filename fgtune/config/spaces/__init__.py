"""Search spaces: domains, conditions and constraints, and the points that they allow."""
