"""Wrong verdicts of studies that are looked at more than once, and what it costs to keep them rare.

    OMP_NUM_THREADS=1 python benchmarks/looks.py --studies 200000

Studies are simulated with planted truth: differences are normal, the arms of a study share the baseline of each seed.
The first table has t-tests of one contrast at schedules of looks that were not used to choose the constant of
``t_information``; the second, families of five contrasts under Holm, for difference and for equivalence, at looks that
nobody planned or that were planned; the third, studies in which both kinds of verdict may be wrong; then come adaptive
seeds, and someone who chooses how many seeds to add by how close the last look was. ``docs/statistics.md`` has the
figures.
"""

from __future__ import annotations

import argparse
import math

import numpy as np
from scipy import stats

from fgtune.analysis.verdicts.looks import kept_shares, nominal_levels, planned_shares, t_information
from fgtune.streams import numpy_stream

ALPHA, KEPT, MARGIN, ARMS, CHUNK = 0.05, 0.2, 1.0, 5, 20_000
FRESH = ((4, 8, 12), (6, 9), (5, 25), (7, 8, 9, 10), (10, 15), (3, 4), (20, 25, 30, 40), (2, 12), (*range(6, 31),))
ROUTINES = {"5, 10, 15, 20": (5, 10, 15, 20), "each of 5 .. 20": tuple(range(5, 21))}


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Wrong verdicts over several looks, by simulation.")
    parser.add_argument("--studies", type=int, default=200_000, help="simulated studies a row (default: 200000)")
    parser.add_argument("--seed", type=int, default=1, help="of the simulation (default: 1)")
    arguments = parser.parse_args()
    if arguments.studies < 1000:
        parser.error("at least 1000 studies are needed")
    return arguments


def t_tests(differences: np.ndarray, sizes: tuple[int, ...], margin: float | None = None) -> np.ndarray:
    """P-values (..., looks) of the first n of (..., seeds) differences: two-sided, or of equivalence."""
    found = []
    for n in sizes:
        part = differences[..., :n]
        mean, error = part.mean(axis=-1), part.std(axis=-1, ddof=1) / math.sqrt(n)
        if margin is None:
            found.append(2 * stats.t.sf(np.abs(mean) / error, n - 1))
        else:
            found.append(stats.t.sf((margin - np.abs(mean)) / error, n - 1))
    return np.stack(found, axis=-1)


def levels_of(sizes: tuple[int, ...], shares: tuple[float, ...], level: float) -> np.ndarray:
    """The nominal level of each look."""
    return np.array(nominal_levels([t_information(n) for n in sizes], shares, level))


def holm_rejects(p_values: np.ndarray, by_step: list[np.ndarray]) -> np.ndarray:
    """Which of (studies, contrasts, looks) Holm rejects; ``by_step[j]`` are the levels of looks at alpha / (j + 1).

    A sequential p is at most alpha / j just where the p-value of some look is at most its level at alpha / j.
    """
    reached = np.zeros(p_values.shape[:2], dtype=int)  # the largest j with a sequential p of at most alpha / j
    for step, levels in enumerate(by_step, start=1):
        reached[(p_values <= levels).any(axis=-1)] = step
    order = np.argsort(-reached, axis=1, kind="stable")
    needed = np.arange(p_values.shape[1], 0, -1)
    passed = np.logical_and.accumulate(np.take_along_axis(reached, order, axis=1) >= needed, axis=1)
    rejected = np.zeros_like(passed)
    np.put_along_axis(rejected, order, passed, axis=1)
    return rejected


def family(rng: np.random.Generator, studies: int, effects: np.ndarray, seeds: int) -> np.ndarray:
    """Differences (studies, arms, seeds) to a shared baseline; each has standard deviation 1."""
    arms = rng.standard_normal((studies, len(effects), seeds)) / math.sqrt(2)
    baseline = rng.standard_normal((studies, 1, seeds)) / math.sqrt(2)
    return arms - baseline + effects[:, None]


def chunks(studies: int) -> list[int]:
    """Sizes of the parts that are simulated at once."""
    return [min(CHUNK, studies - start) for start in range(0, studies, CHUNK)]


def one_contrast(studies: int, seed: int) -> None:
    """T-tests of one contrast that is null, at fresh schedules."""
    print("One null contrast: error over all looks in % of the level that may be spent")
    print(f"{'looks':>18} {'spending':>9} {'level':>6} {'normal':>7} {'used':>6} {'+-':>5}")
    for sizes in FRESH:
        name = ", ".join(map(str, sizes)) if len(sizes) < 6 else f"each of {sizes[0]} .. {sizes[-1]}"
        for spending, shares in (
            ("kept", kept_shares(len(sizes), KEPT)),
            ("planned", planned_shares(sizes, sizes[-1])),
        ):
            for level in (0.05, 0.01):
                plain = np.array(nominal_levels(sizes, shares, level))
                used = levels_of(sizes, shares, level)
                rng, wrong = numpy_stream(seed, "one", sizes, spending), np.zeros(2)
                for part in chunks(studies):
                    p_values = t_tests(rng.standard_normal((part, max(sizes))), sizes)
                    wrong += [(p_values <= each).any(axis=1).sum() for each in (plain, used)]
                scale = 100 / (studies * level * shares[-1])
                error = 200 / math.sqrt(studies * level)
                print(
                    f"{name:>18} {spending:>9} {level:>6} {wrong[0] * scale:7.1f} {wrong[1] * scale:6.1f} {error:5.1f}"
                )


