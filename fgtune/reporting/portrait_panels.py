"""The figures of what learned classes look like: one map of the samples in two colourings; and of calibration."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from fgtune.analysis.formatting import number
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.portrait_cells import ReliabilityLine, reliability_lines
from fgtune.analysis.portraits import Portrait, ShownMap
from fgtune.arrays import IntArray
from fgtune.reporting.page_figures import Figure, FigureGroup
from fgtune.reporting.theme import FAINT, MOST_NAMED, ArmStyle, axis, base_layout, lay_out, marks, of_arm, short, shown
from fgtune.text import count

_SHARE = 0.8
"""Of the colours between two coarse classes that fine classes use."""


def map_figures(portrait: Portrait | None) -> FigureGroup:
    """The map by learned and by true classes; nothing where there is none."""
    if portrait is None or portrait.map is None:
        return FigureGroup("", ())
    found = portrait.map
    others = _colors(found.other_groups)
    by_learned = _colors(found.groups) if found.other_kind != "true class" else _partner_colors(found.partners, others)
    named = [f"learned class {found.names[each]}" for each in found.learned.tolist()]
    true = [found.other_names[each] if each >= 0 else "no label" for each in found.other.tolist()]
    texts = [shown(f"{one}, {found.other_kind} {two}", 80) for one, two in zip(named, true, strict=True)]
    sides = (
        ("learned", "By learned class", found.learned, by_learned),
        ("other", f"By {found.other_kind}", found.other, others),
    )
    note = (
        f"{portrait.on_map} {portrait.split} samples, t-SNE of the features: near samples are alike, axes mean nothing."
    )
    figures = []
    for key, title, labels, colors in sides:
        used = len(np.unique(labels[labels >= 0]))
        alt = f"Map of {portrait.on_map} {portrait.split} samples by their features, in {used} colours, one a class."
        figures.append(Figure(f"map-{key}", title, alt, _figure(found, labels, colors, texts), note))
    return FigureGroup("", tuple(figures), widest=2)


def reliability_figures(
    data: StudyData, styles: Mapping[str, ArmStyle], order: Sequence[str], which: Callable[[Sequence[str]], str]
) -> tuple[Figure, ...]:
    """The reliability diagram of coarse predictions, a line an arm; nothing where none keeps it.

    Args:
        data: The study.
        styles: Style of every arm.
        order: Names of arms; of very many the first ones are drawn.
        which: Gives what some of them are called.
    """
    lines, kept = reliability_lines(data, order, MOST_NAMED)
    if not lines:
        return ()
    figure = go.Figure()
    diagonal = {"color": FAINT, "width": 1, "dash": "dot"}
    figure.add_trace(go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line=diagonal, hoverinfo="skip"))
    for line in lines:
        style = styles[line.arm]
        bins = zip(line.counts, line.confidence, line.accuracy, strict=True)
        texts = [
            f"{shown(line.label)}: {count(samples, 'sample')} of confidence {confidence:.3g}, {accuracy:.3g} right"
            for samples, confidence, accuracy in bins
        ]
        xs, ys = ([short(value) for value in column] for column in (line.confidence, line.accuracy))
        figure.add_trace(
            go.Scatter(
                x=xs,
                y=ys,
                mode="lines+markers",
                line={"color": style.color, "dash": style.dash, "width": 2},
                marker={"color": style.color, "symbol": style.symbol, "size": 8},
                text=texts,
                hoverinfo="text",
                **of_arm(line.arm),
            )
        )
    lay_out(figure.layout, base_layout(340))
    lay_out(figure.layout.xaxis, axis("confidence of the coarse prediction", range=[0, 1.02]))
    lay_out(figure.layout.yaxis, axis("share that is right", range=[0, 1.02]))
    alt = "; ".join(f"{line.label}: expected calibration error {number(line.error)}" for line in lines)
    note = (
        f"{_seeds(lines)}, coarse labels of the first source, ten bins of confidence. On the dotted line predictions "
        "are right as often as they say; below it they are too confident. Bins of few samples scatter."
    )
    if len({arm.dataset for arm in data.arms}) > 1:
        note += f" Of data set {data.baseline.dataset} alone."
    if len(lines) < kept:
        note += f" {len(lines)} of {kept} arms are drawn: {which([line.arm for line in lines])}."
    return (Figure("reliability", "Reliability of coarse predictions", alt, figure, note),)


def _seeds(lines: Sequence[ReliabilityLine]) -> str:
    """The seed of most lines, with the arms that have another, whose predictions of that one are not kept."""
    usual = statistics.mode(sorted(line.seed for line in lines))
    others = [f"seed {line.seed} of {shown(line.label)}" for line in lines if line.seed != usual]
    return f"Seed {usual}" + (f" ({', '.join(others)})" if others else "")


def _figure(found: ShownMap, labels: IntArray, colors: Sequence[str], texts: Sequence[str]) -> go.Figure:
    marker = {"size": 7, "color": [colors[each] if each >= 0 else FAINT for each in labels.tolist()]}
    xs, ys = ([short(value) for value in column] for column in found.points.T.tolist())
    figure = go.Figure(marks(xs, ys, marker, texts))
    lay_out(figure.layout, base_layout(380, margin={"l": 8, "r": 8, "t": 8, "b": 8}))
    hidden = {"showticklabels": False, "showgrid": False}
    lay_out(figure.layout.xaxis, axis("", **hidden))
    lay_out(figure.layout.yaxis, axis("", scaleanchor="x", **hidden))
    return figure


def _colors(groups: IntArray) -> list[str]:
    """A colour for each class: coarse classes go around the colour wheel, the classes of one lie near each other."""
    parents = sorted({*groups.tolist()})
    colors = [FAINT] * len(groups)
    for place, parent in enumerate(parents):
        own = np.flatnonzero(groups == parent).tolist()
        for rank, each in enumerate(own):
            hue = 360 * (place + _SHARE * rank / len(own)) / len(parents)
            colors[each] = f"hsl({hue:.0f},70%,{(42, 60)[rank % 2]}%)"
    return colors


def _partner_colors(partners: IntArray, others: Sequence[str]) -> list[str]:
    """The colour of the class that each learned one is aligned with; grey for none."""
    return [others[each] if each >= 0 else FAINT for each in partners.tolist()]
