"""Cells on real Ray workers: everything they report arrives in order, and a set flag keeps what they have."""

from __future__ import annotations

import contextlib
import os
import signal
from collections import defaultdict
from types import SimpleNamespace

import psutil
import pytest

from fgtune.config.arms.records import Cell
from fgtune.config.schema.study import ExecutionConfig
from fgtune.data.load import load_dataset
from fgtune.results.storage import FolderStorage, storage_at
from fgtune.training.prepared import dataset_key, preparation_key, prepare_split
from fgtune.tuning.cell_queue import Budget, CellQueue, StopFlag
from fgtune.tuning.warm_workers import WarmWorkers


class Observer:
    """Remembers events by cell, tells the queue which ones ended, and may act on epochs."""

    def __init__(self, on_epochs=lambda: None) -> None:
        self.events: dict[str, list[tuple]] = defaultdict(list)
        self.queue: CellQueue | None = None
        self._on_epochs = on_epochs

    def on_start(self, cell_id):
        self.events[cell_id].append(("start",))

    def on_epochs(self, cell_id, epochs):
        self.events[cell_id] += [("epoch", entry.epoch) for entry in epochs]
        self._on_epochs()

    def on_restored(self, cell_id, epochs):
        self.events[cell_id] += [("restored", entry.epoch) for entry in epochs]

    def on_retry(self, cell_id, cause):
        self.events[cell_id].append(("retry", cause))

    def on_warning(self, cell_id, text):
        self.events[cell_id].append(("silence", text))

    def on_tick(self, running):
        pass

    def on_complete(self, cell_id, outcome, attempts):
        self.events[cell_id].append(("complete", outcome.metrics, attempts))
        self.queue.on_result(SimpleNamespace(cell_id=cell_id))

    def on_prune(self, cell_id, cause, attempts):
        self.events[cell_id].append(("prune", cause))

    def on_fail(self, cell_id, cause, details, attempts):
        self.events[cell_id].append(("fail", cause))
        self.queue.on_result(SimpleNamespace(cell_id=cell_id))


@pytest.fixture
def run(tmp_path, make_config, ray_started):
    """Run cells to their end, or until the flag is set."""
    from fgtune.tuning.runner import run_cells

    def run_all(cells, observer, flag, checkpoints=None, workers=None, leaves_workers=False, budget=None, **execution):
        datasets = {dataset_key(cell.config): load_dataset(cell.config.data) for cell in cells}
        prepared = {
            preparation_key(cell.config, cell.seed): prepare_split(
                datasets[dataset_key(cell.config)], cell.config, cell.seed, threads=1
            )
            for cell in cells
        }
        execution = ExecutionConfig.from_plain({"cpus": 1, "max_failures": 0, "checkpoint_every_epochs": 1} | execution)
        queue = observer.queue = CellQueue(cells, max_running=1)  # a second worker would take longer to start
        checkpoints = checkpoints or FolderStorage(tmp_path / "checkpoints")
        places = {"scratch": tmp_path / "scratch", "checkpoints": checkpoints}
        warm = {"workers": workers, "leaves_workers": leaves_workers, "budget": budget}
        run_cells(queue, execution, datasets, prepared, **places, **warm, observer=observer, flag=flag)
        return observer.events

    return run_all


def has_ended(pid: int) -> bool:
    """Whether a process has ended, or does within half a minute."""
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait(30)
    return not psutil.pid_exists(pid)


def test_a_cell_reports_its_start_every_epoch_and_the_metrics_that_the_trainer_has_by_itself(
    run, make_config, make_trainer, tmp_path
):
    good = Cell("good", 0, make_config({"epochs": 3}), {})
    bad = Cell("bad", 0, make_config({"epochs": 3, "optimizer.lr": 1e30}), {})
    events = run([good, bad], Observer(), StopFlag())
    trainer = make_trainer({"epochs": 3})
    for _ in trainer:
        pass
    start, *epochs, complete = events[good.cell_id]
    assert start == ("start",)
    assert epochs == [("epoch", 1), ("epoch", 2), ("epoch", 3)]
    assert complete == ("complete", trainer.outcome().metrics, 1)
    assert events[bad.cell_id][-1][0] == "fail"
    assert events[bad.cell_id][-1][1].startswith("TrialError: non-finite")
    assert not (tmp_path / "scratch").exists()


@pytest.mark.slow
def test_a_set_flag_leaves_a_checkpoint_from_which_the_next_call_goes_on(run, make_config, tmp_path):
    cell, flag = Cell("long", 0, make_config({"epochs": 120}), {}), StopFlag()
    first = run([cell], Observer(on_epochs=flag.set), flag)[cell.cell_id]
    assert {kind for kind, *_ in first} == {"start", "epoch"}
    assert (tmp_path / "checkpoints" / f"{cell.cell_id}.pt").is_file()
    second = run([cell], Observer(), StopFlag())[cell.cell_id]
    numbers = [event[1] for event in second if event[0] in {"restored", "epoch"}]
    assert numbers == list(range(1, 121))
    assert sum(event[0] == "restored" for event in second) >= first[-1][1]
    assert second[-1][0] == "complete"


