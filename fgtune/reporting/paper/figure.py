"""What a figure for a paper consists of."""

from __future__ import annotations

from collections.abc import Callable
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
