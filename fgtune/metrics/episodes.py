"""Few-shot classification on frozen features: n-way k-shot episodes with the nearest class mean.

Source: the evaluation of FIERCE (arXiv 2208.03684; 5 ways, 1 and 5 shots, 15 queries, 10,000 episodes, Euclidean
distance), which is that of prototypical networks (Snell et al. 2017) without training on episodes.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from fgtune.arrays import FloatArray, IntArray
from fgtune.metrics.checks import integers, reals, same_length

_BLOCK_NUMBERS = 1 << 22
"""Feature values gathered at once (32 MiB in float64)."""

UNKNOWN = -1
"""Label of a sample that is left out."""


def episodes(
    features: npt.ArrayLike,
    labels: npt.ArrayLike,
    ways: int,
    shots: int,
    queries: int,
    num_episodes: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Accuracy of each of ``num_episodes`` episodes.

    An episode draws ``ways`` classes, and from each ``shots`` support and ``queries`` query samples, all without
    replacement. A query is assigned to the class with the nearest mean of support features (Euclidean; ties are broken
    by the random order of the classes, which favours none).

    Args:
        features: (n, d) finite.
        labels: (n,) fine classes, -1 for a sample that is left out.
        ways: Classes per episode, at least 2.
        shots: Support samples per class, at least 1.
        queries: Query samples per class, at least 1.
        num_episodes: At least 1.
        rng: Draws classes and samples.

    Returns:
        (num_episodes,) float64 in [0, 1]; empty if fewer than ``ways`` classes have ``shots + queries`` samples.

    Raises:
        ValueError: Another type, shape or range.
        TrialError: NaN or infinity in the features.

    Example:
        >>> features, labels = [[0.0], [0.1], [0.2], [1.0], [1.1], [1.2]], [0, 0, 0, 1, 1, 1]
        >>> rng = np.random.default_rng(0)
        >>> episodes(features, labels, ways=2, shots=1, queries=2, num_episodes=2, rng=rng).tolist()
        [1.0, 1.0]
    """
    least = {"ways": (ways, 2), "shots": (shots, 1), "queries": (queries, 1), "num_episodes": (num_episodes, 1)}
    for name, (number, low) in least.items():
        if number < low:
            raise ValueError(f"{name} must be >= {low}, got {number}")
    values = reals(features, "features")
    classes = integers(labels, "labels", (1,), UNKNOWN)
    same_length(len(values), len(classes), "features and labels")
    values = values - values.mean(axis=0) if len(values) else values  # the same distances with less rounding
    by_class = np.argsort(classes, kind="stable")
    found, starts, sizes = np.unique(classes[by_class], return_index=True, return_counts=True)
    eligible = (found != UNKNOWN) & (sizes >= shots + queries)
    starts, sizes = starts[eligible], sizes[eligible]
    if len(sizes) < ways:
        return np.empty(0)
    accuracies = np.empty(num_episodes)
    step = max(1, _BLOCK_NUMBERS // (ways * (shots + queries) * values.shape[1]))
    for start in range(0, num_episodes, step):
        block = min(step, num_episodes - start)
        chosen = _subsets(np.full(block, len(sizes), dtype=np.int64), ways, rng)  # (block, ways)
        drawn = starts[chosen][..., None] + _subsets(sizes[chosen], shots + queries, rng)
        accuracies[start : start + block] = _accuracies(values[by_class[drawn]], shots)
    return accuracies


def _subsets(sizes: IntArray, count: int, rng: np.random.Generator) -> IntArray:
    """For each n in ``sizes`` (...), ``count`` distinct integers in [0, n) in random order, (..., count) int64.

    Floyd's algorithm, vectorised, so the cost does not grow with n. It makes every subset equally likely, but not
    every order of it; hence the shuffle.
    """
    drawn = np.empty((*sizes.shape, count), dtype=np.int64)
    for place in range(count):
        last = sizes - count + place
        pick = rng.integers(0, last + 1)
        taken = (drawn[..., :place] == pick[..., None]).any(axis=-1)
        drawn[..., place] = np.where(taken, last, pick)
    return rng.permuted(drawn, axis=-1)


def _accuracies(samples: FloatArray, shots: int) -> FloatArray:
    """Accuracy of each episode; ``samples`` are (episodes, ways, shots + queries, d), support first."""
    num_episodes, ways, _, dim = samples.shape
    means = samples[:, :, :shots].mean(axis=2)  # (E, ways, d)
    queries = samples[:, :, shots:].reshape(num_episodes, -1, dim)  # (E, ways * queries, d)
    # |q - m|^2 without |q|^2, which is the same for all means
    distances = np.square(means).sum(axis=2)[:, None, :] - 2.0 * (queries @ means.transpose(0, 2, 1))
    truth = np.repeat(np.arange(ways), queries.shape[1] // ways)
    accuracies: FloatArray = (distances.argmin(axis=2) == truth).mean(axis=1)
    return accuracies


def mean_interval(values: npt.ArrayLike, level: float = 0.95) -> tuple[float, float, float]:
    """Mean of episode accuracies and its Student-t interval, clipped to [0, 1].

    The interval covers only the draw of episodes: it narrows with more episodes, whatever the number of samples.

    Args:
        values: (E,) accuracies in [0, 1].
        level: Coverage, in (0, 1).

    Returns:
        Mean, lower and upper end; all nan without values, the ends nan with a single value.

    Example:
        >>> [round(end, 3) for end in mean_interval([0.4, 0.5, 0.6])]
        [0.5, 0.252, 0.748]
    """
    accuracies = np.asarray(values, dtype=np.float64)
    if accuracies.size == 0:
        return math.nan, math.nan, math.nan
    mean = float(accuracies.mean())
    if accuracies.size == 1:
        return mean, math.nan, math.nan
    quantile = stdtrit(accuracies.size - 1, (1 + level) / 2)
    half = float(quantile * accuracies.std(ddof=1) / math.sqrt(accuracies.size))
    return mean, max(mean - half, 0.0), min(mean + half, 1.0)
