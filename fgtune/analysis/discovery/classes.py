"""The fine classes one by one: members, medoid, confident and doubtful samples, features, and whether runs agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fgtune.arrays import Float32Array, FloatArray, IntArray
from fgtune.metrics.coarse import allowed_classes
from fgtune.metrics.recovery import RECOVERED, best_jaccard
from fgtune.streams import numpy_stream

SHOWN_SAMPLES, SHOWN_FEATURES = 5, 5
MOST_FOR_MEDOID = 1000
"""Members of a class among which its medoid is looked for."""


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


@dataclass(frozen=True)
class FineClass:
    """A fine class.

    Attributes:
        number: Its number in the model.
        name: What the page calls it: coarse class and rank by size.
        parent: Coarse class of its samples.
        size: Number of samples.
        share: Of the samples of its coarse class.
        confidence: Mean confidence of its samples.
        medoid: Row of the sample in its middle.
        confident: Rows of the samples that belong to it most clearly.
        doubtful: Rows of those that are closest to another class; empty where the coarse class has no other.
        recovered: Similarity of the class that is most like it in each other run.
        features: What sets it apart; empty where it is its whole coarse class, or inputs are pixels.
    """

    number: int
    name: str
    parent: str
    size: int
    share: float
    confidence: float
    medoid: int
    confident: tuple[int, ...]
    doubtful: tuple[int, ...]
    recovered: tuple[float, ...]
    features: tuple[FeatureDifference, ...]

    @property
    def found_again(self) -> int:
        """In how many of the other runs it was found again."""
        return sum(value >= RECOVERED for value in self.recovered)


@dataclass(frozen=True)
class Described:
    """What classes are described by.

    Attributes:
        points: (N, d) samples in a space in which distances mean something.
        coarse: (N,) coarse labels, -1 for none.
        coarse_names: Names of the coarse classes.
        runs: (N,) fine classes of each other run, -1 for none.
        values: (N, features) in the units of the data; None for pixels.
        features: Names of the features.
    """

    points: FloatArray
    coarse: IntArray
    coarse_names: Sequence[str]
    runs: Mapping[int, IntArray]
    values: FloatArray | None
    features: Sequence[str]


def describe_classes(found: Assignment, about: Described, parents: IntArray) -> tuple[FineClass, ...]:
    """Every fine class that has samples, by coarse class and size.

    Args:
        found: Fine classes of all samples.
        about: The samples.
        parents: (K_F,) learned parent of each class, for classes of samples without a coarse label.
    """
    num_fine = len(parents)
    recovered = [best_jaccard(found.fine, other, num_fine) for other in about.runs.values()]
    sizes = np.bincount(found.fine, minlength=num_fine)
    owner = np.array([_owner(about.coarse[found.fine == number], parents[number]) for number in range(num_fine)])
    classes = []
    for parent, name in enumerate(about.coarse_names):
        own = np.flatnonzero((owner == parent) & (sizes > 0))
        own = own[np.argsort(-sizes[own], kind="stable")]
        for rank, number in enumerate(own.tolist(), 1):
            similar = tuple(float(values[number]) for values in recovered)
            label = f"{name} {rank}" if len(own) > 1 else name
            classes.append(_class(number, label, parent, found, about, similar))
    return tuple(classes)


def _owner(labels: IntArray, parent: int) -> int:
    known = labels[labels >= 0]
    return int(np.bincount(known).argmax()) if len(known) else int(parent)


def _class(
    number: int, name: str, parent: int, found: Assignment, about: Described, recovered: tuple[float, ...]
) -> FineClass:
    members = np.flatnonzero(found.fine == number)
    siblings = np.flatnonzero((about.coarse == parent) & (found.fine != number))
    clear = members[np.argsort(-found.margin[members], kind="stable")]
    medoid = _medoid(members, about.points)
    return FineClass(
        number=number,
        name=name,
        parent=about.coarse_names[parent],
        size=len(members),
        share=len(members) / max(1, len(members) + len(siblings)),
        confidence=float(found.confidence[members].mean()),
        medoid=medoid,
        confident=tuple(_most_confident(members, found, about.points[medoid], about.points)),
        doubtful=tuple(clear[::-1][:SHOWN_SAMPLES].tolist()) if len(siblings) else (),
        recovered=recovered,
        features=_features(members, siblings, about),
    )


def _most_confident(members: IntArray, found: Assignment, middle: FloatArray, points: FloatArray) -> list[int]:
    """The clearest members, of those that are equally clear the ones nearest to the middle."""
    distance = ((points[members] - middle) ** 2).sum(axis=1)
    order = np.lexsort((distance, -found.margin[members]))
    return [int(row) for row in members[order][:SHOWN_SAMPLES]]


def _medoid(members: IntArray, points: FloatArray) -> int:
    """The member with the smallest mean distance to the others (to a sample of them in a large class)."""
    drawn = members
    if len(members) > MOST_FOR_MEDOID:
        drawn = np.sort(numpy_stream(0, "medoid").permutation(members)[:MOST_FOR_MEDOID])
    own = points[drawn]
    squares = (own**2).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * own @ own.T, 0.0))
    return int(drawn[distances.mean(axis=1).argmin()])


def _features(members: IntArray, siblings: IntArray, about: Described) -> tuple[FeatureDifference, ...]:
    if about.values is None or not len(siblings):
        return ()
    inside, outside = about.values[members], about.values[siblings]
    difference = inside.mean(axis=0) - outside.mean(axis=0)
    within = (inside.var(axis=0) * len(members) + outside.var(axis=0) * len(siblings)) / (len(members) + len(siblings))
    floor = 1e-12 * max(float(about.values.var(axis=0).max()), 1e-300)
    effect = difference / np.sqrt(np.maximum(within, floor))
    effect = np.clip(effect, -99.0, 99.0)
    order = np.argsort(-np.abs(effect), kind="stable")[:SHOWN_FEATURES]
    return tuple(
        FeatureDifference(
            about.features[column],
            float(inside[:, column].mean()),
            float(outside[:, column].mean()),
            float(effect[column]),
        )
        for column in order.tolist()
        if effect[column] != 0
    )
