"""How often the numbers of fine classes that a study leaves hold the one whose seeds truly agree most.

    OMP_NUM_THREADS=1 python benchmarks/class_numbers.py --studies 2000

Draws tables of agreement between seeds for several K_F, each pair the sum of a mean, a part of either seed, and noise,
and applies ``find_peak``. Prints, for each shape of the curve and number of seeds, the share of studies that keep the
true peak, that choose it, and the mean share of the numbers that are kept.

    OMP_NUM_THREADS=1 python benchmarks/class_numbers.py --folder reports/num_fine_many_sets

Reads a finished study over K_F in place of this, and prints for each of its data sets what each criterion chooses, what
that loses in the primary metric, and how often fewer seeds choose a number within 10 % of the truth.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np

from fgtune.analysis.agreement import pseudo_values
from fgtune.analysis.class_numbers import NumberChoice, choose_numbers, find_peak
from fgtune.analysis.inputs import StudyData, read_study
from fgtune.results.folder import StudyFolder

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


def of_seeds(data: StudyData, seeds: tuple[int, ...]) -> tuple[NumberChoice, ...]:
    """What the study says with some of its seeds."""
    planned = tuple(cell for cell in data.planned if cell.seed in seeds)
    known = {cell.cell_id for cell in planned}
    return choose_numbers(replace(data, planned=planned, results={k: v for k, v in data.results.items() if k in known}))


def is_near(size: int, truth: int | None) -> bool:
    """Whether a number is within 10 % of the truth."""
    return truth is not None and abs(size - truth) <= 0.1 * truth


def lost_elsewhere(data: StudyData, arm: str, whole: NumberChoice, seeds: tuple[int, ...]) -> float:
    """What an arm loses, on seeds that had no part in choosing it, against the number that is best on all seeds."""
    best = next(point.arm for point in whole.points if point.num_fine == whole.best)
    mine, theirs = (data.values(each, data.study.metrics.primary) for each in (arm, best))
    return float(np.mean([theirs[seed] - mine[seed] for seed in mine.keys() & theirs.keys() - {*seeds}]))


def judge(folder: Path) -> None:
    """Print what each criterion chooses on each data set of a study."""
    data = read_study(StudyFolder(folder))
    seeds = sorted({cell.seed for cell in data.planned})
    primary = data.study.metrics.primary
    print("| data | K_F* | criterion | chosen | lost |\n|---|---|---|---|---|")
    shares: dict[str, list[float]] = {}
    losses: dict[str, list[float]] = {}
    for choice in choose_numbers(data):
        values = {each.num_fine: each.estimates[primary].mean for each in choice.points}
        best = max(values.values())
        for name in choice.chosen.estimates:
            size = max(choice.points, key=lambda each: each.estimates[name].mean).num_fine
            shares.setdefault(name, []).append(is_near(size, choice.truth))
            losses.setdefault(name, []).append(best - values[size])
            print(f"| {choice.dataset} | {choice.truth} | {name} | {size} | {best - values[size]:.3f} |")
        near = [is_near(size, choice.truth) for size in values]
        found = {"a random number": (float(np.mean(near)), best - float(np.mean([*values.values()])))}
        if choice.truth in values:
            found["the true number"] = (1.0, best - values[choice.truth])
        for name, (share, lost) in found.items():
            shares.setdefault(name, []).append(share)
            losses.setdefault(name, []).append(lost)
        print(f"| {choice.dataset} | {choice.truth} | not shown to agree less | {choice.peak.left} | |")
    for name, each in losses.items():
        print(f"{name}: within 10 % on {sum(shares[name]):.1f} of {len(each)}, mean loss {np.mean(each):.3f}")
    whole = {choice.dataset: choice for choice in choose_numbers(data)}
    for number in range(2, len(seeds) + 1):
        parts = [*itertools.combinations(seeds, number)]
        studies = [of_seeds(data, some) for some in parts]
        hits = [sum(is_near(each.peak.best, each.truth) for each in choices) for choices in studies]
        lost = np.mean([each.lost for choices in studies for each in choices])
        left = np.mean([len(each.peak.left) / len(each.points) for choices in studies for each in choices])
        told = f"within 10 % on {np.mean(hits):.1f} ({min(hits)} to {max(hits)}), mean loss {lost:.3f}"
        if number < len(seeds):
            others = [
                lost_elsewhere(data, each.chosen.arm, whole[each.dataset], some)
                for some, choices in zip(parts, studies, strict=True)
                for each in choices
            ]
            told += f", {np.mean(others):.3f} on the other seeds"
        print(f"{number} seeds: {told}, share of numbers left {left:.2f}")


def main() -> None:
    """Print the table, or what a folder says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--noise", type=float, default=0.03)
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 5, 10])
    parser.add_argument("--folder", type=Path, help="a finished study over K_F, alone or on several data sets")
    arguments = parser.parse_args()
    if arguments.folder is not None:
        judge(arguments.folder)
        return
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
