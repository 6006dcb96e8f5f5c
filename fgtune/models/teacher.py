"""The EMA teacher: a copy of the model whose weights follow the student's (FALCON, section 4.3)."""

from __future__ import annotations

import copy
from typing import Literal

import torch
from torch import nn

from fgtune.models.classifier import FineClassifier


class EmaTeacher:
    """An exponential moving average of a student's parameters.

    Buffers (batch-norm statistics) are handled in one of three ways:

    * ``shared``: teacher and student share their buffers, and the teacher runs in training mode. Its passes normalise
      by their batch and update the shared statistics, as in the released FALCON code, which swaps averaged weights
      into one model.
    * ``averaged``: the teacher's buffers are averaged like weights, and the teacher runs in evaluation mode.
    * ``own``: the teacher runs in training mode, so that its passes normalise by their batch and update its own.

    Args:
        student: The model to follow; the teacher starts as its copy.
        decay: Upper bound of the decay, in [0, 1).
        warmup: Whether to use min(decay, (1 + t) / (10 + t)) at the t-th update, counted from 1.
        buffers: ``shared``, ``averaged`` or ``own``.
    """

    def __init__(
        self, student: FineClassifier, decay: float, warmup: bool, buffers: Literal["shared", "averaged", "own"]
    ) -> None:
        self.model = copy.deepcopy(student).requires_grad_(False)
        self.model.compile_backbone()
        self.decay, self.warmup, self.shared = decay, warmup, buffers == "shared"
        self.updates = 0
        if self.shared:
            _share_buffers(student, self.model)
        self.model.train(buffers != "averaged")
        self._trained = [
            (p, q) for p, q in zip(self.model.parameters(), student.parameters(), strict=True) if q.requires_grad
        ]
        averaged = buffers == "averaged"
        buffers_of_both = list(zip(self.model.buffers(), student.buffers(), strict=True)) if averaged else []
        self._floats = [(p, q) for p, q in buffers_of_both if p.is_floating_point()]
        self._counts = [(p, q) for p, q in buffers_of_both if not p.is_floating_point()]

    def decay_at(self, update: int) -> float:
        """Decay of the ``update``-th update, counted from 1."""
        return min(self.decay, (1 + update) / (10 + update)) if self.warmup else self.decay

    @torch.no_grad()
    def update(self) -> None:
        """Move towards the student; call once after every optimiser step."""
        self.updates += 1
        weight = 1.0 - self.decay_at(self.updates)
        pairs = self._trained + self._floats
        torch._foreach_lerp_([p for p, _ in pairs], [q.detach() for _, q in pairs], weight)
        for p, q in self._counts:
            p.copy_(q)


def _share_buffers(student: nn.Module, teacher: nn.Module) -> None:
    """Make every buffer of ``teacher`` the same tensor as the student's."""
    sources = dict(student.named_modules())
    for name, module in teacher.named_modules():
        for key in list(module._buffers):
            module._buffers[key] = sources[name]._buffers[key]
