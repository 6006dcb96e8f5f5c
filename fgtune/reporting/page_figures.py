"""A figure of the page with its words, and figures that stand together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import plotly.graph_objects as go

BETTER = {"maximize": "higher is better", "minimize": "lower is better", "none": ""}
"""A few words on the direction of a metric."""

Panel = TypeVar("Panel")


@dataclass(frozen=True)
class Figure:
    """A figure on the page.

    Attributes:
        key: Unique id of its element on the page.
        title: Its heading.
        alt: Alternative text with the most important numbers.
        spec: The Plotly figure.
        note: A line below it; may be empty.
        hint: A few words beside the heading; may be empty.
        arms: The arms that it is about, if it is about one arm or an arm on several data sets; else empty.
        is_name: Whether the title is a name, which is written as in tables, without a capital letter.
    """

    key: str
    title: str
    alt: str
    spec: go.Figure
    note: str = ""
    hint: str = ""
    arms: tuple[str, ...] = ()
    is_name: bool = False


@dataclass(frozen=True)
class FigureGroup:
    """Figures that share a heading, shown side by side on a wide screen; ``title`` may be empty.

    Attributes:
        widest: Largest number side by side.
        left_out: Number of arms without a figure, because there are too many.
        which: What those with one are called, where it is not all.
    """

    title: str
    figures: tuple[Figure, ...]
    widest: int = 3
    left_out: int = 0
    which: str = ""

    @property
    def columns(self) -> int:
        """Number of figures side by side on a wide screen, so that no row has a single one."""
        number = len(self.figures)
        return 1 if number == 1 else 2 if number in {2, 4} else self.widest


def grouped(
    panels: Iterable[tuple[int, Panel]],
    title: Callable[[Panel], str],
    make: Callable[[int, Panel], Figure],
    widest: int = 3,
) -> tuple[FigureGroup, ...]:
    """A figure for every numbered panel, grouped by title."""
    groups: dict[str, list[Figure]] = {}
    for rank, panel in panels:
        groups.setdefault(title(panel), []).append(make(rank, panel))
    return tuple(FigureGroup(name, tuple(figures), widest) for name, figures in groups.items())
