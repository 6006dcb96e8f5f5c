"""The losses of pretraining, as functions of projections; short enough that no library is needed for them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def negative_cosine(predicted: Tensor, target: Tensor) -> Tensor:
    """SimSiam's D(p, z): minus the mean cosine, no gradient through the target (Chen and He 2021, equations 1 and 3).

    Args:
        predicted: (B, d).
        target: (B, d).

    Returns:
        A scalar in [-1, 1].
    """
    return -functional.cosine_similarity(predicted, target.detach(), dim=1).mean()


def info_nce(clean: Tensor, corrupted: Tensor, temperature: float) -> Tensor:
    """SCARF's contrast: row i of ``corrupted`` among all rows for row i of ``clean`` (Bahri et al. 2022, algorithm 1).

    The paper divides the denominator by B, a shift by log B that changes no gradient; here chance is log B.

    Args:
        clean: (B, d) projections.
        corrupted: (B, d) projections of the corrupted copies.
        temperature: > 0.

    Returns:
        A scalar >= 0.
    """
    similarity = functional.normalize(clean, dim=1) @ functional.normalize(corrupted, dim=1).T
    return functional.cross_entropy(similarity / temperature, torch.arange(len(clean), device=clean.device))


def scaled_error(decoded: Tensor, inputs: Tensor, deviation: Tensor) -> Tensor:
    """Mean squared error in units of each number's standard deviation; numbers that do not vary count nothing.

    Args:
        decoded: (B, d).
        inputs: (B, d).
        deviation: (d,) over the training samples.

    Returns:
        A scalar >= 0; about 1 if every number is decoded as its mean.
    """
    varies = deviation > 0
    error = (decoded - inputs)[:, varies] / deviation[varies]
    return error.square().mean() if error.numel() else decoded.sum() * 0.0


def coarse_cross_entropy(logits: list[Tensor], coarse: Tensor) -> Tensor:
    """Cross-entropy of coarse labels, the mean over sources of the mean over the samples that a source labels.

    Args:
        logits: (B, K_C) of each source.
        coarse: (B, sources), -1 for none.

    Returns:
        A scalar >= 0; a source without a label in the batch adds 0.
    """
    losses = []
    for source, each in enumerate(logits):
        labels = coarse[:, source]
        known = labels >= 0
        total = functional.cross_entropy(each[known], labels[known], reduction="sum")
        losses.append(total / known.sum().clamp_min(1))
    return torch.stack(losses).mean()
