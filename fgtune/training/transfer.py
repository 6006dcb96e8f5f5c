"""Transfer to shares by gradient descent, as FIERCE measures it: a linear map of frozen features, then a softmax."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fgtune.arrays import Float32Array, FloatArray

STEPS, LEARNING_RATE = 400, 0.1


def shares_by_gradient(train_features: Float32Array, train_shares: Float32Array, features: Float32Array) -> FloatArray:
    """Predicted shares of samples, rows summing to 1.

    Adam at 0.1 for 400 steps on all training samples, features as they are, weights from 0: no draw is made. Features
    that are far from unit scale are fitted badly, which is part of what is measured; the ridge probe standardises them.

    Args:
        train_features: (n, d).
        train_shares: (n, columns) of the training samples.
        features: (m, d) of the samples to predict.

    Returns:
        (m, columns).
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
    with torch.no_grad():
        found: FloatArray = _shares(torch.as_tensor(features), weights, bias).numpy().astype(np.float64)
    shares: FloatArray = found / found.sum(axis=1, keepdims=True)
    return shares


def _shares(inputs: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
    return (inputs @ weights + bias).softmax(dim=1)
