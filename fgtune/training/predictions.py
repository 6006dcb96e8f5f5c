"""What a network says of samples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from fgtune.arrays import Float32Array, IntArray
from fgtune.metrics.coarse import predict_within


@dataclass(frozen=True)
class Predictions:
    """Outputs on n samples.

    Attributes:
        probs: (n, num_fine) float32, rows summing to 1.
        features: (n, d) float32, the input of the head.
        coarse_probs: For each source, (n, K_C) float32 probabilities of the coarse head; None without one, in which
            case the probabilities of fine classes are summed by their learned parents.
        log_probs: (n, num_fine) float32 logarithms of ``probs`` up to a constant a sample, which tell apart classes
            whose probabilities are too small for float32; None where the probabilities are to be taken.
    """

    probs: Float32Array
    features: Float32Array
    coarse_probs: tuple[Float32Array, ...] | None = None
    log_probs: Float32Array | None = None

    @property
    def fine(self) -> IntArray:
        """(n,) int64 most probable fine class; neither M nor the coarse label of a held-out sample is used."""
        fine: IntArray = self.probs.argmax(axis=1).astype(np.int64)
        return fine

    def within(self, fine_to_coarse: IntArray, coarse: IntArray) -> IntArray:
        """(n,) int64 most probable fine class among those that the known coarse labels leave.

        Args:
            fine_to_coarse: (sources, num_fine) learned relations.
            coarse: (n, sources) coarse labels, -1 for none.
        """
        return predict_within(self.probs if self.log_probs is None else self.log_probs, fine_to_coarse, coarse)


def features_of(parts: Iterable[tuple[slice, Predictions]]) -> Float32Array:
    """(n, d) features of predictions that come in parts, in their order; nothing else of them is kept."""
    return np.concatenate([part.features for _, part in parts])
