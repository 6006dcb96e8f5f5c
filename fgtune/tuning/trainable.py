"""A cell as a Ray Tune trainable: builds the trainer, steps it, writes checkpoints, and may reuse its process."""

from __future__ import annotations

import os
import pickle
import tempfile
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from typing import Any

import ray
from ray import tune

from fgtune.config.arms.records import Cell
from fgtune.errors import FgtuneError
from fgtune.files import is_disk_fault
from fgtune.plugins import Permit, permit_for_workers, permitting
from fgtune.results.records import EpochMetrics, TrialOutcome
from fgtune.results.storage import Storage
from fgtune.training.prepared import PreparedSplit
from fgtune.tuning.cell_runs import (
    RUN_KINDS,
    CellRun,
    Worker,
    checkpoint_name,
    hide_gpus,
    limit_threads,
    run_kind_of,
    state_name,
)
from fgtune.tuning.shipping import SentFile
from fgtune.tuning.watch import time_limit_text

REPORT_EVERY_S = 1.0
"""A step trains whole epochs until this much time has passed: often enough for a live display, too rare to cost
anything. It ends earlier after an epoch at which the trial has to wait for a decision."""
JOB = "job"
"""The only key of a Tune config: plain data that a worker needs for one cell."""


def job_of(cell: Cell, portrait: bool | None = None) -> dict[str, Any]:
    """What a worker needs to run a cell.

    Args:
        cell: The cell.
        portrait: Whether what its classes look like shows samples; None where that is not kept at all.
    """
    return {
        "cell_id": cell.cell_id,
        "arm": cell.arm,
        "seed": cell.seed,
        "config": cell.config.to_plain(),
        **RUN_KINDS[cell.config.trial_kind].needs(cell),
        "portrait": portrait,
        "fork": None if cell.fork is None else asdict(cell.fork),
        "plugins": asdict(permit_for_workers()),
    }


def cell_id_of(trial: Any) -> str:
    """The cell that a Ray trial runs; also the name of the trial and of its folder."""
    cell_id: str = trial.config[JOB]["cell_id"]
    return cell_id


