"""What the page shows, as plain text and figures: the context of ``report.html.j2``, without any markup of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from fgtune.analysis.figure_data import (
    LearningPanel,
    SensitivityPanel,
    forest_rows,
    learning_panels,
    sensitivity_panels,
    solver_points,
)
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.relations_data import RelationsPanel, relations_panels
from fgtune.analysis.search.figure_data import BASELINE, BEST
from fgtune.analysis.summary import StudySummary
from fgtune.analysis.text.formatting import capital, interval, number
from fgtune.reporting.blocks import BETTER, Figure, FigureGroup
from fgtune.reporting.figures import forest_figure, learning_figure, sensitivity_figure, solver_figure
from fgtune.reporting.relations_figure import relations_figure
from fgtune.reporting.spread_page import spread_page
from fgtune.reporting.theme import ArmStyle, arm_styles
from fgtune.results.folder import GIVEN
from fgtune.results.options import OPTIONS

_MOST_ROWS = 24  # arms beyond which tables of them are folded, and no figure of a spread study has a row for each


def sensitivity_groups(data: StudyData, styles: Mapping[str, ArmStyle]) -> tuple[FigureGroup, ...]:
    """One group a factor, one figure a metric."""
    groups: dict[str, list[Figure]] = {}
    panels = sensitivity_panels(data)
    for rank, panel in enumerate(panels):
        if any(point.estimate.n for point in panel.points):
            figure = sensitivity_figure(panel, styles)
            hint = BETTER[panel.metric.direction]
            made = Figure(f"levels-{rank}", panel.metric.title, _sensitivity_alt(panel), figure, hint=hint)
            groups.setdefault(panel.axis, []).append(made)
    return tuple(FigureGroup(axis, tuple(figures)) for axis, figures in groups.items())


def _sensitivity_alt(panel: SensitivityPanel) -> str:
    parts = [
        f"{point.tick}: {number(point.estimate.mean)}"
        + ("" if math.isnan(point.estimate.low) else f" ({interval(point.estimate.low, point.estimate.high)})")
        for point in panel.points
        if point.estimate.n
    ]
    return f"Mean {panel.metric.title} with interval by {panel.axis}. {'; '.join(parts)}."


def learning_groups(data: StudyData, styles: Mapping[str, ArmStyle]) -> tuple[FigureGroup, ...]:
    """One group a factor, one figure a metric."""
    groups: dict[str, list[Figure]] = {}
    for rank, panel in enumerate(learning_panels(data)):
        figure, hint = learning_figure(panel, styles), BETTER[panel.metric.direction]
        made = Figure(f"curves-{rank}", panel.metric.title, _learning_alt(panel), figure, hint=hint)
        groups.setdefault(panel.group, []).append(made)
    return tuple(FigureGroup(title, tuple(figures)) for title, figures in groups.items())


def _learning_alt(panel: LearningPanel) -> str:
    ends = [f"{curve.label}: {number(curve.mean[-1])} at epoch {curve.epochs[-1]}" for curve in panel.curves]
    return f"Mean {panel.metric.title} by epoch with interval bands. At the end, {'; '.join(ends)}."


def relations_group(panels: Sequence[RelationsPanel]) -> FigureGroup | None:
    """The median seed's relations, arm by arm; None where none are stored."""
    figures = []
    for rank, panel in enumerate(panels):
        source = f", source {panel.source}" if panel.num_sources > 1 else ""
        title = f"{panel.label}{source}"
        made = Figure(
            f"relations-{rank}", title, _relations_alt(panel), relations_figure(panel), _relations_note(panel)
        )
        figures.append(made)
    return FigureGroup("", tuple(figures)) if figures else None


def _relations_note(panel: RelationsPanel) -> str:
    text = f"seed {panel.seed}, primary metric {number(panel.value)}"
    if not panel.has_truth:
        return text
    right, wrong, surplus, unclaimed = panel.counts
    extra = [f"{n} {word}" for n, word in ((surplus, "surplus"), (unclaimed, "unclaimed")) if n]
    return f"{text}; {', '.join([f'{right} of {right + wrong} aligned classes under their true parent', *extra])}"


def _relations_alt(panel: RelationsPanel) -> str:
    return f"Learned relations of {panel.label}: {_relations_note(panel)}."


