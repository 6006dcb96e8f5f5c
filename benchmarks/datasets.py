"""What the answer over several data sets together promises, in simulated comparisons with planted truth.

    OMP_NUM_THREADS=1 python benchmarks/datasets.py --studies 2000

Prints five tables. (1) Coverage of the pooled 95 % interval, with equal weights (as on the page) and with weights by
variances estimated from the seeds (DerSimonian and Laird, with Hartung and Knapp's standard error); and of the interval
for a further data set, measured with as many seeds. (2) Wrong verdicts of five arms that share a baseline: "helps" or
"hurts" without a difference, "equivalent" at the margin, and "helps" or "hurts" without a difference where the worst
cells of each arm are lost, or where a tenth of its seeds collapses. (3) How often a true difference on all data sets is
found over them together, and on how many of them alone. (4) Coverage of the interquartile mean, its difference, and the
probability of improvement, and how often Friedman's test sees a difference between equal arms. (5) Coverage of the
pooled interval where nothing is normal.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace

import numpy as np
from scipy import stats

from fgtune.analysis.datasets.judging import DatasetEffect, PooledRules, judge_pooled, shaped
from fgtune.analysis.datasets.pooling import equivalence_p, improvement, interquartile_interval, pool
from fgtune.analysis.datasets.ranks import rank_test
from fgtune.analysis.formatting import metric_info
from fgtune.analysis.verdicts.judgement import Verdict
from fgtune.analysis.verdicts.shape import shape_of
from fgtune.analysis.verdicts.statistics import Estimate, holm, paired_contrast
from fgtune.arrays import FloatArray
from fgtune.streams import numpy_stream

INFO = metric_info("test/clustering_accuracy")
MARGIN = 0.02
TEMPLATE = paired_contrast({0: 1.0, 1: 2.0}, {0: 0.0, 1: 0.0})
"""A contrast whose differences and estimate are replaced: its tests, which take time, are not needed here."""


def _usual(effects: FloatArray, variances: FloatArray) -> tuple[float, float]:
    """The interval with weights by estimated variances."""
    k, weights = effects.size, 1 / variances
    fixed = float(weights @ effects / weights.sum())
    excess = float(weights @ (effects - fixed) ** 2) - (k - 1)
    tau2 = max(0.0, excess / float(weights.sum() - (weights**2).sum() / weights.sum()))
    weights = 1 / (variances + tau2)
    mean = float(weights @ effects / weights.sum())
    se = math.sqrt(float(weights @ (effects - mean) ** 2) / (k - 1) / float(weights.sum()))
    half = float(stats.t.ppf(0.975, k - 1)) * se
    return mean - half, mean + half


def coverage(studies: int) -> None:
    """Print table 1; tau and spread in standard deviations of a pair."""
    print("1. coverage of the pooled interval\n")
    print("data sets  seeds  between  spread of sd | equal weights | usual weights | further data set")
    for sets in (3, 4, 6, 10):
        for seeds in (3, 5, 10):
            for between in (0.0, 0.3, 1.0):
                for unequal in (0.0, 0.7):
                    rng, hits = numpy_stream(0, "pool", sets, seeds, between, unequal), np.zeros(3)
                    for _ in range(studies):
                        sd = np.exp(unequal * rng.normal(size=(sets + 1, 1)))
                        values = between * rng.normal(size=(sets + 1, 1)) + sd * rng.normal(size=(sets + 1, seeds))
                        means, variances = values.mean(axis=1), values.var(axis=1, ddof=1) / seeds
                        found = pool(means[:-1].tolist(), variances[:-1].tolist(), 0.95)
                        low, high = _usual(means[:-1], variances[:-1])
                        hits += [
                            found.estimate.low <= 0.0 <= found.estimate.high,
                            low <= 0.0 <= high,
                            found.new_low <= means[-1] <= found.new_high,
                        ]
                    told = " | ".join(f"{share:13.3f}" for share in hits / studies)
                    print(f"{sets:9d} {seeds:6d} {between:8.1f} {unequal:13.1f} | {told}", flush=True)


def other_shapes(studies: int) -> None:
    """Print table 5: kinds of data sets and noise that had no part in the choice of the method; five seeds."""
    print(
        "\n5. coverage of the pooled interval where nothing is normal or equal (none of these was looked at before)\n"
    )
    print("data sets  what differs                              | equal weights | usual weights")
    for sets in (3, 6, 10):
        for kind in (
            "effects of t3, noise of t3",
            "skewed effects",
            "skewed noise",
            "2 to 10 seeds",
            "a tenth collapses",
        ):
            rng, hits = numpy_stream(0, "shapes", sets, kind), np.zeros(2)
            for _ in range(studies):
                truth, rows = 0.0, []
                for _ in range(sets):
                    seeds = int(rng.integers(2, 11)) if kind == "2 to 10 seeds" else 5
                    effect, noise = 0.5 * rng.normal(), rng.normal(size=seeds)
                    if kind.startswith("effects of t3"):
                        effect, noise = 0.5 * rng.standard_t(3), rng.standard_t(3, size=seeds)
                    elif kind == "skewed effects":
                        effect = 0.5 * (rng.exponential() - 1)
                    elif kind == "skewed noise":
                        noise = rng.exponential(size=seeds) - 1
                    elif kind == "a tenth collapses":
                        noise = noise - 5.0 * (rng.random(seeds) < 0.1) + 0.5
                    rows.append(effect + noise)
                means = np.array([row.mean() for row in rows])
                variances = np.array([row.var(ddof=1) / row.size for row in rows])
                estimate = pool(means.tolist(), variances.tolist(), 0.95).estimate
                low, high = _usual(means, variances)
                hits += [estimate.low <= truth <= estimate.high, low <= truth <= high]
            told = " | ".join(f"{share:13.3f}" for share in hits / studies)
            print(f"{sets:9d}  {kind:41s} | {told}", flush=True)


def _verdicts(values: FloatArray, lost: FloatArray | None = None, margin: float = MARGIN) -> list[Verdict]:
    """The verdicts of all arms but the first, the baseline: values (arms, data sets, seeds) in [0, 1]."""
    effects = []
    for arm in range(1, values.shape[0]):
        own = []
        for dataset in range(values.shape[1]):
            gone = np.zeros(values.shape[2], dtype=bool) if lost is None else lost[arm, dataset] > 0
            kept = (values[arm, dataset] - values[0, dataset])[~gone]
            estimate = Estimate(kept.size, float(kept.mean()), float(kept.std(ddof=1)), math.nan, math.nan)
            base = float(values[0, dataset].mean())
            contrast = replace(TEMPLATE, differences=tuple(kept.tolist()), estimate=estimate, baseline_mean=base)
            ends = [np.where(gone, end, values[arm, dataset]) - values[0, dataset] for end in (0.0, 1.0)]
            low, high = (float(np.mean(each)) for each in ends)
            own.append(DatasetEffect(str(dataset), str(arm), contrast, int(gone.sum()), low, high))
        effects.append(own)
    pooled = []
    for own in effects:
        estimates = [effect.contrast.estimate for effect in own if effect.contrast.n]
        pooled.append(pool([each.mean for each in estimates], [each.sd**2 / each.n for each in estimates], 0.95))
    adjusted, equivalent = holm([each.p for each in pooled]), holm([equivalence_p(each, margin) for each in pooled])
    cells = sum(effect.contrast.n for own in effects for effect in own)
    shapes = {
        str(dataset): shape_of(
            {str(arm): dict(enumerate(own)) for arm, own in enumerate(values[:, dataset].tolist())}, "0"
        )
        for dataset in range(values.shape[1])
    }
    rules = shaped(PooledRules(INFO, 0.05, len(effects), cells), shapes)
    return [
        judge_pooled(own, found, (p, q), margin, rules)[0]
        for own, found, p, q in zip(effects, pooled, adjusted, equivalent, strict=True)
    ]


def errors(studies: int) -> None:
    """Print table 2."""
    print("\n2. studies of five arms with a wrong verdict\n")
    print("data sets  seeds  noise  between | no difference | at the margin | worst 30 % lost | a tenth collapses")
    for sets in (3, 6, 10):
        for seeds in (3, 5):
            for noise, between in ((0.01, 0.0), (0.03, 0.0), (0.01, 0.02)):
                rng, wrong = numpy_stream(0, "errors", sets, seeds, noise, between), np.zeros(4)
                for _ in range(studies):
                    base = 0.6 + 0.1 * rng.normal(size=(1, sets, 1))
                    values = base + noise * rng.normal(size=(6, sets, seeds))
                    values[1:] += between * rng.normal(size=(5, sets, 1))
                    null = _verdicts(values)
                    wrong[0] += any(each in {Verdict.HELPS, Verdict.HURTS} for each in null)
                    shifted = values.copy()
                    shifted[1:] += MARGIN
                    wrong[1] += any(each is Verdict.EQUIVALENT for each in _verdicts(shifted))
                    lost = (values < np.quantile(values, 0.3, axis=2, keepdims=True)).astype(float)
                    lost[0] = 0.0
                    wrong[2] += any(each in {Verdict.HELPS, Verdict.HURTS} for each in _verdicts(values, lost))
                    collapsed = values - 0.3 * (rng.random(values.shape) < 0.1)
                    collapsed[1:] += 0.03
                    collapsed[0] = values[0]
                    wrong[3] += any(each in {Verdict.HELPS, Verdict.HURTS} for each in _verdicts(collapsed))
                told = " | ".join(f"{share:13.3f}" for share in wrong / studies)
                print(f"{sets:9d} {seeds:6d} {noise:6.2f} {between:8.2f} | {told}", flush=True)


def power(studies: int) -> None:
    """Print table 3."""
    print("\n3. a true +0.012 of two arms, noise of a cell 0.01, margin 0.005: shares of studies in which one helps\n")
    print("data sets  seeds  between | together | alone, data sets of all")
    for sets in (3, 6, 10):
        for seeds in (3, 5):
            for between in (0.0, 0.01):
                rng, found, alone = numpy_stream(0, "power", sets, seeds, between), 0, 0.0
                for _ in range(studies):
                    values = 0.6 + 0.01 * rng.normal(size=(3, sets, seeds))
                    values[1:] += 0.012 + between * rng.normal(size=(2, sets, 1))
                    found += _verdicts(values, margin=0.005)[0] is Verdict.HELPS
                    p = stats.ttest_rel(values[1], values[0], axis=1).pvalue.tolist()
                    alone += float(np.mean(np.array(holm(p)) <= 0.05))
                told = f"{found / studies:8.3f} | {alone / studies:.3f}"
                print(f"{sets:9d} {seeds:6d} {between:8.2f} | {told}", flush=True)


def aggregates(studies: int) -> None:
    """Print table 4."""
    print("\n4. coverage of interquartile means and of the probability of improvement; Friedman's false alarms\n")
    print("data sets  seeds  spread | mean | difference | improvement | Friedman")
    for sets in (3, 6, 10):
        for seeds in (3, 5, 10):
            for spread in (0.0, 1.0, 5.0):
                rng, hits = numpy_stream(0, "aggregates", sets, seeds, spread), np.zeros(4)
                centre = spread * np.linspace(-1, 1, sets)[:, None]
                truth = float(stats.trim_mean((centre + rng.normal(size=(sets, 100_000))).ravel(), 0.25))
                better = float(stats.norm.cdf(0.3 / (0.7 * math.sqrt(2))))  # the seed's own part is shared
                for study in range(studies):
                    shared = centre + math.sqrt(0.51) * rng.normal(size=(sets, seeds))
                    base = shared + 0.7 * rng.normal(size=(sets, seeds))
                    ours = shared + 0.3 + 0.7 * rng.normal(size=(sets, seeds))
                    draws = numpy_stream(1, sets, seeds, study)
                    score = interquartile_interval(list(base), None, draws, 0.95)
                    gain = interquartile_interval(list(ours), list(base), draws, 0.95)
                    improved = improvement(list(ours - base), 0.95)
                    alike = rng.normal(size=(sets, 4))
                    hits += [
                        score.low <= truth <= score.high,
                        gain.low <= 0.3 <= gain.high,
                        improved.low <= better <= improved.high,
                        rank_test(alike, list("abcd"), [str(row) for row in range(sets)], 0.05).p <= 0.05,
                    ]
                told = " | ".join(f"{share:.3f}" for share in hits / studies)
                print(f"{sets:9d} {seeds:6d} {spread:7.1f} | {told}", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2000, help="simulated studies a row; a fifth in table 4")
    parser.add_argument("--table", type=int, choices=(1, 2, 3, 4, 5), help="only this table")
    args = parser.parse_args()
    for number, table in enumerate((coverage, errors, power, aggregates, other_shapes), start=1):
        if args.table in {None, number}:
            table(args.studies // 5 if table is aggregates else args.studies)


if __name__ == "__main__":
    main()
