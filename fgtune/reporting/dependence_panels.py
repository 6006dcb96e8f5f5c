"""The figures of how a metric depends on what matters, and of the way from the baseline to the best point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from fgtune.analysis.formatting import MetricInfo, around, number
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.search.dependence import AblationPath, Dependence, DependenceCurve, dependence_of
from fgtune.analysis.search.surrogate import Effect
from fgtune.analysis.text.dependence import effect_text, path_sentence
from fgtune.analysis.trials import Trial
from fgtune.reporting.estimate_marks import interval_bars
from fgtune.reporting.importance_panels import ImportancePanels
from fgtune.reporting.page_figures import Figure, FigureGroup
from fgtune.reporting.theme import (
    FAINT,
    MISSED_COLOR,
    RIGHT_COLOR,
    WRONG_COLOR,
    axis,
    base_layout,
    hover_of,
    lay_out,
    log_axis,
    marks,
    metric_axis,
    rows_axis,
    short,
    shown,
)

MOST_CURVES = 6
_BAND = "rgba(0,114,178,0.16)"


@dataclass(frozen=True)
class DependencePanels:
    """What is shown about one metric.

    Attributes:
        found: The numbers; None where nothing stands out.
        sentence: The path in words; may be empty.
        curves: Partial dependence, a figure a parameter.
        path: The path; empty without one.
    """

    found: Dependence | None
    sentence: str
    curves: FigureGroup
    path: tuple[Figure, ...]

    @property
    def figures(self) -> list[Figure]:
        """All of them."""
        return [*self.curves.figures, *self.path]


NO_DEPENDENCE = DependencePanels(None, "", FigureGroup("", ()), ())


def dependence_panels(
    data: StudyData, trials: Sequence[Trial], info: MetricInfo, importances: ImportancePanels
) -> DependencePanels:
    """The figures of one metric, from its importances."""
    explained = next((table.found for table in importances.tables if table.found.metric == info.name), None)
    found = None if explained is None or not explained.anything else dependence_of(data, trials, info, explained)
    if found is None:
        return NO_DEPENDENCE
    curves = tuple(_curve_figure(rank, found, curve) for rank, curve in enumerate(found.curves[:MOST_CURVES]))
    sentence = path_sentence(found)
    path = () if found.path is None else (_path_figure(found, found.path, sentence),)
    return DependencePanels(found, sentence, FigureGroup("", curves), path)


def _name(found: Dependence) -> str:
    return f"{found.metric.title}, logarithm" if found.logged else found.metric.title


def _curve_figure(rank: int, found: Dependence, curve: DependenceCurve) -> Figure:
    figure = go.Figure()
    name = shown(curve.axis.title)
    texts = [
        f"{name} {shown(text)}: {number(effect.value)}{around(effect.low, effect.high)}"
        for text, effect in zip(curve.texts, curve.effects, strict=True)
    ]
    after = f", n = {found.n} points"
    if curve.axis.categories:
        xs: list[float] = list(range(len(curve.levels)))
        figure.add_trace(
            marks(
                xs,
                [short(effect.value) for effect in curve.effects],
                {"color": RIGHT_COLOR, "size": 10},
                texts,
                after,
                error_y=_bars(curve.effects),
            )
        )
        scale = {"tickvals": xs, "ticktext": [shown(text, 18) for text in curve.texts], "range": [-0.5, len(xs) - 0.5]}
    else:
        xs = [float(f"{level:.5g}") for level in curve.levels]
        band = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
        figure.add_trace(go.Scatter(x=xs, y=[short(effect.low) for effect in curve.effects], **band))
        highs = [short(effect.high) for effect in curve.effects]
        figure.add_trace(go.Scatter(x=xs, y=highs, fill="tonexty", fillcolor=_BAND, **band))
        values = [short(effect.value) for effect in curve.effects]
        line = {"color": RIGHT_COLOR, "width": 2}
        figure.add_trace(go.Scatter(x=xs, y=values, mode="lines", line=line, text=texts, **hover_of(after)))
        scale = log_axis(xs) if curve.axis.log else {}
    figure.add_hline(y=short(curve.mean), line={"color": FAINT, "dash": "dot", "width": 1})
    lay_out(figure.layout, base_layout(260))
    lay_out(figure.layout.xaxis, axis(shown(curve.axis.title), **scale))
    drawn = [end for effect in curve.effects for end in (effect.value, effect.low, effect.high)]
    lay_out(figure.layout.yaxis, axis("") if found.logged else metric_axis(found.metric, [*drawn, curve.mean]))
    best = max(curve.effects, key=lambda effect: effect.value)
    place = curve.texts[curve.effects.index(best)]
    alt = f"Partial dependence of {_name(found)} on {curve.axis.title}: highest at {place}, {number(best.value)}."
    return Figure(f"dependence-{rank}", f"on {curve.axis.title}", alt, figure)


def _bars(effects: Sequence[Effect]) -> dict[str, Any]:
    return interval_bars([(effect.value, effect.low, effect.high) for effect in effects])


def _path_figure(found: Dependence, path: AblationPath, sentence: str) -> Figure:
    rows, changes = list(range(len(path.changes))), path.changes
    steps, shares = [change.step for change in changes], [change.share for change in changes]
    figure = go.Figure()
    figure.add_trace(
        go.Bar(
            x=[short(step.value) for step in steps],
            y=[row - 0.14 for row in rows],
            orientation="h",
            width=0.34,
            marker={"color": [RIGHT_COLOR if step.clear else MISSED_COLOR for step in steps]},
            error_x=_bars(steps),
            text=[f"{shown(change.title)}, changed now: {effect_text(change.step)}" for change in changes],
            textposition="none",
            hoverinfo="text",
        )
    )
    colors = [WRONG_COLOR if share.clear else MISSED_COLOR for share in shares]
    texts = [f"{shown(change.title)}, mean over all orders: {effect_text(change.share)}" for change in changes]
    diamond = {"symbol": "diamond", "size": 10, "color": colors}
    values = [short(share.value) for share in shares]
    figure.add_trace(marks(values, [row + 0.2 for row in rows], diamond, texts, error_x=_bars(shares)))
    figure.add_vline(x=0, line={"color": FAINT, "width": 1})
    lay_out(figure.layout, base_layout(80 + 52 * max(2, len(rows))))
    lay_out(figure.layout.xaxis, axis(f"change in {_name(found)}"))
    names = [f"{shown(each.title, 22)}<br>{shown(each.before, 12)} → {shown(each.after, 12)}" for each in changes]
    lay_out(figure.layout.yaxis, rows_axis(names))
    note = (
        "From top to bottom: what gains most first. Bars: the change when it is made in this order; diamonds: in the "
        "mean over all orders (Shapley value). Grey: the interval holds 0."
    )
    title = f"From the baseline to {path.arm}: {_name(found)}"
    return Figure("ablation-path", title, sentence, figure, note)
