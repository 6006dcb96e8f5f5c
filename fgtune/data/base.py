"""What a data set is, and who may see what: training gets a view without fine labels, the evaluator the rest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Dataset:
    """A whole data set in memory.

    Attributes:
        name: Kind or file name, for messages.
        inputs: (N, ...) float32, finite.
        coarse: (N, sources) int64; -1 where a source gives no label.
        num_coarse: K_C of each source; labels of source s lie in [0, num_coarse[s]), and every class has samples.
        fine: (N,) int64 in [0, num_fine), or None. Oracle information.
        num_fine: K_F*, or None without fine labels.
        fine_values: (N, columns) float32 continuous fine targets, finite, or None. Oracle information.
        given_split: (N,) int64 with 0 train, 1 validation, 2 test, where the data brings its own split; else None.
    """

    name: str
    inputs: FloatArray
    coarse: IntArray
    num_coarse: tuple[int, ...]
    fine: IntArray | None = None
    num_fine: int | None = None
    fine_values: FloatArray | None = None
    given_split: IntArray | None = None

    @cached_property
    def fingerprint(self) -> str:
        """Digest of inputs, labels and given split."""
        digest = hashlib.sha256()
        for array in (self.inputs, self.coarse, self.fine, self.fine_values, self.given_split):
            if array is not None:
                digest.update(f"{array.dtype}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
            digest.update(b"|")
        return digest.hexdigest()[:16]

    @property
    def num_sources(self) -> int:
        """Number of coarse labellings."""
        return int(self.coarse.shape[1])


@dataclass(frozen=True)
class Splits:
    """Sorted, disjoint index arrays into a data set, each (n,) int64."""

    train: IntArray
    val: IntArray
    test: IntArray


@dataclass(frozen=True)
class TrainingView:
    """All that training may see: no fine labels, nothing of the test split.

    Attributes:
        inputs: (N, ...) all inputs, read-only; only rows in ``train`` and ``val`` are read.
        train: (n_train,) rows of the training split.
        val: (n_val,) rows of the validation split.
        train_coarse: (n_train, sources).
        val_coarse: (n_val, sources).
        num_coarse: K_C of each source.
        neighbors: (n_train, k) positions within the training split (not rows), nearest first, -1 where a sample has
            fewer; None when no term needs neighbours, or the trainer finds them in its own features.
    """

    inputs: FloatArray
    train: IntArray
    val: IntArray
    train_coarse: IntArray
    val_coarse: IntArray
    num_coarse: tuple[int, ...]
    neighbors: IntArray | None


@dataclass(frozen=True)
class EvaluationView:
    """What the evaluator holds: every split with its labels, fine ones included.

    Attributes:
        inputs: (N, ...) all inputs, read-only.
        splits: Rows of each split.
        coarse: (N, sources).
        num_coarse: K_C of each source.
        fine: (N,) or None.
        true_fine_to_coarse: (sources, K_F*) majority parent of each fine class over all samples, or None.
        fine_values: (N, columns) continuous fine targets, or None.
    """

    inputs: FloatArray
    splits: Splits
    coarse: IntArray
    num_coarse: tuple[int, ...]
    fine: IntArray | None
    true_fine_to_coarse: IntArray | None
    fine_values: FloatArray | None = None
