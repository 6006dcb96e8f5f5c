"""How often parts of an ablation are called what they are not, and how well shares are covered, for planted truths.

Each simulated study has every combination of four parts on an accuracy, with planted gains: additive ones, two parts of
which either does the work of both, two that only work together, differences of exactly the margin, parts that gain
nothing alone and lose beside the others, and null studies whose seeds collapse, are skewed, or crash where they are
worst. Prints the share of studies with a wrong name among parts and among pairs, the share of planted redundancy and
synergy that is found, and the coverage of intervals of interactions and of Shapley's shares.

    python benchmarks/ablation.py [--studies 1000] [--kinds redundant synergy]
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from fgtune.analysis.parts.effects import JointEffect, PartsSummary, summarise_parts
from fgtune.analysis.verdicts.combining import Gains
from fgtune.analysis.verdicts.judgement import LostCells, Rules
from fgtune.analysis.verdicts.shape import shape_of

MARGIN = 0.02
PARTS = ("a", "b", "c", "d")
_SUBSETS = [frozenset(p for rank, p in enumerate(PARTS) if code >> rank & 1) for code in range(2 ** len(PARTS))]
_ARMS = {on: "+".join(sorted(on)) or "none" for on in _SUBSETS}
_SD, _BLOCK, _BASE = 0.015, 0.02, 0.6

Truth = Callable[[frozenset[str]], float]


def additive(on: frozenset[str]) -> float:
    """Each part gains the same with any others: nothing is redundant or in synergy."""
    return _BASE + sum({"a": 0.06, "b": 0.03, "c": 0.0, "d": -0.02}[part] for part in on)


def redundant(on: frozenset[str]) -> float:
    """Either of a and b gains 0.08; both together gain no more."""
    return _BASE + 0.08 * bool(on & {"a", "b"}) + 0.03 * ("c" in on)


def synergy(on: frozenset[str]) -> float:
    """Together a and b gain 0.08, alone nothing."""
    return _BASE + 0.08 * ({"a", "b"} <= on) + 0.03 * ("c" in on)


def at_margin(on: frozenset[str]) -> float:
    """Beside the others every part gains one margin more than alone: none is additive."""
    return additive(on) + MARGIN * max(0, len(on) - 1) / (len(PARTS) - 1)


def lossy(on: frozenset[str]) -> float:
    """Alone no part gains anything, beside others each loses: none is redundant."""
    return _BASE - 0.02 * max(0, len(on) - 1)


@dataclass(frozen=True)
class Kind:
    """A planted truth and the noise of its cells."""

    truth: Truth
    noise: Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
    lose_worst: bool = False


def _normal(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return _SD * rng.standard_normal(shape)


def _skewed(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return _SD * (np.exp(0.5) - np.exp(rng.standard_normal(shape)))


def _collapsing(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """One seed in ten of every other arm collapses, whose other seeds make up for it."""
    fallen = (rng.random(shape) < 0.1) & (np.arange(shape[0]) % 2 == 1)[:, None]
    made_up = np.where((np.arange(shape[0]) % 2 == 1)[:, None], 0.04 / 0.9, 0.0)
    return _normal(rng, shape) + np.where(fallen, -0.4, made_up)


KINDS: Mapping[str, Kind] = {
    "additive": Kind(additive, _normal),
    "redundant": Kind(redundant, _normal),
    "synergy": Kind(synergy, _normal),
    "at the margin": Kind(at_margin, _normal),
    "nothing alone": Kind(lossy, _normal),
    "additive, skewed": Kind(additive, _skewed),
    "additive, collapsing": Kind(additive, _collapsing),
    "additive, worst 20 % lost": Kind(additive, _normal, lose_worst=True),
}


def study_of(kind: Kind, rng: np.random.Generator, n: int) -> Gains:
    """One study: every combination on every seed."""
    truth = np.array([kind.truth(on) for on in _SUBSETS])[:, None]
    table = truth + _BLOCK * rng.standard_normal(n) + kind.noise(rng, (len(_SUBSETS), n))
    lost = {arm: LostCells() for arm in _ARMS.values()}
    values = {
        arm: {seed: float(value) for seed, value in enumerate(row)}
        for arm, row in zip(_ARMS.values(), table, strict=True)
    }
    if kind.lose_worst:
        for arm in (_ARMS[frozenset(PARTS) - {"a"}], _ARMS[frozenset({"b"})]):
            gone = sorted(values[arm], key=values[arm].__getitem__)[: max(1, round(0.2 * n))]
            lost[arm] = LostCells(failed=tuple(sorted(gone)))
            values[arm] = {seed: value for seed, value in values[arm].items() if seed not in gone}
    rules = Rules("maximize", 0.05, low=0.0, high=1.0)
    return Gains(values, lost, rules, MARGIN, shape_of(values, _ARMS[frozenset(PARTS)]))


def shapley(truth: Truth) -> dict[str, float]:
    """Shapley's shares by brute force: the mean gain over all orders."""
    shares = dict.fromkeys(PARTS, 0.0)
    for order in permutations(PARTS):
        on: frozenset[str] = frozenset()
        for part in order:
            shares[part] += (truth(on | {part}) - truth(on)) / math.factorial(len(PARTS))
            on |= {part}
    return shares


