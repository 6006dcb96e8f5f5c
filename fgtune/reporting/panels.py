"""The figures of the page with their titles, notes and alternative texts, for any kind of study; no markup."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from fgtune.analysis.curve_panels import (
    ALL_ARMS,
    CurvesPanel,
    HistoryPanel,
    history_panels,
    learning_panels,
    trial_curves_panels,
)
from fgtune.analysis.formatting import MetricInfo, capital, interval, number, p_text
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.level_panels import (
    PairPanel,
    ScatterPanel,
    SensitivityPanel,
    agreement_panels,
    choice_panels,
    front_panels,
    scatter_panels,
    sensitivity_panels,
    solver_points,
)
from fgtune.analysis.relations_data import relations_panels
from fgtune.analysis.search.selection import Selection
from fgtune.analysis.summary import StudySummary
from fgtune.analysis.text.datasets_answer import pooled_sentence
from fgtune.analysis.trials import BASELINE, BEST, STOPPED, Trial, criteria_of, kinds_of, shown_infos
from fgtune.catalog.metrics import ARM_METRICS
from fgtune.reporting.curve_figures import history_figure, learning_figure, trial_curves_figure
from fgtune.reporting.dataset_figures import pooled_figure, ranks_figure
from fgtune.reporting.importance_panels import ImportancePanels, importance_panels
from fgtune.reporting.joint_panels import number_figures, parts_figures, profile_figures, variance_figures
from fgtune.reporting.level_figures import arms_figure, pair_figure, scatter_figure, sensitivity_figure
from fgtune.reporting.page_figures import Figure, FigureGroup
from fgtune.reporting.relation_panels import relation_figures
from fgtune.reporting.row_figures import forest_figure, solver_figure
from fgtune.reporting.theme import ArmStyle

MOST_ROWS = 24
"""With more arms than this, their tables are folded and points of a space have no figures with a row for each."""

_BETTER = {"maximize": "higher is better", "minimize": "lower is better", "none": ""}

Panel = TypeVar("Panel")


@dataclass(frozen=True)
class Panels:
    """Every figure of the page by section; sections may be empty.

    Attributes:
        differences: Paired differences of the planned contrasts.
        datasets: Each arm's differences on several data sets with the pooled one, and the arms' mean ranks.
        parts: What the parts of an ablation are worth together.
        profiles: K_F above against below the baseline.
        numbers: Label-free criteria and the primary metric over K_F.
        variance: What the spread over seeds consists of.
        found: How the criteria of a search developed; criteria against each other, and against the primary metric.
        importances: What each setting of a space explains.
        levels: Metrics over each setting, or over the arms of a comparison.
        curves: Metrics by epoch.
        relations: Learned against true relations.
        relations_truth: Whether any of them has true relations.
        solvers: Seconds per solve.
        choosing: Label-free criteria against the primary metric, over arms that are compared.
    """

    differences: tuple[Figure, ...]
    datasets: FigureGroup
    parts: FigureGroup
    profiles: FigureGroup
    numbers: FigureGroup
    variance: FigureGroup
    found: tuple[Figure, ...]
    importances: ImportancePanels
    levels: tuple[FigureGroup, ...]
    curves: tuple[FigureGroup, ...]
    relations: FigureGroup
    relations_truth: bool
    solvers: tuple[Figure, ...]
    choosing: FigureGroup

    @property
    def figures(self) -> list[Figure]:
        """All figures, in the order of the page."""
        groups = (self.importances.figures, *self.levels, *self.curves, self.relations)
        grouped = [figure for group in groups for figure in group.figures]
        joint = (self.datasets, self.parts, self.profiles, self.numbers, self.variance, self.choosing)
        together = [figure for group in joint for figure in group.figures]
        return [*self.differences, *together, *self.found, *grouped, *self.solvers]


def panels_of_arms(data: StudyData, summary: StudySummary, styles: Mapping[str, ArmStyle]) -> Panels:
    """The figures of arms that are compared one by one."""
    relations = relations_panels(data)
    return Panels(
        differences=_differences(data, summary, styles),
        datasets=_datasets(summary),
        parts=parts_figures(summary),
        profiles=profile_figures(summary),
        numbers=number_figures(data, summary),
        variance=variance_figures(summary),
        found=(),
        importances=ImportancePanels(FigureGroup("", ()), ()),
        levels=_levels(data, styles),
        curves=_learning_curves(data, styles),
        relations=relation_figures(relations, summary),
        relations_truth=any(panel.has_truth for panel in relations),
        solvers=_solvers(data, styles),
        choosing=_choosing(data, summary),
    )


def panels_of_space(
    data: StudyData,
    summary: StudySummary,
    styles: Mapping[str, ArmStyle],
    trials: Sequence[Trial],
    selections: Sequence[Selection],
) -> Panels:
    """The figures of points in a space; those with a row or panel per arm only if there are few arms.

    Args:
        data: The study.
        summary: Its summary.
        styles: Style of every arm.
        trials: Its points.
        selections: What choosing by each metric yields.
    """
    search, infos, kinds = summary.search, shown_infos(data), kinds_of(data, trials)
    few, searched = len(data.arms) <= MOST_ROWS, search is not None
    primary = data.info(data.study.metrics.primary)
    judged = tuple({info.name: info for info in (*criteria_of(data), primary)}.values())
    chosen = {selection.criterion for selection in selections}
    own = [data.info(name) for name in ARM_METRICS if name not in {info.name for info in infos}]
    choosing = [info for info in (*infos, *own) if info.name in chosen]
    relations = [panel for panel in relations_panels(data) if kinds.get(panel.arm) in {BASELINE, BEST}]
    return Panels(
        differences=_differences(data, summary, styles) if few else (),
        datasets=FigureGroup("", ()),
        parts=FigureGroup("", ()),
        profiles=FigureGroup("", ()),
        numbers=number_figures(data, summary),
        variance=FigureGroup("", ()),
        found=(*(_history(data, trials, kinds) if searched else ()), *_pairs(data, trials, choosing)),
        importances=importance_panels(data, trials, judged),
        levels=_settings(data, trials, judged if searched else infos),
        curves=_trial_curves(data, trials),
        relations=relation_figures(relations, summary),
        relations_truth=any(panel.has_truth for panel in relations),
        solvers=_solvers(data, styles) if few and not searched else (),
        choosing=FigureGroup("", ()),
    )


def _grouped(
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


def _differences(data: StudyData, summary: StudySummary, styles: Mapping[str, ArmStyle]) -> tuple[Figure, ...]:
    """Paired differences of the planned contrasts; empty if there are no pairs."""
    contrasts = [item for item in summary.contrasts if item.contrast.n > 0]
    if not contrasts:
        return ()
    info = summary.metrics[0]
    alt = " ".join(contrast.sentence for contrast in summary.contrasts)
    spec = forest_figure(contrasts, styles, info, summary.margin)
    note = "No difference is shaded as unimportant: the study file states no margin for this metric."
    if summary.margin is not None:
        note = f"Shaded: differences within ±{summary.margin:g}, which count as unimportant."
    title = f"{capital(info.title)}: difference to the baseline ({data.baseline.label})"
    return (Figure("differences", title, alt, spec, note),)


def _datasets(summary: StudySummary) -> FigureGroup:
    """A figure for each arm over several data sets, unless there are many, and one of the arms' ranks."""
    found, info = summary.datasets, summary.metrics[0]
    if found is None:
        return FigureGroup("", ())
    shown = [item for item in found.contrasts if item.measured] if len(found.contrasts) <= MOST_ROWS else []
    figures = [
        Figure(
            f"datasets-{rank}",
            f"Difference on every data set: {item.arm}",
            pooled_sentence(item, info, summary.level),
            pooled_figure(item, info),
            "Diamond: the mean over data sets with its interval; thin line: where a further data set would lie.",
            arms=tuple(effect.arm for effect in item.effects),
        )
        for rank, item in enumerate(shown)
    ]
    if found.ranks is not None:
        test = found.ranks
        listed = "; ".join(f"{arm} {rank:.2f}" for arm, rank in zip(test.arms, test.ranks, strict=True))
        alt = f"Mean ranks over {len(test.datasets)} data sets: {listed}. Critical difference {test.critical:.2f}."
        note = (
            f"Friedman's test that all arms rank alike: p {p_text(test.p)}, {len(test.datasets)} data sets. Arms "
            f"closer than {test.critical:.2f} are not told apart (Nemenyi). Exploratory: no verdict rests on ranks."
        )
        figures.append(Figure("datasets-ranks", "Mean ranks", alt, ranks_figure(test), note))
    return FigureGroup("", tuple(figures), widest=2)


