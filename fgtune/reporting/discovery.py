"""Writes the page of a discovery: what was found, why this setting, how sure, and what each class looks like."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from fgtune.analysis.discovery.choosing import Candidate
from fgtune.analysis.discovery.outcome import Discovery
from fgtune.analysis.discovery.text import num_fine_text
from fgtune.analysis.formatting import number
from fgtune.arrays import AnyArray
from fgtune.reporting.estimate_marks import interval_bar
from fgtune.reporting.html import document, generator, script_json
from fgtune.reporting.page_figures import Figure
from fgtune.reporting.theme import (
    FAINT,
    RIGHT_COLOR,
    WRONG_COLOR,
    axis,
    base_layout,
    lay_out,
    log_axis,
    marks,
    rows_axis,
    short,
    shown,
)
from fgtune.results.samples import png_url

TEMPLATE = "discovery.html.j2"
_LOG_SPAN = 4
_FEW_TICKS = 7  # a wider span of class numbers has whole ticks anyway
PICTURE_PX = 64
"""Side of a picture on the page."""


@dataclass(frozen=True)
class Sample:
    """A sample as the page shows it.

    Attributes:
        name: Its name, or the number of its row.
        confidence: Of its class.
        second: Its second choice; empty for none.
        picture: (channels, height, width) in [0, 1]; None where inputs are no images.
    """

    name: str
    confidence: float
    second: str
    picture: AnyArray | None = None

    @property
    def source(self) -> str:
        """The picture as a data URL; empty for none."""
        return "" if self.picture is None else picture_url(self.picture)


@dataclass(frozen=True)
class Branch:
    """A coarse class of the tree, with its fine classes."""

    name: str
    size: int
    classes: tuple[Any, ...]


def picture_url(picture: AnyArray) -> str:
    """A PNG of (channels, height, width) numbers in [0, 1], as a data URL."""
    pixels = (np.clip(picture, 0.0, 1.0) * 255).round().astype(np.uint8)
    return png_url(pixels[:3])


def render_discovery(found: Discovery, samples: Mapping[int, Sample], links: Mapping[str, str]) -> bytes:
    """The page.

    Args:
        found: The outcome.
        samples: Every row that a class names.
        links: Words and relative addresses of what lies beside the page.
    """
    sizes = dict(zip(found.coarse_names, found.coarse_sizes, strict=True))
    tree = [
        Branch(name, size, tuple(each for each in found.classes if each.parent == name)) for name, size in sizes.items()
    ]
    figures = [*_num_fine_figures(found), *_method_figures(found.method.candidates, found.method.arm)]
    context = {
        "found": found,
        "tree": tree,
        "samples": samples,
        "figures": figures,
        "links": links,
        "num_fine_text": num_fine_text(found.num_fine),
        "generator": generator(),
        "picture_px": PICTURE_PX,
        "largest": max((each.size for each in found.classes), default=1),
        "summary_json": script_json(json.dumps(found.to_plain(), allow_nan=False)),
    }
    return document(TEMPLATE, context, {figure.key: figure.spec for figure in figures})


def _num_fine_figures(found: Discovery) -> list[Figure]:
    """Agreement between runs over the number of fine classes; nothing where it was given."""
    choice = found.num_fine
    if not choice.levels:
        return []
    figure = go.Figure()
    if choice.high > choice.low:
        figure.add_vrect(choice.low, choice.high, fillcolor="rgba(148,163,184,0.22)", line_width=0, layer="below")
    x, y = [each.num_fine for each in choice.levels], [each.agreement for each in choice.levels]
    line = {"color": "rgba(148,163,184,0.6)", "width": 2}
    figure.add_trace(go.Scatter(x=x, y=[short(each) for each in y], mode="lines", line=line, hoverinfo="skip"))
    for each in choice.levels:
        ring = {"color": "rgba(0,114,178,0.15)", "size": 7, "line": {"color": RIGHT_COLOR, "width": 1}}
        texts = [f"{each.num_fine} classes, two runs: {number(value)}" for value in each.pairs]
        figure.add_trace(marks([each.num_fine] * len(each.pairs), each.pairs, ring, texts))
    colors = [WRONG_COLOR if each == choice.chosen else RIGHT_COLOR for each in x]
    symbols = ["star" if each == choice.chosen else "circle" for each in x]
    texts = [f"{each.num_fine} classes: {number(each.agreement)}" for each in choice.levels]
    figure.add_trace(marks(x, y, {"color": colors, "symbol": symbols, "size": 12}, texts))
    lay_out(figure.layout, base_layout(300))
    scale = log_axis(x) if max(x) > _LOG_SPAN * min(x) else {"dtick": 1} if max(x) - min(x) < _FEW_TICKS else {}
    lay_out(figure.layout.xaxis, axis("number of fine classes", **scale))
    lay_out(figure.layout.yaxis, axis("agreement between runs", rangemode="tozero"))
    alt = "; ".join(f"{each.num_fine} classes {number(each.agreement)}" for each in choice.levels)
    note = "Star: the chosen number. Band: numbers on which runs are not shown to agree less. Rings: two runs each."
    return [Figure("figure-num-fine", "How far runs agree, by the number of fine classes", alt, figure, note)]


def _method_figures(candidates: Sequence[Candidate], chosen: str) -> list[Figure]:
    """Agreement of every method, and what the shared silhouette says of it."""
    rows = [each for each in candidates if math.isfinite(each.agreement)]
    found = []
    for key, title, values, texts in (
        (
            "agreement",
            "Agreement between runs",
            [(each.agreement,) for each in rows],
            [each.agreement for each in rows],
        ),
        ("judge", "Shared silhouette", [each.judge_values for each in rows], [each.judge for each in rows]),
    ):
        if not rows:
            continue
        figure = go.Figure()
        for row, (each, single, mean) in enumerate(zip(rows, values, texts, strict=True)):
            color = WRONG_COLOR if each.arm == chosen else RIGHT_COLOR
            if len(single) > 1:
                ring = {"color": FAINT, "size": 6}
                figure.add_trace(marks(list(single), [row - 0.22] * len(single), ring, [number(one) for one in single]))
            marker = {"color": color, "symbol": "star" if each.arm == chosen else "circle", "size": 12}
            bar = interval_bar(each.agreement, each.low, each.high, color) if key == "agreement" else {"visible": False}
            text = f"{shown(each.title)}: {number(mean)}"
            figure.add_trace(marks([mean], [row], marker, [text], error_x=bar))
        lay_out(figure.layout, base_layout(70 + 44 * len(rows)))
        lay_out(figure.layout.xaxis, axis(title.lower()))
        lay_out(figure.layout.yaxis, rows_axis([shown(each.arm) for each in rows]))
        alt = "; ".join(f"{each.title} {number(mean)}" for each, mean in zip(rows, texts, strict=True))
        found.append(Figure(f"figure-{key}", title, alt, figure))
    return found