def gains_of_part(truth: Truth, part: str) -> tuple[float, float]:
    """Gain beside all others, and alone."""
    full = frozenset(PARTS)
    return truth(full) - truth(full - {part}), truth(frozenset({part})) - truth(frozenset())


def interaction(truth: Truth, pair: tuple[str, ...]) -> float:
    """Difference of differences, averaged over all settings of the other parts."""
    one, two = pair
    rest = [on for on in _SUBSETS if not on & {one, two}]
    return sum(truth(on | {one, two}) - truth(on | {one}) - truth(on | {two}) + truth(on) for on in rest) / len(rest)


def is_wrong(effect: JointEffect, truth: Truth) -> bool:
    """Whether an effect is called what it is not."""
    tiny = 1e-12
    if len(effect.parts) == 2:
        difference, beside, without = interaction(truth, effect.parts), 1.0, 1.0
    else:
        beside, without = gains_of_part(truth, effect.parts[0])
        difference = beside - without
    return {
        "synergy": not (difference > tiny and beside > tiny),
        "redundancy": not (difference < -tiny and without > tiny),
        "more beside": not (difference > tiny and without < -tiny),
        "less beside": not (difference < -tiny and beside < -tiny),
        "additive": abs(difference) >= MARGIN - tiny,
        "undecided": False,
    }[effect.name]


@dataclass(frozen=True)
class Result:
    """Shares of studies (wrong names), of planted effects (found), and of intervals (covered)."""

    wrong_parts: float
    wrong_pairs: float
    found_parts: float
    found_pair: float
    covered_pairs: float
    covered_shares: float


def simulate(name: str, n: int, studies: int, seed: int = 0) -> Result:
    """Simulate studies of one kind with n seeds."""
    kind, rng = KINDS[name], np.random.default_rng([seed, n, *name.encode()])
    shares, units = shapley(kind.truth), {part: (part,) for part in PARTS}
    counted = np.zeros(6)
    planted = {"redundant": "redundancy", "synergy": "synergy"}.get(name, "")
    for _ in range(studies):
        found = summarise_parts(study_of(kind, rng, n), _ARMS, units, PARTS, planned=True)
        assert found is not None
        counted += (
            any(is_wrong(each, kind.truth) for each in found.parts),
            any(is_wrong(each, kind.truth) for each in found.pairs),
            np.mean([each.name == planted for each in found.parts if each.parts[0] in "ab"]),
            next(each.name for each in found.pairs if each.parts == ("a", "b")) == planted,
            *_coverage(found, kind.truth, shares),
        )
    return Result(*(counted / studies))


def _coverage(found: PartsSummary, truth: Truth, shares: Mapping[str, float]) -> tuple[float, float]:
    pairs = [
        each.contrast.estimate.low <= interaction(truth, each.parts) <= each.contrast.estimate.high
        for each in found.pairs
    ]
    own = [each.contrast.estimate.low <= shares[each.part] <= each.contrast.estimate.high for each in found.shares]
    return float(np.mean(pairs)), float(np.mean(own))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[5, 10, 20])
    options = parser.parse_args()
    head = f"{'':28}{'n':>3}  wrong parts  wrong pairs  found parts  found pair  covered pairs  covered shares"
    print(head)
    for name in options.kinds:
        for n in options.seeds:
            found = simulate(name, n, options.studies)
            row = (found.wrong_parts, found.wrong_pairs, found.found_parts, found.found_pair)
            more = (found.covered_pairs, found.covered_shares)
            print(f"{name:28}{n:3}" + "".join(f"{100 * value:13.1f}" for value in (*row, *more)), flush=True)


if __name__ == "__main__":
    main()