def _solvers(data: StudyData, styles: Mapping[str, ArmStyle]) -> tuple[Figure, ...]:
    """Seconds per solve; empty if no relations were solved."""
    points = solver_points(data)
    if not points:
        return ()
    alt = "Mean seconds per solve of the relations in every cell, arm by arm; the table below has the numbers."
    return (Figure("solver-seconds", "Time per solve", alt, solver_figure(points, styles)),)


def _levels(data: StudyData, styles: Mapping[str, ArmStyle]) -> tuple[FigureGroup, ...]:
    """One group per factor, one figure per metric."""

    def made(rank: int, panel: SensitivityPanel) -> Figure:
        parts = [
            f"{point.tick}: {number(point.estimate.mean)}"
            + ("" if math.isnan(point.estimate.low) else f" ({interval(point.estimate.low, point.estimate.high)})")
            for point in panel.points
            if point.estimate.n
        ]
        info = panel.metric
        alt = f"Mean {info.title} with interval by {panel.axis.title or 'arm'}. {'; '.join(parts)}."
        spec = sensitivity_figure(panel, styles) if panel.axis.path else arms_figure(panel, styles)
        return Figure(f"levels-{rank}", info.title, alt, spec, hint=_BETTER[info.direction])

    numbered = enumerate(sensitivity_panels(data))
    finished = [(rank, panel) for rank, panel in numbered if any(point.estimate.n for point in panel.points)]
    return _grouped(finished, lambda panel: f"over {panel.axis.title}" if panel.axis.path else ALL_ARMS, made)


