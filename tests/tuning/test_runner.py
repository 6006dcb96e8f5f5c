"""Cells on real Ray workers: everything they report arrives in order, and a set flag keeps what they have."""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace

import pytest

from fgtune.config.arms.records import Cell
from fgtune.config.schema.study import ExecutionConfig
from fgtune.data.load import load_dataset
from fgtune.results.storage import FolderStorage, storage_at
from fgtune.training.prepared import dataset_key, preparation_key, prepare_split
from fgtune.tuning.cell_queue import CellQueue, StopFlag


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

    def run_all(cells, observer, flag, checkpoints=None):
        datasets = {dataset_key(cell.config): load_dataset(cell.config.data) for cell in cells}
        prepared = {
            preparation_key(cell.config, cell.seed): prepare_split(
                datasets[dataset_key(cell.config)], cell.config, cell.seed, threads=1
            )
            for cell in cells
        }
        execution = ExecutionConfig.from_plain({"cpus": 1, "max_failures": 0, "checkpoint_every_epochs": 1})
        queue = observer.queue = CellQueue(cells, max_running=1)  # a second worker would take longer to start
        checkpoints = checkpoints or FolderStorage(tmp_path / "checkpoints")
        places = {"scratch": tmp_path / "scratch", "checkpoints": checkpoints}
        run_cells(queue, execution, datasets, prepared, **places, observer=observer, flag=flag)
        return observer.events

    return run_all


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


def test_a_bucket_that_takes_nothing_costs_a_cell_its_checkpoints_alone(run, make_config, bucket):
    cell = Cell("short", 0, make_config({"epochs": 3}), {})
    gone = storage_at(bucket.uri("runs").replace(bucket.name, "nobody"))
    events = run([cell], Observer(), StopFlag(), gone)[cell.cell_id]
    assert events[-1][0] == "complete"
    warnings = {event[1] for event in events if event[0] == "silence"}
    assert warnings == {"its checkpoint cannot be written (there is no bucket 'nobody'); it goes on without"}
