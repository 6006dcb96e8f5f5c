"""Exit codes of a call that runs studies, and the one of a call that runs several."""

from __future__ import annotations

from collections.abc import Collection

COMPLETE, FAILED_CELLS, BUDGET, INTERRUPTED = 0, 3, 4, 130


def worst(codes: Collection[int]) -> int:
    """The code of a call whose studies ended with these: interrupted, out of budget, failed cells, or done."""
    return next((code for code in (INTERRUPTED, BUDGET, FAILED_CELLS) if code in codes), COMPLETE)
