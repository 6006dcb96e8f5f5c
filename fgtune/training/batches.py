"""The inputs of the training split by position: all of them on the device, or read from their files batch by batch."""

from __future__ import annotations

from torch import Tensor

from fgtune.data.base import Inputs, IntArray, StoredInputs
from fgtune.training.compute import Compute


class StreamedRows:
    """Training inputs that stay in their files until a batch asks for them; indexed like a tensor on the device.

    Args:
        inputs: (N, ...) of the whole data set.
        rows: (n_train,) rows of the training split.
        compute: Knows the device.
    """

    def __init__(self, inputs: Inputs, rows: IntArray, compute: Compute) -> None:
        self._inputs, self._rows, self._compute = inputs, rows, compute

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, positions: Tensor) -> Tensor:
        """(B, ...) inputs at ``positions`` (B,) of the training split, on the device."""
        return self._compute.to_device(self._inputs[self._rows[positions.cpu().numpy()]])


TrainingInputs = Tensor | StreamedRows
"""Both give the same numbers for the same positions."""


def training_inputs(inputs: Inputs, rows: IntArray, compute: Compute) -> TrainingInputs:
    """Inputs of the training split: an array in memory goes to the device at once, stored ones are read by batch.

    Args:
        inputs: (N, ...) of the whole data set.
        rows: (n_train,) rows of the training split.
        compute: Knows the device.
    """
    if isinstance(inputs, StoredInputs):
        return StreamedRows(inputs, rows, compute)
    return compute.to_device(inputs[rows])
