"""What Tune's searcher, scheduler, stopper and callbacks do, called as Tune calls them; no Ray session runs."""

from __future__ import annotations

import copy
import pickle
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from ray import cloudpickle
from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher
from support import searches as toy

from fgtune.config.arms.records import Cell
from fgtune.config.schema.study import BudgetConfig, ExecutionConfig
from fgtune.config.schema.tuning import AshaConfig
from fgtune.errors import SessionLostError
from fgtune.results.records import EpochMetrics
from fgtune.tuning.cell_queue import Budget, CellQueue, StopFlag
from fgtune.tuning.early_stopping.decisions import EarlyStopping
from fgtune.tuning.memory import MemoryRetries
from fgtune.tuning.ray_adapters import CellSearcher, EarlyStoppingScheduler, FlagStopper, ObserverCallback
from fgtune.tuning.search.objectives import Objective
from fgtune.tuning.trainable import JOB, job_of
from fgtune.tuning.watch import TrialWatch

METRIC = "val/silhouette"


class Events:
    """An observer that lists the calls it receives."""

    def __init__(self) -> None:
        self.seen = []

    def __getattr__(self, name):
        if not name.startswith("on_"):
            raise AttributeError(name)
        return lambda *arguments: self.seen.append((name, *arguments))


class Killed(Events):
    """An observer at whose record of an outcome the driver ends."""

    def on_complete(self, *_arguments) -> None:
        raise InterruptedError


@pytest.fixture
def cells(tmp_path) -> list[Cell]:
    return list(toy.search_plan(tmp_path, toy.NUMBERS, seeds=3).cells)


def early_stopping(folder) -> EarlyStopping:
    """As the folder has left it."""
    config = AshaConfig(grace_epochs=2, reduction=2.0)
    return EarlyStopping(config, Objective(METRIC, "maximize"), folder / "stopping.jsonl")


@pytest.fixture
def stopping(tmp_path):
    return early_stopping(tmp_path)


@pytest.fixture
def budget():
    return Budget(ExecutionConfig())


def trial_of(cell: Cell, failures: int = 0, **fields) -> SimpleNamespace:
    """As much of a Ray trial as is looked at."""
    return SimpleNamespace(config={JOB: job_of(cell)}, num_failures=failures, **fields)


def epochs(*scores: float) -> list[EpochMetrics]:
    return [EpochMetrics(n, n, {METRIC: score}, 0.1) for n, score in enumerate(scores, start=1)]


def test_the_searcher_waits_where_no_cell_may_start_and_finishes_with_its_queue(cells):
    queue = CellQueue(cells[:2], max_running=1)
    searcher = CellSearcher(queue)
    first = searcher.suggest("a")[JOB]
    assert (first["cell_id"], first["waits_at"], first["keeps_states"]) == (cells[0].cell_id, [], False)
    assert first["is_judged"] is False
    assert searcher.suggest("b") is None
    queue.on_result(toy.result_of(cells[0]))
    assert searcher.suggest("b")[JOB]["cell_id"] == cells[1].cell_id
    queue.on_result(toy.result_of(cells[1]))
    assert searcher.suggest("c") == Searcher.FINISHED


def test_a_job_says_after_which_epochs_its_cell_waits_for_a_decision(cells, stopping):
    job = CellSearcher(CellQueue(cells), stopping).suggest("a")[JOB]
    assert job["is_judged"] is True  # so that a metric comes with every rung
    assert job["waits_at"] == [epoch for epoch in (2, 4, 8, 16, 32, 64) if epoch < cells[0].config.epochs]


def test_the_scheduler_decides_by_restored_and_new_epochs(cells, stopping):
    one = cells[0]
    two = Cell("other", 0, type(one.config).from_plain(one.config.to_plain() | {"batch_size": 7}), {})
    for cell in (one, two):
        stopping.register(cell)
    scheduler = EarlyStoppingScheduler(stopping)
    assert scheduler.on_trial_result(None, trial_of(one), {"epochs": epochs(0.5, 0.5)}) == TrialScheduler.CONTINUE
    restored, new = epochs(0.4, 0.4)
    result = {"restored": [restored], "epochs": [new]}
    assert scheduler.on_trial_result(None, trial_of(two), result) == TrialScheduler.STOP


