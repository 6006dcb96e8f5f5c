"""The answer to a contrast over data sets: helps, hurts, equivalent or undecided, and what could undo it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from fgtune.analysis.datasets.pooling import FEWEST_DATASETS, Pooled, equivalence_p, pool
from fgtune.analysis.formatting import MetricInfo, percent
from fgtune.analysis.verdicts.doubts import cell_words
from fgtune.analysis.verdicts.judgement import NAMED, Verdict
from fgtune.analysis.verdicts.shape import SUSPECT, Shape, cells_needed
from fgtune.analysis.verdicts.statistics import PairedContrast
from fgtune.catalog.spec import sign_of
from fgtune.config.schema.designs import crossed_name
from fgtune.text import count, first_of


@dataclass(frozen=True)
class DatasetEffect:
    """An arm against the baseline on one data set.

    Attributes:
        dataset: Its name.
        arm: Name of the arm on it in the plan.
        contrast: The paired differences.
        lost: Number of seeds at which the arm or the baseline ended without a value.
        low: The smallest mean difference that the lost cells could have made; the mean itself without any.
        high: The largest.
    """

    dataset: str
    arm: str
    contrast: PairedContrast
    lost: int
    low: float
    high: float


@dataclass(frozen=True)
class PooledRules:
    """What all contrasts over data sets are judged by.

    Attributes:
        info: The primary metric.
        alpha: Family-wise level.
        contrasts: Number of arms that are corrected together.
        cells: Pairs of all arms on all data sets.
        collapse_rate: Share of seeds whose collapse must not have been missed; 0 to take it that none collapse.
        worst: Largest distance of a cell from what its arm and seed would have it, on the data sets whose values do not
            look normal; 0 where all do.
        apart: Cells that stand apart there, as text.
    """

    info: MetricInfo
    alpha: float
    contrasts: int
    cells: int
    collapse_rate: float = 0.1
    worst: float = 0.0
    apart: tuple[str, ...] = ()


def shaped(rules: PooledRules, shapes: Mapping[str, Shape]) -> PooledRules:
    """The rules with what the shapes of the data sets' values, by data set, say of collapses.

    With few seeds a single data set shows little, so their p-values are combined (Fisher 1925), at the level at which
    one data set alone gives a warning: what follows only asks whether an answer would stand with one more such seed.
    """
    combined = float(stats.combine_pvalues([shape.p for shape in shapes.values()], method="fisher").pvalue)
    odd = {name: shape for name, shape in shapes.items() if combined <= SUSPECT}
    apart = [
        cell_words(seed, gap, f"{arm.removesuffix(crossed_name('', dataset))} on {dataset}")
        for dataset, shape in odd.items()
        for arm, seed, gap in shape.apart
    ]
    return replace(rules, worst=max((shape.worst for shape in odd.values()), default=0.0), apart=tuple(apart))


def judge_pooled(
    effects: Sequence[DatasetEffect],
    pooled: Pooled,
    p_values: tuple[float, float],
    margin: float | None,
    rules: PooledRules,
) -> tuple[Verdict, str]:
    """Decide one arm over all data sets: equivalent before helps and hurts, each only if nothing unseen could undo it.

    Args:
        effects: On each data set.
        pooled: Their mean.
        p_values: Of a difference and of equivalence, both Holm-adjusted over the arms.
        margin: A smaller difference is unimportant; None if the study has no margin.
        rules: What all arms are judged by.
    """
    k, mean, alpha = pooled.estimate.n, pooled.estimate.mean, rules.alpha
    if k < FEWEST_DATASETS:
        missing = len(effects) - k
        left = f", {missing} without a pair" if missing else ""
        return Verdict.UNDECIDED, f"{FEWEST_DATASETS} data sets or more give an interval, here are {k}{left}"
    if math.isnan(pooled.p):
        return Verdict.UNDECIDED, "the data sets' mean differences do not vary, so they give no interval"
    verdict, reason = Verdict.UNDECIDED, "these data sets cannot tell a mean difference that matters from none"
    if margin is not None and p_values[1] <= alpha:
        verdict, reason = Verdict.EQUIVALENT, f"the mean difference lies within ±{margin:g}"
    elif p_values[0] <= alpha and rules.info.direction != "none":
        better = sign_of(rules.info.direction) * mean > 0
        verdict, reason = (Verdict.HELPS, "reliably better") if better else (Verdict.HURTS, "reliably worse")
    else:
        return verdict, reason
    if not _survives_lost(effects, mean, margin if verdict is Verdict.EQUIVALENT else None, alpha):
        return Verdict.UNDECIDED, "lost cells could undo the answer"
    if rules.worst and not _survives_worst(effects, verdict, margin, rules):
        named = f": {first_of(rules.apart, NAMED)}" if rules.apart else ""
        return Verdict.UNDECIDED, f"some seeds lie far from all others{named}, and one more here would undo this"
    needed = cells_needed(alpha, rules.collapse_rate)
    if rules.cells < needed and not _survives_unseen(effects, verdict, rules):
        pairs, rate = count(rules.cells, "pair"), percent(rules.collapse_rate)
        text = f"{pairs} on all data sets cannot rule out that {rate} of seeds collapse, which could undo it"
        return Verdict.UNDECIDED, f"{text}; {needed} could"
    return verdict, reason


def _survives_lost(effects: Sequence[DatasetEffect], mean: float, margin: float | None, alpha: float) -> bool:
    """Whether the answer would stand whatever the lost cells had been: a difference, or with a margin, equivalence."""
    if margin is not None:
        ends = [_extreme(effects, high=high, level=1 - 2 * alpha) for high in (False, True)]
        return all(-margin < low and high < margin for low, high in ends)
    low, high = _extreme(effects, high=mean < 0, level=1 - alpha)
    return (low if mean > 0 else -high) > 0


def _survives_worst(
    effects: Sequence[DatasetEffect], verdict: Verdict, margin: float | None, rules: PooledRules
) -> bool:
    """Whether the answer would stand with one more seed as far out as the farthest, on any of the data sets."""
    known = [effect.contrast for effect in effects if effect.contrast.n > 0]
    means = [each.estimate.mean for each in known]
    level = rules.alpha / rules.contrasts
    side = math.copysign(1.0, math.fsum(means))
    for way in (-1.0, 1.0) if verdict is Verdict.EQUIVALENT else (-side,):
        for place, contrast in enumerate(known):
            middle = float(np.median(contrast.differences))
            more = (contrast.n * means[place] + middle + way * rules.worst) / (contrast.n + 1)
            changed = pool([*means[:place], more, *means[place + 1 :]], [], 1 - level)
            if verdict is Verdict.EQUIVALENT:
                if not equivalence_p(changed, margin or 0.0) <= level:
                    return False
            elif not (changed.p <= level and side * changed.estimate.mean > 0):
                return False
    return True


def _survives_unseen(effects: Sequence[DatasetEffect], verdict: Verdict, rules: PooledRules) -> bool:
    """Whether the answer would stand if the stated share of seeds had collapsed to the end of the metric's range."""
    if verdict is Verdict.EQUIVALENT:
        return False
    known = [effect.contrast for effect in effects if effect.contrast.n > 0]
    estimate = pool([each.estimate.mean for each in known], [], 1 - rules.alpha / rules.contrasts).estimate
    base = math.fsum(each.baseline_mean for each in known) / len(known)
    falls = base + estimate.mean if verdict is Verdict.HELPS else base
    worst = rules.info.high if rules.info.direction == "minimize" else rules.info.low
    nearest = estimate.low if estimate.mean > 0 else estimate.high
    return nearest * estimate.mean > 0 and abs(nearest) > rules.collapse_rate * abs(falls - worst)


def _extreme(effects: Sequence[DatasetEffect], *, high: bool, level: float) -> tuple[float, float]:
    """The pooled interval if every lost cell had been as low, or as high, as it could; endless without a bound."""
    known = [effect for effect in effects if effect.contrast.n > 0 or effect.lost > 0]  # all of its cells may be lost
    means = [effect.high if high else effect.low for effect in known]
    if not np.isfinite(means).all():
        return -math.inf, math.inf
    estimate = pool(means, [], level).estimate
    return (estimate.low, estimate.high) if not math.isnan(estimate.low) else (-math.inf, math.inf)
