"""Whether ``fgtune power`` keeps what it tells: ranges of smallest differences and margins, and numbers of pairs.

    OMP_NUM_THREADS=1 python benchmarks/power.py --studies 20000

The differences of a study's pilot are normal with a known standard deviation; the study is then extended. The first
table asks how often the true smallest difference (and margin) lies below the upper end of the range that the pilot
gives, which is promised for 80 % of studies; the second, how often the advised number of pairs finds a difference of
the margin, or shows equivalence within it, at the level that the second look has. ``docs/statistics.md`` has the
figures.
"""

from __future__ import annotations

import argparse
import math

import numpy as np

from fgtune.analysis.verdicts.looks import kept_shares, nominal_levels, t_information
from fgtune.analysis.verdicts.power import (
    MOST_SEEDS,
    detectable_difference,
    equivalence_power,
    paired_power,
    sd_limit,
    seed_advice,
)
from fgtune.streams import numpy_stream

ALPHA, KEPT, CONTRASTS = 0.05, 0.2, 3
TESTS = {"difference": paired_power, "equivalence": equivalence_power}


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--studies", type=int, default=20_000, help="pilots of the first table; the second takes 1 in 50"
    )
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def second_level(pilot: int, pairs: int) -> float:
    """The level of the second look, which has so many pairs, in Holm's first step."""
    information = [t_information(pilot), t_information(pairs)]
    return nominal_levels(information, kept_shares(2, KEPT), ALPHA / CONTRASTS)[1]


def print_ranges(studies: int, seed: int) -> None:
    """How often the range holds the true smallest difference: it does where its end holds the standard deviation."""
    print("pilot  after  test         below the lower end is true in  below the upper end (promised 80 %)")
    for pilot in (3, 5, 10, 20):
        drawn = numpy_stream(seed, "ranges", pilot).standard_normal((studies, pilot)).std(axis=1, ddof=1)
        pairs, limit = 2 * pilot, sd_limit(1.0, pilot)
        for test, power_of in TESTS.items():
            truth = detectable_difference(1.0, pairs, second_level(pilot, pairs), power_of=power_of)
            low, high = (np.mean(truth <= truth * drawn * factor) for factor in (1.0, limit))
            print(f"{pilot:5d}  {pairs:5d}  {test:11s}  {low:30.1%}  {high:19.1%}")


def print_advice(studies: int, seed: int) -> None:
    """Power of the advised numbers of pairs, on average over pilots."""
    print("\npilot  margin  test         power at the low number  at the high number (promised 80 %)")
    for pilot in (5, 10, 20):
        stream = numpy_stream(seed, "advice", pilot)
        level = second_level(pilot, MOST_SEEDS)
        spreads = stream.standard_normal((studies, pilot)).std(axis=1, ddof=1)
        for margin in (0.4, 0.8):
            for test, power_of in TESTS.items():
                reached = np.zeros(2)
                for spread in spreads.tolist():
                    advice = seed_advice(spread, pilot, margin, level, power_of=power_of)
                    for place, pairs in enumerate((advice.low, advice.high)):
                        n = max(pairs or MOST_SEEDS, pilot + 1)  # a number below the pilot's is no extension
                        reached[place] += float(power_of(np.array(margin), n, second_level(pilot, n)))
                low, high = reached / studies
                print(f"{pilot:5d}  {margin:6.1f}  {test:11s}  {low:23.1%}  {high:18.1%}")


def main() -> None:
    """Print both tables."""
    arguments = parse_arguments()
    print_ranges(arguments.studies, arguments.seed)
    print_advice(math.ceil(arguments.studies / 50), arguments.seed)


if __name__ == "__main__":
    main()
