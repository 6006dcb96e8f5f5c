"""The building blocks of the page: figures with their words, and groups of them; no markup."""

from __future__ import annotations

from dataclasses import dataclass

import plotly.graph_objects as go

BETTER = {"maximize": "higher is better", "minimize": "lower is better", "none": ""}
"""Which way a metric is better, in words."""


@dataclass(frozen=True)
class Figure:
    """A figure on the page.

    Attributes:
        key: Unique on the page; the id of its element.
        title: Its heading.
        alt: What it shows, with the numbers that matter, for readers who do not see it.
        spec: Plotly's figure.
        note: A line below it; may be empty.
        hint: A few words beside the heading; may be empty.
    """

    key: str
    title: str
    alt: str
    spec: go.Figure
    note: str = ""
    hint: str = ""


@dataclass(frozen=True)
class FigureGroup:
    """Figures that share a heading, shown side by side where the screen is wide; ``title`` may be empty."""

    title: str
    figures: tuple[Figure, ...]

    @property
    def columns(self) -> int:
        """How many stand side by side on a wide screen, so that no row is left with one."""
        return 2 if len(self.figures) in {2, 4} else 3
