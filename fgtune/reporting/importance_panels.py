"""What the parameters of a space explain, metric by metric: a figure where something stands out, and the numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from fgtune.analysis.formatting import MetricInfo
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.search.axes import axes_of, on_log_scale
from fgtune.analysis.search.importances import RANDOM_NUMBER, Importances, metric_importances
from fgtune.analysis.text.importances import importance_sentence, share_text
from fgtune.analysis.trials import Trial
from fgtune.reporting.estimate_marks import interval_bars
from fgtune.reporting.page_figures import Figure, FigureGroup
from fgtune.reporting.theme import (
    MISSED_COLOR,
    RIGHT_COLOR,
    WRONG_COLOR,
    axis,
    base_layout,
    lay_out,
    marks,
    rows_axis,
    short,
    shown,
)


@dataclass(frozen=True)
class ImportanceTable:
    """The numbers of a metric, in the order of the study's parameters, or ranked if any stands out.

    Attributes:
        title: The metric.
        sentence: What stands out.
        names: Names of the parameters for readers.
        found: The decomposition.
    """

    title: str
    sentence: str
    names: Mapping[str, str]
    found: Importances


@dataclass(frozen=True)
class ImportancePanels:
    """What is shown about importances.

    Attributes:
        figures: Of the metrics of which something stands out from chance.
        tables: Of every metric.
    """

    figures: FigureGroup
    tables: tuple[ImportanceTable, ...]


def importance_panels(data: StudyData, trials: Sequence[Trial], metrics: Sequence[MetricInfo]) -> ImportancePanels:
    """Figures and numbers for each metric, from the completed points.

    Args:
        data: The study.
        trials: Its points.
        metrics: What to decompose.
    """
    names = {each.path: each.title for each in axes_of(data)}
    figures, tables = [], []
    for rank, (info, found) in enumerate(zip(metrics, metric_importances(data, trials, metrics), strict=True)):
        values = [trial.value(info.name) for trial in trials if not trial.is_baseline]
        logged = on_log_scale(info, [value for value in values if math.isfinite(value)])
        title = f"{info.title}, logarithm" if logged else info.title
        sentence = importance_sentence(found, names)
        tables.append(ImportanceTable(title, sentence, {**names, RANDOM_NUMBER: RANDOM_NUMBER}, found))
        if found.anything:
            hint = "" if found.reliable else "not reliable"
            spec = importances_figure(found, names)
            figures.append(Figure(f"importances-{rank}", title, sentence, spec, sentence, hint))
    return ImportancePanels(FigureGroup("", tuple(figures), widest=2 if len(figures) == 1 else 3), tuple(tables))


def importances_figure(found: Importances, names: Mapping[str, str]) -> go.Figure:
    """Bars of what each parameter explains alone, circles of what it adds with others, ticks of what chance reaches.

    Args:
        found: The decomposition, with at least one item.
        names: Names of the parameters for readers, by path.
    """
    items, rows = found.ranked, list(range(len(found.items)))
    titles = [names.get(item.parameter, item.parameter) for item in items]
    figure = go.Figure()
    figure.add_trace(
        go.Bar(
            x=[short(item.main) for item in items],
            y=[row + 0.12 for row in rows],
            orientation="h",
            width=0.4,
            marker={"color": [RIGHT_COLOR if item.stands_out else MISSED_COLOR for item in items]},
            error_x=interval_bars([(item.main, item.low, item.high) for item in items]),
            text=[
                f"{shown(title)}: {share_text(item.main)} alone ({share_text(item.low)} to {share_text(item.high)}), "
                f"chance reaches {share_text(item.chance)}, n = {found.n} points"
                for title, item in zip(titles, items, strict=True)
            ],
            textposition="none",
            hoverinfo="text",
        )
    )
    paired = [row for row, item in zip(rows, items, strict=True) if not math.isnan(item.joint_chance)]
    joined = [RIGHT_COLOR if items[row].partners else MISSED_COLOR for row in paired]
    texts = [_together(titles[row], items[row].joint, [names[p] for p in items[row].partners]) for row in paired]
    circles = {"symbol": "circle-open", "size": 9, "color": joined, "line": {"color": joined, "width": 2}}
    figure.add_trace(marks([short(items[row].joint) for row in paired], [row - 0.24 for row in paired], circles, texts))
    for values, places, size in (
        ([item.chance for item in items], [row + 0.12 for row in rows], 16),
        ([items[row].joint_chance for row in paired], [row - 0.24 for row in paired], 9),
    ):
        tick = {"symbol": "line-ns", "size": size, "color": WRONG_COLOR, "line": {"color": WRONG_COLOR, "width": 2}}
        figure.add_trace(marks(list(map(short, values)), places, tick))
    top = max(
        max(item.high, item.joint, item.chance, *([item.joint_chance] if row in paired else []))
        for row, item in enumerate(items)
    )
    lay_out(
        figure.layout,
        base_layout(
            80 + 38 * max(2, len(items)),
            xaxis=axis("share of the variation", range=[-0.015 * top, min(1.0, top) * 1.04], tickformat=".0%"),
            yaxis=rows_axis([shown(title, 26) for title in titles]),
        ),
    )
    return figure


def _together(title: str, share: float, partners: Sequence[str]) -> str:
    whom = f"with {', '.join(map(shown, partners))}" if partners else "with another parameter, within chance"
    return f"{shown(title)}: {share_text(share)} more {whom}"
