"""Transfer to shares by gradient descent, as FIERCE measures it: a linear map of frozen features, then a softmax."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fgtune.arrays import Float32Array, FloatArray

STEPS, LEARNING_RATE = 400, 0.1


@dataclass(frozen=True)
class ShareProbe:
    """A fitted map from features to shares.

    Attributes:
        weights: (d, columns).
        bias: (columns,).
    """

    weights: Tensor
    bias: Tensor

    @torch.no_grad()
    def predict(self, features: Float32Array) -> FloatArray:
        """(m, columns) shares of samples by their features (m, d), rows summing to 1."""
        found: FloatArray = _shares(torch.as_tensor(features), self.weights, self.bias).numpy().astype(np.float64)
        shares: FloatArray = found / found.sum(axis=1, keepdims=True)
        return shares


def fit_shares(train_features: Float32Array, train_shares: Float32Array) -> ShareProbe:
    """The map that fits the shares of the training samples best.

    Adam at 0.1 for 400 steps on all training samples, features as they are, weights from 0: no draw is made. Features
    that are far from unit scale are fitted badly, which is part of what is measured; the ridge probe standardises them.

    Args:
        train_features: (n, d).
        train_shares: (n, columns).
    """
    inputs, targets = torch.as_tensor(train_features), torch.as_tensor(train_shares)
    weights = torch.zeros(inputs.shape[1], targets.shape[1], requires_grad=True)
    bias = torch.zeros(targets.shape[1], requires_grad=True)
    optimizer = torch.optim.Adam([weights, bias], lr=LEARNING_RATE)
    with torch.enable_grad():
        for _ in range(STEPS):
            loss = (_shares(inputs, weights, bias) - targets).square().sum(dim=1).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return ShareProbe(weights.detach(), bias.detach())


def _shares(inputs: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
    return (inputs @ weights + bias).softmax(dim=1)
