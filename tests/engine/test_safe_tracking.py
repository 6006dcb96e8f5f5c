"""A fault of the tracking store is warned of once, never stops a study, and is made up for at its end."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from fgtune.analysis.inputs import read_study
from fgtune.analysis.summary import summarise
from fgtune.engine.safe_tracking import SafeTracking, _Curves, curve_of, findings_of
from fgtune.errors import ConfigError, TrackingError
from fgtune.tracking import StudyEnd


class FaultyTracker:
    """Remembers calls and their threads; fails from those that it is asked to fail in."""

    uri = "memory"

    def __init__(self, *faults: str, error: Exception | None = None) -> None:
        self.faults, self.error = set(faults), error or TrackingError("the disk is full")
        self.calls: list[str] = []
        self.threads: set[str] = set()
        self.synced: dict[str, int] = {}

    def _call(self, name: str) -> None:
        self.calls.append(name)
        self.threads.add(threading.current_thread().name)
        if name in self.faults:
            raise self.error

    def start(self, plan, folder, *, commit=None, idle=False):
        self._call("start")

    def grow(self, plan):
        self._call("grow")

    def log_cell(self, result, curve):
        self._call("log_cell")

    def sync(self, results, read_curve):
        self._call("sync")
        self.synced = {each.cell_id: len(read_curve(each.cell_id)) for each in results}
        return len(self.synced)

    def log_summary(self, findings):
        self._call("log_summary")

    def finish(self, end, artifacts=()):
        self._call(f"finish {end}")


@pytest.fixture(scope="module")
def study(synthetic, tmp_path_factory):
    folder = synthetic.SyntheticStudy().write(tmp_path_factory.mktemp("study"))
    return SimpleNamespace(folder=folder, summary=summarise(read_study(folder)), results=folder.ledger.read())


def run(study, tracker) -> list[str]:
    said: list[str] = []
    tracking = SafeTracking(tracker, study.folder, said.append)
    tracking.start(plan=None)
    for result in study.results[:2]:
        tracking.log_cell(result, [])
    tracking.finish(StudyEnd.COMPLETE, study.summary)
    return said


def test_everything_is_written_in_order_by_one_thread_beside_the_driver(study):
    tracker = FaultyTracker()
    assert run(study, tracker) == []
    assert tracker.calls == ["start", "sync", "log_cell", "log_cell", "log_summary", "finish COMPLETE"]
    assert len(tracker.threads) == 1
    assert threading.current_thread().name not in tracker.threads


def test_after_a_fault_cells_wait_for_the_end_and_the_ledger_makes_up_for_them(study):
    tracker = FaultyTracker("log_cell")
    said = run(study, tracker)
    assert said == ["warning: tracking failed, the study goes on: the disk is full"]
    assert tracker.calls == ["start", "sync", "log_cell", "sync", "log_summary", "finish COMPLETE"]
    assert tracker.synced == {each.cell_id: each.epochs for each in study.results}


def test_a_store_that_fails_in_everything_is_warned_of_once(study):
    tracker = FaultyTracker("start", "sync", "log_cell", "log_summary", "finish COMPLETE")
    assert len(run(study, tracker)) == 1


def test_what_is_no_fault_of_the_store_ends_the_study(study):
    with pytest.raises(ConfigError, match="name is taken"):
        run(study, FaultyTracker("start", error=ConfigError("name is taken")))
    with pytest.raises(ZeroDivisionError):
        run(study, FaultyTracker("log_cell", error=ZeroDivisionError()))


def test_a_stored_curve_is_read_back_without_what_was_not_measured(study):
    curves = study.folder.read_curves()
    result = study.results[0]
    curves.loc[(curves["cell_id"] == result.cell_id) & (curves["epoch"] == 1), "test/ari"] = float("nan")
    by_cell = dict(iter(curves.groupby("cell_id")))
    curve = curve_of(by_cell[result.cell_id])
    assert [entry.epoch for entry in curve] == list(range(1, result.epochs + 1))
    assert "test/ari" not in curve[0].metrics
    assert curve[-1].metrics == dict(result.metrics)
    assert _Curves(study.folder).of("unknown") == []
    assert _Curves(study.folder).of(result.cell_id)[-1] == curve[-1]


def test_a_curve_has_metrics_whose_names_have_no_split(study):
    curves = study.folder.read_curves().rename(columns={"test/ari": "score"})
    result = study.results[0]
    assert [entry.metrics["score"] for entry in curve_of(curves[curves["cell_id"] == result.cell_id])][
        -1
    ] == result.metrics["test/ari"]


def test_the_statistics_of_an_arm_are_those_of_its_summary(study):
    found = findings_of(study.summary).arms["baseline"].statistics["test/clustering_accuracy"]
    values = [each.metrics["test/clustering_accuracy"] for each in study.results if each.arm == "baseline"]
    assert found["n"] == len(values) == 5
    assert found["mean"] == pytest.approx(sum(values) / 5)
    assert found["ci_lo"] < found["mean"] < found["ci_hi"]


def test_the_findings_have_the_verdict_and_difference_of_every_planned_contrast(study):
    findings = findings_of(study.summary)
    assert findings.primary == "test/clustering_accuracy"
    assert findings.answer == study.summary.answer
    assert findings.arms["baseline"].verdict == ""
    means = {name: arm.statistics[findings.primary]["mean"] for name, arm in findings.arms.items()}
    for contrast in study.summary.contrasts:
        arm = findings.arms[contrast.arm]
        assert arm.verdict == contrast.judgement.verdict
        assert arm.difference["difference"] == pytest.approx(means[contrast.arm] - means["baseline"])
        assert arm.difference["diff_lo"] < arm.difference["difference"] < arm.difference["diff_hi"]
