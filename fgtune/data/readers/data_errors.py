"""Words for what is wrong with files: what is missing and how to get it, and an exception in one line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fgtune.errors import DataError


def missing(what: str, looked: Sequence[Path], layout: str, get: str, path: str = "trial.data.path") -> DataError:
    """The error of a data set that is not there.

    Args:
        what: The missing file or folder, in words.
        looked: Where it was looked for.
        layout: What is expected there.
        get: How a user comes by it.
        path: Where the config names the place.
    """
    places = ", ".join(str(place.resolve()) for place in looked)
    return DataError(f"{what} not found; looked for {places}", path=path, fix=f"Expected layout: {layout}. {get}")


def reason_of(error: BaseException) -> str:
    """The first line of an exception's text, or its name where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else type(error).__name__
