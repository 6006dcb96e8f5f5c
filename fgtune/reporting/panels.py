"""The figures of the page with their titles, notes and alternative texts, for any kind of study; no markup."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from fgtune.analysis.curve_panels import (
    ALL_ARMS,
    CurvesPanel,
    learning_panels,
)
from fgtune.analysis.formatting import capital, interval, number, p_text
from fgtune.analysis.grid_panels import GridPanel, grid_panels
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.level_panels import (
    SensitivityPanel,
    sensitivity_panels,
    shown_choices,
    solver_points,
)
from fgtune.analysis.portraits import Portrait, shown_portrait
from fgtune.analysis.search.overview import choosing_infos
from fgtune.analysis.search.selection import Selection
from fgtune.analysis.summary import StudySummary
from fgtune.analysis.text.datasets_answer import pooled_sentence
from fgtune.analysis.trials import BASELINE, BEST, Trial, judged_infos, kinds_of, ranked, shown_infos
from fgtune.reporting.cell_curve_figures import cell_curve_figures, looks_of_arms, looks_of_points
from fgtune.reporting.curve_figures import learning_figure, needs_legend
from fgtune.reporting.dataset_figures import pooled_figure, ranks_figure
from fgtune.reporting.dependence_panels import NO_DEPENDENCE, DependencePanels, dependence_panels
from fgtune.reporting.few_arms import MOST_ROWS, by_distance, called, drawn_contrasts
from fgtune.reporting.importance_panels import ImportancePanels, importance_panels
from fgtune.reporting.joint_panels import (
    gains_figures,
    number_figures,
    parts_figures,
    profile_figures,
    variance_figures,
)
from fgtune.reporting.level_figures import arms_figure, grid_figure, pair_figure, sensitivity_figure
from fgtune.reporting.page_figures import BETTER, Figure, FigureGroup, grouped
from fgtune.reporting.portrait_panels import map_figures, reliability_figures
from fgtune.reporting.relation_panels import drawn_relations, relation_figures
from fgtune.reporting.row_figures import forest_figure, solver_figure
from fgtune.reporting.space_panels import (
    history_figures,
    pairs_figures,
    settings_figures,
    together_figures,
    trial_curves_figures,
)
from fgtune.reporting.theme import ArmStyle


@dataclass(frozen=True)
class Panels:
    """Every figure of the page by section; sections may be empty.

    Attributes:
        differences: Paired differences of the planned contrasts.
        datasets: Each arm's differences on several data sets with the pooled one, and the arms' mean ranks.
        gains: What is lost without each part of an ablation beside what it gains alone.
        parts: What the parts of an ablation are worth together.
        profiles: K_F above against below the baseline.
        numbers: Label-free criteria and the primary metric over K_F, by data set.
        variance: What the spread over seeds consists of.
        found: How the criteria of a search developed; criteria against each other, and against the primary metric.
        importances: What each setting of a space explains.
        dependence: How the metric that the study is judged by depends on what stands out.
        levels: Metrics over each setting, or over the arms of a comparison.
        curves: Metrics by epoch.
        curve_names: Arm, label and look of the curves that no label in their figures names.
        cells: The primary metric by epoch of every single cell.
        relations: Learned against true relations.
        relations_truth: Whether any of them has true relations.
        solvers: Seconds per solve.
        choosing: Label-free criteria against the primary metric, over arms that are compared.
        portrait: What the learned classes of one arm look like; None where no cell keeps it.
        maps: Its map of the test samples.
        reliability: How often coarse predictions are right, by their confidence.
    """

    differences: tuple[Figure, ...]
    datasets: FigureGroup
    gains: FigureGroup
    parts: FigureGroup
    profiles: FigureGroup
    numbers: tuple[FigureGroup, ...]
    variance: FigureGroup
    found: tuple[Figure, ...]
    importances: ImportancePanels
    dependence: DependencePanels
    levels: tuple[FigureGroup, ...]
    curves: tuple[FigureGroup, ...]
    curve_names: tuple[tuple[str, str, ArmStyle], ...]
    cells: FigureGroup
    relations: FigureGroup
    relations_truth: bool
    solvers: tuple[Figure, ...]
    choosing: FigureGroup
    portrait: Portrait | None
    maps: FigureGroup
    reliability: tuple[Figure, ...]

    @property
    def figures(self) -> list[Figure]:
        """All figures, in the order of the page."""
        groups = (self.importances.figures, *self.levels, *self.curves, self.cells, self.relations, self.maps)
        grouped = [figure for group in groups for figure in group.figures]
        joint = (self.datasets, self.gains, self.parts, self.profiles, *self.numbers, self.variance, self.choosing)
        together = [figure for group in joint for figure in group.figures]
        return [
            *self.differences,
            *together,
            *self.found,
            *self.dependence.figures,
            *grouped,
            *self.reliability,
            *self.solvers,
        ]


def panels_of_arms(data: StudyData, summary: StudySummary, styles: Mapping[str, ArmStyle]) -> Panels:
    """The figures of arms that are compared one by one."""
    portrait, curves = shown_portrait(data), learning_panels(data)
    relations, left_out, which = drawn_relations(data, summary)
    return Panels(
        differences=_differences(data, summary, styles),
        datasets=_datasets(summary),
        gains=gains_figures(data, summary),
        parts=parts_figures(summary),
        profiles=profile_figures(summary),
        numbers=number_figures(data, summary),
        variance=variance_figures(summary),
        found=(),
        importances=ImportancePanels(FigureGroup("", ()), ()),
        dependence=NO_DEPENDENCE,
        levels=(*_levels(data, styles), *_grids(data)),
        curves=_learning_curves(curves, styles),
        curve_names=_curve_names(data, curves, styles),
        cells=cell_curve_figures(data, looks_of_arms(styles)),
        relations=relation_figures(relations, left_out, which, primary=summary.metrics[0].short),
        relations_truth=any(panel.has_truth for panel in relations),
        solvers=_solvers(data, styles),
        choosing=_choosing(data, summary),
        portrait=portrait,
        maps=map_figures(portrait),
        reliability=reliability_figures(
            data, styles, by_distance([arm.name for arm in data.arms], summary), partial(called, summary=summary)
        ),
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
    judged = judged_infos(data)
    choosing = choosing_infos(data, selections)
    shown = [arm for arm, kind in kinds.items() if kind in {BASELINE, BEST}]
    relations, left_out, which = drawn_relations(data, summary, shown)
    order = [trial.arm for trial in trials if trial.is_baseline] + [trial.arm for trial in ranked(data, trials)]
    importances, portrait = importance_panels(data, trials, judged), shown_portrait(data)
    return Panels(
        differences=_differences(data, summary, styles, MOST_ROWS),
        datasets=FigureGroup("", ()),
        gains=FigureGroup("", ()),
        parts=FigureGroup("", ()),
        profiles=FigureGroup("", ()),
        numbers=number_figures(data, summary),
        variance=FigureGroup("", ()),
        found=(*(history_figures(data, trials, kinds) if searched else ()), *pairs_figures(data, trials, choosing)),
        importances=importances,
        dependence=dependence_panels(data, trials, primary, importances),
        levels=(
            *together_figures(data, trials, judged, importances),
            *settings_figures(data, trials, judged if searched else infos),
        ),
        curves=trial_curves_figures(data, trials),
        curve_names=(),
        cells=cell_curve_figures(data, looks_of_points([arm.name for arm in data.arms], kinds)),
        relations=relation_figures(relations, left_out, which, primary=summary.metrics[0].short, by_name=searched),
        relations_truth=any(panel.has_truth for panel in relations),
        solvers=_solvers(data, styles) if few and not searched else (),
        choosing=FigureGroup("", ()),
        portrait=portrait,
        maps=map_figures(portrait),
        reliability=reliability_figures(data, styles, order, lambda _: "the baseline and the best points"),
    )


def _differences(
    data: StudyData, summary: StudySummary, styles: Mapping[str, ArmStyle], most: int | None = None
) -> tuple[Figure, ...]:
    """Paired differences of the planned contrasts, of more than ``most`` the largest; empty if there are no pairs."""
    (contrasts, left), info = drawn_contrasts(summary, most), summary.metrics[0]
    if not contrasts:
        return ()
    alt = " ".join(contrast.sentence for contrast in (contrasts if left else summary.contrasts))
    spec = forest_figure(contrasts, styles, info, summary.margin)
    note = "No difference is shaded as unimportant: the study file states no margin for this metric."
    if summary.margin is not None:
        note = f"Shaded: differences within ±{summary.margin:g}, which count as unimportant."
    note += f" {left}; the table has all." if left else ""
    named = "" if data.baseline.label == "baseline" else f" ({data.baseline.label})"
    title = f"{capital(info.title)}: difference to the baseline{named}"
    return (Figure("differences", title, alt, spec, note),)


def _datasets(summary: StudySummary) -> FigureGroup:
    """A figure for each arm over several data sets, of many those that differ most, and one of the arms' ranks."""
    found, info = summary.datasets, summary.metrics[0]
    if found is None:
        return FigureGroup("", ())
    measured = [item for item in found.contrasts if item.measured]
    by_size = sorted(measured, key=lambda item: -abs(item.pooled.estimate.mean))
    kept = {item.arm for item in by_size[:MOST_ROWS]}
    shown = [item for item in measured if item.arm in kept]
    figures = [
        Figure(
            f"datasets-{rank}",
            f"Difference on every data set: {item.arm}",
            pooled_sentence(item, info, summary.level),
            pooled_figure(item, info),
            arms=tuple(effect.arm for effect in item.effects),
        )
        for rank, item in enumerate(shown)
    ]
    if found.ranks is not None:
        test = found.ranks
        members = {item.arm: [effect.arm for effect in item.effects] for item in found.contrasts}
        listed = "; ".join(f"{arm} {rank:.2f}" for arm, rank in zip(test.arms, test.ranks, strict=True))
        alt = f"Mean ranks over {len(test.datasets)} data sets: {listed}. Critical difference {test.critical:.2f}."
        note = (
            f"Friedman's test that all arms rank alike: p {p_text(test.p)}, {len(test.datasets)} data sets. Arms "
            f"closer than {test.critical:.2f} are not told apart (Nemenyi). Exploratory: no verdict rests on ranks."
        )
        figures.append(Figure("datasets-ranks", "Mean ranks", alt, ranks_figure(test, members), note))
    return FigureGroup("", tuple(figures), widest=2, left_out=len(measured) - len(shown))


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
        return Figure(f"levels-{rank}", info.title, alt, spec, hint=BETTER[info.direction])

    numbered = enumerate(sensitivity_panels(data))
    finished = [(rank, panel) for rank, panel in numbered if any(point.estimate.n for point in panel.points)]
    return grouped(finished, lambda panel: f"over {panel.axis.title}" if panel.axis.path else ALL_ARMS, made)


