"""One SCAN model a coarse class: a trainer for each, which sees the samples of its class alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from fgtune.arrays import Float32Array, IntArray
from fgtune.config.schema.clustering import ScanClusteringConfig
from fgtune.config.schema.trial import TrialConfig
from fgtune.data.base import TrainingView
from fgtune.data.views import vectors
from fgtune.neighbors import find_neighbors
from fgtune.training.clustering.fits import check_size
from fgtune.training.clustering.rules import FloatMatrix, allowed

_SHARED = (
    *("data", "model", "teacher", "neighbors", "augmentation", "optimizer", "schedule"),
    *("epochs", "batch_size", "precision", "device", "streams"),
)
"""Sections that a class's trial has from the whole one."""
_LEAST = 1e-30
"""Probability whose logarithm is taken of smaller ones, too."""


class ClassTrainer(Protocol):
    """What is asked of the trainer of one coarse class."""

    def train_epoch(self, epoch: int) -> dict[str, float]:
        """Train ``epoch`` (1-based, in order)."""

    def fine_probs(self, rows: IntArray) -> Float32Array:
        """(n, classes) probabilities of rows (n,) of the data set."""

    def state_dict(self) -> dict[str, Any]:
        """All that the next epoch depends on."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state."""


class ClassModels:
    """A SCAN model for every coarse class that has samples; one of a single fine class has nothing to learn.

    Args:
        config: The whole trial, whose network, views, optimiser and number of epochs each model has.
        view: What training sees.
        groups: (n_train,) coarse class of each training sample, -1 for none: such a sample trains no model.
        sizes: Fine classes of each coarse class that has samples, in the order of their numbers.
        make: The trainer of a trial on a view.
        threads: Threads of the neighbour search.

    Attributes:
        owners: (K_F,) int64 coarse class below which each fine class is found; coarse class by coarse class.

    Raises:
        TrialError: A coarse class has fewer samples than fine classes.
    """

    def __init__(
        self,
        config: TrialConfig,
        view: TrainingView,
        groups: IntArray,
        sizes: Sequence[int],
        make: Callable[[TrialConfig, TrainingView], ClassTrainer],
        threads: int,
    ) -> None:
        found = np.unique(groups[groups >= 0])
        self.owners: IntArray = np.repeat(found, sizes).astype(np.int64)
        self._trained = 0
        self._trainers: list[ClassTrainer | None] = []
        self._sizes = [int(size) for size in sizes]
        for group, size in zip(found.tolist(), self._sizes, strict=True):
            own = np.flatnonzero(groups == group)
            check_size(len(own), size)
            part = _part(config, view, own, threads)
            self._trainers.append(make(_trial(config, size), part) if size > 1 else None)

    def train_to(self, epoch: int) -> None:
        """Train every model until it has done ``epoch`` epochs."""
        for done in range(self._trained + 1, epoch + 1):
            for trainer in self._trainers:
                if trainer is not None:
                    trainer.train_epoch(done)
        self._trained = max(self._trained, epoch)

    def log_shares(self, rows: IntArray) -> FloatMatrix:
        """(n, K_F) log p(z | x, c) of rows (n,) of the data: of each fine class among those of its coarse class."""
        parts = []
        for trainer, size in zip(self._trainers, self._sizes, strict=True):
            probs = np.ones((len(rows), size)) if trainer is None else trainer.fine_probs(rows).astype(np.float64)
            parts.append(np.log(np.maximum(probs, _LEAST)))
        return np.concatenate(parts, axis=1)

    def members(self, rows: IntArray, groups: IntArray) -> IntArray:
        """(n,) the best fine class of rows (n,) within coarse classes ``groups`` (n,); of all where that is -1."""
        best: IntArray = allowed(self.log_shares(rows), self.owners, groups).argmax(axis=1)
        return best

    def state_dict(self) -> dict[str, Any]:
        """The state of every model."""
        states = [None if trainer is None else trainer.state_dict() for trainer in self._trainers]
        return {"trained": self._trained, "models": states}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state."""
        self._trained = state["trained"]
        for trainer, saved in zip(self._trainers, state["models"], strict=True):
            if trainer is not None:
                trainer.load_state_dict(saved)


def _trial(config: TrialConfig, classes: int) -> TrialConfig:
    """The trial of one coarse class."""
    if not isinstance(config.clustering, ScanClusteringConfig):
        raise TypeError(f"class models are of clustering.kind scan, not {config.clustering.kind}")
    plain = config.to_plain()
    return TrialConfig.from_plain(
        {
            **{name: plain[name] for name in _SHARED},
            "classes": {"num_fine": classes},
            "objective": {"preset": "scan", "lambda_reg": config.clustering.lambda_reg},
            "relations": {"mode": "random_balanced"},  # of one coarse class: nothing to solve
            "evaluation": {"weights": config.evaluation.weights, "splits": ["train"]},
        }
    )


def _part(config: TrialConfig, view: TrainingView, own: IntArray, threads: int) -> TrainingView:
    """The training samples at positions ``own`` as a data set of one coarse class, with neighbours among themselves."""
    rows = view.train[own]
    neighbors = None
    if config.neighbors.features == "inputs":
        neighbors = find_neighbors(vectors(view.inputs, rows), None, config.neighbors.stored, threads)
    coarse = np.zeros((len(own), 1), dtype=np.int64)
    none = np.empty(0, dtype=np.int64)
    return replace(
        view,
        train=rows,
        val=none,
        train_coarse=coarse,
        val_coarse=none[:, None],
        num_coarse=(1,),
        neighbors=neighbors,
        label_sets=False,
    )
