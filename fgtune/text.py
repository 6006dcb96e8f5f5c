"""Small pieces of sentences for messages and reports."""

from __future__ import annotations

from collections.abc import Sequence


def first_of(names: Sequence[str], most: int = 8) -> str:
    """The first ``most`` names, separated by commas, and how many more there are: ``a, b and 3 more``."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
