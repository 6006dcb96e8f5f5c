"""What a reader must know before believing the numbers: oracle settings, few seeds, undefined metrics, open gaps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from fgtune.analysis.formatting import MetricInfo, capital, metric_info, number
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.records import ContrastSummary, SolverRow
from fgtune.analysis.search.overview import SearchSummary
from fgtune.analysis.search.selection import Selection
from fgtune.analysis.statistics import smallest_exact_p
from fgtune.analysis.trials import sign_of
from fgtune.analysis.verdicts import seeds_for_exact_test
from fgtune.catalog import COST
from fgtune.config.reading.load import SMOKE_SUFFIX
from fgtune.results.records import CellState
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


def search_warnings(data: StudyData, search: SearchSummary) -> Iterator[str]:
    """Warnings about a search, besides those that any study may have."""
    counts = search.counts
    if counts.asked is not None and counts.proposed < counts.asked:
        yield (
            f"{counts.proposed} of the {counts.asked} trials that the study asks for were proposed: the search was cut "
            "off, or its space has no further points."
        )
    if search.oracle:
        yield (
            "The search selects by what a user without fine labels, or before the test, could not know: an upper bound "
            "on what such a search can reach, not a method."
        )
    forks = sum(result.fork is not None and result.state is CellState.COMPLETE for result in data.results.values())
    if forks:
        yield (
            f"{count(forks, 'finished trial')} went on from another one's training: the settings shown are those of "
            "the last part, and what they would reach from the start is not known."
        )
    for selection in search.searched:
        if not selection.criterion.startswith(COST):  # a cost is not meant as a guide
            yield from _misled_warnings(data, search, selection)
    if len(search.searched) == 1:
        yield from _winner_warnings(data, search, search.searched[0])
    elif any(selection.n > 1 for selection in search.searched):
        yield (
            "Which trials are best, or on the front, is decided on the seeds that also judge them, so their lead over "
            "the baseline is optimistic and its intervals too narrow; the held-out numbers below say what is left "
            "where there are two seeds or more."
        )


def _misled_warnings(data: StudyData, search: SearchSummary, selection: Selection) -> Iterator[str]:
    """Whether the criterion is misleading about the primary metric."""
    primary, found = metric_info(data.study.metrics.primary), selection.agreement
    title = next(info.title for info in search.criteria if info.name == selection.criterion)
    loss = -sign_of(primary.direction) * selection.primary.contrast.estimate.mean
    parts = []
    if found is not None and found.rho < 0:
        rho = f"rank correlation {number(found.rho)}"
        parts.append(f"trials that are better by the one tend to be worse by the other ({rho})")
    if found is not None and loss > 0:
        parts.append(f"the chosen trial is worse than the baseline by {number(loss)}")
    if parts:
        yield f"{capital(title)} is a poor guide to {primary.title} here: {', and '.join(parts)}."


def _winner_warnings(data: StudyData, search: SearchSummary, selection: Selection) -> Iterator[str]:
    if selection.n < 2:
        return
    title = next(info.title for info in search.criteria if info.name == selection.criterion)
    plain, honest = selection.own.contrast.estimate.mean, selection.own.held_out
    text = (
        f"By {title}, {selection.arm} is the best of {selection.n} on the seeds that also judge it, so its lead is "
        "optimistic and its interval too narrow"
    )
    if math.isnan(honest):
        yield f"{text}; only a comparison with the baseline on seeds that the search has not seen tells what is left."
        return
    worth = ""
    if selection.criterion != data.study.metrics.primary and not math.isnan(selection.primary.held_out):
        primary = metric_info(data.study.metrics.primary)
        worth = f", and in {primary.title} {number(selection.primary.held_out, sign=True)}"
    yield (
        f"{text}: judging on each seed what the other seeds choose leaves {number(honest, sign=True)} of "
        f"{number(plain, sign=True)} over the baseline{worth}."
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