class CellTrainable(tune.Trainable):  # type: ignore[misc]
    """Trains one cell after another in one process.

    The data arrive as references into Ray's object store and are mapped read-only. The checkpoint is a file of
    fgtune's own, not Tune's: a restarted trial and a later call on the same study both resume from it.
    """

    def setup(self, config: dict[str, Any], cpus: float, gpus: float, **run: Any) -> None:
        """Called once per process; ``run`` is as ``enter`` takes it."""
        self._threads = max(1, int(cpus))
        self._own_preparations: dict[str, PreparedSplit] = {}
        if not gpus:
            hide_gpus()
        self.enter(**run)
        limit_threads(self._threads)
        self._start(config[JOB])

    def enter(
        self,
        datasets: Mapping[str, ray.ObjectRef],
        prepared: Mapping[str, ray.ObjectRef],
        checkpoints: Storage,
        checkpoint_every_epochs: int,
        encoders: Storage | None = None,
        max_trial_s: float | None = None,
        weights: Mapping[str, SentFile] | None = None,
    ) -> None:
        """Begin with a run of Tune: called at the start, and between two cells by ``WarmWorkers``."""
        here = None if encoders is None else encoders.here()
        self._worker = Worker(
            datasets, prepared, checkpoints.here(), here, self._threads, weights or {}, self._own_preparations
        )
        self._checkpoint_every = checkpoint_every_epochs
        self._max_trial_s = max_trial_s

    def rest(self) -> None:
        """Let go of all that belongs to a run of Tune, which has ended; its folder, too, will be gone."""
        self._leave()
        self._worker = replace(self._worker, datasets={}, prepared={}, weights={})
        os.chdir(tempfile.gettempdir())

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Switch to another cell in the same process; nothing of the last one remains."""
        self._leave()
        self._start(new_config[JOB])
        return True

    def _start(self, job: Mapping[str, Any]) -> None:
        """Note what is to be done; the first step builds the trainer, where Tune can bear that it hangs or crashes."""
        self._job: Mapping[str, Any] | None = job
        self._cell_id: str = job["cell_id"]
        self._failure: str | None = None
        self._waits_at, self._keeps_states = frozenset(job["waits_at"]), bool(job["keeps_states"])
        self._may_return = bool(job["may_return"])
        self._fork_epoch: int = 0 if job["fork"] is None else job["fork"]["epoch"]
        self._plugins = Permit(**job["plugins"])
        self._run: CellRun | None = None
        self._saved_epoch = 0
        self._unsaved: str | None = None  # why its checkpoint was not written
        self._began, self._taken_over = time.monotonic(), 0.0
        self._unreported: tuple[EpochMetrics, ...] = ()  # epochs of an earlier attempt: the driver may be a new one

    def _permitted(self) -> AbstractContextManager[None]:
        """Allow this process the same plugins as the driver; it inherits nothing from an earlier cell."""
        return permitting(self._plugins.packages, self._plugins.search_path)

    def _build(self, job: Mapping[str, Any]) -> CellRun:
        run = run_kind_of(job["config"]).start(job, self._worker)
        self._saved_epoch = run.epoch
        self._unreported = tuple(run.history[self._fork_epoch :])
        self._taken_over = sum(entry.seconds for entry in self._unreported)
        return run

    def step(self) -> dict[str, Any]:
        """Train for about a second; the last result of a cell carries its outcome or its failure."""
        if self._failure is None:
            try:
                with self._permitted():
                    return self._advance()
            except FgtuneError as error:  # would fail again in the same way: reported as a result, not retried
                self._failure = f"{type(error).__name__}: {error}"
        return {"done": True, "cell_id": self._cell_id, "failure": self._failure}

    def _advance(self) -> dict[str, Any]:
        if self._job is not None:
            self._run, self._job = self._build(self._job), None
        run = self._run
        if run is None:
            raise RuntimeError(f"cell {self._cell_id} is over already")
        epochs = self._epochs(run)
        result: dict[str, Any] = {"cell_id": self._cell_id, "epochs": epochs, "done": False}
        if self._unsaved is not None:
            result["unsaved"], self._unsaved = self._unsaved, None
        if self._unreported:
            result["restored"], self._unreported = self._unreported, ()
        if run.is_over:
            outcome: TrialOutcome = run.outcome()
            run.close()
            self._run = None
            result |= {"done": True, "outcome": pickle.dumps(outcome)}
        elif self._is_overdue:
            self._keep_progress()  # more time, and --retry-failed, continue from here
            self._failure = time_limit_text(self._used, self._max_trial_s or 0.0, run.epoch)
            result |= {"done": True, "failure": self._failure}
        return result

    @property
    def _used(self) -> float:
        """Seconds of the epochs that the cell continues from, and since this process began with it."""
        return self._taken_over + time.monotonic() - self._began

    @property
    def _is_overdue(self) -> bool:
        return self._max_trial_s is not None and self._used >= self._max_trial_s

    def _epochs(self, run: CellRun) -> list[EpochMetrics]:
        """Train some epochs; none if the decision on the last restored one has to come first."""
        started = time.monotonic()
        epochs: list[EpochMetrics] = []
        if self._unreported and self._unreported[-1].epoch in self._waits_at:
            return epochs
        for entry in run:
            epochs.append(entry)
            if self._keeps_states and entry.epoch in self._waits_at:
                name = state_name(self._cell_id, entry.epoch)  # for forks, before it is reported
                self._worker.checkpoints.write(name, run.save_state)
            may_leave = self._may_return and entry.epoch in self._waits_at  # another process may go on with it
            if may_leave or entry.epoch - self._saved_epoch >= self._checkpoint_every:
                self._keep_progress()
            if entry.epoch in self._waits_at or time.monotonic() - started >= REPORT_EVERY_S or self._is_overdue:
                break
        return epochs

    def _keep_progress(self) -> None:
        """Write the checkpoint of an unfinished cell unless it is up to date."""
        if self._run is None or self._run.is_over or self._run.resumable == self._saved_epoch:
            return
        try:
            self._worker.checkpoints.write(checkpoint_name(self._cell_id), self._run.save)
        except OSError as error:  # the cell can go on without; whether it can be recorded will be seen when it ends
            if not is_disk_fault(error):
                raise
            self._unsaved = f"its checkpoint cannot be written ({error.strerror}); it goes on without"
        self._saved_epoch = self._run.resumable

    def _leave(self) -> None:
        """Let go of a cell; an unfinished one keeps its progress."""
        self._keep_progress()
        if self._run is not None:
            self._run.close()
            self._run = None

    def cleanup(self) -> None:
        """Called when the process stops."""
        self._leave()
