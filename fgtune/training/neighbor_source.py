"""Neighbours during training: stored ones, those drawn for a step, and the teacher's memory of them (FALCON eq. 6)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from fgtune.arrays import IntArray
from fgtune.config.schema.trial import NeighborsConfig
from fgtune.data.base import TrainingView
from fgtune.models.classifier import FineClassifier
from fgtune.neighbors import coarse_groups, find_neighbors
from fgtune.training.compute import log_of
from fgtune.training.predictions import Predictions, features_of


class NeighborSource:
    """Neighbours of the training samples.

    Args:
        config: Scope, features, refreshing, targets.
        view: The training split; holds the neighbours among raw inputs if those are used.
        run: Predicts with a model on rows (n,) of the data set, without augmentation, part by part of the rows.
        initial: The model before the first step.
        teacher: The teacher before the first step.
        threads: Threads of a search in features.
        device: Where training runs.
    """

    def __init__(
        self,
        config: NeighborsConfig,
        view: TrainingView,
        run: Callable[[FineClassifier, IntArray], Iterator[tuple[slice, Predictions]]],
        initial: FineClassifier,
        teacher: FineClassifier,
        threads: int,
        device: torch.device,
    ) -> None:
        self._config, self._view, self._run, self._threads, self._device = config, view, run, threads, device
        if config.features != "inputs":
            self._set(self._search(initial))
        elif view.neighbors is None:
            raise ValueError("neighbours among raw inputs are prepared before training, and there are none")
        else:
            self._set(torch.from_numpy(view.neighbors.copy()))
        self.memory: Tensor | None = None
        """(n_train, K_F) the teacher's latest log-probabilities of every sample; None unless ``targets: memory``."""
        self.remember(teacher)

    def remember(self, teacher: FineClassifier) -> None:
        """Fill the memory with the predictions of ``teacher``, if there is one."""
        if self._config.targets != "memory":
            return
        memory = None
        for block, part in self._run(teacher, self._view.train):
            known = log_of(torch.from_numpy(part.probs).to(self._device))
            if memory is None:
                memory = known.new_empty((len(self._view.train), known.shape[1]))
            memory[block] = known
        self.memory = memory

    @property
    def held(self) -> tuple[Tensor, Tensor | None]:
        """What steps read and change in place; other tensors after a search, a refresh and a restart."""
        return self._positions, self.memory

    def _set(self, positions: Tensor) -> None:
        """Take (n_train, stored) positions, which are on the CPU."""
        missing = (positions < 0).sum(dim=1)
        self.are_complete = bool((missing + self._config.sampled <= positions.shape[1]).all())
        """Whether every sample has as many neighbours as are drawn."""
        self._positions = positions.to(self._device)

    def _search(self, model: FineClassifier) -> Tensor:
        """(n_train, stored) neighbours in the features of ``model``, without augmentation."""
        features = features_of(self._run(model, self._view.train))
        groups = coarse_groups(self._view.train_coarse) if self._config.scope == "coarse" else None
        found = find_neighbors(features, groups, self._config.stored, self._threads)
        return torch.from_numpy(found)

    def refresh_if_due(self, epoch: int, teacher: FineClassifier) -> None:
        """Search and remember again what is due before ``epoch`` (1-based)."""
        every = self._config.refresh_epochs
        if every is not None and epoch > 1 and (epoch - 1) % every == 0:
            self._set(self._search(teacher))
        every = self._config.memory_refresh_epochs
        if every is not None and epoch > 1 and (epoch - 1) % every == 0:
            self.remember(teacher)

    def see(self, rows: Tensor, log_probs: Tensor) -> None:
        """Remember the teacher's log-probabilities (B, K_F) of ``rows`` (B,), if anything is remembered."""
        if self.memory is None:
            return
        kept = self._config.memory_momentum
        if kept:
            log_probs = torch.logaddexp(self.memory[rows] + math.log(kept), log_probs + math.log1p(-kept))
        self.memory[rows] = log_probs

    def draw(self, rows: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Positions (B, k) of drawn neighbours of ``rows`` (B,), and which of them exist (B, k)."""
        return draw_neighbors(self._positions[rows], self._config.sampled, generator)

    def state_dict(self) -> dict[str, Any]:
        """Neighbours and memory, which cannot be computed again."""
        return {"positions": self._positions.cpu(), "memory": None if self.memory is None else self.memory.cpu()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state."""
        self._set(state["positions"])
        self.memory = None if state["memory"] is None else state["memory"].to(self._device)


def draw_neighbors(neighbors: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw ``count`` distinct neighbours per row, or all of a row that has fewer.

    Args:
        neighbors: (B, k) int64 positions in the training split, -1 where a sample has fewer than k.
        count: How many to draw.
        generator: Source of the draw, on the device of ``neighbors``.

    Returns:
        Positions (B, min(count, k)) int64, and (B, min(count, k)) bool: which of them exist.
    """
    keys = torch.rand(neighbors.shape, generator=generator, device=neighbors.device)
    keys = keys.masked_fill(neighbors < 0, -1.0)
    chosen = keys.topk(min(count, neighbors.shape[1]), dim=1).indices
    positions = neighbors.gather(1, chosen)
    return positions, positions >= 0