def _settings(data: StudyData, trials: Sequence[Trial], metrics: Sequence[MetricInfo]) -> tuple[FigureGroup, ...]:
    """One group per metric, one figure per setting of the space."""

    def made(rank: int, panel: ScatterPanel) -> Figure:
        values = [point.y for point in panel.points if point.kind not in {STOPPED, BASELINE}]
        ends = f", from {number(min(values))} to {number(max(values))}" if values else ""
        alt = f"{panel.metric.title} over {panel.axis.title} for {len(values)} finished points{ends}."
        return Figure(f"space-{rank}", f"over {panel.axis.title}", alt, scatter_figure(panel))

    return _grouped(enumerate(scatter_panels(data, trials, metrics)), lambda panel: panel.metric.title, made)


def _learning_curves(data: StudyData, styles: Mapping[str, ArmStyle]) -> tuple[FigureGroup, ...]:
    """One group per factor, one figure per metric."""

    def made(rank: int, panel: CurvesPanel) -> Figure:
        ends = [f"{curve.label}: {number(curve.mean[-1])} at epoch {curve.epochs[-1]}" for curve in panel.curves]
        alt = f"Mean {panel.metric.title} by epoch with interval bands. At the end, {'; '.join(ends)}."
        spec, hint = learning_figure(panel, styles), _BETTER[panel.metric.direction]
        return Figure(f"curves-{rank}", panel.metric.title, alt, spec, hint=hint)

    def title(panel: CurvesPanel) -> str:
        return panel.group if panel.group in {"", ALL_ARMS} else f"over {panel.group}"

    return _grouped(enumerate(learning_panels(data)), title, made)