def _grids(data: StudyData) -> tuple[FigureGroup, ...]:
    """One figure for each pair of factors of a full grid."""

    def made(rank: int, panel: GridPanel) -> Figure:
        ends = f"from {number(float(np.nanmin(panel.means)))} to {number(float(np.nanmax(panel.means)))}"
        alt = f"Mean {panel.metric.title} over {panel.x} and {panel.y}, {ends}."
        note = f"The other factors as in the baseline: {panel.others}." if panel.others else ""
        return Figure(f"grid-{rank}", f"{panel.x} and {panel.y}", alt, grid_figure(panel), note)

    title = f"two factors together: {data.info(data.study.metrics.primary).title}"
    return grouped(enumerate(grid_panels(data)), lambda _: title, made)


def _learning_curves(panels: Sequence[CurvesPanel], styles: Mapping[str, ArmStyle]) -> tuple[FigureGroup, ...]:
    """One group per factor, one figure per metric."""

    def made(rank: int, panel: CurvesPanel) -> Figure:
        ends = [f"{curve.label}: {number(curve.mean[-1])} at epoch {curve.epochs[-1]}" for curve in panel.curves]
        alt = f"Mean {panel.metric.title} by epoch with interval bands. At the end, {'; '.join(ends)}."
        spec, hint = learning_figure(panel, styles), BETTER[panel.metric.direction]
        return Figure(f"curves-{rank}", panel.metric.title, alt, spec, hint=hint)

    def title(panel: CurvesPanel) -> str:
        return panel.group if panel.group in {"", ALL_ARMS} else f"over {panel.group}"

    return grouped(enumerate(panels), title, made)


