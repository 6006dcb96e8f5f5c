"""One evaluation's passes through the networks: each model over each set of rows once, whoever asks for it."""

from __future__ import annotations

import numpy as np

from fgtune.models.classifier import FineClassifier
from fgtune.results.records import IntArray
from fgtune.training.evaluator import FloatArray, Predictions
from fgtune.training.networks import Networks


class Passes:
    """What the networks say of the samples, as they stand now; forget it before the next step.

    A pass is remembered by model and rows, so that metrics, clusters and the validation loss share it, and so that the
    three parts of a transductive study, which are the same samples, cost one pass.

    Args:
        networks: In any mode.
    """

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self._found: list[tuple[FineClassifier, IntArray, Predictions]] = []

    def run(self, model: FineClassifier, rows: IntArray) -> Predictions:
        """Head probabilities and features of ``model`` on ``rows`` (n,) of the data set, without noise."""
        for other, seen, predictions in self._found:
            if other is model and (seen is rows or np.array_equal(seen, rows)):
                return predictions
        predictions = self._networks.run(model, rows)
        self._found.append((model, rows, predictions))
        return predictions

    def predict(self, rows: IntArray) -> Predictions:
        """Predictions of the evaluated weights on ``rows`` (n,), as metrics judge them."""
        return self._networks.interpret(self.run(self._networks.evaluated, rows))

    def features(self, rows: IntArray) -> FloatArray:
        """(n, d) features of the evaluated weights on ``rows`` (n,)."""
        return self.run(self._networks.evaluated, rows).features
