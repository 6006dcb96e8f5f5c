"""The content of the page, as plain text and figures without markup: the context of ``report.html.j2``."""

from __future__ import annotations

import math
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fgtune.analysis.formatting import MetricInfo, minute_text
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.level_panels import shown_groups
from fgtune.analysis.search.axes import axes_of
from fgtune.analysis.search.overview import selections_of
from fgtune.analysis.search.selection import Selection
from fgtune.analysis.summary import StudySummary
from fgtune.analysis.text.datasets_answer import pooled_sentence
from fgtune.analysis.text.search_answer import short_level
from fgtune.analysis.text.subject import subject_facts, symbols
from fgtune.analysis.text.trial_words import import_facts, words_of
from fgtune.analysis.trials import BASELINE, BEST, COMPLETE, STOPPED, Trial, kinds_of, ranked, shown_infos, trials_of
from fgtune.catalog.metrics import ARM_METRICS
from fgtune.reporting.arm_list import arm_list
from fgtune.reporting.cell_curve_figures import drawn_cells
from fgtune.reporting.cell_list import CURVES, cell_groups, cell_rows
from fgtune.reporting.few_arms import MOST_ROWS
from fgtune.reporting.level_figures import KIND_STYLES
from fgtune.reporting.panels import panels_of_arms, panels_of_space
from fgtune.reporting.theme import ArmStyle, arm_styles
from fgtune.results.folder import GIVEN, SHAPES
from fgtune.results.options import OPTIONS, SIGNATURE, STORAGE, TRACKING
from fgtune.results.samples import read_samples

_MOST_CARDS = 3  # data sets with samples on the first screen
_TOP = 10  # rows of the table that are always visible
TRIALS, ARM_SETTINGS = "trials", "arm-settings"
"""Ids of the tables that have the settings of all trials of a search, and of the arms of any other study."""


@dataclass(frozen=True)
class TrialRow:
    """A point in the table.

    Attributes:
        arm: Its name.
        kind: Its kind in figures; empty if it failed or is unfinished.
        state: Its state as text.
        values: Its value of every shown metric; nan unless it completed.
        levels: The level of every setting as text.
    """

    arm: str
    kind: str
    state: str
    values: tuple[float, ...]
    levels: tuple[str, ...]


@dataclass(frozen=True)
class TrialTable:
    """The points of a space, and what choosing among them yields.

    Attributes:
        metrics: The criteria, then the other shown metrics; columns of the table.
        primary: Index of the primary metric among them.
        settings: Names of the varied settings; further columns.
        rows: The baseline, then the points from best to worst.
        top: How many of them are always visible.
        selections: What choosing by each metric yields.
        stopped: Whether any point was stopped early.
        front: Whether there are several criteria and so a Pareto front.
    """

    metrics: tuple[MetricInfo, ...]
    primary: int
    settings: tuple[str, ...]
    rows: tuple[TrialRow, ...]
    top: int
    selections: tuple[Selection, ...]
    stopped: bool
    front: bool


def _trial_table(
    data: StudyData, summary: StudySummary, trials: Sequence[Trial], selections: tuple[Selection, ...]
) -> TrialTable:
    infos, axes, kinds = shown_infos(data), axes_of(data), kinds_of(data, trials)
    rows = []
    for trial in (*(trial for trial in trials if trial.is_baseline), *ranked(data, trials)):
        state = trial.state.lower().replace("pruned", f"stopped at epoch {trial.epochs}")
        levels = tuple(short_level(trial.levels.get(axis.path)) for axis in axes)
        values = tuple(trial.value(info.name) for info in infos)
        rows.append(TrialRow(trial.arm, kinds.get(trial.arm, ""), state, values, levels))
    return TrialTable(
        metrics=infos,
        primary=[info.name for info in infos].index(summary.primary),
        settings=tuple(axis.title for axis in axes),
        rows=tuple(rows),
        top=_TOP,
        selections=selections,
        stopped=STOPPED in kinds.values(),
        front=summary.search is not None and len(summary.search.criteria) > 1,
    )


_UNSHOWN = {GIVEN, OPTIONS, TRACKING, STORAGE, SIGNATURE}
"""Of the provenance: the study and the options have sections of their own, and the store is a path of one machine."""


