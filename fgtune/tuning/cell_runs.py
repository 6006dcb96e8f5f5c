"""How a worker runs a cell, by the kind of its trial: what it must be sent, and what is then stepped epoch by epoch."""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fgtune.config.arms.records import Cell
from fgtune.config.schema.function import FunctionTrialConfig
from fgtune.config.schema.trial import TrialConfig
from fgtune.data.base import Dataset
from fgtune.errors import TrialError
from fgtune.results.records import EpochMetrics, TrialOutcome
from fgtune.results.storage import Storage
from fgtune.training.prepared import PreparedSplit, dataset_key, preparation_key, prepare_split, views
from fgtune.tuning.shipping import SentFile, with_local_weights

if TYPE_CHECKING:
    import ray

    from fgtune.training.functions.folder import WorkFolder

KEPT_PREPARATIONS = 2
"""Preparations that a process keeps besides the shared ones; each holds a table as long as the data."""


class CellRun(Protocol):
    """A cell in training: an iterator of epochs that can be interrupted between any two."""

    @property
    def epoch(self) -> int:
        """Epochs done."""

    @property
    def resumable(self) -> int:
        """Epochs that a checkpoint written now would hold."""

    @property
    def history(self) -> Sequence[EpochMetrics]:
        """The epochs done."""

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do."""

    def __iter__(self) -> Iterator[EpochMetrics]:
        """The epochs that are left."""

    def save(self, path: Path) -> None:
        """Write a checkpoint."""

    def save_state(self, path: Path) -> None:
        """Write a checkpoint of all epochs done, from which other cells go on."""

    def outcome(self) -> TrialOutcome:
        """The result, once it is over."""

    def close(self) -> None:
        """Let go of what it holds; an unfinished cell has been saved before."""


@dataclass
class Worker:
    """What a worker's process has for all its cells.

    Attributes:
        datasets: Data sets in the object store, by ``dataset_key``.
        prepared: Preparations there, by ``preparation_key``.
        checkpoints: Where the cells' checkpoints are kept.
        encoders: Where pretrained backbones are kept; None keeps none.
        threads: Threads of BLAS, FAISS and torch.
        weights: Files with initial weights that were sent here, by the path that a study states.
        own_preparations: Preparations that were made here.
    """

    datasets: Mapping[str, ray.ObjectRef]
    prepared: Mapping[str, ray.ObjectRef]
    checkpoints: Storage
    encoders: Storage | None
    threads: int
    weights: Mapping[str, SentFile] = field(default_factory=dict)
    own_preparations: dict[str, PreparedSplit] = field(default_factory=dict)


def checkpoint_name(cell_id: str) -> str:
    """The file with the checkpoint of a cell."""
    return f"{cell_id}.pt"


def state_name(cell_id: str, epoch: int) -> str:
    """The file with a cell's state at a milestone, which forks start from."""
    return f"{cell_id}.{epoch}.pt"


class RunKind(ABC):
    """How cells of one kind of trial are run."""

    @abstractmethod
    def needs(self, cell: Cell) -> dict[str, Any]:
        """What a worker needs besides the config, as plain data."""

    @abstractmethod
    def start(self, job: Mapping[str, Any], worker: Worker) -> CellRun:
        """Begin a cell, or go on with it from its checkpoint or from that of a donor."""


class _TrainerRun:
    """A cell of fgtune's own trainer."""

    def __init__(self, trainer: Any, fork_epoch: int) -> None:
        self._trainer, self._fork_epoch = trainer, fork_epoch

    @property
    def epoch(self) -> int:
        return int(self._trainer.epoch)

    @property
    def resumable(self) -> int:
        return self.epoch

    @property
    def history(self) -> Sequence[EpochMetrics]:
        found: Sequence[EpochMetrics] = self._trainer.history
        return found

    @property
    def is_over(self) -> bool:
        return self.epoch >= int(self._trainer.config.epochs)

    def __iter__(self) -> Iterator[EpochMetrics]:
        return iter(self._trainer)

    def save(self, path: Path) -> None:
        from fgtune.training.checkpoint import save_checkpoint

        save_checkpoint(path, self._trainer.state_dict())

    def save_state(self, path: Path) -> None:
        self.save(path)

    def outcome(self) -> TrialOutcome:
        from fgtune.training.checkpoint import without_donor

        return without_donor(self._trainer.outcome(), self._fork_epoch)

    def close(self) -> None:
        self._trainer = None