def _curve_names(
    data: StudyData, panels: Sequence[CurvesPanel], styles: Mapping[str, ArmStyle]
) -> tuple[tuple[str, str, ArmStyle], ...]:
    """Arm, label and look of every curve in a figure without room for labels."""
    labels = {curve.arm: curve.label for panel in panels if needs_legend(panel) for curve in panel.curves}
    return tuple((arm.name, labels[arm.name], styles[arm.name]) for arm in data.arms if arm.name in labels)


def _choosing(data: StudyData, summary: StudySummary) -> FigureGroup:
    """Agreement of seeds, and the judge in the shared space where it is shown, against the primary metric."""
    figures = []
    for rank, (dataset, panel) in enumerate(shown_choices(data, summary.choices)):
        choice, best = (panel.names.get(arm, arm) for arm in (panel.marked[0], panel.marked[-1]))
        alt = (
            f"{panel.y.title} against {panel.x.title} of {len(panel.points)} arms. {panel.x.title} chooses {choice}; "
            f"{best} is the best by {panel.y.title}."
        )
        title = f"{capital(panel.y.title)} against {panel.x.title}{f', {dataset}' if dataset else ''}"
        figures.append(Figure(f"choosing-{rank}", title, alt, pair_figure(panel)))
    return FigureGroup("", tuple(figures), widest=3)
