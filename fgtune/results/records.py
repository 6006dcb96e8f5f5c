"""Records that pass between trainer, driver, tracking and analysis; plain data without torch, ray or pandas."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from fgtune.arrays import IntArray
from fgtune.config.arms.records import Fork


class CellState(StrEnum):
    """How a cell ended."""

    COMPLETE = "COMPLETE"
    PRUNED = "PRUNED"
    FAIL = "FAIL"


@dataclass(frozen=True)
class EpochMetrics:
    """The metrics of one epoch.

    Attributes:
        epoch: Number of the epoch, from 1.
        step: Optimiser steps so far.
        metrics: ``train/...`` loss terms of the epoch, and ``val/...``, ``test/...`` where it was evaluated.
        seconds: Wall seconds of training and evaluation in this epoch.
    """

    epoch: int
    step: int
    metrics: Mapping[str, float]
    seconds: float


@dataclass(frozen=True)
class SolverUse:
    """All solves of the relations in one trial.

    Attributes:
        solver: Kind of the solver.
        solves: How many.
        seconds: How long they took together.
        statuses: How they ended, by status.
        max_gap: Largest relative gap.
        resolves: How many of them were during training, from predictions.
        changes: How many of those changed the relations.
    """

    solver: str
    solves: int
    seconds: float
    statuses: Mapping[str, int]
    max_gap: float
    resolves: int = 0
    changes: int = 0


@dataclass(frozen=True)
class RelationsRecord:
    """Learned against true relations of one finished cell, as stored in ``relations/<cell_id>.npz``.

    Attributes:
        fine_to_coarse: (sources, K_F) learned parents.
        coarse_counts: (sources, K_F, max K_C) counts of predicted fine class x coarse label, on the test split.
        true_fine_to_coarse: (sources, K_F*) true parents; None without fine labels.
        fine_counts: (K_F, K_F*) counts of predicted x true fine class, on the test split; None without fine labels.
        within_counts: The same for predictions that the known coarse label restricts to the classes below it; None
            without fine labels, and in a record of an earlier version.
    """

    fine_to_coarse: IntArray
    coarse_counts: IntArray
    true_fine_to_coarse: IntArray | None = None
    fine_counts: IntArray | None = None
    within_counts: IntArray | None = None


@dataclass(frozen=True)
class AttentionRecord:
    """Attention maps of a few samples, as stored in ``attention/<cell_id>.npz``.

    Attributes:
        rows: (n,) int64 rows of the data set; the same in all arms of a block.
        maps: (n, H, W) float32 attention maps, each of Euclidean length 1.
        inputs: (n, ...) the samples themselves.
    """

    rows: IntArray
    maps: npt.NDArray[np.float32]
    inputs: npt.NDArray[Any]


@dataclass(frozen=True)
class PortraitRecord:
    """What the learned classes of one cell look like, as stored in ``portraits/<cell_id>.npz``; of the reported split.

    Attributes:
        rows: (m,) rows of the data set that are on the map of the features.
        features: (m, p) float16 principal components of their features, in units of the size of all of them.
        learned: (m,) their learned classes.
        coarse: (m,) their coarse labels of the first source, -1 for none.
        classes: (k,) learned classes that are described, from the largest on.
        sizes: (k,) samples of each.
        confidence: (k,) float32 mean probability of the class among its samples.
        samples: (k, 5) rows: the medoid, two of the most confident, two of the most doubtful samples; -1 for none.
        sample_confidence: (k, 5) float32 probability of the class.
        sample_second: (k, 5) second choice, -1 for none.
        true: (m,) fine classes of the samples on the map; None without fine labels, as ``sample_true``.
        sample_true: (k, 5) fine classes of the samples of classes, -1 for none.
        pictures: (k, 5) data URLs in ASCII, empty for none; None where samples are no pictures or may not be shown.
        differs: (k, 5) names in UTF-8 of the features that tell a class from the rest of its coarse class; empty for
            none. None for pictures, as the three below.
        inside: (k, 5) float32 mean of that feature in the class, in the units of the data.
        outside: (k, 5) float32 mean in the rest of the coarse class.
        effect: (k, 5) float32 difference of both in standard deviations.
        reliability: (3, bins) float32 labelled samples, mean confidence and accuracy of coarse predictions of the first
            source by confidence, in bins of equal width.
        coarse_names: (K_C,) in UTF-8, where the data have names; ``fine_names`` as well.
        fine_names: (K_F*,).
    """

    rows: IntArray
    features: npt.NDArray[np.float16]
    learned: IntArray
    coarse: IntArray
    classes: IntArray
    sizes: IntArray
    confidence: npt.NDArray[np.float32]
    samples: IntArray
    sample_confidence: npt.NDArray[np.float32]
    sample_second: IntArray
    true: IntArray | None = None
    sample_true: IntArray | None = None
    pictures: npt.NDArray[np.bytes_] | None = None
    differs: npt.NDArray[np.bytes_] | None = None
    inside: npt.NDArray[np.float32] | None = None
    outside: npt.NDArray[np.float32] | None = None
    effect: npt.NDArray[np.float32] | None = None
    reliability: npt.NDArray[np.float32] | None = None
    coarse_names: npt.NDArray[np.bytes_] | None = None
    fine_names: npt.NDArray[np.bytes_] | None = None


@dataclass(frozen=True)
class MapRecord:
    """Where the samples of a portrait lie in the plane, as stored in ``maps/<cell_id>.npz``.

    Attributes:
        points: (m, 2) float32, in the order of ``PortraitRecord.rows``.
    """

    points: npt.NDArray[np.float32]


SPLIT_BITS = {"train": 1, "val": 2, "test": 4}
"""How ``PredictionsRecord.splits`` marks each split."""


@dataclass(frozen=True)
class PredictionsRecord:
    """The predicted fine class of every sample of the data set, as stored in ``predictions/<cell_id>.npz``.

    Attributes:
        fine: (N,) the most probable fine class, -1 for samples in no split; the smallest type that holds K_F.
        splits: (N,) int8, the sum of 1 for training, 2 for validation, 4 for test; 7 in a transductive study.
        within_coarse: (N,) the most probable among the fine classes of the sample's known coarse label; None where
            that is ``fine`` for every sample.
    """

    fine: npt.NDArray[np.signedinteger[Any]]
    splits: npt.NDArray[np.int8]
    within_coarse: npt.NDArray[np.signedinteger[Any]] | None = None

    @property
    def restricted(self) -> npt.NDArray[np.signedinteger[Any]]:
        """(N,) the fine classes that the known coarse labels allow."""
        return self.fine if self.within_coarse is None else self.within_coarse


@dataclass(frozen=True)
class LabelsRecord:
    """The coarse labels of every sample of a data set, as stored in ``coarse_labels/<dataset key>.npz``.

    Attributes:
        coarse: (N, sources), -1 for none; the smallest type that holds the classes.
        num_coarse: (sources,) K_C of each source.
    """

    coarse: npt.NDArray[np.signedinteger[Any]]
    num_coarse: IntArray

    @classmethod
    def of(cls, coarse: IntArray, num_coarse: Sequence[int]) -> LabelsRecord:
        """The labels of a data set."""
        return cls(compact(coarse, max(num_coarse)), np.array(num_coarse, dtype=np.int64))


def compact(labels: IntArray, number: int) -> npt.NDArray[np.signedinteger[Any]]:
    """Labels in [-1, number) in the smallest signed type that holds them."""
    return labels.astype(np.min_scalar_type(-max(number, 1)))


@dataclass(frozen=True)
class CellResult:
    """One line of the ledger: a finished cell.

    ``metrics`` (of the last epoch) and ``epochs`` repeat exactly when the cell is run again on the same machine; times
    do not.

    Attributes:
        levels: Value of every factor, by dotted path.
        config: The resolved trial config as plain data.
        seconds: Wall seconds inside the trainer, over all attempts that contributed.
        attempts: 1 + number of restarts after crashes.
        cause: Why a FAIL or PRUNED cell ended, and which metrics were not finite; else None.
        finished_at: ISO 8601, UTC.
        fork: For a cell that continued another's training: which cell, and after which epoch. ``epochs`` counts the
            epochs before that, ``seconds`` and ``solver`` do not.
        evidence: Digests of what the cell left beside this line: ``curve`` (without its times), ``relations``,
            ``predictions``, ``attention``, ``portrait``, ``failure`` (the traceback); and of the ``coarse_labels`` of
            its data. None in a line of an earlier version.
    """

    cell_id: str
    arm: str
    seed: int
    config_hash: str
    state: CellState
    metrics: Mapping[str, float]
    seconds: float
    epochs: int
    levels: Mapping[str, Any]
    config: Mapping[str, Any]
    solver: SolverUse | None = None
    attempts: int = 1
    cause: str | None = None
    finished_at: str = ""
    host: str = ""
    fork: Fork | None = None
    evidence: Mapping[str, str] | None = None

    def value(self, metric: str) -> float:
        """A metric or cost (``cost/seconds``, ``cost/solver_seconds``); nan where the cell has none."""
        if metric == "cost/seconds":
            return self.seconds
        if metric == "cost/solver_seconds":
            return 0.0 if self.solver is None else self.solver.seconds
        return float(self.metrics.get(metric, math.nan))

    def to_plain(self) -> dict[str, Any]:
        """The record as plain JSON data, without ``fork`` and ``evidence`` where there is none."""
        plain = _plain(self) | {"state": self.state.value}
        for name in ("solver", "fork"):
            if plain[name] is not None:
                plain[name] = _plain(plain[name])
        return {name: value for name, value in plain.items() if value is not None or name not in {"fork", "evidence"}}

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> CellResult:
        """Read a record back; keys that this version does not know are an error."""
        values = dict(data)
        values["state"] = CellState(values["state"])
        if values.get("solver") is not None:
            values["solver"] = SolverUse(**values["solver"])
        if values.get("fork") is not None:
            values["fork"] = Fork(**values["fork"])
        return cls(**values)


def _plain(record: CellResult | SolverUse | Fork) -> dict[str, Any]:
    """The fields of a record, mappings copied but not what is in them: ``asdict`` copies every setting of a config."""
    values = {each.name: getattr(record, each.name) for each in fields(record)}
    return {name: dict(value) if isinstance(value, Mapping) else value for name, value in values.items()}


def joint_state(results: Sequence[CellResult]) -> CellState:
    """How an arm ended, given all its cells: failed or pruned if any of them did."""
    states = {each.state for each in results}
    return next(state for state in (CellState.FAIL, CellState.PRUNED, CellState.COMPLETE) if state in states)


@dataclass(frozen=True)
class TrialOutcome:
    """What a trial returns to the driver at its end: the whole curve, the relations, the predictions, the cost.

    ``relations`` is None for a trial that learns none: a user's own function.
    """

    history: tuple[EpochMetrics, ...]
    relations: RelationsRecord | None
    solver: SolverUse | None
    seconds: float
    attention: AttentionRecord | None = None
    predictions: PredictionsRecord | None = None
    portrait: PortraitRecord | None = None

    @property
    def metrics(self) -> Mapping[str, float]:
        """Metrics of the last epoch."""
        return self.history[-1].metrics


def best_by_mean(scores: Mapping[str, tuple[float, int]], mode: Literal["maximize", "minimize"]) -> str | None:
    """The arm with the best mean among those with the most values, the first of ties; None if no arm has a value.

    An arm with fewer values has lost cells, often its bad ones, so its mean is not comparable with the others'.

    Args:
        scores: Mean and number of values of each arm; an arm whose mean is not finite counts as having none.
        mode: Which direction is better.
    """
    finite = {arm: (mean, n) for arm, (mean, n) in scores.items() if n and math.isfinite(mean)}
    most = max((n for _, n in finite.values()), default=0)
    sign = -1.0 if mode == "minimize" else 1.0
    return max(
        (arm for arm, (_, n) in finite.items() if n == most), key=lambda arm: sign * finite[arm][0], default=None
    )
