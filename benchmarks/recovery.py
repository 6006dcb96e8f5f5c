"""Whether "found again" tells classes that are there from cuts that are not, with planted truth.

``python benchmarks/recovery.py`` simulates; about a minute on one core.
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.cluster.vq import kmeans2

from fgtune.metrics.recovery import RECOVERED, best_jaccard

OTHERS = 4
"""Runs in which a class of a fifth is looked for."""


def noisy(rng: np.random.Generator, wrong: float, size: int, rest: int) -> np.ndarray:
    """One class of which a share is put elsewhere, beside two halves of the rest that every run cuts anew."""
    first = np.where(rng.random(size) < wrong, 1, 0)
    return np.concatenate([first, (rng.random(rest) < 0.5).astype(int) + 1])


def planted(rng: np.random.Generator, studies: int) -> None:
    """A class that each run finds but for a share of its members, and arbitrary cuts beside it."""
    print("share put elsewhere, samples | class found again in all, in most of 4 runs | arbitrary cut in most")
    for wrong in (0.0, 0.05, 0.1, 0.15, 0.2):
        for size in (20, 100):
            found = np.empty((studies, OTHERS, 3))
            for study in range(studies):
                own = noisy(rng, wrong, size, 2 * size)
                for run in range(OTHERS):
                    found[study, run] = best_jaccard(own, noisy(rng, wrong, size, 2 * size), 3)
            again = (found >= RECOVERED).sum(axis=1)
            shares = (
                (again[:, 0] == OTHERS).mean(),
                (again[:, 0] > OTHERS / 2).mean(),
                (again[:, 1] > OTHERS / 2).mean(),
            )
            print(f"{wrong:4.0%} {size:4d} | {shares[0]:6.1%} {shares[1]:6.1%} | {shares[2]:6.1%}")


def cut(rng: np.random.Generator, points: np.ndarray, kept: np.ndarray, clusters: int) -> np.ndarray:
    """All points by k-means of a part of them, the best of five starts."""
    fits = [kmeans2(points[kept], clusters, seed=rng, minit="++") for _ in range(5)]
    best = min(fits, key=lambda fit: ((points[kept] - fit[0][fit[1]]) ** 2).sum())[0]
    return ((points[:, None] - best) ** 2).sum(axis=2).argmin(axis=1)


def clouds(rng: np.random.Generator, studies: int) -> None:
    """One normal cloud, which holds no classes, cut by k-means of four fifths of it in each run."""
    print("\nlength to width of one normal cloud of 300, clusters | cuts found again in most of 4 runs")
    for ratio in (1.0, 1.5, 2.0, 4.0):
        for clusters in (2, 3):
            again = []
            for _ in range(studies):
                points = rng.normal(size=(300, 2)) * [ratio, 1.0]
                runs = [cut(rng, points, rng.permutation(300)[:240], clusters) for _ in range(OTHERS + 1)]
                similar = np.array([best_jaccard(runs[0], other, clusters) for other in runs[1:]])
                again.append(((similar >= RECOVERED).sum(axis=0) > OTHERS / 2).mean())
            print(f"{ratio:4.1f} {clusters} | {np.mean(again):6.1%}")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=500)
    studies = parser.parse_args().studies
    rng = np.random.default_rng(0)
    planted(rng, studies)
    clouds(rng, max(20, studies // 5))


if __name__ == "__main__":
    main()
