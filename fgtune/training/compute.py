"""The device and precision in which networks run, moving arrays to it, and predictions on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fgtune.arrays import Float32Array, IntArray
from fgtune.data.base import Inputs, StoredInputs
from fgtune.errors import TrialError
from fgtune.files import replacing
from fgtune.models.classifier import FineClassifier
from fgtune.training.augment_ops import as_float
from fgtune.training.predictions import Predictions

EVALUATION_BATCH = 4096
"""Largest number of samples in one pass of ``Compute.predict``."""
EVALUATION_NUMBERS = 2**22
"""Largest number of input values in one pass: 27 images of 224 x 224, 1,365 of 32 x 32, so that maps fit in memory."""


class Compute:
    """Runs networks on one device in one precision.

    Args:
        device: ``auto`` (a GPU if there is one), ``cpu`` or ``cuda``.
        precision: ``fp32``, or ``bf16`` or ``fp16`` for the network under autocast; outputs are always fp32.
            ``fp16`` scales the loss, so that small gradients do not vanish, and skips steps whose gradients overflow.

    Attributes:
        scaler: The loss scaler of ``fp16``; None in other precisions.

    Raises:
        TrialError: ``cuda`` or ``fp16`` was requested but torch sees no GPU.
    """

    def __init__(self, device: str, precision: str) -> None:
        available = torch.cuda.is_available()
        if device == "cuda" and not available:
            raise TrialError(
                "device: cuda was asked for, and torch sees no GPU; use device: auto, or give trials a GPU"
            )
        self.device = torch.device("cuda" if available and device != "cpu" else "cpu")
        if precision == "fp16" and self.device.type == "cpu":
            raise TrialError("precision: fp16 needs a GPU, and this trial runs on the CPU; use bf16 or fp32 there")
        self._autocast = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
        self.scaler = torch.amp.GradScaler(self.device.type) if precision == "fp16" else None

    def to_device(self, array: np.ndarray) -> Tensor:
        """A copy on the device; the array may be read-only."""
        return torch.from_numpy(np.array(array)).to(self.device)

    def autocast(self) -> torch.autocast:
        """The context that networks run in."""
        return torch.autocast(self.device.type, self._autocast, enabled=self._autocast is not None)

    def logits(self, model: nn.Module, inputs: Tensor) -> Tensor:
        """Logits in fp32 of ``inputs`` on the device."""
        with self.autocast():
            logits: Tensor = model(inputs)
        return logits.float()

    def backward_and_step(self, loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
        """Accumulate the gradients of ``loss`` and take one optimiser step."""
        if self.scaler is None:
            torch.autograd.backward(loss)
            optimizer.step()
            return
        torch.autograd.backward(self.scaler.scale(loss))
        self.scaler.step(optimizer)
        self.scaler.update()

    def predict(
        self,
        model: FineClassifier,
        inputs: Inputs,
        view: Callable[[Tensor], Tensor] = as_float,
        rows: IntArray | None = None,
    ) -> Predictions:
        """All of ``parts`` together, in one array each."""
        count = len(inputs) if rows is None else len(rows)
        whole: tuple[Float32Array, ...] = ()
        for block, arrays in self._blocks(model, inputs, view, rows):
            whole = whole or tuple(np.empty((count, array.shape[1]), dtype=np.float32) for array in arrays)
            for target, array in zip(whole, arrays, strict=True):
                target[block] = array
        probs, log_probs, features = whole
        return Predictions(probs, features, log_probs=log_probs)

    def parts(
        self,
        model: FineClassifier,
        inputs: Inputs,
        view: Callable[[Tensor], Tensor] = as_float,
        rows: IntArray | None = None,
    ) -> Iterator[tuple[slice, Predictions]]:
        """Predictions of ``model`` in evaluation mode, block by block, so that stored inputs need little memory.

        Args:
            model: The network; its mode is restored after the last block.
            inputs: (N, ...) float32, or uint8 images.
            view: Applied to a batch on the device: ``Views.evaluation``; by default only a conversion to float.
            rows: (n,) rows to predict, at least one; None for all.

        Yields:
            Where a block lies among the rows, and the predictions on it.
        """
        for block, (probs, log_probs, features) in self._blocks(model, inputs, view, rows):
            yield block, Predictions(probs, features, log_probs=log_probs)

    @torch.no_grad()
    def _blocks(
        self, model: FineClassifier, inputs: Inputs, view: Callable[[Tensor], Tensor], rows: IntArray | None
    ) -> Iterator[tuple[slice, tuple[Float32Array, Float32Array, Float32Array]]]:
        was_training = model.training
        size = max(1, min(EVALUATION_BATCH, EVALUATION_NUMBERS // max(1, math.prod(inputs.shape[1:]))))
        count = len(inputs) if rows is None else len(rows)
        model.eval()
        try:
            for start in range(0, count, size):
                block = slice(start, min(start + size, count))
                batch = self.to_device(inputs[block if rows is None else rows[block]])
                with self.autocast():
                    features = model.features(view(batch))
                    logits = model.head(features)
                logits = logits.float()
                found = (logits.softmax(dim=1), logits.log_softmax(dim=1), features.float())
                probs, log_probs, vectors = (each.cpu().numpy() for each in found)
                yield block, (probs, log_probs, vectors)
        finally:
            model.train(was_training)

    def state_dict(self) -> dict[str, Any]:
        """The scaler's state in ``fp16``, else empty."""
        return {} if self.scaler is None else self.scaler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state."""
        if self.scaler is not None:
            self.scaler.load_state_dict(state)


def log_of(probs: Tensor) -> Tensor:
    """Logarithm of probabilities, finite at 0."""
    return probs.clamp_min(torch.finfo(probs.dtype).tiny).log()


class StreamedRows:
    """Training inputs that are read from their files batch by batch; indexed like a tensor on the device.

    Args:
        inputs: (N, ...) of the whole data set.
        rows: (n_train,) rows of the training split.
        compute: Moves batches to the device.
    """

    def __init__(self, inputs: Inputs, rows: IntArray, compute: Compute) -> None:
        self._inputs, self._rows, self._compute = inputs, rows, compute

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, positions: Tensor) -> Tensor:
        """(B, ...) inputs at ``positions`` (B,) of the training split, on the device."""
        return self._compute.to_device(self._inputs[self._rows[positions.cpu().numpy()]])


TrainingInputs = Tensor | StreamedRows
"""Both give the same values for the same positions."""


def training_inputs(inputs: Inputs, rows: IntArray, compute: Compute) -> TrainingInputs:
    """Inputs of the training split: an array in memory is moved to the device, stored inputs are streamed.

    Arguments as for ``StreamedRows``.
    """
    if isinstance(inputs, StoredInputs):
        return StreamedRows(inputs, rows, compute)
    return compute.to_device(inputs[rows])


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write tensors and plain data to a file, whole or not at all."""
    with replacing(path) as temporary, temporary.open("wb") as file:  # by name, the file would hold its own name
        torch.save(dict(state), file)
