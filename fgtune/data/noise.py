"""Wrong coarse labels that are made on purpose: of any samples and classes, or within look-alikes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from fgtune.arrays import Float32Array, FloatArray, IntArray
from fgtune.config.schema.base import LabelNoiseConfig
from fgtune.data.base import Dataset
from fgtune.data.preparation import as_prepared, fitted
from fgtune.data.principal import one_thread, principal_space, space_rows
from fgtune.data.views import vectors
from fgtune.errors import DataError
from fgtune.streams import numpy_stream

_BLOCK_NUMBERS = 1 << 22
"""Distances held at once (32 MiB in float64)."""


def with_label_noise(dataset: Dataset, config: LabelNoiseConfig) -> Dataset:
    """The data set with wrong coarse labels, and the right ones beside them.

    Of the n labelled samples of a source, ``share * n`` (rounded half up) get a wrong label.

    ``symmetric``: these samples are drawn uniformly, and for each a uniformly drawn other class.

    ``look_alike``: in the 20 leading principal components of all inputs, let o be the Euclidean distance of a sample to
    the nearest labelled sample of another class, and s that to the nearest other one of its own (infinite if it is
    alone). Ordered by o - s, the sample of rank r = 0, 1, .. (ties by row) has the weight n - r, samples are drawn by
    weight without replacement, and the wrong label is the class of the sample at distance o. So wrong labels lie where
    classes meet, as those of an annotator who confuses what looks alike.

    A larger share changes the samples that a smaller one changes, to the same labels.

    Args:
        dataset: A checked data set.
        config: Kind, share and seed.

    Raises:
        DataError: A source has one coarse class only, or a class would lose all its samples.
    """
    points = _points(dataset) if config.kind == "look_alike" else None
    coarse = dataset.coarse.copy()
    for source, num_coarse in enumerate(dataset.num_coarse):
        rows = np.flatnonzero(dataset.coarse[:, source] >= 0)
        if num_coarse < 2:
            raise _error(dataset, source, "needs at least two coarse classes to confuse", "leave it out")
        labels, rng = dataset.coarse[rows, source], numpy_stream(config.seed, "label_noise", source)
        count = math.floor(config.share * len(rows) + 0.5)
        if points is None:
            chosen = rng.permutation(len(rows))[:count]
            wrong = (labels + rng.integers(1, num_coarse, len(rows))) % num_coarse
        else:
            other, wrong = look_alikes(points[rows], labels)
            chosen = drawn_by_rank(other, rng)[:count]
        coarse[rows[chosen], source] = wrong[chosen]
        lost = np.setdiff1d(np.arange(num_coarse), coarse[:, source])
        if lost.size:
            raise _error(dataset, source, f"leaves no sample of coarse class {lost[0]}", "lower the share")
        _check_training(dataset, coarse, source)
    return replace(dataset, coarse=coarse, true_coarse=dataset.coarse)


def look_alikes(points: Float32Array, labels: IntArray) -> tuple[FloatArray, IntArray]:
    """How much more each sample resembles its own class than another, and which other class it resembles most.

    Args:
        points: (n, d) finite.
        labels: (n,) of at least two classes.

    Returns:
        (n,) distance to the nearest sample of another class, less that to the nearest other one of its own (-inf where
        there is none); and (n,) the class of the nearest sample of another class, of equally near ones the lowest.

    Example:
        >>> margin, nearest = look_alikes(np.array([[0.0], [1.0], [3.0], [9.0]]), np.array([0, 0, 1, 1]))
        >>> margin.tolist(), nearest.tolist()
        ([2.0, 1.0, -4.0, 2.0], [1, 1, 0, 0])
    """
    values = points.astype(np.float64)
    sizes = np.einsum("nd,nd->n", values, values)
    nearest: FloatArray = np.full((len(values), int(labels.max()) + 1), np.inf)  # to each class, squared
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        block = max(1, _BLOCK_NUMBERS // len(members))
        for start in range(0, len(values), block):
            rows = np.arange(start, min(start + block, len(values)))
            with one_thread():
                squares = sizes[rows, None] + sizes[members] - 2.0 * values[rows] @ values[members].T
            squares[rows[:, None] == members] = np.inf
            nearest[rows, label] = squares.min(axis=1)
    distance = np.sqrt(np.maximum(nearest, 0.0))
    everyone = np.arange(len(values))
    own = distance[everyone, labels]
    distance[everyone, labels] = np.inf
    return distance.min(axis=1) - own, distance.argmin(axis=1).astype(np.int64)


def drawn_by_rank(values: FloatArray, rng: np.random.Generator) -> IntArray:
    """All positions (n,) in the order in which they are drawn without replacement, the one of rank r weighing n - r.

    Ranks are ascending, ties by position. The order of exponential variables, each divided by its weight, is that of
    such a draw (Efraimidis and Spirakis 2006).
    """
    weights = np.empty(len(values))
    weights[np.argsort(values, kind="stable")] = np.arange(len(values), 0, -1)
    return np.argsort(rng.standard_exponential(len(values)) / weights, kind="stable")


def _points(dataset: Dataset) -> Float32Array:
    """(N, at most 20) principal components of the inputs, prepared as all samples together teach it."""
    known = as_prepared(dataset, fitted(dataset, slice(None)))
    total = len(known.inputs)
    space = principal_space(vectors(known.inputs, space_rows(total)))
    return space.project(vectors(known.inputs, np.arange(total)))


def _check_training(dataset: Dataset, coarse: IntArray, source: int) -> None:
    """Raise where a given split's training part would lose a coarse class."""
    if dataset.given_split is None:
        return
    lost = np.setdiff1d(np.arange(dataset.num_coarse[source]), coarse[dataset.given_split == 0, source])
    if lost.size:
        raise _error(dataset, source, f"leaves no training sample of coarse class {lost[0]}", "lower the share")


def _error(dataset: Dataset, source: int, rule: str, fix: str) -> DataError:
    place = "" if dataset.num_sources == 1 else f" (source {source})"
    return DataError(rule + place, where=dataset.name, path="trial.data.label_noise", fix=fix)
