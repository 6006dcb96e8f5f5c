"""What a kind of design makes of its arms: enumerated arms are compared one by one, a search is told as a search.

``FINDERS`` says which; ``summary`` asks it once and needs to know no design.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fgtune.analysis.failures import count_cells, failure_bounds, failure_rows, pruned_groups
from fgtune.analysis.inputs import PlannedArm, StudyData
from fgtune.analysis.records import ArmSummary, Bounds, ContrastSummary, FailureRow, PrunedGroup, SolverRow
from fgtune.analysis.search.overview import SearchSummary, summarise_search
from fgtune.analysis.solver_usage import solver_rows, solver_rows_together
from fgtune.analysis.statistics import PairedContrast, bootstrap_interval, holm, paired_contrast
from fgtune.analysis.text.answer import answer_sentence, contrast_sentence
from fgtune.analysis.text.formatting import MetricInfo
from fgtune.analysis.text.search_answer import search_answer
from fgtune.analysis.text.warnings import search_warnings, study_warnings
from fgtune.analysis.trials import is_spread
from fgtune.analysis.verdicts import Judgement, judge
from fgtune.results.records import CellState
from fgtune.streams import numpy_stream

_MOST_PRUNED = 12  # more cells stopped early than this are grouped instead of listed among those that failed


@dataclass(frozen=True)
class Findings:
    """The part of a summary that depends on the kind of design; fields as in ``StudySummary``."""

    answer: str
    contrasts: tuple[ContrastSummary, ...]
    exploratory: tuple[ContrastSummary, ...]
    bounds: tuple[Bounds, ...]
    failures: tuple[FailureRow, ...]
    pruned: tuple[PrunedGroup, ...]
    solvers: tuple[SolverRow, ...]
    warnings: tuple[str, ...]
    search: SearchSummary | None = None


Finder = Callable[[StudyData, Sequence[ArmSummary], Sequence[MetricInfo]], Findings]
"""From the study, its arms, and the shown metrics, the primary first."""


def compared(data: StudyData, arms: Sequence[ArmSummary], metrics: Sequence[MetricInfo]) -> Findings:
    """Every arm is a planned contrast with the baseline on the primary metric, corrected together."""
    primary, others = metrics[0], metrics[1:]
    contrasts = _planned(data, primary)
    solvers = solver_rows_together(data) if is_spread(data) else solver_rows(data)
    many = count_cells(data).pruned > _MOST_PRUNED
    return Findings(
        answer=answer_sentence(arms, contrasts, primary, data.level),
        contrasts=contrasts,
        exploratory=tuple(item for info in others for item in _exploratory(data, info, data.arms)),
        bounds=failure_bounds(data, primary),
        failures=failure_rows(data, pruned=not many),
        pruned=pruned_groups(data) if many else (),
        solvers=solvers,
        warnings=study_warnings(data, metrics, contrasts, solvers),
    )


def searched(data: StudyData, arms: Sequence[ArmSummary], metrics: Sequence[MetricInfo]) -> Findings:
    """No arm is a planned contrast: which points there are depends on the results. The chosen ones are exploratory."""
    del arms  # the search has its own view of them
    search = summarise_search(data)
    chosen = {selection.arm for selection in search.searched} | set(search.front)
    points = [arm for arm in data.arms if arm.name in chosen]
    solvers = solver_rows_together(data)
    warnings = study_warnings(data, metrics, (), solvers)
    return Findings(
        answer=search_answer(search, metrics[0], data.level),
        contrasts=(),
        exploratory=tuple(item for info in metrics for item in _exploratory(data, info, points)),
        bounds=(),
        failures=failure_rows(data, pruned=False),
        pruned=pruned_groups(data),
        solvers=solvers,
        warnings=(*search_warnings(data, search), *warnings),
        search=search,
    )


FINDERS: Mapping[str, Finder] = {
    "sensitivity": compared,
    "ablation": compared,
    "comparison": compared,
    "search": searched,
}
"""How each kind of design is summarised."""


def _planned(data: StudyData, info: MetricInfo) -> tuple[ContrastSummary, ...]:
    pairs = _contrasts(data, info, data.arms)
    adjusted = holm([contrast.p_value for _, contrast in pairs])
    settings = data.study.metrics
    made = []
    for (arm, contrast), p_adjusted in zip(pairs, adjusted, strict=True):
        judgement = judge(
            contrast,
            p_adjusted,
            direction=info.direction,
            alpha=settings.alpha,
            margin=settings.equivalence_margin,
            contrasts=len(pairs),
            stopped=_stopped_pairs(data, arm),
        )
        made.append(_contrast_summary(data, arm, info, contrast, judgement))
    return tuple(made)


def _stopped_pairs(data: StudyData, arm: PlannedArm) -> int:
    """Seeds at which a scheduler stopped the arm or its baseline."""
    return len(
        {
            cell.seed
            for each in (arm, data.baseline_of(arm))
            for cell in data.cells(each.name)
            if cell.cell_id in data.results and data.results[cell.cell_id].state is CellState.PRUNED
        }
    )


def _exploratory(data: StudyData, info: MetricInfo, arms: Sequence[PlannedArm]) -> tuple[ContrastSummary, ...]:
    pairs = _contrasts(data, info, arms)
    return tuple(_contrast_summary(data, arm, info, contrast, None) for arm, contrast in pairs)


def _contrast_summary(
    data: StudyData, arm: PlannedArm, info: MetricInfo, contrast: PairedContrast, judgement: Judgement | None
) -> ContrastSummary:
    rng = numpy_stream(0, "bootstrap", arm.name, info.name)
    margin = data.study.metrics.equivalence_margin
    return ContrastSummary(
        arm=arm.name,
        label=arm.label,
        metric=info.name,
        planned=judgement is not None,
        contrast=contrast,
        bootstrap=bootstrap_interval(contrast.differences, rng, data.level),
        judgement=judgement,
        sentence=contrast_sentence(arm.label, contrast, judgement, info, data.level, margin),
    )


def _contrasts(
    data: StudyData, info: MetricInfo, arms: Sequence[PlannedArm]
) -> list[tuple[PlannedArm, PairedContrast]]:
    pairs = []
    for arm in arms:
        if not arm.is_baseline and not data.repeats_baseline(arm):  # a difference of nothing to itself is no test
            own = data.values(arm.name, info.name)
            baseline = data.values(data.baseline_of(arm).name, info.name)
            pairs.append((arm, paired_contrast(own, baseline, direction=info.direction, level=data.level)))
    return pairs
