"""How often levels of a factor are said to be near the best that are not, and how well slopes and sides are covered.

Each simulated study has a factor with six levels on an accuracy: flat, every level but one worse than the best by
exactly the margin, half of them, two such factors, and the same with lognormal seeds, with levels that collapse on one
seed in ten, and with crashed cells. Prints the share of studies that name a level wrongly (and the share by the rule
that first picks the level with the best mean, uncorrected), the share of levels truly within the margin that are named,
the share of studies in which all bounds hold, the coverage of elasticities, and wrong verdicts on K_F above against
below the baseline.

    python benchmarks/profiles.py [--studies 1000] [--kinds flat edge]
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fgtune.analysis.profiles.plateau import level_bounds
from fgtune.analysis.profiles.sides import side_contrasts
from fgtune.analysis.profiles.slopes import elasticity
from fgtune.analysis.verdicts.combining import Gains
from fgtune.analysis.verdicts.judgement import LostCells, Rules, Verdict
from fgtune.analysis.verdicts.robust import margin_ps
from fgtune.analysis.verdicts.shape import shape_of
from fgtune.analysis.verdicts.statistics import paired_contrast

MARGIN = 0.02
_SD, _BLOCK, _BEST = 0.015, 0.02, 0.8
_TRUE_SLOPE = 0.08

Noise = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


def normal(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Normal cells."""
    return _SD * rng.standard_normal(shape)