def forest_figures(data: StudyData, summary: StudySummary, styles: Mapping[str, ArmStyle]) -> tuple[Figure, ...]:
    """Paired differences of the planned contrasts; nothing where there is no pair."""
    rows = forest_rows(summary)
    if not rows:
        return ()
    info = summary.metrics[0]
    alt = " ".join(contrast.sentence for contrast in summary.contrasts)
    spec = forest_figure(rows, styles, info, summary.margin)
    note = f"Shaded: differences within ±{summary.margin:g}, which the study file calls unimportant."
    title = f"{capital(info.title)}: difference to the baseline ({data.baseline.label})"
    return (Figure("differences", title, alt, spec, note),)


def solver_figures(data: StudyData, styles: Mapping[str, ArmStyle]) -> tuple[Figure, ...]:
    """Seconds a solve; nothing where no relations were solved."""
    points = solver_points(data)
    if not points:
        return ()
    alt = "Mean seconds a solve of the relations in every cell, arm by arm; the table below has the numbers."
    return (Figure("solver-seconds", "Time a solve", alt, solver_figure(points, styles)),)


def flatten(value: Any, path: str = "") -> list[tuple[str, str]]:
    """Nested provenance as (dotted path, text) rows; the study as given and the options stand elsewhere in it."""
    if isinstance(value, Mapping):
        shown = {key: item for key, item in value.items() if key not in {GIVEN, OPTIONS}}
        return [row for key, item in shown.items() for row in flatten(item, f"{path}.{key}" if path else str(key))]
    if isinstance(value, Sequence) and not isinstance(value, str):
        if any(isinstance(item, Mapping) for item in value):
            return [row for rank, item in enumerate(value) for row in flatten(item, f"{path}.{rank}")]
        return [(path, ", ".join(_scalar(item) for item in value) or "none")]
    return [(path, _scalar(value))]


def _scalar(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def all_figures(context: Mapping[str, Any]) -> list[Figure]:
    """Every figure of the page, in its order."""
    groups = [*context["sensitivity"], *context["learning"]]
    spread = context["spread"]
    if context["relations"] is not None:
        groups.append(context["relations"])
    grouped = [figure for group in groups for figure in group.figures]
    return [*context["forest"], *(spread.figures if spread is not None else []), *grouped, *context["solver_figures"]]


def _enumerated_parts(data: StudyData, summary: StudySummary, styles: Mapping[str, ArmStyle]) -> dict[str, Any]:
    """The figures of arms that are compared one by one."""
    return {
        "spread": None,
        "forest": forest_figures(data, summary, styles),
        "sensitivity": sensitivity_groups(data, styles),
        "learning": learning_groups(data, styles),
        "solver_figures": solver_figures(data, styles),
        "relations_panels": relations_panels(data),
    }


def _spread_parts(data: StudyData, summary: StudySummary, styles: Mapping[str, ArmStyle]) -> dict[str, Any]:
    """The figures of points in a space; those with a row or panel an arm only where the arms are few."""
    few = len(data.arms) <= _MOST_ROWS
    page = spread_page(data, summary.search)
    told = {row.arm for row in page.rows if row.kind in {BASELINE, BEST}}
    return {
        "spread": page,
        "forest": forest_figures(data, summary, styles) if few else (),
        "sensitivity": (),
        "learning": (),
        "solver_figures": solver_figures(data, styles) if few and summary.search is None else (),
        "relations_panels": tuple(panel for panel in relations_panels(data) if panel.arm in told),
    }


def page_context(data: StudyData, summary: StudySummary, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that the template reads besides scripts and styles.

    Args:
        data: The study folder's content.
        summary: Its summary.
        provenance: ``provenance.json`` as plain data; empty where the file is missing.
    """
    styles = arm_styles(data.arms)
    parts = (_spread_parts if data.study.design.samples_points else _enumerated_parts)(data, summary, styles)
    panels = parts.pop("relations_panels")
    finished = [data.results[cell.cell_id] for cell in data.cells(data.baseline.name) if cell.cell_id in data.results]
    config = dict(finished[0].config) if finished else data.study.trial.to_plain()
    return parts | {
        "summary": summary,
        "titles": {info.name: info.title for info in summary.metrics},
        "most_rows": _MOST_ROWS,
        "styles": styles,
        "relations": relations_group(panels),
        "relations_truth": any(panel.has_truth for panel in panels),
        "config": config,
        "study_settings": {
            "design": data.study.design.to_plain(),
            "seeds": list(data.study.seed_list),
            "metrics": data.study.metrics.to_plain(),
            "scheduler": data.study.scheduler.to_plain(),
            "execution": data.study.execution.to_plain(),
        },
        "provenance": flatten(provenance),
        "last_finished": max((result.finished_at for result in data.results.values()), default=""),
        "trainer_seconds": math.fsum(result.seconds for result in data.results.values()),
    }
