"""Whether a study of variance says what the spread over seeds consists of: planted parts, coverage, wrong names.

    OMP_NUM_THREADS=1 python benchmarks/variance.py --studies 1000

A result is a sum of an effect of the split, one of the initial weights, one of the order, a product of the first two
where they interact, and noise that a repeated run draws anew. All arms of a study share the effects of a seed, as real
arms do. True shares are those around the fixed seed: an arm's variance given the other streams. ``--named`` prints how
many seeds name the widest stream. ``docs/statistics.md`` has the figures.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from scipy import stats

from fgtune.analysis.variance.parts import VarianceSummary, summarise_variance
from fgtune.arrays import FloatArray
from fgtune.config.schema.streams import STREAMS
from fgtune.config.schema.variance import ALL, REPEAT
from fgtune.streams import numpy_stream


@dataclass(frozen=True)
class Planted:
    """Standard deviations of the parts of a result.

    Attributes:
        name: What it is called in the table.
        effects: Of split, weights and order.
        noise: Of runs that do not repeat.
        joint: Of the product of split and weights.
    """

    name: str
    effects: tuple[float, float, float]
    noise: float
    joint: float = 0.0


PLANTED = (
    Planted("three alike, exact repeats", (1.0, 1.0, 1.0), 0.0),
    Planted("three alike, noise", (1.0, 1.0, 1.0), 1.0),
    Planted("two alike, one small", (1.0, 1.0, 0.2), 0.2),
    Planted("noise alone", (0.0, 0.0, 0.0), 1.0),
    Planted("one 2 x the others", (2.0, 1.0, 1.0), 0.0),
    Planted("one 3 x the others", (3.0, 1.0, 1.0), 0.5),
    Planted("split and weights interact", (1.0, 1.0, 1.0), 0.3, joint=1.0),
)
KINDS = ("normal", "t3", "lognormal", "laplace", "collapse")


def draw(kind: str, rng: np.random.Generator, size: tuple[int, ...]) -> FloatArray:
    """Values with mean 0 and variance 1."""
    if kind == "normal":
        return rng.standard_normal(size)
    if kind == "t3":
        return rng.standard_t(3, size) / math.sqrt(3)
    if kind == "laplace":
        return rng.laplace(size=size) / math.sqrt(2)
    if kind == "lognormal":  # of a normal value with standard deviation 1/2
        return (np.exp(rng.standard_normal(size) / 2) - math.exp(1 / 8)) / math.sqrt(math.exp(0.5) - math.exp(0.25))
    collapsed = rng.standard_normal(size) - 8.0 * (rng.random(size) < 0.1)  # one seed in ten
    return (collapsed + 0.8) / math.sqrt(1 + 64 * 0.09)


def draw_study(
    planted: Planted, kind: str, seeds: int, rng: np.random.Generator
) -> tuple[dict[str, dict[int, float]], dict[str, float]]:
    """The values of one study, and the true share of each part around seed 0."""
    effects = draw(kind, rng, (3, seeds)) * np.array(planted.effects)[:, None]
    noise = draw(kind, rng, (5, seeds)) * planted.noise
    unit = [effect / max(size, 1e-12) for effect, size in zip(effects, planted.effects, strict=True)]
    values = {}
    for rank, (arm, moving) in enumerate({ALL: STREAMS, **{s: (s,) for s in STREAMS}, REPEAT: ()}.items()):
        on = [effects[i] if name in moving else np.full(seeds, effects[i][0]) for i, name in enumerate(STREAMS)]
        one, two = (unit[i] if STREAMS[i] in moving else np.full(seeds, unit[i][0]) for i in (0, 1))
        values[arm] = dict(enumerate((sum(on) + planted.joint * one * two + noise[rank]).tolist()))
    squares = [size**2 for size in planted.effects]
    total = sum(squares) + planted.joint**2 + planted.noise**2
    split = (planted.effects[0] + planted.joint * unit[1][0]) ** 2
    weights = (planted.effects[1] + planted.joint * unit[0][0]) ** 2
    if planted.joint:
        squares[:2] = [split, weights]
    true = dict(zip(STREAMS, (part / total for part in squares), strict=True))
    true["repeat"] = planted.noise**2 / total
    true["together"] = 1 - sum(true.values())
    return values, true


def studies(
    planted: Planted, kind: str, seeds: int, number: int, seed: int
) -> Iterator[tuple[VarianceSummary, dict[str, float]]]:
    """Simulated studies with their true shares."""
    rng = numpy_stream(seed, "variance", planted.name, kind, seeds)
    for _ in range(number):
        values, true = draw_study(planted, kind, seeds, rng)
        yield summarise_variance(values, {}, around=0), true


def wider_by_f(summary: VarianceSummary) -> list[tuple[str, str]]:
    """Pairs of streams of which the first spreads more by two-sided F tests, Bonferroni-corrected over the three."""
    found = []
    for one, other in permutations(summary.streams, 2):
        ratio, df = one.spread.sd**2 / max(other.spread.sd**2, 1e-300), (one.spread.n - 1, other.spread.n - 1)
        if 2 * stats.f.sf(ratio, *df) <= 0.05 / 3:
            found.append((one.name, other.name))
    return found


def judged(planted: Planted, kind: str, seeds: int, number: int, seed: int) -> dict[str, float]:
    """Shares of studies: intervals that cover, wrong pairs, streams wrongly said to do something, widest named."""
    covered: dict[str, list[bool]] = {"share": [], "repeat": [], "together": [], "sd": []}
    wrong, by_f, found, moved = [], [], [], []
    for summary, true in studies(planted, kind, seeds, number, seed):
        for part in summary.streams:
            covered["share"].append(part.share.low <= true[part.name] <= part.share.high)
        if planted.noise:
            covered["repeat"].append(summary.repeated.low <= true["repeat"] <= summary.repeated.high)
        covered["together"].append(summary.together.low <= true["together"] <= summary.together.high)
        sizes = [*planted.effects, planted.joint, planted.noise]
        total = math.sqrt(sum(size**2 for size in sizes))
        covered["sd"].append(summary.total.low <= total <= summary.total.high)
        ranked = sorted(STREAMS, key=lambda name: true[name])
        widest = ranked[-1] if true[ranked[-1]] > true[ranked[-2]] else ""
        wrong.append(any(true[more] <= true[less] for more, less in summary.wider))
        by_f.append(any(true[more] <= true[less] for more, less in wider_by_f(summary)))
        found.append(summary.named == widest != "")
        nothing = [part for part, size in zip(summary.streams, planted.effects, strict=True) if size == 0]
        moved.append(any(part.p_repeat <= 0.05 for part in nothing))
    rates = {name: float(np.mean(each)) if each else math.nan for name, each in covered.items()}
    counted = {"wrong": wrong, "by_f": by_f, "found": found, "moved": moved}
    return rates | {name: float(np.mean(each)) for name, each in counted.items()}


def print_table(number: int, seed: int, sizes: list[int], chosen: list[int]) -> None:
    """Coverage and names for every kind of effect."""
    print("cover: how often the intervals of shares, of the share of repeats, of the rest and of the sd of all hold it")
    print("seeds  values     planted                     share  repeat   rest     sd  wrong pair  by F  moved  named")
    for seeds in sizes:
        for kind in KINDS:
            for planted in (PLANTED[rank] for rank in chosen):
                r = judged(planted, kind, seeds, number, seed)
                print(
                    f"{seeds:5d}  {kind:9s}  {planted.name:26s}  {r['share']:5.1%}  {r['repeat']:6.1%}"
                    f"  {r['together']:5.1%}  {r['sd']:5.1%}  {r['wrong']:10.1%}  {r['by_f']:4.0%}  {r['moved']:5.1%}"
                    f"  {r['found']:5.1%}",
                    flush=True,
                )


def print_named(number: int, seed: int) -> None:
    """How often the widest of normal effects is named, by how many times the others' standard deviation it has."""
    print("times  seeds  named")
    for times in (2.0, 3.0):
        for seeds in (10, 12, 14, 16, 18, 20, 24, 28, 32, 36, 40):
            planted = Planted("named", (times, 1.0, 1.0), 0.0)
            rate = np.mean([found.named == "split" for found, _ in studies(planted, "normal", seeds, number, seed)])
            print(f"{times:5.0f}  {seeds:5d}  {rate:5.1%}", flush=True)


def main() -> None:
    """Print the tables that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[5, 10, 20])
    parser.add_argument("--planted", type=int, nargs="+", default=list(range(len(PLANTED))), help="which of the parts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--named", action="store_true", help="how many seeds name the widest stream")
    arguments = parser.parse_args()
    if arguments.named:
        print_named(arguments.studies, arguments.seed)
    else:
        print_table(arguments.studies, arguments.seed, arguments.seeds, arguments.planted)


if __name__ == "__main__":
    main()
