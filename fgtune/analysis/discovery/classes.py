"""The fine classes one by one: members, medoid, confident and doubtful samples, features, and whether runs agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fgtune.arrays import FloatArray, IntArray
from fgtune.metrics.exemplars import (
    Assignment,
    FeatureDifference,
    feature_differences,
    medoid,
    most_confident,
    most_doubtful,
    owner_of,
)
from fgtune.metrics.recovery import RECOVERED, best_jaccard

SHOWN_SAMPLES, SHOWN_FEATURES = 5, 5


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
    owner = np.array([owner_of(about.coarse[found.fine == number], parents[number]) for number in range(num_fine)])
    classes = []
    for parent, name in enumerate(about.coarse_names):
        own = np.flatnonzero((owner == parent) & (sizes > 0))
        own = own[np.argsort(-sizes[own], kind="stable")]
        for rank, number in enumerate(own.tolist(), 1):
            similar = tuple(float(values[number]) for values in recovered)
            label = f"{name} {rank}" if len(own) > 1 else name
            classes.append(_class(number, label, parent, found, about, similar))
    return tuple(classes)


def _class(
    number: int, name: str, parent: int, found: Assignment, about: Described, recovered: tuple[float, ...]
) -> FineClass:
    members = np.flatnonzero(found.fine == number)
    siblings = np.flatnonzero((about.coarse == parent) & (found.fine != number))
    middle = medoid(members, about.points)
    return FineClass(
        number=number,
        name=name,
        parent=about.coarse_names[parent],
        size=len(members),
        share=len(members) / max(1, len(members) + len(siblings)),
        confidence=float(found.confidence[members].mean()),
        medoid=middle,
        confident=tuple(most_confident(members, found.margin, about.points, middle)[:SHOWN_SAMPLES].tolist()),
        doubtful=tuple(most_doubtful(members, found.margin)[:SHOWN_SAMPLES].tolist()) if len(siblings) else (),
        recovered=recovered,
        features=_features(members, siblings, about),
    )


def _features(members: IntArray, siblings: IntArray, about: Described) -> tuple[FeatureDifference, ...]:
    if about.values is None:
        return ()
    return feature_differences(about.values, members, siblings, about.features, SHOWN_FEATURES)
