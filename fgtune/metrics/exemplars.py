"""Which samples stand for a class: its medoid, the clearest and the most doubtful ones, and what tells it apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fgtune.arrays import AnyArray, Float32Array, FloatArray, IntArray
from fgtune.metrics.coarse import allowed_classes
from fgtune.streams import drawn_rows

MOST_FOR_MEDOID = 1000
"""Members of a class among which its medoid is looked for, unless told otherwise."""


@dataclass(frozen=True)
class Assignment:
    """The fine class of every sample, restricted to its coarse label.

    Attributes:
        fine: (N,) class of the model.
        confidence: (N,) its probability among the classes that the coarse label allows.
        margin: (N,) how much likelier it is than the second choice, as a difference of logarithms; inf without one.
        second: (N,) second choice, -1 for none.
    """

    fine: IntArray
    confidence: FloatArray
    margin: FloatArray
    second: IntArray


def assign(log_probs: Float32Array, fine_to_coarse: IntArray, coarse: IntArray) -> Assignment:
    """First and second choice of every sample.

    Args:
        log_probs: (N, K_F) logarithms of probabilities, up to a constant a sample.
        fine_to_coarse: (sources, K_F) parents.
        coarse: (N, sources) labels, -1 for none.

    Example:
        >>> probs = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]], dtype=np.float32)
        >>> found = assign(np.log(probs), np.array([[0, 0, 1]]), np.array([[0], [-1]]))
        >>> found.fine.tolist(), found.second.tolist(), found.confidence.round(3).tolist()
        ([0, 0], [1, 1], [0.625, 0.5])
    """
    allowed = allowed_classes(fine_to_coarse, coarse)
    scores = np.where(allowed, log_probs.astype(np.float64), -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")
    fine = order[:, 0].astype(np.int64)
    rows = np.arange(len(scores))
    top = scores[rows, fine]
    weights = np.exp(scores - top[:, None])
    confidence = 1.0 / weights.sum(axis=1)
    if scores.shape[1] < 2:
        return Assignment(fine, confidence, np.full(len(fine), np.inf), np.full(len(fine), -1, dtype=np.int64))
    second = order[:, 1].astype(np.int64)
    there = np.isfinite(scores[rows, second])
    margin = np.where(there, top - np.where(there, scores[rows, second], 0.0), np.inf)
    return Assignment(fine, confidence, margin, np.where(there, second, -1))


@dataclass(frozen=True)
class FeatureDifference:
    """A feature that distinguishes a class from the rest of its coarse class.

    Attributes:
        name: The feature.
        inside: Its mean in the class, in the units of the data.
        outside: Its mean in the rest of the coarse class.
        effect: Their difference in standard deviations within the two.
    """

    name: str
    inside: float
    outside: float
    effect: float


def owner_of(labels: IntArray, parent: int) -> int:
    """The coarse class that a fine class lies in.

    Args:
        labels: (n,) coarse labels of its samples, -1 for none.
        parent: Its learned parent, for a class none of whose samples has a label.

    Example:
        >>> owner_of(np.array([2, 2, 0, -1]), parent=1), owner_of(np.array([-1]), parent=1)
        (2, 1)
    """
    known = labels[labels >= 0]
    return int(np.bincount(known).argmax()) if len(known) else int(parent)


def medoid(members: IntArray, points: AnyArray, most: int = MOST_FOR_MEDOID) -> int:
    """The member with the smallest mean distance to the others (to a sample of them in a large class).

    Args:
        members: Rows of the class, at least one.
        points: (N, d) all samples.
        most: Members among which it is looked for.

    Example:
        >>> medoid(np.array([0, 1, 3]), np.array([[0.0], [1.0], [50.0], [5.0]]))
        1
    """
    drawn = members[drawn_rows(len(members), most, 0, "medoid")]
    own = points[drawn]
    squares = (own**2).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * own @ own.T, 0.0))
    return int(drawn[distances.mean(axis=1).argmin()])


def most_confident(members: IntArray, margin: FloatArray, points: AnyArray, middle: int) -> IntArray:
    """The members from the clearest on; of those that are equally clear, the ones nearest to the middle come first.

    Args:
        members: Rows of the class.
        margin: (N,) how much likelier its class is than the second choice, of every sample.
        points: (N, d) all samples.
        middle: Row of the medoid.

    Example:
        >>> points = np.array([[0.0], [3.0], [1.0]])
        >>> most_confident(np.arange(3), np.array([1.0, 2.0, 2.0]), points, middle=0).tolist()
        [2, 1, 0]
    """
    distance = ((points[members] - points[middle]) ** 2).sum(axis=1)
    found: IntArray = members[np.lexsort((distance, -margin[members]))]
    return found


def most_doubtful(members: IntArray, margin: FloatArray) -> IntArray:
    """The members from the most doubtful on; arguments as in ``most_confident``.

    Example:
        >>> most_doubtful(np.arange(3), np.array([1.0, 2.0, 0.5])).tolist()
        [2, 0, 1]
    """
    found: IntArray = members[np.argsort(-margin[members], kind="stable")][::-1]
    return found


def feature_differences(
    values: AnyArray,
    members: IntArray,
    others: IntArray,
    names: Sequence[str],
    most: int,
    widest: float | None = None,
) -> tuple[FeatureDifference, ...]:
    """The features by which a class differs most from the rest of its coarse class.

    Args:
        values: (N, features) finite, of all samples.
        members: Rows of the class.
        others: Rows of the rest of its coarse class; without any there is nothing to tell it from.
        names: Of the features.
        most: Largest number of features.
        widest: The largest variance of a feature, where it is known already; it takes longer than all else here.

    Example:
        >>> values = np.array([[1.0, 5.0], [3.0, 5.0], [7.0, 5.0], [9.0, 5.0]])
        >>> feature_differences(values, np.array([0, 1]), np.array([2, 3]), ("height", "width"), most=2)
        (FeatureDifference(name='height', inside=2.0, outside=8.0, effect=-6.0),)
    """
    if not len(others):
        return ()
    inside, outside = values[members], values[others]
    difference = inside.mean(axis=0) - outside.mean(axis=0)
    within = (inside.var(axis=0) * len(members) + outside.var(axis=0) * len(others)) / (len(members) + len(others))
    floor = 1e-12 * max(float(values.var(axis=0).max()) if widest is None else widest, 1e-300)
    effect = np.clip(difference / np.sqrt(np.maximum(within, floor)), -99.0, 99.0)
    order = np.argsort(-np.abs(effect), kind="stable")[:most]
    return tuple(
        FeatureDifference(
            names[column], float(inside[:, column].mean()), float(outside[:, column].mean()), float(effect[column])
        )
        for column in order.tolist()
        if effect[column] != 0
    )