@pytest.mark.long  # cell_storage is tested against the same server
def test_a_checkpoint_in_a_bucket_is_gone_on_from_in_the_same_way(run, make_config, tmp_path, bucket):
    cell, flag = Cell("long", 0, make_config({"epochs": 120}), {}), StopFlag()
    storage = storage_at(bucket.uri("runs"))
    first = run([cell], Observer(on_epochs=flag.set), flag, storage)[cell.cell_id]
    assert list(bucket.objects) == [f"runs/{cell.cell_id}.pt"]
    second = run([cell], Observer(), StopFlag(), storage)[cell.cell_id]
    numbers = [event[1] for event in second if event[0] in {"restored", "epoch"}]
    assert numbers == list(range(1, 121))
    assert sum(event[0] == "restored" for event in second) >= first[-1][1]
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.slow
def test_a_bucket_that_takes_nothing_costs_a_cell_its_checkpoints_alone(run, make_config, bucket):
    cell = Cell("short", 0, make_config({"epochs": 3}), {})
    gone = storage_at(bucket.uri("runs").replace(bucket.name, "nobody"))
    events = run([cell], Observer(), StopFlag(), gone)[cell.cell_id]
    assert events[-1][0] == "complete"
    warnings = {event[1] for event in events if event[0] == "silence"}
    assert warnings == {"its checkpoint cannot be written (there is no bucket 'nobody'); it goes on without"}


@pytest.mark.slow
def test_a_worker_goes_on_with_the_next_call_on_other_data_and_ends_with_the_last(
    run, worker_pids, make_config, make_trainer, tmp_path
):
    other = {"epochs": 3, "data.num_samples": 320}
    first, second = Cell("first", 0, make_config({"epochs": 2}), {}), Cell("second", 0, make_config(other), {})
    there = FolderStorage(tmp_path / "elsewhere")
    with WarmWorkers() as workers:
        run([first], Observer(), StopFlag(), workers=workers, leaves_workers=True)
        assert not (tmp_path / "scratch").exists()
        assert psutil.pid_exists(worker_pids[-1])
        events = run([second], Observer(), StopFlag(), there, workers=workers, leaves_workers=True)
        assert psutil.pid_exists(worker_pids[-1])
    trainer = make_trainer(other)
    for _ in trainer:
        pass
    assert events[second.cell_id][-1] == ("complete", trainer.outcome().metrics, 1)
    assert [path.parent.name for path in tmp_path.rglob(f"{second.cell_id}.pt")] == ["elsewhere"]
    assert len({*worker_pids}) == 1
    assert has_ended(worker_pids[-1])


@pytest.mark.slow
def test_a_worker_that_dies_between_two_calls_is_no_failure_of_the_next_cell(run, worker_pids, make_config):
    first, second = (Cell("arm", seed, make_config({"epochs": 2}), {}) for seed in (0, 1))
    with WarmWorkers() as workers:
        run([first], Observer(), StopFlag(), workers=workers, leaves_workers=True)
        os.kill(worker_pids[-1], signal.SIGKILL)
        events = run([second], Observer(), StopFlag(), workers=workers)[second.cell_id]
    assert [kind for kind, *_ in events] == ["start", "epoch", "epoch", "complete"]
    assert events[-1][2] == 1
    assert len({*worker_pids}) == 2


@pytest.mark.slow
def test_a_worker_that_was_taken_over_and_dies_is_a_failure_of_its_cell_which_goes_on_in_another(
    run, worker_pids, make_config
):
    first, second = (Cell("arm", seed, make_config({"epochs": 120}), {}) for seed in (0, 1))
    with WarmWorkers() as workers:
        run([first], Observer(), StopFlag(), workers=workers, leaves_workers=True)
        (pid,) = {*worker_pids}

        def kill_once():
            if psutil.pid_exists(pid):
                os.kill(pid, signal.SIGKILL)

        events = run([second], Observer(on_epochs=kill_once), StopFlag(), workers=workers, max_failures=1)
    kinds = [kind for kind, *_ in events[second.cell_id]]
    assert kinds.count("retry") == 1
    assert events[second.cell_id][-1][0] == "complete"
    assert events[second.cell_id][-1][2] == 2
    assert len({*worker_pids}) == 2


@pytest.mark.slow
@pytest.mark.parametrize("why", ["it was stopped", "memory is short", "nobody asked"])
def test_a_call_ends_its_worker_where(why, run, worker_pids, make_config, tmp_path):
    cell, flag, budget = Cell("long", 0, make_config({"epochs": 120}), {}), StopFlag(), Budget(ExecutionConfig())
    observer = Observer(on_epochs=flag.set) if why == "it was stopped" else Observer()
    budget.at_once = 1 if why == "memory is short" else None
    with WarmWorkers() as workers:
        events = run(
            [cell], observer, flag, workers=workers, leaves_workers=why != "nobody asked", budget=budget
        )  # fmt: skip
        assert has_ended(worker_pids[-1])
    assert (events[cell.cell_id][-1][0] == "complete") == (why != "it was stopped")
    assert (tmp_path / "checkpoints" / f"{cell.cell_id}.pt").is_file()


@pytest.mark.slow
def test_a_worker_that_holds_less_than_a_cell_wants_makes_room(run, worker_pids, make_config):
    first, second = (Cell("arm", seed, make_config({"epochs": 2}), {}) for seed in (0, 1))
    with WarmWorkers() as workers:
        run([first], Observer(), StopFlag(), workers=workers, leaves_workers=True)
        events = run([second], Observer(), StopFlag(), workers=workers, cpus=2)
    assert events[second.cell_id][-1][0] == "complete"
    assert len({*worker_pids}) == 2
