"""The momentum encoder, which makes the keys that a contrastive term compares the student's features with."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from fgtune.models.classifier import FineClassifier
from fgtune.models.teacher import EmaTeacher
from fgtune.objectives.base import KeyEncoding
from fgtune.training.compute import Compute


class KeyEncoder(EmaTeacher):
    """A copy of the student that follows it; its batch norm keeps averages or sees the batch, as the term says.

    Args:
        student: The model to follow.
        encoding: How the term has its keys made.
    """

    def __init__(self, student: FineClassifier, encoding: KeyEncoding) -> None:
        super().__init__(student, encoding.momentum, False, "averaged" if encoding.statistics == "averaged" else "own")
        self._groups = encoding.groups

    def keys(self, view: Tensor, compute: Compute, streams: Mapping[str, torch.Generator]) -> Tensor:
        """Features (B, d) of a view (B, ...) in fp32; of parts of a batch in an order that the student does not have.

        Args:
            view: Training samples.
            compute: Device and precision.
            streams: The generator of that order, as ``shuffle``.
        """
        with compute.autocast():
            if self._groups == 1 or not self.model.training:
                return self.model.features(view).float()
            order = torch.randperm(len(view), generator=streams["shuffle"], device=view.device)
            shuffled = torch.cat([self.model.features(part) for part in batch_parts(view[order], self._groups)]).float()
        return torch.empty_like(shuffled).index_copy_(0, order, shuffled)


def batch_parts(view: Tensor, groups: int) -> tuple[Tensor, ...]:
    """The parts of a batch (B, ...) that batch norm sees one by one, of two samples or more each."""
    return view.tensor_split(max(1, min(groups, len(view) // 2)))
