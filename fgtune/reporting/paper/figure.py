"""What a figure for a paper consists of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from fgtune.analysis.formatting import percent

PLAIN, HIGH = 2.0, 2.6
"""Heights in inches, without and with a legend below."""


@dataclass(frozen=True)
class PaperFigure:
    """A figure for a paper.

    Attributes:
        name: Of its file, without suffix.
        caption: What it shows, with n and what intervals are.
        height: In inches.
        draw: Draws it into a figure of Matplotlib.
    """

    name: str
    caption: str
    height: float
    draw: Callable[[Any], None]


def intervals(level: float) -> str:
    """What intervals of means are."""
    return f"{percent(level)} Student-t intervals"


def sizes_text(sizes: Iterable[int]) -> str:
    """Numbers of seeds or pairs from the least to the largest, without 0: ``n = 3 to 5``."""
    found = sorted({size for size in sizes if size})
    return f"n = {' to '.join(map(str, dict.fromkeys([*found[:1], *found[-1:]])))}"
