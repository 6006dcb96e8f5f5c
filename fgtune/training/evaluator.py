"""The evaluator: the one place that holds fine labels, and turns predictions into metrics.

Training calls it with predictions and gets numbers back; no label passes the other way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fgtune.data.base import EvaluationView
from fgtune.metrics.coarse import coarse_accuracy, coarse_counts
from fgtune.metrics.contingency import contingency
from fgtune.metrics.evaluate import evaluate_counts
from fgtune.metrics.label_free import (
    effective_classes,
    mean_confidence,
    neighbor_agreement,
    num_used_classes,
    silhouette,
)
from fgtune.results.records import IntArray, RelationsRecord
from fgtune.streams import numpy_stream

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Predictions:
    """Outputs on n samples: ``probs`` (n, num_fine) float32 rows summing to 1, ``features`` (n, d) float32."""

    probs: FloatArray
    features: FloatArray

    @property
    def fine(self) -> IntArray:
        """(n,) int64 predicted fine class: the most probable one; neither M nor the coarse label is used."""
        fine: IntArray = self.probs.argmax(axis=1).astype(np.int64)
        return fine


class Evaluator:
    """Metrics of predictions on the splits that the config asks for.

    Args:
        view: Inputs, splits and all labels.
        splits: Names of the splits to evaluate.
        num_fine: K_F.
        neighbors: For each split, (n, k) positions within it, -1 padded; for neighbour agreement.
        silhouette_samples: Cap of the silhouette's sample.
        seed: Seed of that sample.
    """

    def __init__(
        self,
        view: EvaluationView,
        splits: tuple[str, ...],
        num_fine: int,
        neighbors: Mapping[str, IntArray],
        silhouette_samples: int,
        seed: int,
    ) -> None:
        self.splits = splits
        self._view, self._num_fine, self._neighbors = view, num_fine, neighbors
        self._silhouette_samples, self._seed = silhouette_samples, seed

    def rows(self, split: str) -> IntArray:
        """Rows of a split."""
        rows: IntArray = getattr(self._view.splits, split)
        return rows

    def neighbors_of(self, split: str) -> IntArray | None:
        """(n, k) neighbours within a split, or None where none were prepared; they read no fine labels."""
        return self._neighbors.get(split)

    def measure(self, split: str, predictions: Predictions, fine_to_coarse: IntArray) -> dict[str, float]:
        """All metrics of one split, under names ``<split>/<metric>``; what is undefined is left out.

        Args:
            split: ``train``, ``val`` or ``test``.
            predictions: On ``rows(split)``, in that order.
            fine_to_coarse: (sources, num_fine) learned relations.
        """
        coarse = self._view.coarse[self.rows(split)]
        fine = predictions.fine
        rng = numpy_stream(self._seed, "silhouette", split)
        values = {
            "coarse_accuracy": coarse_accuracy(fine, fine_to_coarse, coarse),
            "mean_confidence": mean_confidence(predictions.probs),
            "effective_classes": effective_classes(predictions.probs),
            "num_used_classes": num_used_classes(fine),
            "silhouette": silhouette(predictions.features, fine, self._silhouette_samples, rng),
        }
        if split in self._neighbors:
            values["neighbor_agreement"] = neighbor_agreement(fine, self._neighbors[split])
        record = self.record(split, fine, fine_to_coarse)
        if record.fine_counts is not None and record.true_fine_to_coarse is not None:
            values |= evaluate_counts(record.fine_counts, fine_to_coarse, record.true_fine_to_coarse)
        return {f"{split}/{name}": value for name, value in values.items() if np.isfinite(value)}

    def record(self, split: str, fine: IntArray, fine_to_coarse: IntArray) -> RelationsRecord:
        """Relations and counts of ``fine`` (n,), the predicted fine classes on ``rows(split)``."""
        view, rows = self._view, self.rows(split)
        labels = coarse_counts(fine, view.coarse[rows], self._num_fine, view.num_coarse)
        if view.fine is None or view.true_fine_to_coarse is None:
            return RelationsRecord(fine_to_coarse, labels)
        fine_counts = contingency(fine, view.fine[rows], self._num_fine, view.true_fine_to_coarse.shape[1])
        return RelationsRecord(fine_to_coarse, labels, view.true_fine_to_coarse, fine_counts)
