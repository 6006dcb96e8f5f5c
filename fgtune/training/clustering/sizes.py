"""How many fine classes, or clusters, each coarse class gets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fgtune.arrays import Float32Array, IntArray
from fgtune.config.schema.classes import RelationsConfig
from fgtune.data.splits import apportion
from fgtune.errors import TrialError
from fgtune.relations.initial import random_balanced
from fgtune.streams import derive_seed, numpy_stream
from fgtune.training.clustering.fits import fit_kmeans
from fgtune.training.clustering.rules import FloatMatrix

_RESTARTS = 3
"""Of k-means for the sizes of the relations: sums of squares need not be the very smallest."""


def grown_sizes(parts: Sequence[npt.NDArray[np.floating]], num_fine: int, restarts: int, seed: int) -> list[int]:
    """The number of clusters that ``grown_clusters`` gives each part.

    Example:
        >>> grown_sizes([np.array([[0.0], [0.1], [9.0], [9.1]]), np.array([[4.0], [4.1]])], 3, restarts=2, seed=0)
        [2, 1]
    """
    return [len(centers) for centers in grown_clusters(parts, num_fine, restarts, seed)]


def grown_clusters(
    parts: Sequence[npt.NDArray[np.floating]], num_fine: int, restarts: int, seed: int
) -> list[FloatMatrix]:
    """Give each part one cluster, then each further cluster where it lowers the sum of squares most.

    Args:
        parts: For each coarse class, (n, d) points, n >= 1.
        num_fine: Clusters in all, at least one a part.
        restarts: Of each k-means.
        seed: Seed of the restarts.

    Returns:
        The centres (clusters, d) of each part.

    Raises:
        TrialError: There are fewer points than clusters.
    """
    fits = [[fit_kmeans(part, 1, restarts, seed)] for part in parts]
    sizes = [1] * len(parts)
    for _ in range(num_fine - len(parts)):
        for part, fit, size in zip(parts, fits, sizes, strict=True):
            if len(fit) == size and len(part) > size:
                fit.append(fit_kmeans(part, size + 1, restarts, seed))
        gains = [
            fit[size - 1][0] - fit[size][0] if len(fit) > size else -np.inf
            for fit, size in zip(fits, sizes, strict=True)
        ]
        best = int(np.argmax(gains))
        if gains[best] == -np.inf:
            raise TrialError(f"{num_fine} clusters need as many training samples with a coarse label")
        sizes[best] += 1
    return [fit[size - 1][1] for fit, size in zip(fits, sizes, strict=True)]


def relations_sizes(
    config: RelationsConfig,
    features: Float32Array | None,
    coarse: IntArray,
    num_coarse: tuple[int, ...],
    num_fine: int,
    seed: int,
    *,
    exact: bool = False,
) -> tuple[IntArray, ...] | None:
    """The number of fine classes that each coarse class of each source starts with, as ``relations.sizes`` says.

    Args:
        config: Which rule.
        features: (n, d) of the training samples; needed only by ``sizes: variance``.
        coarse: (n, sources) coarse labels, -1 for none.
        num_coarse: K_C of each source.
        num_fine: K_F.
        seed: Seed of k-means, and of which classes are larger by one where equal sizes leave a remainder.
        exact: Equal sizes are to hold from the first step on, when clusters are made for them; published FALCON starts
            from a random affinity, whose solution is unequal at first.

    Returns:
        For each source, (K_C,) int64, at least 1 each, summing to K_F; None if all are to be equal, unless ``exact``.

    Raises:
        TrialError: Sizes given as numbers do not fit the data, or there are fewer samples than fine classes.
    """
    if config.sizes == "balanced":
        return tuple(_equal(k, num_fine, numpy_stream(seed, "sizes", k)) for k in num_coarse) if exact else None
    if isinstance(config.sizes, tuple):
        return (_given(config.sizes, num_coarse, num_fine),)
    if config.sizes == "coarse_shares":
        return tuple(
            apportion(np.maximum(_counts(labels, number), 1e-9), num_fine)
            for labels, number in zip(coarse.T, num_coarse, strict=True)
        )
    if features is None:
        raise ValueError("sizes by variance need features")
    return tuple(
        _by_variance(features, labels, number, num_fine, derive_seed(seed, "sizes", source))
        for source, (labels, number) in enumerate(zip(coarse.T, num_coarse, strict=True))
    )


def _equal(num_coarse: int, num_fine: int, rng: np.random.Generator) -> IntArray:
    sizes = np.bincount(random_balanced(num_fine, num_coarse, rng), minlength=num_coarse)
    return sizes.astype(np.int64)


def _given(sizes: Sequence[int], num_coarse: tuple[int, ...], num_fine: int) -> IntArray:
    if len(num_coarse) != 1 or len(sizes) != num_coarse[0] or sum(sizes) != num_fine:
        raise TrialError(
            f"relations.sizes needs one number per coarse class ({num_coarse[0]}, in one source), summing to K_F = "
            f"{num_fine}; it has {len(sizes)}, summing to {sum(sizes)}"
        )
    return np.asarray(sizes, dtype=np.int64)


def _by_variance(features: Float32Array, labels: IntArray, num_coarse: int, num_fine: int, seed: int) -> IntArray:
    """A coarse class without samples gets one fine class."""
    present = np.unique(labels[labels >= 0])
    sizes = np.ones(num_coarse, dtype=np.int64)
    left = num_fine - (num_coarse - len(present))
    sizes[present] = grown_sizes([features[labels == label] for label in present], left, _RESTARTS, seed)
    return sizes


def _counts(labels: IntArray, num_coarse: int) -> IntArray:
    counted: IntArray = np.bincount(labels[labels >= 0], minlength=num_coarse)
    return counted
