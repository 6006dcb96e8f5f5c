"""A choice between arms that rests on two label-free criteria at once, and refuses where they do not support it.

The criteria are the agreement of an arm's seeds, and the silhouette inside coarse classes in the space that all arms
share. Each can be misled where the other is not: seeds that share an attractor agree on the wrong classes, and compact
classes need not be the ones that are meant. Arms are ranked by both, and the best mean rank is chosen, but only if the
two rank arms alike more than chance does, and if the seeds of the choice agree more than those of the baseline by more
than the interval of that difference.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from fgtune.analysis.formatting import interval, metric_info, number, p_text, percent
from fgtune.analysis.inputs import PlannedArm, StudyData
from fgtune.analysis.verdicts.grounds import arm_contrast
from fgtune.analysis.verdicts.statistics import PairedContrast
from fgtune.arrays import FloatArray, IntArray
from fgtune.catalog.metrics import AGREEMENT
from fgtune.text import count, listed

FEWEST_ARMS = 5
"""Arms among which two criteria may be said to rank alike."""
FEWEST_SEEDS = 3
JUDGES = ("val/fixed_silhouette", "train/fixed_silhouette", "test/fixed_silhouette")
"""The first of these that a study has is the second criterion; nothing should be chosen by the test split."""
_MOST_EXACT = 7  # arms up to which all orders are counted


@dataclass(frozen=True)
class JointChoice:
    """What agreement and the shared judge choose together.

    Attributes:
        dataset: The data set in a comparison over several, else empty.
        n: Number of arms that have both.
        best: The arm with the best mean rank.
        baseline: The arm that others are compared with.
        judge: The second criterion.
        rho: Rank correlation of the two over the arms; nan where one does not vary.
        p: One-sided, against no correlation.
        lead: Agreement of ``best`` minus that of the baseline; its interval is that of the jackknife over seeds.
        refusal: Why nothing is chosen; empty where ``best`` is chosen, or is the baseline.
    """

    dataset: str
    n: int
    best: str
    baseline: str
    judge: str
    rho: float
    p: float
    lead: PairedContrast
    refusal: str

    @property
    def arm(self) -> str:
        """The choice: ``best``, or the baseline where the choice is refused."""
        return self.baseline if self.refusal else self.best

    def sentence(self, level: float) -> str:
        """The choice and what it rests on.

        Args:
            level: Confidence level of the interval.
        """
        where = f"On {self.dataset}: " if self.dataset else ""
        judge = metric_info(self.judge).title
        if self.refusal:
            return f"{where}nothing is shown to choose better than the baseline: {self.refusal}."
        alike = f"the two rank {count(self.n, 'arm')} alike (rank correlation {number(self.rho)}, {_p_words(self.p)})"
        if self.best == self.baseline:
            return f"{where}agreement of seeds and {judge} together choose the baseline itself; {alike}."
        estimate = self.lead.estimate
        lead = f"{number(estimate.mean, sign=True)} ({percent(level)} interval {interval(estimate.low, estimate.high)})"
        more = f"its agreement is {lead} above the baseline's"
        return f"{where}agreement of seeds and {judge} together choose {self.arm}; {alike}, and {more}."


def joint_sentences(choices: Sequence[JointChoice], level: float) -> tuple[str, ...]:
    """What is chosen on each data set, and once for all the others that nothing is, with the reason on each.

    Args:
        choices: At most one a data set.
        level: Confidence level of the intervals.
    """
    refused = [each for each in choices if each.refusal]
    if len(refused) < 2:
        return tuple(each.sentence(level) for each in choices)
    reasons: dict[str, list[str]] = {}
    for each in refused:
        reasons.setdefault(each.refusal, []).append(each.dataset)
    why = "; ".join(f"on {listed(names)}, {reason}" for reason, names in reasons.items())
    if len(reasons) == 1:
        why = refused[0].refusal
    where = listed([each.dataset for each in refused])
    chosen = [each.sentence(level) for each in choices if not each.refusal]
    return (*chosen, f"nothing is shown to choose better than the baseline on {where}: {why}.")


def joint_choices(data: StudyData) -> tuple[JointChoice, ...]:
    """The joint choice on each data set; none where fewer than five arms have both criteria on all their seeds."""
    judge = next((name for name in JUDGES if name in data.measured), None)
    if judge is None or data.study.design.varies_streams or data.study.trial.discovery is None:
        return ()
    by_dataset: dict[str, list[PlannedArm]] = {}
    for arm in data.choosable:
        by_dataset.setdefault(arm.dataset, []).append(arm)
    found = [_choice(data, dataset, arms, judge) for dataset, arms in by_dataset.items()]
    return tuple(each for each in found if each is not None)


def _choice(data: StudyData, dataset: str, arms: Sequence[PlannedArm], judge: str) -> JointChoice | None:
    judged = {}
    for arm in arms if len(arms) >= FEWEST_ARMS else ():
        values, complete = data.values(arm.name, judge), len(data.cells(arm.name))
        agreement = data.agreements.whole(arm.name, complete) if len(values) == complete else math.nan
        if math.isfinite(agreement):
            judged[arm.name] = agreement, math.fsum(values.values()) / len(values)
    baseline = next((arm.name for arm in arms if arm.is_baseline), "")
    if len(judged) < FEWEST_ARMS or baseline not in judged:
        return None
    names = list(judged)
    one, two = (np.array([judged[name][rank] for name in names]) for rank in (0, 1))
    best = names[best_together(one, two)]
    rho, p = alike(one, two)
    lead = arm_contrast(data, best, baseline, metric_info(AGREEMENT))
    seeds = len(data.cells(best))
    refusal = refusal_of(best, baseline, (rho, p), lead, data.study.metrics.alpha, seeds)
    return JointChoice(dataset, len(names), best, baseline, judge, rho, p, lead, refusal)


def best_together(one: FloatArray, two: FloatArray) -> int:
    """The arm with the best mean of its ranks by two criteria; see ``order_together``."""
    return int(order_together(one, two)[0])


def order_together(one: FloatArray, two: FloatArray) -> IntArray:
    """(arms,) arms from best to worst by the mean of their ranks by two criteria; of equals, the better by the first.

    Args:
        one: (arms,) larger is better.
        two: (arms,) larger is better.
    """
    ranks = stats.rankdata(one) + stats.rankdata(two)
    order: IntArray = np.lexsort((one, ranks))[::-1]
    return order


def alike(one: FloatArray, two: FloatArray) -> tuple[float, float]:
    """Spearman's rank correlation and its one-sided p value: exact for up to seven arms, else by Student's t.

    Args:
        one: (arms,) at least five.
        two: (arms,).
    """
    if len(set(one.tolist())) < 2 or len(set(two.tolist())) < 2:
        return math.nan, 1.0
    first, second = stats.rankdata(one), stats.rankdata(two)
    rho = float(np.corrcoef(first, second)[0, 1])
    if len(first) > _MOST_EXACT:
        return rho, float(stats.spearmanr(one, two, alternative="greater").pvalue)
    orders = np.array(list(itertools.permutations(second)))
    products = (orders - second.mean()) @ (first - first.mean())
    reached = float((first - first.mean()) @ (second - second.mean()))
    return rho, float((products >= reached - 1e-9).mean())


def refusal_of(
    best: str, baseline: str, found: tuple[float, float], lead: PairedContrast, alpha: float, seeds: int
) -> str:
    """Why the best arm is not chosen; empty where it is.

    Args:
        best: The arm with the best mean rank, as a reader knows it.
        baseline: The arm that is taken otherwise.
        found: Rank correlation of the two criteria and its p value.
        lead: Agreement of the best arm minus that of the baseline.
        alpha: Significance of the rank correlation.
        seeds: Seeds of an arm.
    """
    rho, p = found
    if seeds < FEWEST_SEEDS:
        return f"agreement has no interval from {count(seeds, 'seed')}; three are the least, five are better"
    if not p <= alpha:
        words = "one of them does not vary" if math.isnan(rho) else f"rank correlation {number(rho)}, {_p_words(p)}"
        return f"agreement of seeds and the judge in the shared space do not rank arms alike ({words})"
    if best == baseline:
        return ""
    estimate = lead.estimate
    if not estimate.low > 0:
        words = f"{number(estimate.mean, sign=True)}, interval {interval(estimate.low, estimate.high)}"
        return (
            f"{best} is first by both together, but its seeds do not agree clearly more than the baseline's ({words})"
        )
    return ""


def _p_words(p: float) -> str:
    text = p_text(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"
