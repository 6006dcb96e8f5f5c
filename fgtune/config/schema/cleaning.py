"""Which coarse labels of the training split are doubted before a trial is trained, and what becomes of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fgtune.config.schema.base import Config, Count
from fgtune.config.schema.model import BackboneConfig


class CleaningConfig(Config):
    """Confident learning (Northcutt, Jiang and Chuang 2021) with the coarse head of the trial's own network.

    A label is doubted where a network that was trained without the sample is surer of another coarse class than it is,
    on average, of the samples that carry that class's label.
    """

    action: Literal["relabel", "drop"] = "relabel"
    """Give a sample with a doubtful label that other class, or leave it out of training."""
    folds: Annotated[int, Field(ge=2, le=20)] = 4
    """Parts of the training split; the labels of each are judged by a network that was trained on the others."""
    epochs: Count | None = None
    """Epochs of each of these trainings; None is a third of the trial's, before wrong labels are learned by heart."""

    backbone: BackboneConfig | None = None
    """The network of these trainings, which starts from random weights; None is the trial's own, as it starts."""

    def length(self, epochs: int) -> int:
        """Epochs of a fold's training in a trial of ``epochs``."""
        return self.epochs or max(1, round(epochs / 3))
