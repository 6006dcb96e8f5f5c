"""What may be written in a study file: frozen, typed, closed to unknown keys."""
