"""How often intervals of partial dependence and of the changes of an ablation path hold, in studies with a known truth.

    OMP_NUM_THREADS=1 python benchmarks/dependence.py --studies 300

Six parameters, one of them (or two together) with an effect that is a given share of the variation; the rest is noise.
Prints one row for each shape of effect, with coverage of nominal 95 % intervals in per cent: (curve) the mean of the
metric over the points, had they all this level, at eleven places of the range or at every level; (worst) that at the
place where it is least; (change) what moving the parameter from one given place to another changes; (best) the same
from the baseline to the best point found, which the noise helps to choose. ``--as-chosen`` fits only what stands out by
the importances' own test and counts the studies in which the effect does; otherwise what has an effect is taken as
known, as the page says. Rows marked "new" were added after the method was fixed.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fgtune.analysis.search.effect_terms import Parameter, terms_of
from fgtune.analysis.search.effect_tests import scan
from fgtune.analysis.search.surrogate import Surrogate, fit_surrogate
from fgtune.arrays import FloatArray
from fgtune.streams import numpy_stream

LEVEL, OTHERS, PLACES, SHUFFLES = 0.95, 5, 11, 199
FIRST, LAST = 0.15, 0.85
Shape = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class Case:
    """A kind of effect of the first parameter.

    Attributes:
        name: For the table.
        shape: Effect (n,) of points (n, d) in the unit cube.
        levels: Unordered levels of the first parameter; 0 for a range.
        subject: What the effect is of.
        is_new: Whether it was added after the method was fixed.
    """

    name: str
    shape: Shape
    levels: int = 0
    subject: tuple[int, ...] = (0,)
    is_new: bool = False


def _of_levels(values: tuple[float, ...]) -> Shape:
    return lambda cube: np.array(values)[(cube[:, 0] * len(values)).astype(np.int64)]


CASES = (
    Case("trend", lambda cube: cube[:, 0]),
    Case("peak in the middle", lambda cube: -np.square(cube[:, 0] - 0.5)),
    Case("saturating", lambda cube: 1.0 - np.exp(-6.0 * cube[:, 0])),
    Case("step in the middle", lambda cube: (cube[:, 0] > 0.5).astype(float)),
    Case("cliff at 0.8", lambda cube: (cube[:, 0] < 0.8).astype(float)),
    Case("2 levels", _of_levels((0.0, 1.0)), 2),
    Case("5 unordered levels", _of_levels((0.0, 1.0, 0.2, 0.7, 0.4)), 5),
    Case("product of two ranges", lambda cube: cube[:, 0] * cube[:, 1], subject=(0, 1)),
    Case("narrow peak at 0.7", lambda cube: np.exp(-0.5 * np.square((cube[:, 0] - 0.7) / 0.08))),
    Case("steep end, e^(8x)", lambda cube: np.exp(8.0 * (cube[:, 0] - 1.0)), is_new=True),
    Case("two steps", lambda cube: (cube[:, 0] > 0.3) + (cube[:, 0] > 0.65) * 1.0, is_new=True),
    Case("saw of two teeth", lambda cube: (2.0 * cube[:, 0]) % 1.0, is_new=True),
)
NOISES: dict[str, Callable[[np.random.Generator, FloatArray], FloatArray]] = {
    "normal": lambda rng, cube: rng.normal(size=len(cube)),
    "t, 3 degrees": lambda rng, cube: rng.standard_t(3, len(cube)) / math.sqrt(3.0),
    "sd falls 5-fold": lambda rng, cube: rng.normal(size=len(cube)) * (1.6 - 1.28 * cube[:, 0]),
}


@dataclass
class Held:
    """Whether intervals held the truth, by place of the curve and for the two kinds of change."""

    curve: list[list[bool]]
    change: list[bool]
    best: list[bool]
    found: int = 0


def points_of(case: Case, rng: np.random.Generator, n: int) -> FloatArray:
    """(n, 1 + others) points, at the middle of its level for a parameter with levels."""
    cube = rng.random((n, 1 + OTHERS))
    if case.levels:
        cube[:, 0] = (np.floor(cube[:, 0] * case.levels) + 0.5) / case.levels
    return cube


def simulate(case: Case, noise: str, n: int, share: float, studies: int, *, as_chosen: bool) -> Held:
    """Coverage in ``studies`` studies of ``n`` points in which the effect is ``share`` of the variation."""
    fine = points_of(case, numpy_stream(0, "dependence", "scale"), 20000)
    scale = math.sqrt(share / float(case.shape(fine).var()))
    held = Held([], [], [])
    for study in range(studies):
        rng = numpy_stream(study, "dependence", case.name, noise, n)
        cube = points_of(case, rng, n)
        values = scale * case.shape(cube) + math.sqrt(1.0 - share) * NOISES[noise](rng, cube)
        levels = (case.levels, *[0] * OTHERS)
        parameters = [Parameter(str(rank), cube[:, rank], of) for rank, of in enumerate(levels)]
        subjects = _standing_out(parameters, values, study) if as_chosen else [case.subject]
        involved = {rank for subject in subjects for rank in subject}
        held.found += {*case.subject} <= involved
        fit = fit_surrogate(parameters, subjects, values, LEVEL) if {*case.subject} <= involved else None
        if fit is not None:
            _judge(held, fit, case, scale, cube, values)
    return held


def _standing_out(parameters: list[Parameter], values: FloatArray, seed: int) -> list[tuple[int, ...]]:
    terms = terms_of(parameters)
    found = scan(terms, values, alpha=1.0 - LEVEL, seed=seed, shuffles=SHUFFLES).found
    return [tuple(int(name) for name in terms[rank].parameters) for rank in found]


def _judge(held: Held, fit: Surrogate, case: Case, scale: float, cube: FloatArray, values: FloatArray) -> None:
    """Add one study."""
    number = case.levels or PLACES
    places = (np.arange(number) + 0.5) / number if case.levels else np.linspace(0.0, 1.0, PLACES)
    row = []
    for place in places.tolist():
        moved = cube.copy()
        moved[:, 0] = place
        row.append(_holds(fit, fit.columns(moved).mean(axis=0), scale * float(case.shape(moved).mean())))
    held.curve.append(row)
    ends = np.full((2, cube.shape[1]), FIRST)
    ends[1, list(case.subject)] = LAST
    best = np.stack([ends[0], cube[values.argmax()]])
    for pair, kept in ((ends, held.change), (best, held.best)):
        pair = _at_levels(pair, case.levels)
        before, after = fit.columns(pair)
        truth = scale * float(case.shape(pair)[1] - case.shape(pair)[0])
        kept.append(_holds(fit, after - before, truth))


def _at_levels(pair: FloatArray, levels: int) -> FloatArray:
    placed = pair.copy()
    if levels:
        placed[:, 0] = (np.floor(placed[:, 0] * levels) + 0.5) / levels
    return placed


def _holds(fit: Surrogate, weights: FloatArray, truth: float) -> bool:
    found = fit.estimate(weights)
    return bool(found.low <= truth <= found.high)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=400, help="simulated studies a row")
    parser.add_argument("--points", type=int, nargs="+", default=[60, 120])
    parser.add_argument("--share", type=float, default=0.4, help="of the variation that is the effect")
    parser.add_argument("--as-chosen", action="store_true", help="fit what stands out, instead of what has an effect")
    given = parser.parse_args()
    print(
        f"nominal {100 * LEVEL:.0f} %, effect {100 * given.share:.0f} % of the variation, {given.studies} studies a row"
    )
    print(f"{'effect':<26}{'noise':<18}{'points':>6}{'found':>7}{'curve':>7}{'worst':>7}{'change':>8}{'best':>7}")
    for case in CASES:
        for noise in NOISES:
            for n in given.points:
                held = simulate(case, noise, n, given.share, given.studies, as_chosen=given.as_chosen)
                name = case.name + " (new)" * case.is_new
                print(f"{name:<26}{noise:<18}{n:>6}{100 * held.found / given.studies:>7.0f}", end="")
                curve = 100 * np.mean(held.curve, axis=0) if held.curve else np.full(1, math.nan)
                change, best = (100 * float(np.mean(each)) if each else math.nan for each in (held.change, held.best))
                print(f"{curve.mean():>7.1f}{curve.min():>7.1f}{change:>8.1f}{best:>7.1f}", flush=True)


if __name__ == "__main__":
    main()