def flatten(value: Any, path: str = "") -> list[tuple[str, str]]:
    """Nested provenance as (dotted path, text) rows, without what is ``_UNSHOWN``."""
    if isinstance(value, Mapping):
        shown = {key: item for key, item in value.items() if key not in _UNSHOWN}
        return [row for key, item in shown.items() for row in flatten(item, f"{path}.{key}" if path else str(key))]
    if isinstance(value, Sequence) and not isinstance(value, str):
        if any(isinstance(item, Mapping) for item in value):
            return [row for rank, item in enumerate(value) for row in flatten(item, f"{path}.{rank}")]
        if path.rpartition(".")[2] == "command":
            return [(path, shlex.join(map(str, value)))]
        return [(path, ", ".join(_scalar(item) for item in value) or "none")]
    return [(path, _scalar(value))]


def _scalar(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _looks(data: StudyData, styles: Mapping[str, ArmStyle]) -> tuple[tuple[str, str, ArmStyle], ...]:
    """Arm, label and look of every arm; none of very many."""
    return tuple((arm.name, arm.label, styles[arm.name]) for arm in data.arms) if len(data.arms) <= MOST_ROWS else ()


def _looks_of_kinds(
    data: StudyData, points: TrialTable, cells: Collection[str]
) -> tuple[tuple[str, str, ArmStyle], ...]:
    """No arm, words and look of every kind of point of which a cell is drawn, from the last drawn on."""
    kinds = {row.arm: row.kind or STOPPED for row in points.rows}
    drawn = {kinds.get(cell.arm, STOPPED) for cell in data.planned if cell.cell_id in cells}
    best = "on the Pareto front" if points.front else f"best by {points.metrics[0].title}"
    words = {
        BASELINE: "baseline",
        BEST: best,
        COMPLETE: "ran to its end",
        STOPPED: "stopped early, failed or unfinished",
    }
    looks = {kind: ArmStyle(style.color, style.symbol, "solid") for kind, style in KIND_STYLES.items()}
    return tuple(("", text, looks[kind]) for kind, text in words.items() if kind in drawn)


def page_context(data: StudyData, summary: StudySummary) -> dict[str, Any]:
    """Everything that the template reads besides scripts and styles.

    Args:
        data: The study folder's content.
        summary: Its summary.
    """
    styles, points, adaptive = arm_styles(data.arms), None, data.study.adaptive_seeds
    best: list[str] = []
    if data.study.design.samples_points:
        trials = trials_of(data, ARM_METRICS) if summary.search is None else summary.search.trials
        selections = selections_of(data, trials) if summary.search is None else summary.search.selections
        points = _trial_table(data, summary, trials, selections)
        best = [row.arm for row in points.rows[1 : points.top + 1] if row.kind in {BEST, COMPLETE}]
        panels = panels_of_space(data, summary, styles, trials, selections)
    else:
        panels = panels_of_arms(data, summary, styles)
    finished = data.ended(data.baseline.name)
    curves = {cell for figure in panels.cells.figures for cell in drawn_cells(figure.spec)}
    cell_names = () if panels.curve_names else _looks(data, styles)
    if points is not None:
        cell_names = _looks_of_kinds(data, points, curves)
    settings = TRIALS if summary.search is not None else ARM_SETTINGS if summary.factors else ""
    return {
        "summary": summary,
        "words": words_of(data),
        "subject": subject_facts(data),
        "symbols": symbols(data),
        "samples": read_samples(data.folder, data.provenance.get(SHAPES, {}))[:_MOST_CARDS],
        "imported": import_facts(data),
        "pooled_sentence": pooled_sentence,
        "panels": panels,
        "points": points,
        "titles": {info.name: info.title for info in (summary.metrics if points is None else points.metrics)}
        | {name: data.info(name).title for name in ARM_METRICS},
        "names": {arm.name: data.shown_name(arm) for arm in data.arms},
        "most_rows": MOST_ROWS,
        "by_arm": [factor for factor, _ in shown_groups(data)] == [None],
        "styles": styles,
        "arm_list": arm_list(data, summary, styles, best),
        "curves_id": CURVES,
        "cell_names": cell_names,
        "cells": (cells := cell_rows(data, curves, settings)),
        "settings_id": settings,
        "cell_groups": () if cells else cell_groups(data),
        "config": dict(finished[0].config) if finished and data.study.trial.runs_here else data.study.trial.to_plain(),
        "study_settings": {
            "design": data.study.design.to_plain(),
            "seeds": list(data.study.seed_list) if adaptive is None else adaptive.to_plain(),
            "metrics": data.study.metrics.to_plain(),
            "scheduler": data.study.scheduler.to_plain(),
            "execution": data.study.execution.to_plain(),
        },
        "provenance": flatten(data.provenance),
        "last_finished": minute_text(max((result.finished_at for result in data.results.values()), default="")),
        "trainer_seconds": math.fsum(result.seconds for result in data.results.values()),
    }
