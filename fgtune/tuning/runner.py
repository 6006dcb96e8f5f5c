"""Runs cells with Ray Tune and reports what happens to each to an observer; the driver keeps the record."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.exceptions import RayError

from fgtune.config.arms.records import Cell
from fgtune.config.schema.study import ExecutionConfig
from fgtune.data.base import Dataset
from fgtune.errors import FgtuneError, SessionLostError
from fgtune.results.storage import Storage
from fgtune.text import first_line
from fgtune.training.prepared import PreparedSplit
from fgtune.tuning.cell_queue import Budget, CellQueue, StopFlag
from fgtune.tuning.early_stopping.decisions import EarlyStopping
from fgtune.tuning.memory import MemoryRetries
from fgtune.tuning.no_reporter import NoReporter, NoTrialProgress
from fgtune.tuning.nodes import data_name, reach
from fgtune.tuning.observer import CellObserver
from fgtune.tuning.ray_adapters import CellSearcher, EarlyStoppingScheduler, FlagStopper, ObserverCallback
from fgtune.tuning.session import is_ours, session_lost
from fgtune.tuning.shipping import data_for_nodes, weights_for_nodes
from fgtune.tuning.trainable import CellTrainable, cell_id_of
from fgtune.tuning.tune_faults import bearing_faults
from fgtune.tuning.tune_memory import forgetting_trials
from fgtune.tuning.warm_workers import WarmWorkers
from fgtune.tuning.watch import TrialWatch


def run_cells(
    cells: CellQueue,
    execution: ExecutionConfig,
    datasets: Mapping[str, Dataset],
    prepared: Mapping[str, PreparedSplit],
    scratch: Path,
    checkpoints: Storage,
    observer: CellObserver,
    flag: StopFlag,
    stopping: EarlyStopping | None = None,
    budget: Budget | None = None,
    encoders: Storage | None = None,
    weights: Sequence[str] = (),
    portrait_of: Callable[[Cell], bool | None] = lambda _: None,
    workers: WarmWorkers | None = None,
    *,
    leaves_workers: bool = False,
) -> None:
    """Run the cells of a queue in order, as resources allow, inside an open ``ray_session``.

    Args:
        cells: Hands out the cells to run.
        execution: Resources per trial, retries, concurrency.
        datasets: By ``dataset_key``.
        prepared: By ``preparation_key``; a worker prepares whatever is missing here.
        scratch: Folder for Tune's files; removed at the end.
        checkpoints: Where the cells' checkpoints are kept.
        observer: Receives every event.
        flag: Stops the run when set; unfinished cells then keep a checkpoint and are not reported as finished.
        stopping: Stops single cells early; None runs every cell to its end.
        budget: Counts seconds, and stops the run when they are used up; None for one that starts now.
        encoders: Where pretrained backbones are kept; None keeps none.
        weights: Files with initial weights that cells may name.
        portrait_of: Of which cells it is kept what their classes look like, as ``job_of`` takes it.
        workers: Those of earlier calls, which go on with these cells; None starts new ones.
        leaves_workers: Whether ``workers`` keeps those of this call for the next.
    """
    budget = budget or Budget(execution)
    budget.start()
    parameters = _parameters(execution, datasets, prepared, checkpoints, encoders, weights)
    callback = ObserverCallback(observer, budget, stopping, TrialWatch(execution), MemoryRetries(cells, budget))
    tuner = tune.Tuner(
        _trainable(execution, parameters),
        tune_config=_tune_config(cells, stopping, portrait_of),
        run_config=_run_config(scratch, execution.max_failures, FlagStopper(flag, budget), callback),
    )

    def leaves() -> bool:
        is_short_of_memory = budget.at_once is not None
        return leaves_workers and not flag.is_set and not is_short_of_memory

    serving = nullcontext() if workers is None else workers.serving(execution, parameters, leaves)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # the observer shows failures, with their cause
    try:
        with serving, bearing_faults(callback.before_failure), forgetting_trials():
            tuner.fit()
    except Exception as error:
        lost = session_lost(look=True)  # calls to a lost session fail in many ways
        if lost is None and (ours := _of_ours(error)) is not None:
            raise ours from None
        if lost is not None or isinstance(error, RayError):
            raise lost or SessionLostError(f"Ray Tune gave up ({first_line(error)})") from error
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _tune_config(
    cells: CellQueue, stopping: EarlyStopping | None, portrait_of: Callable[[Cell], bool | None]
) -> tune.TuneConfig:
    """Tune takes one cell after the other from the queue, which decides when it is over."""
    return tune.TuneConfig(
        search_alg=CellSearcher(cells, stopping, portrait_of),
        scheduler=None if stopping is None else EarlyStoppingScheduler(stopping),
        num_samples=-1,
        reuse_actors=True,
        trial_name_creator=cell_id_of,
        trial_dirname_creator=lambda trial: f"{cell_id_of(trial)}-{trial.trial_id}",  # a cell that waits comes again
    )


def _run_config(scratch: Path, max_failures: int, stop: tune.Stopper, callback: tune.Callback) -> tune.RunConfig:
    """Tune prints nothing, keeps its files in a folder that is removed at the end, and writes no checkpoints."""
    return tune.RunConfig(
        name="tune",
        storage_path=str(scratch.resolve()),
        verbose=0,
        progress_reporter=NoReporter(),
        stop=stop,
        checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
        failure_config=tune.FailureConfig(max_failures=max_failures),
        callbacks=[callback, NoTrialProgress()],
    )


def _of_ours(error: BaseException) -> BaseException | None:
    """What the observer or the disk has raised below an error that Tune has made text of; None if nothing has."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError | FgtuneError) and not isinstance(found, RayError):
            return found
        found = found.__cause__ or found.__context__
    return None


def _parameters(
    execution: ExecutionConfig,
    datasets: Mapping[str, Dataset],
    prepared: Mapping[str, PreparedSplit],
    checkpoints: Storage,
    encoders: Storage | None,
    weights: Sequence[str],
) -> dict[str, Any]:
    """What ``CellTrainable.enter`` takes, with the data in Ray's object store."""
    sent = {}
    if not is_ours():  # other machines see no file of this one, or will not, when they join
        lacking = reach().unseen
        datasets = data_for_nodes(datasets, [key for key in datasets if data_name(key) in lacking])
        sent = weights_for_nodes(weights)
    return {
        "datasets": {key: ray.put(dataset) for key, dataset in datasets.items()},
        "prepared": {key: ray.put(split) for key, split in prepared.items()},
        "checkpoints": checkpoints,
        "encoders": encoders,
        "weights": sent,
        "checkpoint_every_epochs": execution.checkpoint_every_epochs,
        "max_trial_s": execution.max_trial_s,
    }


def _trainable(execution: ExecutionConfig, parameters: Mapping[str, Any]) -> Any:
    """What Tune runs: ``CellTrainable`` with its parameters and the resources of one trial."""
    trainable = tune.with_parameters(CellTrainable, cpus=execution.cpus, gpus=execution.gpus, **parameters)
    return tune.with_resources(trainable, {"cpu": execution.cpus, "gpu": execution.gpus})
