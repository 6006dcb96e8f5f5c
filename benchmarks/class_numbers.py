"""How often the numbers of fine classes that a study leaves hold the one whose seeds truly agree most.

    OMP_NUM_THREADS=1 python benchmarks/class_numbers.py --studies 2000

Draws tables of agreement between seeds for several K_F, each pair the sum of a mean, a part of either seed, and noise,
and applies ``find_peak``. Prints, for each shape of the curve and number of seeds, the share of studies that keep the
true peak, that choose it, and the mean share of the numbers that are kept.
"""

from __future__ import annotations

import argparse

import numpy as np

from fgtune.analysis.agreement import pseudo_values
from fgtune.analysis.class_numbers import find_peak

CURVES: dict[str, dict[int, float]] = {
    "peak": {6: 0.40, 8: 0.55, 10: 0.80, 12: 0.70, 14: 0.65, 17: 0.60},
    "flat top": {6: 0.48, 8: 0.54, 10: 0.560, 12: 0.555, 14: 0.55, 17: 0.45},
    "all alike": {6: 0.60, 8: 0.60, 10: 0.60, 12: 0.60, 14: 0.60, 17: 0.60},
}
"""True agreement by K_F; the peak is at 10, also where all are alike."""
PEAK = 10


def draw(means: dict[int, float], seeds: int, noise: float, rng: np.random.Generator) -> dict[int, dict[int, float]]:
    """Pseudo-values by seed for every K_F of one study."""
    found = {}
    for size, mean in means.items():
        own, rest = rng.normal(0, noise, seeds), rng.normal(0, noise, (seeds, seeds))
        table = mean + own[:, None] + own + (rest + rest.T) / 2
        found[size] = dict(enumerate(pseudo_values(table).tolist()))
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--noise", type=float, default=0.03)
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 5, 10])
    arguments = parser.parse_args()
    print("| curve | seeds | peak kept | peak chosen | share of numbers kept |\n|---|---|---|---|---|")
    for name, means in CURVES.items():
        for seeds in arguments.seeds:
            rng = np.random.default_rng([seeds, arguments.studies])
            peaks = [find_peak(draw(means, seeds, arguments.noise, rng), 0.05) for _ in range(arguments.studies)]
            kept = np.mean([PEAK in peak.left for peak in peaks])
            chosen = np.mean([peak.best == PEAK for peak in peaks])
            share = np.mean([len(peak.left) / len(means) for peak in peaks])
            print(f"| {name} | {seeds} | {100 * kept:.1f} % | {100 * chosen:.0f} % | {100 * share:.0f} % |", flush=True)


if __name__ == "__main__":
    main()
