"""What a reader must know before believing the numbers: oracle settings, few seeds, undefined metrics, open gaps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fgtune.analysis.cells import lost_cells
from fgtune.analysis.formatting import MetricInfo, metric_info
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.power import seeds_for_exact_test
from fgtune.analysis.records import ContrastSummary, Look, SolverRow
from fgtune.analysis.shape import cells_needed
from fgtune.analysis.statistics import smallest_exact_p
from fgtune.analysis.text.looks import after_looks
from fgtune.config.reading.load import SMOKE_SUFFIX
from fgtune.text import count, first_of

_MOST_ARMS = 4  # arms whose lost cells a warning names


def study_warnings(
    data: StudyData,
    metrics: Sequence[MetricInfo],
    contrasts: Sequence[ContrastSummary],
    solvers: Sequence[SolverRow],
    looks: Sequence[Look] = (),
) -> tuple[str, ...]:
    """All warnings of a study, the most consequential first.

    Args:
        data: The study.
        metrics: The shown metrics, the primary first.
        contrasts: The planned contrasts.
        solvers: The use of the solvers.
        looks: The looks at the planned contrasts.
    """
    return (
        *_smoke_warning(data),
        *_extension_warning(data, looks),
        *_seed_warnings(data, contrasts),
        *_stopping_warning(contrasts),
        *_lost_warnings(data, contrasts),
        *_margin_warning(data, metrics[0], contrasts),
        *_oracle_settings(data),
        *_metric_warnings(data, metrics),
        *_solver_warnings(solvers),
        *_ledger_warnings(data),
    )


def _extension_warning(data: StudyData, looks: Sequence[Look]) -> Iterator[str]:
    """Seeds that nobody had planned."""
    if data.study.adaptive_seeds is None and len(looks) > 1:
        yield f"Seeds were added after {after_looks(looks)}, without a plan to do so; verdicts pay for it (see Looks)."


def _stopping_warning(contrasts: Sequence[ContrastSummary]) -> Iterator[str]:
    """Planned contrasts that lost pairs to early stopping."""
    judged = [contrast.judgement for contrast in contrasts if contrast.judgement is not None]
    thinned = sum(judgement.stopped > 0 for judgement in judged)
    if thinned:
        yield (
            f"{count(thinned, 'arm')} cannot be judged: a scheduler stopped some of their pairs for being bad, and the "
            "pairs left would make any arm look better than it is. Run the study without a scheduler for verdicts."
        )


def _lost_warnings(data: StudyData, contrasts: Sequence[ContrastSummary]) -> Iterator[str]:
    """Arms that lost cells, arm by arm: their means are those of the cells that went well."""
    if not contrasts:
        return
    primary, parts = data.study.metrics.primary, []
    for arm in data.arms:
        lost = lost_cells(data, arm.name, primary)
        if len(lost) > len(lost.stopped):
            parts.append(f"{arm.label} {lost.words()} (of {count(data.count(arm.name).planned, 'cell')})")
    if parts:
        yield (
            f"Cells were lost: {first_of(parts, _MOST_ARMS)}. Means and intervals are those of the cells left; "
            "a verdict stands only where it holds for the worst and for the best that the lost ones could have been."
        )


def _margin_warning(data: StudyData, primary: MetricInfo, contrasts: Sequence[ContrastSummary]) -> Iterator[str]:
    if contrasts and primary.direction != "none" and data.study.metrics.margin(1.0) is None:
        yield (
            f"The study file states no metrics.equivalence_margin, and {primary.title} is not a share between 0 and 1: "
            "nobody can know which differences matter, so no arm is called equivalent."
        )


def _smoke_warning(data: StudyData) -> Iterator[str]:
    if data.study.study.endswith(SMOKE_SUFFIX):
        yield "A smoke run: few epochs, few samples, two seeds. It shows that the study works, not what it finds."


def _seed_warnings(data: StudyData, contrasts: Sequence[ContrastSummary]) -> Iterator[str]:
    seeds = len({cell.seed for cell in data.planned})
    if seeds == 1:
        yield "One seed: no interval and no verdict is possible; the numbers show one draw, not the method."
        return
    if not contrasts:
        return
    alpha, family = data.study.metrics.alpha, len(contrasts)
    needed = seeds_for_exact_test(alpha, family)
    if seeds < needed:
        floor = smallest_exact_p(seeds)
        judged_by, few = data.study.metrics.summary, cells_needed(alpha)
        test = "sign-flip" if judged_by == "mean" else "sign"
        text = (
            f"With {count(seeds, 'pair')} an exact {test} test cannot go below p = {floor:.3g}, so it can never reach "
            f"{alpha:g} over {count(family, 'planned contrast')}; {needed} seeds could."
        )
        if judged_by in ("median", "improvement"):
            yield f"{text} No contrast can be decided before."
            return
        cells = data.count().planned - sum(data.count(arm.name).planned for arm in data.arms if arm.is_baseline)
        text = f"{text} The verdicts rest on the paired t-test, which takes the differences to be roughly normal"
        rest = f", and {cells} cells besides the baseline's are too few to see it if one seed in ten collapses"
        yield f"{text}{rest if cells < few else ''}."


def _oracle_settings(data: StudyData) -> Iterator[str]:
    paths = set(data.factors)
    if "classes.num_fine_ratio" in paths or data.study.trial.classes.num_fine_ratio is not None:
        yield (
            "K_F is given relative to the true number of fine classes K_F*, which reads fine labels: an oracle setting "
            "that a user without fine labels cannot make."
        )
    modes = {arm.levels.get("relations.mode", data.study.trial.relations.mode) for arm in data.arms}
    if "oracle" in modes:
        yield "At least one arm is given the true relations, which reads fine labels: an upper bound, not a method."


def _metric_warnings(data: StudyData, metrics: Sequence[MetricInfo]) -> Iterator[str]:
    if metrics[0].direction == "none":
        yield f"{metrics[0].title} has no better direction, so no arm can help or hurt; name another primary metric."
    for name in data.unmeasured:
        info = metric_info(name)
        why = "it reads fine labels, which this data may not have" if info.oracle else "no cell reports it"
        yield f"{info.title} was asked for and is in no finished cell: {why}."
    for info in metrics[1:]:
        lost = [
            (arm.name, seed)
            for arm in data.arms
            for seed in data.lost(arm.name, info.name)
            if seed not in data.lost(arm.name, metrics[0].name)
        ]
        if lost:
            yield f"{info.title} is undefined in {count(len(lost), 'complete cell')}, which its means leave out."


def _solver_warnings(solvers: Sequence[SolverRow]) -> Iterator[str]:
    solves = sum(row.solves for row in solvers)
    late = sum(n for row in solvers for status, n in row.statuses.items() if status != "optimal")
    if late:
        gap = max(row.max_gap for row in solvers)
        yield (
            f"{late} of {solves} solves of the relations ended without a proof of optimality (largest relative gap "
            f"{gap:.2g}); those relations may be improvable."
        )


def _ledger_warnings(data: StudyData) -> Iterator[str]:
    if data.unplanned:
        yield f"The ledger has {count(data.unplanned, 'line')} of cells that are not in the plan; they are left out."
