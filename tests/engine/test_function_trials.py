"""Studies of a user's own trainer, run by Ray: ledger, failures, resuming, early stopping."""

from __future__ import annotations

import pytest
from support.functions import MODULE, STUDY

from fgtune.app.api import load_study
from fgtune.app.verify import verify
from fgtune.engine.opening import open_study
from fgtune.engine.run import execute
from fgtune.errors import ConfigError
from fgtune.plugins import permitting
from fgtune.results.folder import StudyFolder
from fgtune.results.options import RunOptions
from fgtune.results.records import CellState


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder of a user, with a module and a study."""
    (tmp_path / "usersown.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "own.yaml").write_text(STUDY, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(place, *overrides, out="reports", **options):
    study = place / "own.yaml"
    code = execute(RunOptions(study, overrides, False, place / out, "none", plugins=("usersown",), **options))
    return code, StudyFolder(place / out / "own")


def test_a_study_of_a_function_runs_reports_and_verifies(ray_started, place):
    code, folder = run(place)
    assert code == 0
    results = {(each.arm, each.seed): each for each in folder.ledger.read()}
    assert len(results) == 6
    assert results["gain=0.2", 1].metrics["score"] - results["baseline", 1].metrics["score"] == pytest.approx(0.03)
    assert results["baseline", 0].metrics["loss"] == pytest.approx(1 / 3)
    assert results["baseline", 0].epochs == 3
    outcome = verify(folder.root)
    assert outcome.problems == []
    assert outcome.compared > 100
    page = folder.report_file.read_text(encoding="utf-8")
    assert "config.gain" in page
    assert not list(folder.relations_dir.glob("*"))
    assert not list(folder.checkpoints_dir.glob("*"))


def test_what_a_function_raises_fails_its_cells_alone_with_cause_and_traceback(ray_started, place):
    code, folder = run(place, "trial.call=usersown:fails", "execution.max_failures=0", "seeds=1")
    assert code == 3
    states = {each.arm: each for each in folder.ledger.read()}
    assert {arm: each.state for arm, each in states.items()} == {
        "baseline": CellState.COMPLETE, "gain=0.0": CellState.COMPLETE, "gain=0.2": CellState.FAIL,
    }  # fmt: skip
    failed = states["gain=0.2"]
    assert failed.cause == "ArithmeticError: the gain is too large"
    kept = (folder.failures_dir / f"{failed.cell_id}.txt").read_text(encoding="utf-8")
    assert 'raise ArithmeticError("the gain is too large")' in kept
    assert verify(folder.root).problems == []


def test_a_function_that_never_reports_fails_with_the_fix_and_is_not_tried_again(ray_started, place):
    code, folder = run(place, "trial.call=usersown:wordless", "seeds=1")
    assert code == 3
    assert {each.attempts for each in folder.ledger.read()} == {1}
    assert all("never called report; it returned a dict" in str(each.cause) for each in folder.ledger.read())


@pytest.mark.parametrize(
    ("call", "plugins", "message"),
    [
        ("usersown:run", (), "a study file alone may not have the package 'usersown' imported"),
        ("usersown:rum", ("usersown",), "module usersown has no 'rum'"),
        ("usersown:too_few", ("usersown",), "must take config, seed and report"),
        ("usersown:lazy", ("usersown",), "must be a plain function"),
    ],
)
def test_a_call_that_cannot_be_made_is_one_error_before_anything_starts(place, call, plugins, message):
    with permitting(plugins), pytest.raises(ConfigError) as caught:
        open_study(place / "own.yaml", [f"trial.call={call}"])
    assert message in str(caught.value)
    assert "trial.call" in str(caught.value)
    assert str(caught.value).count("Fix:") == 1


def test_a_module_beside_the_study_file_is_found_from_any_folder(place, tmp_path_factory, monkeypatch):
    (place / "besideit.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    made = load_study(place / "own.yaml", ["trial.call=besideit:run"], plugins=["besideit"])
    assert len(made.open().plan.cells) == 6


def test_early_stopping_judges_and_stops_functions_seed_by_seed(ray_started, place):
    design = "design={kind: sensitivity, factors: {config.gain: [0.0, 0.02, 0.04, 0.2]}}"
    asha = "scheduler={kind: asha, metric: score, grace_epochs: 1, reduction: 2}"
    code, folder = run(place, design, asha, "trial.epochs=6", "execution.max_concurrent=1")
    assert code == 0
    results = folder.ledger.read()
    stopped = [each for each in results if each.state is CellState.PRUNED]
    assert stopped
    assert all(each.epochs < 6 for each in stopped)
    assert all(each.state is CellState.COMPLETE for each in results if each.arm in {"baseline", "gain=0.2"})
    assert verify(folder.root).problems == []
