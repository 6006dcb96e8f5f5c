"""What a data set is, and who may see what: training gets a view without fine labels, the evaluator the rest."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from fgtune.arrays import Float32Array, IntArray


class Inputs(Protocol):
    """(N, ...) inputs read row by row: an array in memory, or images on disk (``fgtune.data.readers.images``).

    float32 numbers are used as they are; uint8 ones are the pixels of (N, channels, height, width) images and stand
    for pixel / 255.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, ...)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or uint8."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> npt.NDArray[Any]:
        """The rows of an index array or slice, as an array in memory."""


class StoredInputs(ABC):
    """Inputs that are not an array in memory; pickled, they are a reference to their files."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """(N, ...)."""

    @property
    @abstractmethod
    def dtype(self) -> np.dtype[Any]:
        """float32 or uint8."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Digest of the content."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, rows: Any, /) -> npt.NDArray[Any]:
        """The rows of an index array or slice, as an array in memory."""

    @abstractmethod
    def take(self, rows: IntArray) -> StoredInputs:
        """These rows, still unread."""


@dataclass(frozen=True)
class Preparation:
    """What is done to (N, features) inputs once a split is known (``fgtune.data.preparation``).

    Attributes:
        standardize: Mean 0 and standard deviation 1; median 0 and the interquartile range of that; or nothing.
        impute: What stands for a missing value: the feature's median or mean, or a number; None where there is none.
    """

    standardize: Literal["standard", "robust"] | None = None
    impute: Literal["median", "mean"] | float | None = None


@dataclass(frozen=True)
class Dataset:
    """A whole data set.

    Attributes:
        name: Kind or file name, for messages.
        inputs: (N, ...) float32, finite unless ``preparation`` fills gaps, or uint8 images.
        coarse: (N, sources) int64; -1 where a source gives no label.
        num_coarse: K_C of each source; labels of source s lie in [0, num_coarse[s]), and every class has samples.
        fine: (N,) int64 in [0, num_fine), or None. Oracle information.
        num_fine: K_F*, or None without fine labels.
        fine_values: (N, columns) float32 continuous fine targets, finite, or None. Oracle information.
        given_split: (N,) int64 with 0 train, 1 validation, 2 test, where the data have their own split; else None.
        coarse_names: Names of the coarse classes of each source, where the data have names; for people to read.
        fine_names: Names of the fine classes; oracle information.
        regions: Where parts of each image lie, by name, (N, H, W) bool each, where that is known; for
            evaluating attention maps.
        feature_names: Names of the (N, features) inputs, where they have names.
        picture: (channels, height, width) of the picture that a row of (N, features) inputs is, where it is one.
        preparation: What is done to the inputs once a split is known; None for nothing. Missing features are NaN where
            it fills them.
        notes: What reading the data decided or found suspicious, one sentence each; ``data check`` and every call on a
            study print them as warnings.
        true_coarse: (N, sources) the coarse labels before wrong ones were made; None where none were. Oracle
            information.
        label_sets: Whether the sources are the labels of one set: source l is 1 for a sample that has label l, else 0.
    """

    name: str
    inputs: Inputs
    coarse: IntArray
    num_coarse: tuple[int, ...]
    fine: IntArray | None = None
    num_fine: int | None = None
    fine_values: Float32Array | None = None
    given_split: IntArray | None = None
    coarse_names: tuple[tuple[str, ...], ...] | None = None
    fine_names: tuple[str, ...] | None = None
    regions: Mapping[str, npt.NDArray[np.bool_]] | None = None
    feature_names: tuple[str, ...] | None = None
    picture: tuple[int, int, int] | None = None
    preparation: Preparation | None = None
    notes: tuple[str, ...] = ()
    true_coarse: IntArray | None = None
    label_sets: bool = False

    @cached_property
    def fingerprint(self) -> str:
        """Digest of inputs, labels and given split."""
        digest = hashlib.sha256()
        in_memory = None if isinstance(self.inputs, StoredInputs) else np.asarray(self.inputs)
        if isinstance(self.inputs, StoredInputs):
            digest.update(self.inputs.fingerprint.encode())
        for array in (in_memory, self.coarse, self.fine, self.fine_values, self.given_split):
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
    """Sorted index arrays into a data set, each (n,) int64; disjoint, or identical in a transductive study."""

    train: IntArray
    val: IntArray
    test: IntArray


@dataclass(frozen=True)
class TrainingView:
    """All that training may see: no fine labels, and no labels of the test split.

    Attributes:
        inputs: (N, ...) all inputs, read-only; only rows in ``train`` and ``val`` are read.
        train: (n_train,) rows of the training split.
        val: (n_val,) rows of the validation split.
        train_coarse: (n_train, sources).
        val_coarse: (n_val, sources).
        num_coarse: K_C of each source.
        neighbors: (n_train, k) positions within the training split (not rows), nearest first, -1 where a sample has
            fewer; None when no term needs neighbours, or the trainer finds them in its own features.
        label_sets: Whether the sources are the labels of one set.
    """

    inputs: Inputs
    train: IntArray
    val: IntArray
    train_coarse: IntArray
    val_coarse: IntArray
    num_coarse: tuple[int, ...]
    neighbors: IntArray | None
    label_sets: bool = False


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
        regions: Where parts of each image lie, by name.
        true_coarse: (N, sources) coarse labels before wrong ones were made, or None.
        label_sets: Whether the sources are the labels of one set.
    """

    inputs: Inputs
    splits: Splits
    coarse: IntArray
    num_coarse: tuple[int, ...]
    fine: IntArray | None
    true_fine_to_coarse: IntArray | None
    fine_values: Float32Array | None = None
    regions: Mapping[str, npt.NDArray[np.bool_]] | None = None
    true_coarse: IntArray | None = None
    label_sets: bool = False