def plans_of(sizes: tuple[int, ...]) -> dict[str, list[np.ndarray]]:
    """The levels of the looks at alpha / 1, alpha / 2, ... by every plan that the table of families compares."""
    every, steps = len(sizes), [ALPHA / j for j in range(1, ARMS + 1)]
    return {
        "naive": [np.full(every, level) for level in steps],
        "kept .2": [levels_of(sizes, kept_shares(every, KEPT), level) for level in steps],
        "kept .5": [levels_of(sizes, kept_shares(every, 0.5), level) for level in steps],
        "planned": [levels_of(sizes, planned_shares(sizes, sizes[-1]), level) for level in steps],
        "at 20 only": [np.array([0.0] * (every - 1) + [level]) for level in steps],
    }


def families(studies: int, seed: int) -> None:
    """Five contrasts under Holm: any wrong verdict at any look, and how often planted effects are found."""
    truths = {  # effects in standard deviations of the differences, and whether a verdict for each is wrong
        "all null": (np.zeros(ARMS), None, "difference"),
        "two of five null": (np.array([0.0, 0.0, 1.0, 1.0, 1.0]), None, "difference"),
        "all at the margin": (np.full(ARMS, MARGIN), MARGIN, "equivalence"),
        "two of five at it": (np.array([MARGIN, MARGIN, 0.0, 0.0, 0.0]), MARGIN, "equivalence"),
    }
    print("\nFive contrasts under Holm: % of studies with a wrong verdict at any look, % of planted effects found")
    by_routine = {name: plans_of(sizes) for name, sizes in ROUTINES.items()}
    heads = " ".join(f"{plan:>10}" for plan in next(iter(by_routine.values())))
    print(f"{'looks':>16} {'truth':>18} {'verdict':>12} {heads}")
    for name, sizes in ROUTINES.items():
        plans = by_routine[name]
        for truth, (effects, margin, verdict) in truths.items():
            false = effects == (0.0 if margin is None else margin)
            counts = {plan: np.zeros(2) for plan in plans}
            rng = numpy_stream(seed, "family", name, truth)
            for part in chunks(studies):
                p_values = t_tests(family(rng, part, effects, sizes[-1]), sizes, margin)
                for plan, by_step in plans.items():
                    rejected = holm_rejects(p_values, by_step)
                    counts[plan] += rejected[:, false].any(axis=1).sum(), rejected[:, ~false].sum()
            rights = max(1, int((~false).sum()))
            shown = [
                f"{100 * wrong / studies:.2f} {100 * right / studies / rights:.0f}" for wrong, right in counts.values()
            ]
            print(f"{name:>16} {truth:>18} {verdict:>12} " + " ".join(f"{text:>10}" for text in shown))
    print(f"(two standard errors of 5 %: {200 * math.sqrt(0.05 * 0.95 / studies):.2f})")


def mixed(studies: int, seed: int) -> None:
    """Studies in which a wrong difference and a wrong equivalence are both possible: Holm for each, or for both."""
    sizes = (5, 10, 15, 20)
    truths = {"0, 0, 0, margin x 2": (0.0, 0.0, 0.0, MARGIN, MARGIN), "0, 0, margin x 3": (0.0, 0.0, *[MARGIN] * 3)}
    plans = {
        "20 seeds, one look": lambda level: np.array([0.0, 0.0, 0.0, level]),
        "planned looks": lambda level: levels_of(sizes, planned_shares(sizes, sizes[-1]), level),
    }
    print("\nAny wrong verdict (%), difference and equivalence each under Holm; and all at alpha / contrasts")
    for truth, values in truths.items():
        effects, rng = np.array(values), numpy_stream(seed, "mixed", truth)
        counts = {plan: np.zeros(2) for plan in plans}
        for part in chunks(studies):
            differences = family(rng, part, effects, sizes[-1])
            tests = [t_tests(differences, sizes), t_tests(differences, sizes, MARGIN)]
            for plan, levels in plans.items():
                steps = [levels(ALPHA / j) for j in range(1, ARMS + 1)]
                by_holm = [holm_rejects(p_values, steps) for p_values in tests]
                together = [(p_values <= steps[-1]).any(axis=-1) for p_values in tests]
                for which, (different, equivalent) in enumerate((by_holm, together)):
                    wrong = np.where(effects == 0.0, different, equivalent)
                    counts[plan][which] += wrong.any(axis=1).sum()
        for plan, (each, both) in counts.items():
            print(f"{truth:>20} {plan:>20} {100 * each / studies:6.2f} {100 * both / studies:6.2f}")