def test_a_cell_that_waits_gives_its_place_away_and_is_recorded_with_all_its_attempts_once_its_trial_is_stopped(
    tmp_path, budget
):
    plan = toy.search_plan(tmp_path, toy.NUMBERS, seeds=2)
    best = list(plan.cells)
    other = type(best[0].config).from_plain(best[0].config.to_plain() | {"batch_size": 7})
    worse = [Cell("other", seed, other, {}) for seed in (0, 1)]
    queue = CellQueue([*best, *worse], max_running=1)
    config = AshaConfig(grace_epochs=2, reduction=2.0)
    path = tmp_path / "stopping.jsonl"
    stopping = EarlyStopping(
        config, Objective(METRIC, "maximize"), path, seeds=[0, 1], queue=queue, exempt=["baseline"]
    )
    events = Events()
    scheduler, callback = EarlyStoppingScheduler(stopping), ObserverCallback(events, budget, stopping)
    searcher = CellSearcher(queue, stopping)

    def hears(cell, score, **fields):
        trial, result = trial_of(cell, **fields), {"epochs": epochs(score, score)}
        callback.on_trial_start(0, [], trial)
        decision = scheduler.on_trial_result(None, trial, result)
        callback.on_trial_result(0, [], trial, result)
        return decision

    for cell in best:
        assert searcher.suggest("a")[JOB]["may_return"]
        assert hears(cell, 0.5) == TrialScheduler.CONTINUE  # the baseline waits for nobody
        queue.on_result(toy.result_of(cell))
    assert searcher.suggest("b")[JOB]["seed"] == 0
    assert hears(worse[0], 0.9, failures=1, max_failures=1) == TrialScheduler.STOP
    assert stopping.is_waiting(worse[0].cell_id)
    assert not [event for event in events.seen if event[0] == "on_prune"]
    assert searcher.suggest("c")[JOB]["seed"] == 1
    assert hears(worse[1], 0.0) == TrialScheduler.STOP
    pruned = [event for event in events.seen if event[0] == "on_prune"]
    assert [(event[1], event[3]) for event in pruned] == [(worse[1].cell_id, 1), (worse[0].cell_id, 2)]
    assert all("rank 2 of 2 at rung 2, 1 may go on (mean of 2 seeds)" in event[2] for event in pruned)
    for cell in worse:
        queue.on_result(toy.result_of(cell))
    assert searcher.suggest("d") == Searcher.FINISHED


def test_retries_are_counted_over_the_times_that_a_cell_waits(cells, budget, stopping):
    callback = ObserverCallback(Events(), budget, stopping)
    callback._failures[cells[0].cell_id] = 1
    trial = trial_of(cells[0], max_failures=3)
    callback.on_trial_start(0, [], trial)
    assert trial.max_failures == 2


@pytest.mark.parametrize("ended", [False, True])
def test_others_compete_with_a_cell_that_ends_with_its_first_report_also_after_a_restart(
    cells, budget, stopping, tmp_path, ended
):
    one = cells[0]
    two = Cell("other", 0, type(one.config).from_plain(one.config.to_plain() | {"batch_size": 7}), {})
    stopping.register(one)
    callback = ObserverCallback(Killed(), budget, stopping)
    last = {"epochs": epochs(0.5, 0.5, 0.5, 0.5)} | ({"outcome": pickle.dumps("the outcome")} if ended else {})
    with pytest.raises(InterruptedError) if ended else nullcontext():
        callback.on_trial_result(0, [], trial_of(one), last)
    assert stopping.reason(one.cell_id) is None
    for each in (stopping, early_stopping(tmp_path)):
        each.register(two)
        result = EarlyStoppingScheduler(each).on_trial_result(None, trial_of(two), {"epochs": epochs(0.4, 0.4)})
        assert result == (TrialScheduler.STOP if ended else TrialScheduler.CONTINUE)


def test_everything_stops_when_the_flag_is_set_or_the_budget_used_up():
    flag = StopFlag()
    assert not FlagStopper(flag, Budget(ExecutionConfig())).stop_all()
    spent = Budget(ExecutionConfig(budget=BudgetConfig(wall_s=1e-9)))
    spent.start()
    stopper = FlagStopper(flag, spent)
    assert not stopper("a", {})
    assert stopper.stop_all()
    assert flag.is_set
    assert flag.spent == "the budget of 1e-09 wall seconds is used up"


def test_an_observer_learns_of_a_cell_from_its_start_to_its_outcome(cells, budget):
    events, trial, cell_id = Events(), trial_of(cells[0]), cells[0].cell_id
    callback = ObserverCallback(events, budget)
    callback.on_trial_start(0, [], trial)
    callback.on_trial_start(0, [], trial)  # again, after a crash
    old, new = epochs(0.1, 0.2)
    callback.on_trial_result(0, [], trial, {"restored": [old], "epochs": [new]})
    callback.on_trial_result(0, [], trial, {"epochs": [], "outcome": pickle.dumps("the outcome")})
    assert events.seen == [
        ("on_start", cell_id),
        ("on_restored", cell_id, [old]),
        ("on_epochs", cell_id, [new]),
        ("on_complete", cell_id, "the outcome", 1),
    ]