def _trial_curves(data: StudyData, trials: Sequence[Trial]) -> tuple[FigureGroup, ...]:
    """One figure per metric, one line per point."""

    def made(rank: int, panel: CurvesPanel) -> Figure:
        stopped = sum(curve.kind == STOPPED for curve in panel.curves)
        marked = [curve for curve in panel.curves if curve.kind in {BASELINE, BEST} and not math.isnan(curve.mean[-1])]
        ends = "; ".join(f"{curve.arm} ends at {number(curve.mean[-1])}" for curve in marked)
        title = panel.metric.title
        alt = f"{title} by epoch of {len(panel.curves)} points, {stopped} of them stopped early. {ends}"
        return Figure(f"trials-{rank}", title, alt, trial_curves_figure(panel), hint=_BETTER[panel.metric.direction])

    panels = trial_curves_panels(data, trials)
    return _grouped(enumerate(panels), lambda panel: panel.group, made, widest=2 if len(panels) == 1 else 3)


def _history(data: StudyData, trials: Sequence[Trial], kinds: Mapping[str, str]) -> tuple[Figure, ...]:
    best = [arm for arm, kind in kinds.items() if kind == BEST]

    def made(rank: int, panel: HistoryPanel) -> Figure:
        first, last = panel.points[0], panel.points[-1]
        alt = (
            f"{panel.metric.title} of {len(panel.points)} finished trials in the order of their end; the best value "
            f"goes from {number(first.best)} to {number(last.best)}, the baseline has {number(panel.baseline)}."
        )
        values = [math.isfinite(point.value) for point in panel.stopped]
        notes = ["Crosses: trials that were stopped early, at the value and epoch at which they were."] * any(values)
        notes += ["Crosses at the foot: trials that failed or have no value."] * (not all(values))
        note = " ".join(notes)
        spec, hint = history_figure(panel, best), _BETTER[panel.metric.direction]
        return Figure(f"history-{rank}", panel.metric.title, alt, spec, note, hint)

    return tuple(made(rank, panel) for rank, panel in enumerate(history_panels(data, trials)))


def _pairs(data: StudyData, trials: Sequence[Trial], choosing: Sequence[MetricInfo]) -> tuple[Figure, ...]:
    """Criteria against each other, then each metric that chooses against the primary one."""

    def made(key: str, panel: PairPanel) -> Figure:
        x, y = panel.x.title, panel.y.title
        named = [point for point in panel.points if point.arm in panel.marked]
        values = "; ".join(f"{point.arm}: {number(point.x)} and {number(point.y)}" for point in named)
        title = f"Pareto front: {x} and {y}" if key.startswith("front") else f"{y} against {x}"
        alt = f"{x} and {y} of {len(panel.points)} finished points. {values}".strip()
        return Figure(key, title, alt, pair_figure(panel))

    keyed = [(f"front-{rank}", panel) for rank, panel in enumerate(front_panels(data, trials))]
    keyed += [(f"agreement-{rank}", panel) for rank, panel in enumerate(agreement_panels(data, trials, choosing))]
    return tuple(made(key, panel) for key, panel in keyed)


def _choosing(data: StudyData, summary: StudySummary) -> FigureGroup:
    """Agreement of seeds, and the judge in the shared space where it is shown, against the primary metric."""
    judges = {choice.criterion for choice in summary.choices if choice.criterion.endswith("/fixed_silhouette")}
    figures = []
    for rank, (dataset, panel) in enumerate(choice_panels(data, summary.choices, {*ARM_METRICS, *judges})):
        choice, best = panel.marked[0], panel.marked[-1]
        alt = (
            f"{panel.y.title} against {panel.x.title} of {len(panel.points)} arms. {panel.x.title} chooses {choice}; "
            f"{best} is the best by {panel.y.title}."
        )
        title = f"{capital(panel.y.title)} against {panel.x.title}{f', {dataset}' if dataset else ''}"
        figures.append(Figure(f"choosing-{rank}", title, alt, pair_figure(panel)))
    return FigureGroup("", tuple(figures), widest=3)