def skewed(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Lognormal cells with a long tail of bad seeds."""
    return _SD * (np.exp(0.5) - np.exp(rng.standard_normal(shape)))


def collapsing(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Every level but the first collapses on one seed in ten, which its other seeds make up for."""
    falls = (np.arange(shape[0]) > 0)[:, None]
    fallen = (rng.random(shape) < 0.1) & falls
    return normal(rng, shape) + np.where(fallen, -0.4, np.where(falls, 0.04 / 0.9, 0.0))


@dataclass(frozen=True)
class Kind:
    """Planted shortfalls of the levels of each factor in margins, and the noise of cells."""

    shortfalls: tuple[tuple[float, ...], ...]
    noise: Noise = normal
    lose_worst: bool = False


_EDGE = (0.0, 1.0, 1.0, 1.0, 1.0, 1.0)
KINDS: Mapping[str, Kind] = {
    "flat": Kind(((0.0,) * 6,)),
    "edge": Kind((_EDGE,)),
    "half at the edge": Kind(((0.0, 0.0, 0.0, 1.0, 1.0, 1.0),)),
    "two factors at the edge": Kind((_EDGE, _EDGE)),
    "edge, skewed": Kind((_EDGE,), skewed),
    "edge, collapsing": Kind((_EDGE,), collapsing),
    "edge, worst 20 % lost": Kind((_EDGE,), lose_worst=True),
}


def study_of(kind: Kind, rng: np.random.Generator, n: int) -> tuple[Gains, list[list[tuple[str, str]]]]:
    """One study, and the arm of every level."""
    truth = np.array([_BEST - MARGIN * each for factor in kind.shortfalls for each in factor])[:, None]
    table = truth + _BLOCK * rng.standard_normal(n) + kind.noise(rng, (len(truth), n))
    factors, rank = [], 0
    for factor in kind.shortfalls:
        factors.append([(f"arm{rank + at}", str(at)) for at in range(len(factor))])
        rank += len(factor)
    values = {f"arm{row}": {seed: float(x) for seed, x in enumerate(own)} for row, own in enumerate(table)}
    lost = {}
    if kind.lose_worst:
        for arm in ("arm1", "arm2"):
            gone = sorted(values[arm], key=values[arm].__getitem__)[: max(1, round(0.2 * n))]
            lost[arm] = LostCells(failed=tuple(sorted(gone)))
            values[arm] = {seed: value for seed, value in values[arm].items() if seed not in gone}
    return gains_with(values, lost), factors


def gains_with(values: Mapping[str, Mapping[int, float]], lost: Mapping[str, LostCells] | None = None) -> Gains:
    """Values as a study's gains, judged at 5 % with the margin; the first arm is the baseline."""
    rules = Rules("maximize", 0.05, low=0.0, high=1.0)
    return Gains(values, lost or {}, rules, MARGIN, shape_of(values, next(iter(values))))


@dataclass(frozen=True)
class Result:
    """What the studies of one kind came to.

    Attributes:
        wrong: Share of studies with a wrong level.
        wrong_picked: The same where the level with the best mean is picked first.
        named: Share of the levels within the margin that are named.
        bounds_hold: Share of studies whose bounds all hold.
    """

    wrong: float
    wrong_picked: float
    named: float
    bounds_hold: float


def simulate(name: str, n: int, studies: int, seed: int = 0) -> Result:
    """Simulate studies of one kind with n seeds."""
    kind, rng = KINDS[name], np.random.default_rng([seed, n, *name.encode()])
    counted = np.zeros(4)
    near = [each < 1.0 for factor in kind.shortfalls for each in factor]
    truth = [MARGIN * each for factor in kind.shortfalls for each in factor]
    for _ in range(studies):
        gains, factors = study_of(kind, rng, n)
        bounds = [bound for each in level_bounds(gains, factors) for bound in each]
        named = [bound.within for bound in bounds]
        counted += (
            any(is_named and not is_near for is_named, is_near in zip(named, near, strict=True)),
            any(_picked_wrongly(gains, factor, near) for factor in factors),
            np.mean([is_named for is_named, is_near in zip(named, near, strict=True) if is_near]),
            all(true <= bound.shortfall + 1e-12 for true, bound in zip(truth, bounds, strict=True)),
        )
    return Result(*(counted / studies))


def _picked_wrongly(gains: Gains, factor: Sequence[tuple[str, str]], near: Sequence[bool]) -> bool:
    """Whether testing every level against the one with the best mean, uncorrected, names one that is not near."""
    means = {arm: np.mean([*gains.values[arm].values()]) for arm, _ in factor}
    best = max(means, key=means.__getitem__)
    wrong = best if not near[int(best[3:])] else ""
    for arm, _ in factor:
        if arm != best and not near[int(arm[3:])]:
            contrast = paired_contrast(gains.values[arm], gains.values[best])
            wrong = wrong or (arm if margin_ps("mean", contrast, MARGIN)[0] <= 0.05 else "")
    return bool(wrong)


def slope_coverage(n: int, studies: int, seed: int = 0) -> float:
    """Share of elasticities whose interval holds the planted one; seeds differ in level and slope."""
    rng = np.random.default_rng([seed, n, 1])
    levels = [0.1, 0.3, 1.0, 3.0, 10.0]
    held = 0
    for _ in range(studies):
        slopes = _TRUE_SLOPE + 0.02 * rng.standard_normal(n)
        logs = math.log(0.5) + 0.05 * rng.standard_normal(n) + np.log(levels)[:, None] * slopes
        table = np.exp(logs + 0.02 * rng.standard_normal(logs.shape))
        values = {str(level): dict(enumerate(map(float, row))) for level, row in zip(levels, table, strict=True)}
        gains = Gains(values, {}, Rules("maximize", 0.05), None, shape_of(values, "1.0"))
        found = elasticity(gains, [(str(level), level) for level in levels], 1.0, ratio_scale=True)
        held += found.slope.estimate.low <= _TRUE_SLOPE <= found.slope.estimate.high
    return held / studies


def side_errors(n: int, studies: int, effect: float = 0.0, seed: int = 0) -> float:
    """Share of studies that say too many (or too few) is better; levels 0.6, 0.8, 1.2 and 1.4 around 1."""
    rng = np.random.default_rng([seed, n, 2])
    levels = [0.6, 0.8, 1.0, 1.2, 1.4]
    said = 0
    for _ in range(studies):
        truth = np.array([_BEST - 0.1 * abs(level - 1.0) + effect * (level > 1.0) for level in levels])[:, None]
        table = truth + _BLOCK * rng.standard_normal(n) + normal(rng, (len(levels), n))
        values = {str(level): dict(enumerate(map(float, row))) for level, row in zip(levels, table, strict=True)}
        found = side_contrasts(gains_with(values), [(str(level), str(level), level) for level in levels], 1.0)
        said += any(each.judgement.verdict in {Verdict.HELPS, Verdict.HURTS} for each in found)
    return said / studies


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[5, 10, 20])
    options = parser.parse_args()
    print(f"{'levels':28}{'n':>3}  wrong  wrong, best picked first  near levels named  bounds hold")
    for name in options.kinds:
        for n in options.seeds:
            found = simulate(name, n, options.studies)
            row = f"{100 * found.wrong:7.1f}{100 * found.wrong_picked:26.1f}"
            print(f"{name:28}{n:3}{row}{100 * found.named:19.1f}{100 * found.bounds_hold:13.1f}", flush=True)
    print("elasticity and sides          n  covered  said without an effect  found (+0.04)")
    for n in options.seeds:
        covered, wrong = slope_coverage(n, options.studies), side_errors(n, options.studies)
        found_side = side_errors(n, options.studies, effect=0.04)
        print(f"{'':28}{n:3}{100 * covered:9.1f}{100 * wrong:24.1f}{100 * found_side:15.1f}", flush=True)


if __name__ == "__main__":
    main()