def test_an_observer_learns_that_a_cell_was_stopped_and_why(cells, budget, stopping):
    events, cell = Events(), cells[0]
    callback = ObserverCallback(events, budget, stopping)
    stopping.register(cell)
    stopping._reasons[cell.cell_id] = "stopped after epoch 2 by asha"
    callback.on_trial_result(0, [], trial_of(cell), {"epochs": []})
    assert events.seen == [("on_prune", cell.cell_id, "stopped after epoch 2 by asha", 1)]


def test_a_failure_that_a_retry_would_repeat_is_final(cells, budget):
    events, cell = Events(), cells[0]
    ObserverCallback(events, budget).on_trial_result(0, [], trial_of(cell, failures=1), {"failure": "TrialError: no"})
    assert events.seen == [("on_fail", cell.cell_id, "TrialError: no", "", 2)]


@pytest.mark.parametrize("pickled", [True, False])
def test_a_crash_is_reported_with_the_last_line_of_its_error(cells, budget, tmp_path, pickled):
    pickle_file, text_file = tmp_path / "error.pkl", tmp_path / "error.txt"
    if pickled:
        pickle_file.write_bytes(cloudpickle.dumps(ValueError("first line\nthe cause")))
    text_file.write_text("Traceback\nOSError: the cause\n")
    trial = trial_of(cells[0], failures=2, pickled_error_file=str(pickle_file), error_file=str(text_file))
    events, cell_id = Events(), cells[0].cell_id
    callback = ObserverCallback(events, budget)
    callback.on_trial_recover(0, [], trial)
    callback.on_trial_error(0, [], trial)
    cause = "ValueError: the cause" if pickled else "OSError: the cause"
    retry, fail = events.seen
    assert retry == ("on_retry", cell_id, cause)
    assert fail[:3] == ("on_fail", cell_id, cause)
    assert fail[4] == 2


def test_what_ray_says_of_a_worker_that_died_is_put_shortly_and_kept_in_the_details(cells, budget, tmp_path):
    said = "The actor is dead because its worker process has died. Some common causes include: (1) the process was ..."
    (tmp_path / "error.pkl").write_bytes(cloudpickle.dumps(RayActorError(None, said)))
    trial = trial_of(cells[0], failures=1, pickled_error_file=str(tmp_path / "error.pkl"), error_file=None)
    events = Events()
    ObserverCallback(events, budget).on_trial_error(0, [], trial)
    assert events.seen[0][2:4] == (
        "its worker is gone: killed, dead of a fault in native code, or lost with its node",
        said,
    )


def test_a_worker_that_left_no_message_has_a_cause_all_the_same(cells, budget):
    events = Events()
    trial = trial_of(cells[0], failures=1, pickled_error_file=None, error_file=None)
    ObserverCallback(events, budget).on_trial_error(0, [], trial)
    assert events.seen == [("on_fail", cells[0].cell_id, "the worker ended without a message", "", 1)]


def test_a_crash_after_the_outcome_changes_nothing(cells, budget):
    events, trial = Events(), trial_of(cells[0], failures=1, pickled_error_file=None, error_file=None)
    callback = ObserverCallback(events, budget)
    callback.on_trial_result(0, [], trial, {"outcome": pickle.dumps("the outcome")})
    callback.on_trial_error(0, [], trial)
    assert [name for name, *_ in events.seen] == ["on_complete"]


def test_what_lives_in_the_driver_is_neither_copied_nor_saved(cells, budget, stopping):
    parts = [
        CellSearcher(CellQueue(cells)),
        EarlyStoppingScheduler(stopping),
        FlagStopper(StopFlag(), budget),
        ObserverCallback(Events(), budget),
    ]
    for part in parts:
        assert copy.deepcopy(part) is part
        assert part.__getstate__() == {}


