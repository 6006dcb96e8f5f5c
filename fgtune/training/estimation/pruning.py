"""Prunes an excess of clusters: components annihilated by message length, then pairs merged where one normal suffices.

Sources: Figueiredo and Jain (2002), "Unsupervised learning of finite mixture models", for the component-wise EM; the
pairwise test follows G-means (Hamerly and Elkan 2003) with BIC instead of its normality test.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from fgtune.arrays import FloatArray, IntArray

_VARIANCE_FLOOR = 1e-3
"""Smallest variance of a component, as a share of the mean variance of a coordinate."""
_MAX_SWEEPS = 200
_TOLERANCE = 1e-5
"""EM ends when a sweep changes the message length by less than this share."""
_PAIR_STEPS = 30
"""EM steps of two normals on an axis."""


class _Mixture:
    """Spherical Gaussians with a common variance on (m, d) points, fitted one component at a time."""

    def __init__(self, points: FloatArray, centers: FloatArray) -> None:
        self.points, self.centers = points, centers.copy()
        squares = ((points[:, None, :] - centers) ** 2).sum(axis=2)
        owner = squares.argmin(axis=1)
        self.weights = np.maximum(np.bincount(owner, minlength=len(centers)), 1) / len(points)
        self.weights /= self.weights.sum()
        self.floor = _VARIANCE_FLOOR * max(float(points.var(axis=0).mean()), np.finfo(np.float64).tiny)
        self.variance = max(float(squares.min(axis=1).mean()) / points.shape[1], self.floor)
        self.squares = squares  # (m, k)

    def joint(self) -> FloatArray:
        """(m, k) log of weight times density."""
        dim = self.points.shape[1]
        constant = np.log(self.weights) - dim / 2 * math.log(2 * math.pi * self.variance)
        joint: FloatArray = constant - self.squares / (2 * self.variance)
        return joint

    def responsibilities(self) -> FloatArray:
        joint = self.joint()
        shares = np.exp(joint - joint.max(axis=1, keepdims=True))
        normalized: FloatArray = shares / shares.sum(axis=1, keepdims=True)
        return normalized

    def message_length(self) -> float:
        """Figueiredo and Jain, equation 15; the parameters of a component are the d coordinates of its mean."""
        joint, count = self.joint(), len(self.points)
        top = joint.max(axis=1)
        likelihood = float((top + np.log(np.exp(joint - top[:, None]).sum(axis=1))).sum())
        dim, k = self.points.shape[1], len(self.weights)
        spread = dim / 2 * float(np.log(count * self.weights / 12).sum())
        return float(spread + k / 2 * math.log(count / 12) + k * (dim + 1) / 2 - likelihood)

    def remove(self, component: int) -> None:
        """Annihilate one component."""
        self.centers = np.delete(self.centers, component, axis=0)
        self.squares = np.delete(self.squares, component, axis=1)
        weights = np.delete(self.weights, component)
        self.weights = weights / weights.sum()

    def sweep(self) -> None:
        """Update every component in turn; remove those without support beyond half their parameters (equation 17)."""
        component = 0
        while component < len(self.weights):
            shares = self.responsibilities()
            support = np.maximum(shares.sum(axis=0) - self.points.shape[1] / 2, 0.0)
            if support[component] == 0 and len(self.weights) > 1:
                self.remove(component)
                continue
            if support[component] > 0:
                self.weights[component] = support[component] / support.sum()
                self.weights /= self.weights.sum()
            self.centers[component] = shares[:, component] @ self.points / shares[:, component].sum()
            self.squares[:, component] = ((self.points - self.centers[component]) ** 2).sum(axis=1)
            component += 1
        spread = float((self.responsibilities() * self.squares).sum()) / self.points.size
        self.variance = max(spread, self.floor)

    def settle(self) -> float:
        """Sweep until the message length converges; returns it."""
        before = math.inf
        for _ in range(_MAX_SWEEPS):
            self.sweep()
            length = self.message_length()
            if abs(before - length) < _TOLERANCE * abs(length):
                break
            before = length
        return length


def mixture_labels(points: FloatArray, centers: FloatArray) -> IntArray:
    """Components of the Gaussian mixture with the shortest message, out of at most ``len(centers)``.

    Starting from ``centers``, EM annihilates components without support; once it has converged, the smallest component
    is removed and EM continues, down to one component. The shortest message on the way wins.

    Args:
        points: (m, d) finite.
        centers: (k, d) initial means, k >= 1.

    Returns:
        (m,) int64 most probable component of each point; some components may have no point.
    """
    mixture = _Mixture(points, centers)
    shortest, labels = math.inf, np.zeros(len(points), dtype=np.int64)
    while True:
        length = mixture.settle()
        if length < shortest:
            shortest, labels = length, mixture.joint().argmax(axis=1).astype(np.int64)
        if len(mixture.weights) == 1:
            return labels
        mixture.remove(int(mixture.weights.argmin()))


def merge_redundant(points: FloatArray, labels: IntArray, axis_cost: float) -> IntArray:
    """Merge pairs of clusters, the clearest first, while one normal explains a pair better than two.

    On the axis between the means of a pair, two normals of equal variance have one mean and one weight more than one
    normal, and the axis was chosen to separate them. The pair stays apart if the gain in log-likelihood is at least
    (2 + axis_cost d) / 2 log n, the BIC with ``axis_cost`` parameters per dimension for that choice.

    Args:
        points: (m, d) finite.
        labels: (m,) clusters.
        axis_cost: At least 0; larger merges more.

    Returns:
        (m,) int64 labels 0 .. k-1.
    """
    groups = dict(enumerate(np.flatnonzero(labels == label) for label in np.unique(labels)))

    def surplus(first: int, second: int) -> float:
        """The gain of two normals over one, less their cost."""
        gain = split_gain(points[groups[first]], points[groups[second]])
        size = len(groups[first]) + len(groups[second])
        return float(gain - (2 + axis_cost * points.shape[1]) / 2 * math.log(size))

    surpluses = {pair: surplus(*pair) for pair in itertools.combinations(groups, 2)}
    made = len(groups)
    while surpluses:
        first, second = min(surpluses, key=lambda pair: surpluses[pair])
        if surpluses[first, second] >= 0:
            break
        groups[made] = np.concatenate([groups.pop(first), groups.pop(second)])
        surpluses = {pair: value for pair, value in surpluses.items() if not {first, second} & {*pair}}
        surpluses |= {(other, made): surplus(other, made) for other in groups if other != made}
        made += 1
    merged = np.empty(len(points), dtype=np.int64)
    for label, rows in enumerate(groups.values()):
        merged[rows] = label
    return merged


def split_gain(first: FloatArray, second: FloatArray) -> float:
    """Log-likelihood of two normals of equal variance, less that of one, on the axis between two clusters' means.

    Args:
        first: (a, d).
        second: (b, d).

    Returns:
        Infinite if the clusters are two single points; 0 if their means agree.
    """
    axis = second.mean(axis=0) - first.mean(axis=0)
    places = np.concatenate([first, second]) @ axis
    spread = float(places.std())
    if not axis.any() or spread == 0:
        return 0.0
    places = (places - places.mean()) / spread
    count, share = len(places), np.repeat([0.0, 1.0], [len(first), len(second)])
    mixed = -math.inf
    for _ in range(_PAIR_STEPS):
        weight = share.mean()
        if not 0 < weight < 1:
            return 0.0
        means = (1 - share) @ places / (count - share.sum()), share @ places / share.sum()
        variance = float((1 - share) @ (places - means[0]) ** 2 + share @ (places - means[1]) ** 2) / count
        if variance <= np.finfo(np.float64).eps:
            return math.inf
        low = math.log(1 - weight) - (places - means[0]) ** 2 / (2 * variance)
        high = math.log(weight) - (places - means[1]) ** 2 / (2 * variance)
        both = np.logaddexp(low, high)
        before, mixed = mixed, float(both.sum()) - count / 2 * math.log(variance)
        if mixed - before < 1e-6:
            break
        share = np.exp(high - both)
    return mixed + count / 2  # one normal of variance 1: -count / 2
