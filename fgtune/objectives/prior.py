"""The sizes of fine classes that the uniformity term pulls the mean prediction to, where they are not fixed numbers."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

MOMENTUM = 0.98
"""Of the mean prediction that a learned prior follows, per step."""
FLOOR = 1e-6
"""Smallest size of a fine class, so that a class without samples has a finite logarithm and can come back."""


class ClassPrior:
    """Sizes within each coarse class, scaled so that a coarse class has its share of the labelled samples.

    With several sources, which share the fine classes, the priors of the sources are averaged by their labelled
    samples.

    Args:
        kind: ``coarse_shares``: sizes within a coarse class are equal; ``clusters``: those of ``sizes``; ``learned``:
            a moving average of the mean predictions, which starts from ``sizes``.
        coarse: (n_train, sources) coarse labels, -1 for none.
        num_coarse: K_C of each source.
        sizes: (K_F,) positive relative sizes; unused by ``coarse_shares``.
    """

    def __init__(
        self,
        kind: Literal["coarse_shares", "clusters", "learned"],
        coarse: Tensor,
        num_coarse: tuple[int, ...],
        sizes: Tensor,
    ) -> None:
        self._learned = kind == "learned"
        self._sizes = torch.ones_like(sizes) if kind == "coarse_shares" else sizes.clone()
        counts = [
            torch.bincount(coarse[:, source][coarse[:, source] >= 0], minlength=number)
            for source, number in enumerate(num_coarse)
        ]
        total = sum(int(each.sum()) for each in counts)
        self._shares = [each.to(sizes.dtype) / max(1, total) for each in counts]  # over all sources they sum to 1
        self._known: tuple[Tensor, Tensor] | None = None  # relations, and their log-prior

    def log(self, fine_to_coarse: Tensor) -> Tensor:
        """(K_F,) log-prior under relations (sources, K_F), in memory of its own while it may change."""
        if self._learned:  # it moves with every step, also where a graph takes it
            return self._log(fine_to_coarse)
        if self._known is None or self._known[0] is not fine_to_coarse:
            self._known = fine_to_coarse, self._log(fine_to_coarse)
        return self._known[1]

    @torch.inference_mode(mode=False)  # a step of training may use what an evaluation has asked for
    def _log(self, fine_to_coarse: Tensor) -> Tensor:
        sizes = self._sizes.clamp_min(FLOOR)
        prior = torch.zeros_like(sizes)
        for parents, shares in zip(fine_to_coarse, self._shares, strict=True):
            within = torch.zeros_like(shares).index_add_(0, parents, sizes)
            prior = prior + shares[parents] * sizes / within[parents]
        prior = prior.clamp_min(FLOOR)
        return (prior / prior.sum()).log()

    @torch.no_grad()
    def follow(self, log_probs: Tensor) -> None:
        """Move a learned prior towards the mean of a batch of predictions (B, K_F)."""
        if self._learned:
            self._sizes.lerp_(log_probs.exp().mean(dim=0), 1.0 - MOMENTUM)

    def state_dict(self) -> dict[str, Any]:
        """What a learned prior has become."""
        return {"sizes": self._sizes.to("cpu", copy=True)}  # they change in place

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state."""
        self._known = None
        self._sizes = state["sizes"].to(self._sizes.device, copy=True)
