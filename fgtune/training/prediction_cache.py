"""Predictions that several measurements of one evaluation share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fgtune.arrays import Float32Array, IntArray
from fgtune.models.classifier import FineClassifier
from fgtune.training.networks import Networks
from fgtune.training.predictions import Predictions

LARGE_PREDICTIONS = 10_000_000
"""Probabilities of one split, samples times classes, held at once (40 MB) where only classes are asked for."""


class PredictionCache:
    """Predictions of the networks with their current weights; discard the cache before the next training step.

    Predictions are cached by model and rows, so that metrics, clusters and the validation loss share them, and the
    three splits of a transductive study, which hold the same samples, cost one pass.

    Args:
        networks: In training or evaluation mode.
        predicted: Rows (n,) that will be asked predictions of, so that their features come from the same pass.
        recorded: Rows (n,) that ``parts`` will be asked for.
    """

    def __init__(
        self, networks: Networks, predicted: Sequence[IntArray] = (), recorded: Sequence[IntArray] = ()
    ) -> None:
        self._networks = networks
        self._expected = [*predicted, *(rows for rows in recorded if self._is_small(rows))]
        self._features: list[tuple[IntArray, Float32Array]] = []
        self._kept: list[tuple[FineClassifier, IntArray, Predictions]] = []
        self._interpreted: list[tuple[IntArray, Predictions]] = []

    def outputs(self, model: FineClassifier, rows: IntArray) -> Predictions:
        """Head probabilities and features of ``model`` on ``rows`` (n,) of the data set, without augmentation."""
        predictions = self._kept_outputs(model, rows)
        if predictions is None:
            predictions = self._networks.predict(model, rows)
            self._kept.append((model, rows, predictions))
        return predictions

    def predict(self, rows: IntArray) -> Predictions:
        """Predictions of the evaluated weights on ``rows`` (n,), for metrics; only after classes have been found."""
        for kept, predictions in self._interpreted:
            if _same(kept, rows):
                return predictions
        predictions = self._networks.interpret(self.outputs(self._networks.evaluated, rows), rows)
        self._interpreted.append((rows, predictions))
        return predictions

    def parts(self, rows: IntArray) -> Iterator[tuple[IntArray, Predictions]]:
        """``predict`` for ``rows`` (n,), all at once, or, where that would take much memory, in parts not kept."""
        kept = any(_same(other, rows) for other, _ in self._interpreted)
        if kept or self._is_small(rows):
            yield rows, self.predict(rows)
            return
        for block, outputs in self._networks.parts(self._networks.evaluated, rows):
            yield rows[block], self._networks.interpret(outputs, rows[block])

    def features(self, rows: IntArray) -> Float32Array:
        """(n, d) features of the evaluated weights on ``rows`` (n,); no probabilities are kept of rows without use."""
        model = self._networks.evaluated
        if self._kept_outputs(model, rows) is not None or any(_same(each, rows) for each in self._expected):
            return self.outputs(model, rows).features
        for kept, features in self._features:
            if _same(kept, rows):
                return features
        features = self._networks.features(model, rows)
        self._features.append((rows, features))
        return features

    def _kept_outputs(self, model: FineClassifier, rows: IntArray) -> Predictions | None:
        for other, kept, predictions in self._kept:
            if other is model and _same(kept, rows):
                return predictions
        return None

    def _is_small(self, rows: IntArray) -> bool:
        return len(rows) * self._networks.num_fine <= LARGE_PREDICTIONS


def _same(kept: IntArray, rows: IntArray) -> bool:
    return kept is rows or np.array_equal(kept, rows)
