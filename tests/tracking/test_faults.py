"""A store that fails in any one call, before or after the call took effect: nothing is lost, nothing is double."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from fgtune.errors import TrackingError
from fgtune.results.records import CellState
from fgtune.tracking import ArmFindings, Findings, StudyEnd, open_tracker
from fgtune.tracking.mlflow_tracker import MlflowTracker
from fgtune.tracking.store import Store

LOST = MlflowException("connection lost\nwith details")


class Flaky:
    """A client whose ``fatal``-th call fails."""

    def __init__(self, client, fatal, *, after, fault=LOST):
        self._client, self._fatal, self._after, self._fault = client, fatal, after, fault
        self.calls = []

    def __getattr__(self, name):
        def call(*args, **kwargs):
            self.calls.append(name)
            fails = len(self.calls) == self._fatal
            if fails and not self._after:
                raise self._fault
            answer = getattr(self._client, name)(*args, **kwargs)
            if fails:
                raise self._fault
            return answer

        return call


@pytest.fixture
def real(store_file):
    return open_tracker(f"sqlite:///{store_file}")


def content(client, name):
    """All that a study keeps in the store and that must not depend on how it came there."""
    (experiment,) = [e for e in client.search_experiments() if e.name == name]
    picture = {}
    for run in client.search_runs([experiment.experiment_id]):
        role = run.data.tags["fgtune.role"]
        label = (role, run.info.run_name.replace(run.data.tags["fgtune.study_hash"][:6], "HASH").replace(name, "NAME"))
        assert label not in picture, f"two runs are {label}"
        history = {
            key: [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, key)]
            for key in run.data.metrics
        }
        own = {"fgtune.study", "fgtune.study_hash", "mlflow.parentRunId", "mlflow.note.content"}
        tags = {key: value for key, value in run.data.tags.items() if key not in own and key != "mlflow.runName"}
        times = (run.info.start_time, run.info.end_time) if role == "cell" else ()
        files = sorted(item.path for item in client.list_artifacts(run.info.run_id))
        inputs = [used.dataset.digest for used in run.inputs.dataset_inputs]
        picture[label] = (run.info.status, run.data.params, tags, history, times, files, inputs)
    return picture


def attempt(steps, store, fatal=math.inf, *, after=False):
    """Run the steps as a driver does, going on after a TrackingError; returns the calls made."""
    flaky = Flaky(store.client, fatal, after=after)
    tracker = MlflowTracker(Store(flaky, store.uri, store.artifact_root))
    errors = []
    for step in steps:
        try:
            step(tracker)
        except TrackingError as error:
            errors.append(str(error))
    assert len(errors) <= (1 if fatal < math.inf else 0)
    assert all("connection lost" in error and "with details" not in error for error in errors)
    return flaky.calls


def faults(calls, step):
    """Every call failing before its effect; after its effect where that differs from the next call failing before.

    With a step, only each so-manieth of them.
    """
    creating = [number for number, name in enumerate(calls, 1) if name.startswith(("create_", "delete_"))]
    every = [(number, False) for number in range(1, len(calls) + 1)] + [(number, True) for number in creating]
    return every[::step]


in_steps = pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.slow), 9])


@in_steps
def test_fault_in_any_call_of_a_study_is_made_good_by_the_next_launch(real, make_plan, make_result, make_curve, step):
    def steps(name):
        plan = make_plan(name=name)
        result = make_result(plan.cells[0], solver=None, metrics={"test/ari": 0.5})
        curve = make_curve(2, ["train/loss"])
        found = Findings("test/ari", {"baseline": ArmFindings({"test/ari": {"mean": 0.5, "n": 1}})}, "Yes.")
        return [
            lambda tracker: tracker.start(plan, Path("x")),
            lambda tracker: tracker.log_cell(result, curve),
            lambda tracker: tracker.sync([result], lambda _: curve),
            lambda tracker: tracker.log_summary(found),
            lambda tracker: tracker.finish(StudyEnd.COMPLETE),
        ]

    store = real._store
    calls = attempt(steps("whole"), store)
    expected = content(store.client, "whole")
    assert [role for role, _ in sorted(expected)] == ["arm_summary", "cell", "study"]
    assert {"create_experiment", "create_run", "log_batch", "set_terminated", "set_tag"} <= set(calls)
    for number, (fatal, after) in enumerate(faults(calls, step)):
        work = steps(f"fault{number}")
        attempt(work, store, fatal, after=after)
        attempt(work, store)
        assert content(store.client, f"fault{number}") == expected, f"call {fatal}, {calls[fatal - 1]}"


@in_steps
def test_fault_in_any_call_of_a_retry_is_made_good_by_the_next_sync(real, make_plan, make_result, make_curve, step):
    curve = make_curve(2, ["train/loss"])

    def study(name, fatal=math.inf, *, after=False):
        plan = make_plan(name=name)
        failed = make_result(plan.cells[0], state=CellState.FAIL, metrics={}, solver=None, cause="worker died")
        again = {"metrics": {"test/ari": 0.5}, "solver": None, "finished_at": "2026-11-22T10:00:00+00:00"}
        retried = make_result(plan.cells[0], attempts=2, **again)
        tracker = MlflowTracker(store)
        tracker.start(plan, Path("x"))
        tracker.log_cell(failed, curve[:1])
        start, sync = lambda t: t.start(plan, Path("x")), lambda t: t.sync([failed, retried], lambda _: curve)
        calls = attempt([start, sync], store, fatal, after=after)
        attempt([start, sync], store)
        return calls

    store = real._store
    calls = study("whole")
    expected = content(store.client, "whole")
    for number, (fatal, after) in enumerate(faults(calls, step)):
        study(f"fault{number}", fatal, after=after)
        assert content(store.client, f"fault{number}") == expected, f"call {fatal}, {calls[fatal - 1]}"


def test_interrupt_in_a_call_leaves_nothing_double(real, plan, results, curve):
    store = real._store
    real.start(plan, Path("x"))
    flaky = Flaky(store.client, math.inf, after=True, fault=KeyboardInterrupt())
    tracker = MlflowTracker(Store(flaky, store.uri, store.artifact_root))
    tracker.start(plan, Path("x"))
    flaky._fatal = len(flaky.calls) + 1
    with pytest.raises(KeyboardInterrupt):
        tracker.log_cell(results[0], curve)
    assert flaky.calls[-1] == "create_run"  # that of the arm
    assert tracker.sync(results[:1], lambda _: curve) == 1
    tracker.finish(StudyEnd.INTERRUPTED)
    assert sorted(role for role, _ in content(store.client, "kf_small")) == ["arm_summary", "cell", "study"]
