"""What the statements about choices promise, in simulated searches with planted truth.

    OMP_NUM_THREADS=1 python benchmarks/selection.py --studies 1000

Prints three tables. (1) Coverage of 95 % intervals for the choice that was made over all seeds: the winner's lead over
the baseline (plain t interval, and held out), its worth in the primary metric, and what choosing by the primary metric
itself would have had more; ``regret`` is the last against the truly best point. (2) How often studies of pure noise are
told that the criterion is a poor guide, by the rule before (rho < 0, or a mean below the baseline) and by that of the
page; how often the lead of the best is not called chance; and how often a planted misleading criterion is found. (3)
The interval of the rank correlation. The scenarios marked "new" had no part in the choice of the method.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from fgtune.analysis.search.held_out import HeldOut, chance_of_lead, choices, held_out, judged, judged_mean
from fgtune.analysis.search.rank_correlation import held_out_correlation, spearman
from fgtune.arrays import FloatArray
from fgtune.streams import numpy_stream

POINTS, SEEDS = (10, 50, 200), (2, 3, 5, 10)


@dataclass(frozen=True)
class Scenario:
    """How the values of a search come about.

    Attributes:
        name: For the table.
        spread: Standard deviation of the points' true values, in those of the noise.
        truth: Correlation of the points' true values by the two metrics.
        noise: Correlation of their noise within a cell.
        kind: Distribution of the noise.
        is_new: Whether it had no part in the choice of the method.
    """

    name: str
    spread: float
    truth: float
    noise: float
    kind: str = "normal"
    is_new: bool = False


SCENARIOS = (
    Scenario("noise", 0.0, 0.0, 0.0),
    Scenario("noise, opposed", 0.0, 0.0, -0.6),
    Scenario("small differences", 0.5, 0.6, 0.3),
    Scenario("large differences", 2.0, 0.6, 0.0),
    Scenario("unequal noise", 0.0, 0.0, -0.6, "unequal"),
    Scenario("t3 noise", 0.5, 0.5, 0.5, "t3", is_new=True),
    Scenario("collapses", 0.5, 0.3, 0.6, "collapse", is_new=True),
    Scenario("misleading", 1.0, -0.7, 0.2, is_new=True),
)


def _noise(rng: np.random.Generator, scenario: Scenario, shape: tuple[int, ...]) -> FloatArray:
    if scenario.kind == "t3":
        return rng.standard_t(3, size=shape) / math.sqrt(3)
    if scenario.kind == "collapse":
        return 0.7 * rng.normal(size=shape) - 3.0 * (rng.random(shape) < 0.1)
    noise = rng.normal(size=shape)
    if scenario.kind == "unequal":
        noise *= np.exp(0.5 * rng.normal(size=(*shape[:-1], 1)))
    return noise


def _draw(rng: np.random.Generator, scenario: Scenario, points: int, seeds: int) -> tuple[FloatArray, ...]:
    """True values (points,) by criterion and primary metric; their measurements (points + 1, seeds), baseline last."""
    one, two = rng.normal(size=(2, points))
    true_primary = scenario.spread * (scenario.truth * one + math.sqrt(1 - scenario.truth**2) * two)
    first, other = _noise(rng, scenario, (points + 1, seeds)), _noise(rng, scenario, (points + 1, seeds))
    second = scenario.noise * first + math.sqrt(1 - scenario.noise**2) * other
    mean = -0.3 if scenario.kind == "collapse" else 0.0  # of the noise, the same for every point and so no matter
    true_criterion = scenario.spread * one
    measured = np.vstack([true_criterion[:, None], [[0.0]]]) + first - mean
    return true_criterion, true_primary, measured, np.vstack([true_primary[:, None], [[0.0]]]) + second - mean


def _covers(found: HeldOut, truth: float) -> float:
    return float(found.low <= truth <= found.high) if found.has_interval else math.nan


def coverage(studies: int) -> None:
    """Print table 1."""
    print("1. coverage of 95 % intervals\n")
    print("scenario             points seeds | plain lead | lead  worth  cost  regret | half width of lead")
    for scenario in SCENARIOS:
        for points in POINTS:
            for seeds in SEEDS:
                rng, rows = numpy_stream(0, "coverage", scenario.name, points, seeds), []
                for _ in range(max(200, min(studies, studies * 500 // (points * seeds)))):
                    truth, primary, scores, values = _draw(rng, scenario, points, seeds)
                    winner, best = scores[:-1].mean(axis=1).argmax(), values[:-1].mean(axis=1).argmax()
                    mine, theirs = choices(scores[:-1]), choices(values[:-1])
                    lead = held_out(judged(scores, mine), judged_mean(scores[-1:]), seeds, 0.95)
                    worth = held_out(judged(values, mine), judged_mean(values[-1:]), seeds, 0.95)
                    cost = held_out(judged(values, theirs), judged(values, mine), seeds, 0.95)
                    plain = scores[winner] - scores[-1]
                    half = stats.t.ppf(0.975, seeds - 1) * plain.std(ddof=1) / math.sqrt(seeds)
                    row = [
                        float(abs(plain.mean() - truth[winner]) <= half),
                        _covers(lead, truth[winner]),
                        _covers(worth, primary[winner]),
                        _covers(cost, primary[best] - primary[winner]),
                        _covers(cost, primary.max() - primary[winner]),
                        (lead.high - lead.low) / 2,
                    ]
                    rows.append(row)
                with np.errstate(all="ignore"):
                    table = np.array(rows)
                    found = [np.nanmean(column) if np.isfinite(column).any() else math.nan for column in table.T]
                name = f"{scenario.name}{' (new)' if scenario.is_new else ''}"
                told = " ".join(f"{value:.3f}" for value in found[1:5])
                print(f"{name:20s} {points:6d} {seeds:5d} | {found[0]:10.3f} | {told} | {found[5]:.2f}", flush=True)


def guides(studies: int) -> None:
    """Print table 2."""
    print("\n2. a criterion called a poor guide, and a lead not called chance (shares of studies)\n")
    print("scenario             points seeds criteria | rule before | page | lead not chance, of one criterion")
    for scenario in SCENARIOS:
        for points, seeds, criteria in ((10, 3, 1), (40, 3, 1), (40, 5, 3), (200, 10, 1)):
            rng, before, now, leads = numpy_stream(0, "guides", scenario.name, points, seeds, criteria), 0, 0, []
            level = 1 - 0.05 / criteria
            for _ in range(studies):
                naive = told = False
                for _ in range(criteria):
                    _, _, scores, values = _draw(rng, scenario, points, seeds)
                    rho = spearman(list(scores[:-1].mean(axis=1)), list(values[:-1].mean(axis=1))).rho
                    across = held_out_correlation(scores[:-1], values[:-1])
                    mine, winner = choices(scores[:-1]), scores[:-1].mean(axis=1).argmax()
                    worth = held_out(judged(values, mine), judged_mean(values[-1:]), seeds, level)
                    naive |= rho < 0 or values[winner].mean() < values[-1].mean()
                    told |= across.at(level)[1] < 0 or worth.high < 0
                before, now = before + naive, now + told
                leads.append(chance_of_lead(scores[:-1], scores[-1]) <= 0.05)
            shares = f"{before / studies:11.3f} | {now / studies:.3f} | {np.mean(leads):.3f}"
            name = f"{scenario.name}{' (new)' if scenario.is_new else ''}"
            print(f"{name:20s} {points:6d} {seeds:5d} {criteria:8d} | {shares}", flush=True)


def correlations(studies: int) -> None:
    """Print table 3."""
    print("\n3. rank correlation: coverage of its 95 % interval, and shares of studies whose interval lies below 0\n")
    print("points   true rho  levels of one metric | coverage | below 0")
    for n in (5, 6, 8, 10, 20, 50, 100):
        for r in (0.0, 0.6, -0.6, 0.9):
            for levels in (0, 4):
                rng, hits, below, given = numpy_stream(0, "rho", n, r, levels), 0, 0, 0
                truth = _true_rho(r, levels)
                for _ in range(2 * studies):
                    one, rest = rng.normal(size=(2, n))
                    found = spearman(list(one), list(_graded(r * one + math.sqrt(1 - r * r) * rest, levels)))
                    if math.isfinite(found.low):
                        hits, below, given = (
                            hits + (found.low <= truth <= found.high),
                            below + (found.high < 0),
                            given + 1,
                        )
                grades = str(levels or "all")
                print(f"{n:6d} {truth:10.2f} {grades:>21s} | {hits / given:8.3f} | {below / given:.4f}", flush=True)


def _graded(values: FloatArray, levels: int) -> FloatArray:
    """Values on a few levels, or as they are with 0."""
    return values if not levels else np.clip(np.floor(values), -levels // 2, levels // 2 - 1)


def _true_rho(r: float, levels: int) -> float:
    """Spearman's rho of a bivariate normal, from the formula, or with levels from a large sample."""
    if not levels:
        return 6 / math.pi * math.asin(r / 2)
    one, rest = numpy_stream(1, "rho", r).normal(size=(2, 1_000_000))
    return float(stats.spearmanr(one, _graded(r * one + math.sqrt(1 - r * r) * rest, levels)).statistic)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1000, help="simulated studies a row")
    parser.add_argument("--table", type=int, choices=(1, 2, 3), help="only this table")
    args = parser.parse_args()
    for number, table in enumerate((coverage, guides, correlations), start=1):
        if args.table in {None, number}:
            table(args.studies)


if __name__ == "__main__":
    main()
