"""What the page shows of a study that spreads its points over a space: tables as text, figures, no markup."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fgtune.analysis.inputs import StudyData
from fgtune.analysis.search.axes import axes_of
from fgtune.analysis.search.figure_data import (
    BASELINE,
    BEST,
    STOPPED,
    CurvesPanel,
    HistoryPanel,
    PairPanel,
    ScatterPanel,
    agreement_panels,
    curves_panels,
    front_panels,
    history_panels,
    kinds_of,
    metric_importances,
    on_log_scale,
    ranked,
    scatter_panels,
)
from fgtune.analysis.search.importances import Importances
from fgtune.analysis.search.overview import SearchSummary, selections_of
from fgtune.analysis.search.selection import Selection
from fgtune.analysis.text.formatting import MetricInfo, metric_info, number
from fgtune.analysis.text.search_answer import short_level
from fgtune.analysis.trials import Trial, shown_infos, trials_of
from fgtune.reporting.blocks import BETTER, Figure, FigureGroup
from fgtune.reporting.importances_figure import importances_figure
from fgtune.reporting.search_figures import curves_figure, history_figure, pair_figure, scatter_figure

_TOP = 10  # points in the table that is always open


@dataclass(frozen=True)
class TrialRow:
    """A point as the table shows it.

    Attributes:
        arm: Its name.
        kind: How figures draw it; empty for those that failed or are unfinished.
        state: In words.
        values: Its value of every shown metric; nan unless it ran to its end.
        levels: The level of every setting, in words.
    """

    arm: str
    kind: str
    state: str
    values: tuple[float, ...]
    levels: tuple[str, ...]


@dataclass(frozen=True)
class SpreadPage:
    """The parts of the page that only such a study has; empty where there is nothing to show.

    Attributes:
        metrics: The criteria first, then the other shown metrics; columns of the table.
        primary: Place of the primary metric among them.
        settings: Names of the varied settings; further columns.
        rows: The baseline, then the points from the best to the worst.
        top: How many of them are always in sight.
        selections: What choosing by each metric yields.
        titles: Name of each metric for readers.
        stopped: Whether any point was stopped early.
        front: Whether several criteria make a front of several best points.
        history: How the criteria came along.
        pairs: Criteria against each other, and against the primary metric.
        importances: What each setting explains.
        panels: Metrics over every setting, one group a metric.
        curves: Learning curves.
    """

    metrics: tuple[MetricInfo, ...]
    primary: int
    settings: tuple[str, ...]
    rows: tuple[TrialRow, ...]
    top: int
    selections: tuple[Selection, ...]
    titles: Mapping[str, str]
    stopped: bool
    front: bool
    history: tuple[Figure, ...]
    pairs: tuple[Figure, ...]
    importances: tuple[Figure, ...]
    panels: tuple[FigureGroup, ...]
    curves: tuple[Figure, ...]

    @property
    def figures(self) -> list[Figure]:
        """Every figure, in the order of the page."""
        grouped = [figure for group in self.panels for figure in group.figures]
        return [*self.history, *self.pairs, *self.importances, *grouped, *self.curves]

    def columns(self, figures: Sequence[Figure]) -> int:
        """How many of these stand side by side on a wide screen, as wide as two where there are few."""
        return FigureGroup("", tuple(figures)).columns if len(figures) > 1 else 2


def spread_page(data: StudyData, search: SearchSummary | None) -> SpreadPage:
    """The parts of the page for a search (with its summary) or for random or Sobol points."""
    trials = trials_of(data) if search is None else search.trials
    infos, primary = shown_infos(data), metric_info(data.study.metrics.primary)
    criteria = infos[: len(search.criteria)] if search is not None else infos[:1]
    judged = tuple({info.name: info for info in (*criteria, primary)}.values())
    selections = selections_of(data, trials) if search is None else search.selections
    kinds = kinds_of(data, trials)
    choosing = [info for info in infos if info.name in {selection.criterion for selection in selections}]
    return SpreadPage(
        metrics=infos,
        primary=[info.name for info in infos].index(primary.name),
        settings=tuple(axis.title for axis in axes_of(data)),
        rows=_rows(data, trials, infos, kinds),
        top=_TOP,
        selections=selections,
        titles={info.name: info.title for info in infos},
        stopped=STOPPED in kinds.values(),
        front=search is not None and len(search.criteria) > 1,
        history=_history(data, trials, kinds) if search is not None else (),
        pairs=_pairs(data, trials, choosing),
        importances=_importances(data, trials, judged),
        panels=_panels(data, trials, judged if search is not None else infos),
        curves=_curve_figures(data, trials),
    )


def _rows(
    data: StudyData, trials: Sequence[Trial], infos: Sequence[MetricInfo], kinds: Mapping[str, str]
) -> tuple[TrialRow, ...]:
    baseline = [trial for trial in trials if trial.is_baseline]
    paths = [axis.path for axis in axes_of(data)]
    rows = []
    for trial in (*baseline, *ranked(data, trials)):
        state = trial.state.lower().replace("pruned", f"stopped at epoch {trial.epochs}")
        levels = tuple(short_level(trial.levels.get(path)) for path in paths)
        values = tuple(trial.value(info.name) for info in infos)
        rows.append(TrialRow(trial.arm, kinds.get(trial.arm, ""), state, values, levels))
    return tuple(rows)


def _history(data: StudyData, trials: Sequence[Trial], kinds: Mapping[str, str]) -> tuple[Figure, ...]:
    best = [arm for arm, kind in kinds.items() if kind == BEST]
    made = []
    for rank, panel in enumerate(history_panels(data, trials)):
        spec, hint = history_figure(panel, best), BETTER[panel.metric.direction]
        note = "Crosses at the foot: trials that were stopped early or failed." if panel.stopped else ""
        made.append(Figure(f"history-{rank}", panel.metric.title, _history_alt(panel), spec, note, hint))
    return tuple(made)


def _history_alt(panel: HistoryPanel) -> str:
    first, last = panel.points[0], panel.points[-1]
    return (
        f"{panel.metric.title} of {len(panel.points)} finished trials in the order of their end; the best value goes "
        f"from {number(first.best)} to {number(last.best)}, the baseline has {number(panel.baseline)}."
    )


def _pairs(data: StudyData, trials: Sequence[Trial], choosing: Sequence[MetricInfo]) -> tuple[Figure, ...]:
    made = [_pair(f"front-{rank}", panel, "Pareto front") for rank, panel in enumerate(front_panels(data, trials))]
    panels = agreement_panels(data, trials, choosing)
    made += [_pair(f"agreement-{rank}", panel, "") for rank, panel in enumerate(panels)]
    return tuple(made)


def _pair(key: str, panel: PairPanel, word: str) -> Figure:
    names = f"{panel.x.title} and {panel.y.title}"
    title = f"{word}: {names}" if word else f"{panel.y.title} against {panel.x.title}"
    named = [point for point in panel.points if point.arm in panel.marked]
    told = "; ".join(f"{point.arm}: {number(point.x)} and {number(point.y)}" for point in named)
    spec = pair_figure(panel)
    return Figure(key, title, f"{names} of {len(panel.points)} finished points. {told}".strip(), spec)


def _importances(data: StudyData, trials: Sequence[Trial], metrics: Sequence[MetricInfo]) -> tuple[Figure, ...]:
    names = {axis.path: axis.title for axis in axes_of(data)}
    made = []
    for rank, found in enumerate(metric_importances(data, trials, metrics)):
        if found.items:
            alt, note = _importances_alt(found, names), _importances_note(found)
            spec, hint = importances_figure(found, names), "" if found.reliable else "not reliable"
            made.append(Figure(f"importances-{rank}", _decomposed(metrics[rank], trials), alt, spec, note, hint))
    return tuple(made)


def _decomposed(info: MetricInfo, trials: Sequence[Trial]) -> str:
    """What was decomposed: the metric, or the logarithm of a cost."""
    values = [trial.value(info.name) for trial in trials if not trial.is_baseline]
    logged = on_log_scale(info, [value for value in values if math.isfinite(value)])
    return f"{info.title}, logarithm" if logged else info.title


def _importances_alt(found: Importances, names: Mapping[str, str]) -> str:
    parts = [
        f"{names[item.parameter]} {item.main:.0%} ({item.low:.0%} to {item.high:.0%}; chance {item.chance:.0%})"
        for item in found.items
    ]
    return f"Share of the variation that each parameter explains alone: {'; '.join(parts)}."


def _importances_note(found: Importances) -> str:
    basis = f"From {found.n} finished points; on points left out the forest explains {max(0.0, found.skill):.0%}."
    return basis if found.reliable else f"Not reliable: {'; '.join(found.doubts)}. {basis}"


def _panels(data: StudyData, trials: Sequence[Trial], metrics: Sequence[MetricInfo]) -> tuple[FigureGroup, ...]:
    groups: dict[str, list[Figure]] = {}
    for rank, panel in enumerate(scatter_panels(data, trials, metrics)):
        alt = _scatter_alt(panel)
        made = Figure(f"space-{rank}", f"over {panel.axis.title}", alt, scatter_figure(panel))
        groups.setdefault(panel.metric.name, []).append(made)
    infos = {info.name: info for info in metrics}
    return tuple(FigureGroup(infos[name].title, tuple(figures)) for name, figures in groups.items())


def _scatter_alt(panel: ScatterPanel) -> str:
    ran = [point for point in panel.points if point.kind not in {STOPPED, BASELINE}]
    values = [point.y for point in ran]
    told = f", from {number(min(values))} to {number(max(values))}" if values else ""
    return f"{panel.metric.title} over {panel.axis.title} for {len(ran)} finished points{told}."


def _curve_figures(data: StudyData, trials: Sequence[Trial]) -> tuple[Figure, ...]:
    made = []
    for rank, panel in enumerate(curves_panels(data, trials)):
        spec, hint = curves_figure(panel), BETTER[panel.metric.direction]
        made.append(Figure(f"trials-{rank}", panel.metric.title, _curves_alt(panel), spec, hint=hint))
    return tuple(made)


def _curves_alt(panel: CurvesPanel) -> str:
    stopped = sum(curve.kind == STOPPED for curve in panel.curves)
    ends = [curve for curve in panel.curves if curve.kind in {BASELINE, BEST} and not math.isnan(curve.values[-1])]
    told = "; ".join(f"{curve.arm} ends at {number(curve.values[-1])}" for curve in ends)
    return f"{panel.metric.title} by epoch of {len(panel.curves)} points, {stopped} of them stopped early. {told}"
