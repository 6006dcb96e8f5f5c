"""What the learned classes of a trial look like at its end, from predictions and features that are there anyway."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fgtune.arrays import AnyArray, Float32Array, FloatArray, IntArray
from fgtune.data.base import Dataset
from fgtune.data.samples import picture_url
from fgtune.data.terms import TermCounts
from fgtune.metrics.exemplars import (
    Assignment,
    FeatureDifference,
    assign,
    feature_differences,
    medoid,
    most_confident,
    most_doubtful,
    owner_of,
)
from fgtune.results.records import PortraitRecord
from fgtune.results.samples import webp_url
from fgtune.streams import drawn_rows
from fgtune.visible import visible

MOST_POINTS, MOST_CLASSES, MOST_COMPONENTS = 300, 256, 32
"""Samples on the map, classes that are described, principal components of the features that are kept.

With five pictures a class takes 2 KB of a page (patches of photographs, 32 pixels), at worst 9 KB (noise, 40 pixels).
"""
CLEAR, DOUBTFUL, DIFFERENCES = 2, 2, 5
"""Samples of a class beside its medoid, and features that tell it apart."""
MOST_TERMS = 1000
"""Terms among which those are looked for that tell classes of texts apart."""
MOST_DESCRIBED, MOST_COMPARED, MOST_FOR_MEDOID = 20_000, 5000, 300
"""Samples that classes are described by, among which features are compared, and among which a medoid is looked for."""
_NAME = 40


@dataclass(frozen=True)
class Painter:
    """Draws the portrait of a trial's classes.

    Attributes:
        dataset: Whole and as it was read, so that features are in its units.
        with_samples: Whether pictures, and means of features, may be kept.
    """

    dataset: Dataset
    with_samples: bool

    def __call__(
        self, rows: IntArray, log_probs: Float32Array, features: Float32Array, fine_to_coarse: IntArray, seed: int
    ) -> PortraitRecord:
        """The portrait on some samples.

        Args:
            rows: (n,) rows of the data set, at least one.
            log_probs: (n, K_F) logarithms of probabilities, up to a constant a sample.
            features: (n, d) input of the head.
            fine_to_coarse: (sources, K_F) learned parents.
            seed: Of the block, whose arms all have the same samples on their maps.
        """
        drawn = drawn_rows(len(rows), MOST_DESCRIBED, seed, "described")
        rows, log_probs, features = rows[drawn], log_probs[drawn], features[drawn]
        data, coarse = self.dataset, self.dataset.coarse[rows, 0]
        found = assign(log_probs, fine_to_coarse, np.full((len(rows), len(fine_to_coarse)), -1, dtype=np.int64))
        sizes = np.bincount(found.fine, minlength=fine_to_coarse.shape[1])
        classes = np.argsort(-sizes, kind="stable")[: min(MOST_CLASSES, int((sizes > 0).sum()))]
        owners = [owner_of(coarse[found.fine == each], fine_to_coarse[0, each]) for each in classes.tolist()]
        samples = np.array([_samples(each, found, features) for each in classes.tolist()], dtype=np.int64)
        on_map = drawn_rows(len(rows), MOST_POINTS, seed, "portrait")
        there = samples >= 0
        confidence = [float(found.confidence[found.fine == each].mean()) for each in classes.tolist()]
        return PortraitRecord(
            rows=rows[on_map],
            features=_components(features[on_map]),
            learned=found.fine[on_map],
            coarse=coarse[on_map],
            classes=classes.astype(np.int64),
            sizes=sizes[classes].astype(np.int64),
            confidence=np.array(confidence, dtype=np.float32),
            samples=np.where(there, rows[samples], -1),
            sample_confidence=np.where(there, found.confidence[samples], 0.0).astype(np.float32),
            sample_second=np.where(there, found.second[samples], -1),
            true=None if data.fine is None else data.fine[rows[on_map]],
            sample_true=None if data.fine is None else np.where(there, data.fine[rows[samples]], -1),
            coarse_names=None if data.coarse_names is None else _texts(data.coarse_names[0]),
            fine_names=None if data.fine_names is None else _texts(data.fine_names),
            **(self._looks(rows, samples, found.fine, classes, owners) if self.with_samples else {}),
        )

    def _looks(
        self, rows: IntArray, samples: IntArray, fine: IntArray, classes: IntArray, owners: list[int]
    ) -> dict[str, AnyArray]:
        """Pictures of the samples, or the features that tell classes apart."""
        inputs = self.dataset.inputs
        shape = self.dataset.picture or (inputs.shape[1:] if len(inputs.shape) == 4 else None)
        if shape is not None:
            there = samples >= 0
            drawn = np.asarray(inputs[rows[samples[there]]]).reshape(-1, *shape)
            urls = np.full(samples.shape, "", dtype=object)
            urls[there] = [picture_url(each, webp_url) for each in drawn]
            return {"pictures": urls.astype(np.bytes_)}
        if len(inputs.shape) != 2:
            return {}
        drawn = drawn_rows(len(rows), MOST_COMPARED, 0, "portrait")
        values, names = self._values(rows[drawn])
        widest = float(values.var(axis=0).max(initial=0.0))
        labels = self.dataset.coarse[rows[drawn], 0]
        members = [np.flatnonzero(fine[drawn] == each) for each in classes.tolist()]
        found = [
            feature_differences(
                values, own, np.setdiff1d(np.flatnonzero(labels == owner), own), names, DIFFERENCES, widest
            )
            if len(own)
            else ()
            for own, owner in zip(members, owners, strict=True)
        ]
        return _table(found)

    def _values(self, rows: IntArray) -> tuple[AnyArray, tuple[str, ...]]:
        """(n, features) of some rows with their names; of texts, which of the most frequent terms they have."""
        inputs = self.dataset.inputs
        if isinstance(inputs, TermCounts):
            there = inputs.counts[rows] > 0
            used = np.sort(np.argsort(-there.sum(axis=0), kind="stable")[:MOST_TERMS])
            return there[:, used].toarray().astype(np.float64), tuple(inputs.terms[column] for column in used.tolist())
        values = _filled(np.asarray(inputs[rows]))
        return values, self.dataset.feature_names or tuple(f"feature {number}" for number in range(values.shape[1]))


def _samples(number: int, found: Assignment, features: Float32Array) -> list[int]:
    """Positions of the medoid, of clear and of doubtful samples of a class, each once; -1 where there are no more."""
    members = np.flatnonzero(found.fine == number)
    points, margin, own = features[members].astype(np.float64), found.margin[members], np.arange(len(members))
    middle = medoid(own, points, MOST_FOR_MEDOID)
    clear = [each for each in most_confident(own, margin, points, middle).tolist() if each != middle][:CLEAR]
    doubtful = most_doubtful(own, margin).tolist() if np.isfinite(margin).any() else []
    unsure = [each for each in doubtful if each not in {middle, *clear}][:DOUBTFUL]
    chosen = [middle, *_padded(clear, CLEAR), *_padded(unsure, DOUBTFUL)]
    return [int(members[each]) if each >= 0 else -1 for each in chosen]


def _padded(values: list[int], length: int) -> list[int]:
    return values + [-1] * (length - len(values))


def _components(features: Float32Array) -> npt.NDArray[np.float16]:
    """(m, p) principal components, in units of the root of their mean square."""
    points: FloatArray = features.astype(np.float64)
    points = points - points.mean(axis=0)
    if points.shape[1] > MOST_COMPONENTS:
        left, sizes, _ = np.linalg.svd(points, full_matrices=False)
        points = (left * sizes)[:, :MOST_COMPONENTS]
    unit = float(np.sqrt((points**2).mean()))
    return (points / (unit or 1.0)).astype(np.float16)


def _filled(values: AnyArray) -> FloatArray:
    """Features with the mean of the others where one is missing."""
    numbers: FloatArray = values.astype(np.float64)
    known = np.isfinite(numbers)
    if known.all():
        return numbers
    mean = np.where(known, numbers, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    found: FloatArray = np.where(known, numbers, mean)
    return found


def _texts(names: Any) -> npt.NDArray[np.bytes_]:
    return np.array([visible(name)[:_NAME].encode() for name in names], dtype=np.bytes_)


def _table(found: list[tuple[FeatureDifference, ...]]) -> dict[str, AnyArray]:
    """The differences of every class as arrays."""
    shape = (len(found), DIFFERENCES)
    names = np.zeros(shape, dtype=f"S{4 * _NAME}")
    numbers = {name: np.zeros(shape, dtype=np.float32) for name in ("inside", "outside", "effect")}
    for line, features in enumerate(found):
        for place, each in enumerate(features):
            names[line, place] = visible(each.name)[:_NAME].encode()
            for name, array in numbers.items():
                array[line, place] = getattr(each, name)
    return {"differs": names, **numbers}
