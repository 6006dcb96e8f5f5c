"""Where and in which precision networks run: device, autocast, and predictions on arrays."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from fgtune.errors import TrialError
from fgtune.models.classifier import FineClassifier
from fgtune.training.evaluator import FloatArray, Predictions

EVALUATION_BATCH = 4096


class Compute:
    """Runs networks on one device in one precision.

    Args:
        device: ``auto`` (a GPU where there is one), ``cpu`` or ``cuda``.
        precision: ``fp32``, or ``bf16`` for the network under autocast; what comes out is fp32 either way.

    Raises:
        TrialError: ``cuda`` was asked for and torch sees no GPU.
    """

    def __init__(self, device: str, precision: str) -> None:
        available = torch.cuda.is_available()
        if device == "cuda" and not available:
            raise TrialError(
                "device: cuda was asked for, and torch sees no GPU; use device: auto, or give trials a GPU"
            )
        self.device = torch.device("cuda" if available and device != "cpu" else "cpu")
        self.half = precision == "bf16"

    def to_device(self, array: np.ndarray) -> Tensor:
        """A tensor of its own on the device; the array may be read-only."""
        return torch.from_numpy(np.array(array)).to(self.device)

    def logits(self, model: nn.Module, inputs: Tensor) -> Tensor:
        """Logits in fp32 of ``inputs`` on the device."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            logits: Tensor = model(inputs)
        return logits.float()

    @torch.no_grad()
    def predict(self, model: FineClassifier, inputs: FloatArray) -> Predictions:
        """Predictions of ``model`` in evaluation mode on ``inputs`` (n, ...)."""
        probs, features = [], []
        was_training = model.training
        model.eval()
        for start in range(0, len(inputs), EVALUATION_BATCH):
            batch = self.to_device(inputs[start : start + EVALUATION_BATCH])
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
                found = model.features(batch)
                logits = model.head(found)
            probs.append(logits.float().softmax(dim=1).cpu())
            features.append(found.float().cpu())
        model.train(was_training)
        return Predictions(torch.cat(probs).numpy(), torch.cat(features).numpy())


def log_of(probs: Tensor) -> Tensor:
    """Logarithm of probabilities, finite where they are 0."""
    return probs.clamp_min(torch.finfo(probs.dtype).tiny).log()