class _TrainerKind(RunKind):
    """fgtune's own trainer."""

    def needs(self, cell: Cell) -> dict[str, Any]:
        own = cell.config.own()
        return {"dataset_key": dataset_key(own), "preparation_key": preparation_key(own, cell.seed)}

    def start(self, job: Mapping[str, Any], worker: Worker) -> CellRun:
        import faiss  # noqa: F401 (imported before its threads are limited)
        import ray

        from fgtune.training.build import build_trainer
        from fgtune.training.portraits import Painter

        limit_threads(worker.threads)
        config = TrialConfig.from_plain(with_local_weights(job["config"], worker.weights))
        dataset: Dataset = ray.get(worker.datasets[job["dataset_key"]])
        prepared = self._preparation(dataset, config, job, worker)
        training, evaluation = views(dataset, prepared)
        seed, threads = job["seed"], worker.threads
        painter = None if job["portrait"] is None else Painter(dataset, with_samples=job["portrait"])
        trainer = build_trainer(config, training, evaluation, prepared, seed, threads, worker.encoders, painter)
        trainer.measure_every = config.evaluation.period(config.epochs, is_judged=job["is_judged"])
        state, fork = self._state(worker, checkpoint_name(job["cell_id"])), job["fork"]
        if state is not None:
            trainer.load_state_dict(state)
        elif fork is not None:
            self._fork(trainer, worker, fork["donor"], fork["epoch"])
        return _TrainerRun(trainer, 0 if fork is None else fork["epoch"])

    @staticmethod
    def _state(worker: Worker, name: str) -> dict[str, Any] | None:
        """What a checkpoint holds; None if there is none that can be read."""
        from fgtune.training.checkpoint import load_checkpoint

        with worker.checkpoints.reading(name) as path:
            return None if path is None else load_checkpoint(path)

    @staticmethod
    def _fork(trainer: Any, worker: Worker, donor: str, epoch: int) -> None:
        """Start from the state of another cell."""
        from fgtune.training.checkpoint import start_from

        state = _TrainerKind._state(worker, state_name(donor, epoch))
        if state is None:
            raise _gone(donor, epoch)
        start_from(trainer, state)

    @staticmethod
    def _preparation(dataset: Dataset, config: TrialConfig, job: Mapping[str, Any], worker: Worker) -> PreparedSplit:
        """The shared preparation; made here, once per process, for settings that were not known in advance."""
        import ray

        key, own = job["preparation_key"], worker.own_preparations
        if key in worker.prepared:
            shared: PreparedSplit = ray.get(worker.prepared[key])
            return shared
        if key not in own:
            while len(own) >= KEPT_PREPARATIONS:
                del own[next(iter(own))]
            own[key] = prepare_split(dataset, config, job["seed"], worker.threads)
        return own[key]


class _FunctionKind(RunKind):
    """A user's own trainer."""

    def needs(self, cell: Cell) -> dict[str, Any]:
        del cell
        return {}

    def start(self, job: Mapping[str, Any], worker: Worker) -> CellRun:
        from fgtune.training.functions.call import find_function
        from fgtune.training.functions.folder import WorkFolder
        from fgtune.training.functions.trainer import FunctionTrainer

        config = FunctionTrialConfig.from_plain(job["config"])
        function = find_function(config.call)
        limit_threads(worker.threads)  # of what its module has imported
        if not function.wants_folder:
            return FunctionTrainer(config, function, job["seed"])
        folder, fork = WorkFolder(worker.checkpoints.work_folder(f"{job['cell_id']}.work")), job["fork"]
        begins = 0 if fork is None else fork["epoch"]
        history = self._restored(folder, worker, checkpoint_name(job["cell_id"]))
        if fork is not None and len(history) < begins:
            history = self._restored(folder, worker, state_name(fork["donor"], begins))
            if len(history) != begins:
                raise _gone(fork["donor"], begins)
        return FunctionTrainer(config, function, job["seed"], folder, history, begins)

    @staticmethod
    def _restored(folder: WorkFolder, worker: Worker, name: str) -> tuple[EpochMetrics, ...]:
        """Fill the folder from a checkpoint; returns the epochs before it, none where there is none."""
        with worker.checkpoints.reading(name) as path:
            return () if path is None else folder.restore(path)


def _gone(donor: str, epoch: int) -> TrialError:
    return TrialError(f"the state of cell {donor} after epoch {epoch} is gone, so nothing goes on from it")


RUN_KINDS: Mapping[str, RunKind] = {"discovery": _TrainerKind(), "function": _FunctionKind()}
"""By ``trial_kind`` of the config."""


def run_kind_of(config: Mapping[str, Any]) -> RunKind:
    """How a cell with this config, as plain data, is run."""
    return RUN_KINDS[config.get("kind", "discovery")]


def hide_gpus() -> None:
    """Let this process see no GPU, which Ray leaves visible to a trial that holds none: torch would take the first."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""


def limit_threads(threads: int) -> None:
    """Limit torch, FAISS and BLAS to ``threads`` threads, so that concurrent trials do not compete for cores.

    What is not imported yet reads the limit from the environment.
    """
    from threadpoolctl import threadpool_limits

    os.environ["OMP_NUM_THREADS"] = str(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    if "faiss" in sys.modules:
        sys.modules["faiss"].omp_set_num_threads(threads)
    threadpool_limits(threads)  # stays in force for the BLAS pools of NumPy and SciPy that are loaded by now
