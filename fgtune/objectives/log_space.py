"""Sums of probabilities in log space, with gradients, in one exponential at a cost that confidence does not raise.

The exponential of Intel's library takes a hundred times as long where its result is 0 or no normal number, as it is for
most classes once predictions are confident. Arguments are therefore cut off at ``FLOOR`` below the largest one: what is
cut off is less than a rounding error of the sum, and its gradient less than 1e-26 of the largest.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

FLOOR = -60.0
"""Logarithm below which a share counts as ``exp(FLOOR)``, 9e-27."""
_MOST_AT_ONCE = 2**24
"""Numbers of a product that are held at once (64 MiB) where no gradient needs them all."""
OUTSIDE = -1e30
"""Stands for the logarithm of 0: below any other, and finite in float32."""


class _LogDot(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, log_p: Tensor, log_q: Tensor) -> Tensor:
        shares = log_p.unsqueeze(1) + log_q
        top = shares.amax(dim=2, keepdim=True)
        shares.sub_(top).clamp_(min=FLOOR).exp_()
        total = shares.sum(dim=2)
        ctx.save_for_backward(shares, total)
        return total.log().add_(top.squeeze(2))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        shares, total = ctx.saved_tensors
        return torch.bmm((gradient / total).unsqueeze(1), shares).squeeze(1), None


class _LogSumWithin(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, log_p: Tensor, inside: Tensor) -> Tensor:
        shares = log_p.masked_fill(~inside, OUTSIDE)
        top = shares.amax(dim=1, keepdim=True)
        shares.sub_(top).clamp_(min=FLOOR).exp_().mul_(inside)
        total = shares.sum(dim=1)
        ctx.save_for_backward(shares, total)
        return total.log().add_(top.squeeze(1))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        shares, total = ctx.saved_tensors
        smallest = torch.finfo(total.dtype).tiny  # of a row with nothing inside, which has no gradient
        return (gradient / total.clamp_min(smallest)).unsqueeze(1) * shares, None


class _MeanProbability(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, log_p: Tensor) -> Tensor:
        probs = log_p.clamp(min=FLOOR).exp_()
        ctx.save_for_backward(probs)
        return probs.mean(dim=0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        probs: Tensor = ctx.saved_tensors[0]
        return probs * (gradient / len(probs))


def log_dot(log_p: Tensor, log_q: Tensor) -> Tensor:
    """(B, k) logarithm of sum_f p_f q_f, which is finite where the products of probabilities underflow.

    Args:
        log_p: (B, K_F) logarithms of probabilities; carries the gradient.
        log_q: (B, k, K_F) the same of others, without a gradient.

    Example:
        >>> log_dot(torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[[0.5, 0.25]]]).log()).exp()
        tensor([[0.3750]])
    """
    rows = max(1, len(log_p))
    if not torch.is_grad_enabled():  # nothing is kept for a gradient, so parts need not stand beside each other
        rows = max(1, _MOST_AT_ONCE // max(1, log_q.shape[1] * log_q.shape[2]))
    parts = zip(torch.split(log_p, rows), torch.split(log_q, rows), strict=True)
    values = [_LogDot.apply(*part) for part in parts]
    value: Tensor = values[0] if len(values) == 1 else torch.cat(values)
    return value


def log_sum_within(log_p: Tensor, inside: Tensor) -> Tensor:
    """(B,) logarithm of the sum of p over the classes inside; -inf, without a gradient, where there are none.

    Args:
        log_p: (B, K_F) logarithms of probabilities; carries the gradient.
        inside: (B, K_F) bool.

    Example:
        >>> log_sum_within(torch.tensor([[0.5, 0.2, 0.3]]).log(), torch.tensor([[True, True, False]])).exp()
        tensor([0.7000])
    """
    value: Tensor = _LogSumWithin.apply(log_p, inside)
    return value


def mean_probability(log_p: Tensor) -> Tensor:
    """(K_F,) mean over the batch of the probabilities whose logarithms are ``log_p`` (B, K_F).

    Example:
        >>> mean_probability(torch.tensor([[0.5, 0.5], [0.1, 0.9]]).log())
        tensor([0.3000, 0.7000])
    """
    value: Tensor = _MeanProbability.apply(log_p)
    return value
