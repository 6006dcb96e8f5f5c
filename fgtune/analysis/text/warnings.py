"""What a reader must know before believing the numbers: oracle settings, few seeds, undefined metrics, open gaps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fgtune.analysis.formatting import MetricInfo, metric_info
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.records import ContrastSummary, SolverRow
from fgtune.analysis.statistics import smallest_exact_p
from fgtune.analysis.verdicts import seeds_for_exact_test
from fgtune.config.reading.load import SMOKE_SUFFIX
from fgtune.text import count


def study_warnings(
    data: StudyData,
    metrics: Sequence[MetricInfo],
    contrasts: Sequence[ContrastSummary],
    solvers: Sequence[SolverRow],
) -> tuple[str, ...]:
    """All warnings of a study, the most consequential first.

    Args:
        data: The study.
        metrics: The shown metrics, the primary first.
        contrasts: The planned contrasts.
        solvers: The use of the solvers.
    """
    return (
        *_smoke_warning(data),
        *_seed_warnings(data, contrasts),
        *_stopping_warning(contrasts),
        *_oracle_settings(data),
        *_metric_warnings(data, metrics),
        *_solver_warnings(solvers),
        *_ledger_warnings(data),
    )


def _stopping_warning(contrasts: Sequence[ContrastSummary]) -> Iterator[str]:
    """Planned contrasts that lost pairs to early stopping."""
    thinned = sum(contrast.judgement is not None and contrast.judgement.stopped > 0 for contrast in contrasts)
    if thinned:
        yield (
            f"{count(thinned, 'arm')} cannot be judged: a scheduler stopped some of their pairs for being bad, and the "
            "pairs left would make any arm look better than it is. Run the study without a scheduler for verdicts."
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
        yield (
            f"With {count(seeds, 'pair')} an exact sign-flip test cannot go below p = {floor:.3g}, so it can never "
            f"reach {alpha:g} over {count(family, 'planned contrast')}; {needed} seeds could. The verdicts rest on the "
            "paired t-test, which takes the differences to be roughly normal."
        )


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