@pytest.mark.parametrize(("then", "most_failures"), [("retry", 3), ("fail", 0)])
def test_the_worker_of_a_silent_trial_is_killed_and_what_it_did_is_the_cause(cells, monkeypatch, then, most_failures):
    killed, events, now = [], Events(), [0.0]
    monkeypatch.setattr("ray.kill", killed.append)
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    execution = ExecutionConfig.from_plain({"silence": {"floor_s": 10, "then": then}})
    callback = ObserverCallback(events, Budget(execution), watch=TrialWatch(execution, lambda: now[0]))
    files = {"pickled_error_file": None, "error_file": None}
    trial = trial_of(cells[0], max_failures=3, temporary_state=SimpleNamespace(ray_actor="actor"), **files)
    callback.on_trial_start(0, [], trial)
    for now[0] in (1.0, 11.0, 20.5, 21.0):
        callback.on_step_begin(0, [])
    assert killed == ["actor"]
    assert trial.max_failures == most_failures, "fail leaves Tune no further try"
    trial.num_failures = 1
    end = callback.on_trial_recover if then == "retry" else callback.on_trial_error
    end(0, [], trial)
    warning = ("on_warning", cells[0].cell_id, "no epoch for 11 s since it started")
    assert [event for event in events.seen if event[0] != "on_tick"][1:2] == [warning]
    assert events.seen[-1][2] == "no epoch for 20 s since it started; its worker was ended"
    callback.on_step_begin(0, [])
    assert [event[1] for event in events.seen if event[0] == "on_tick"][-1] != [], "it ran when the last look was taken"
    now[0] = 60.0
    callback.on_step_begin(0, [])
    assert events.seen[-1] == ("on_tick", [])


@pytest.mark.parametrize(
    ("settings", "is_killed"),
    [
        ({}, True),
        ({"classes": {"num_fine": 4}}, True),
        ({"classes": {"num_fine": "estimate"}}, False),
        ({"model": {"pretrain": {"kind": "simclr"}}}, False),
        ({"cleaning": None}, True),
        ({"cleaning": {"then": "relabel"}}, False),
    ],
)
def test_a_trial_that_has_other_work_before_its_first_epoch_is_not_killed_then(cells, monkeypatch, settings, is_killed):
    killed, now = [], [0.0]
    monkeypatch.setattr("ray.kill", killed.append)
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    execution = ExecutionConfig.from_plain({"silence": {"floor_s": 10, "then": "retry"}})
    callback = ObserverCallback(Events(), Budget(execution), watch=TrialWatch(execution, lambda: now[0]))
    trial = trial_of(cells[0], temporary_state=SimpleNamespace(ray_actor="actor"))
    trial.config[JOB]["config"] = settings
    callback.on_trial_start(0, [], trial)
    for now[0] in (1.0, 11.0, 20.5, 21.0):
        callback.on_step_begin(0, [])
    assert bool(killed) == is_killed


def test_a_cell_that_lacked_memory_beside_another_comes_back_and_fails_only_alone(cells, budget):
    events, queue = Events(), CellQueue(cells[:2], budget=budget)
    callback = ObserverCallback(events, budget, retries=MemoryRetries(queue, budget))
    searcher = CellSearcher(queue)
    trials = []
    for name in "ab":
        job = searcher.suggest(name)
        trials.append(
            SimpleNamespace(config=job, num_failures=0, max_failures=1, error_file=None, pickled_error_file="")
        )
        callback.on_trial_start(0, [], trials[-1])
    assert searcher.suggest("c") is None, "one of those under way may come back"
    lost = trials[0]
    callback.before_failure(lost, OutOfMemoryError("no"))
    assert lost.max_failures == 0, "Tune gives it up"
    lost.num_failures = 1
    callback.on_trial_error(0, [], lost)
    assert events.seen[-1][:2] == ("on_warning", cells[0].cell_id)
    assert events.seen[-1][2].startswith("out of memory: Ray ended its worker; it goes on from its checkpoint")
    assert searcher.suggest("c") is None, "only one may run at a time"
    callback.on_trial_result(0, [], trials[1], {"outcome": pickle.dumps("the outcome")})
    queue.on_result(toy.result_of(cells[1]))
    again = SimpleNamespace(**(vars(lost) | {"config": searcher.suggest("c"), "num_failures": 0, "max_failures": 1}))
    assert again.config[JOB]["cell_id"] == cells[0].cell_id
    callback.on_trial_start(0, [], again)
    callback.before_failure(again, OutOfMemoryError("no"))
    assert again.max_failures == 1, "it ran alone: Tune retries it as any other"
    again.num_failures = 2
    callback.on_trial_error(0, [], again)
    name, cell_id, cause, _, attempts = events.seen[-1]
    assert (name, cell_id, attempts) == ("on_fail", cells[0].cell_id, 3)
    assert cause.startswith("out of memory with no other trial beside it: Ray ended its worker. Fix: ")


def test_what_ends_with_the_session_has_not_failed(cells, budget, monkeypatch):
    lost = SessionLostError("Ray's process raylet has ended")
    monkeypatch.setattr("fgtune.tuning.ray_adapters.session_lost", lambda look=False: lost if look else None)
    callback = ObserverCallback(Events(), budget)
    with pytest.raises(SessionLostError, match="raylet has ended"):
        callback.before_failure(trial_of(cells[0]), RayActorError(None, "it died"))
    callback.before_failure(trial_of(cells[0]), RayTaskError("step", "", ValueError("its own error")))