def adaptive(studies: int, seed: int) -> None:
    """Seeds 5, 10, 15, 20, further ones only for contrasts without a verdict: error, power, cells."""
    sizes = (5, 10, 15, 20)
    steps = [levels_of(sizes, planned_shares(sizes, sizes[-1]), ALPHA / j) for j in range(1, ARMS + 1)]
    truths = {
        "all null, wide margin": np.zeros(ARMS),
        "0, 0, margin, 1, 2": np.array([0.0, 0.0, MARGIN, 1.0, 2.0]),
        "all at the margin": np.full(ARMS, MARGIN),
        "0, 0, 0, 3, 3": np.array([0.0, 0.0, 0.0, 3.0, 3.0]),
        "all .5": np.full(ARMS, 0.5),
    }
    print("\nAdaptive seeds: % with a wrong difference or equivalence, % of verdicts, % of cells against 20 seeds")
    heads = f"{'difference':>10} {'equival.':>9} {'decided':>8} {'fixed 20':>8} {'cells':>6} {'fixed 5':>8}"
    print(f"{'effects (sd)':>22} {heads}")
    for name, effects in truths.items():
        rng, totals = numpy_stream(seed, "adaptive", name), np.zeros(6)
        for part in chunks(studies):
            differences = family(rng, part, effects, sizes[-1])
            totals += adaptive_counts(differences, effects, sizes, steps)
        wrong, same, decided, fixed, cells, first = 100 * totals / studies
        text = f"{wrong:10.2f} {same:9.2f} {decided / ARMS:8.1f} {fixed / ARMS:8.1f}"
        print(f"{name:>22} {text} {cells / ((ARMS + 1) * sizes[-1]):6.1f} {first / ARMS:8.1f}")


def adaptive_counts(
    differences: np.ndarray, effects: np.ndarray, sizes: tuple[int, ...], steps: list[np.ndarray]
) -> np.ndarray:
    """Sums over studies: wrong differences and equivalences, contrasts decided (so, at 20 seeds), cells, at 5."""
    tests = [t_tests(differences, sizes), t_tests(differences, sizes, MARGIN)]
    stopped = np.full(differences.shape[:2], len(sizes))  # the look after which an arm got no more seeds
    found = [np.zeros(differences.shape[:2], dtype=bool) for _ in tests]
    for look in range(1, len(sizes) + 1):
        seen = np.minimum(stopped, look)[..., None] > np.arange(len(sizes))  # looks that brought an arm new seeds
        for which, p_values in enumerate(tests):
            found[which] = holm_rejects(np.where(seen, p_values, 1.0), steps)
        decided = found[0] | found[1]
        stopped = np.where(decided & (stopped > look), look, stopped)
    ends = np.array(sizes)[stopped - 1]
    cells = ends.sum(axis=1) + ends.max(axis=1)
    wrong = (found[0] & (effects == 0.0)).any(axis=1).sum()
    same = (found[1] & (np.abs(effects) >= MARGIN)).any(axis=1).sum()
    at = [
        sum(holm_rejects(p[..., k : k + 1], [np.array([ALPHA / j]) for j in range(1, ARMS + 1)]) for p in tests) > 0
        for k in (len(sizes) - 1, 0)
    ]
    return np.array([wrong, same, decided.sum(), at[0].sum(), cells.sum(), at[1].sum()])


def chosen_by_looking(studies: int, seed: int) -> None:
    """One null contrast; the closer the last look was, the fewer seeds are added."""
    shares, limit = kept_shares(4, KEPT), 40
    rng, wrong = numpy_stream(seed, "chosen"), 0
    for part in chunks(studies):
        values = rng.standard_normal((part, limit))
        every = t_tests(values, tuple(range(2, limit + 1)))
        histories = {(5,): np.ones(part, dtype=bool)}
        for look in range(4):
            following: dict[tuple[int, ...], np.ndarray] = {}
            for sizes, members in histories.items():
                p_last = every[:, sizes[-1] - 2]
                hit = members & (p_last <= levels_of(sizes, shares[: look + 1], ALPHA)[-1])
                wrong += int(hit.sum())
                groups = ((p_last < 0.1, 1), ((p_last >= 0.1) & (p_last < 0.3), 3), (p_last >= 0.3, 10))
                for group, added in groups:
                    longer = (*sizes, min(limit, sizes[-1] + added))
                    chosen = members & ~hit & group
                    if chosen.any() and longer[-1] > sizes[-1]:
                        following[longer] = following.get(longer, np.zeros(part, dtype=bool)) | chosen
            histories = following
    bound = 200 * math.sqrt(0.05 * 0.95 / studies)
    print(f"\nSeeds added by how close the last look was (up to 3 times): {100 * wrong / studies:.2f} % +- {bound:.2f}")


def main() -> None:
    """Print all tables."""
    arguments = parse_arguments()
    one_contrast(arguments.studies, arguments.seed)
    families(arguments.studies, arguments.seed)
    mixed(arguments.studies, arguments.seed)
    adaptive(arguments.studies, arguments.seed)
    chosen_by_looking(arguments.studies, arguments.seed)


if __name__ == "__main__":
    main()
