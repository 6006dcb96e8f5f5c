"""Studies of a user's own trainer, run by Ray: ledger, failures, resuming, early stopping."""

from __future__ import annotations

import random
import re
import subprocess
import sys

import pytest
from support.functions import MODULE, STUDY

from fgtune.app.api import load_study
from fgtune.app.compare import compare
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


@pytest.mark.slow
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
    again = verify(folder.root, plugins=("usersown",), reruns=2, seed=1)
    assert [each.differences for each in again.reruns] == [(), ()]
    assert all(each.compared >= 8 for each in again.reruns)  # two metrics at the end, and at three epochs
    with pytest.raises(ConfigError, match="a study file alone may not have the package 'usersown' imported"):
        verify(folder.root, reruns=1)
    page = folder.report_file.read_text(encoding="utf-8")
    assert "config.gain" in page
    assert not list(folder.relations_dir.glob("*"))
    assert not list(folder.checkpoints_dir.glob("*"))


@pytest.mark.kill
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


@pytest.mark.slow
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


@pytest.mark.slow
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


SEARCH = "design={kind: search, trials: 4, sampler: {kind: random}, space: {parameters: {config.gain: {kind: uniform, \
low: 0.1, high: 0.9}}}, metric: score}"
POPULATION = "scheduler={kind: pbt, interval_epochs: 2, quantile: 0.5}"
STUDY_OF_STATES = ("trial.call=usersown:resumable", SEARCH, POPULATION, "seeds=1", "trial.epochs=6")


@pytest.mark.slow
def test_a_population_copies_the_state_that_a_function_keeps(ray_started, place):
    code, folder = run(place, *STUDY_OF_STATES, "execution.max_concurrent=1")
    assert code == 0
    results = {each.cell_id: each for each in folder.ledger.read()}
    curves = folder.read_curves().set_index(["cell_id", "epoch"])["score"]
    forks = [each for each in results.values() if each.fork is not None]
    assert forks
    for each in forks:
        begins = each.fork.epoch
        before, first = curves[each.fork.donor, begins], curves[each.cell_id, begins + 1]
        step = random.Random(f"0 {begins}").random()
        assert first == pytest.approx((before + step * each.config["config"]["gain"]) % 1.0)
        assert (each.cell_id, begins) not in curves.index
    assert not list(folder.checkpoints_dir.glob("*"))
    assert verify(folder.root).problems == []
    page = folder.report_file.read_text(encoding="utf-8")
    assert "What choosing by each metric that the function reports yields in score" in page
    assert "label-free" not in page
    assert "fine labels" not in page


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (("trial.call=usersown:run",), "so the function must take checkpoint_dir"),
        (("seeds=2",), "must be one seed for pbt"),
    ],
)
def test_a_population_that_has_nothing_to_copy_is_refused_before_anything_starts(place, changes, message):
    with permitting(("usersown",)), pytest.raises(ConfigError, match=message):
        open_study(place / "own.yaml", [*STUDY_OF_STATES, *changes])


@pytest.mark.slow
def test_two_studies_of_one_function_are_paired_and_of_two_are_not(ray_started, place):
    roots = []
    for name, change in (("a", ""), ("b", "trial.config.Depth=3"), ("c", "trial.call=usersown:resumable")):
        call = "trial.call=usersown:run" if name != "c" else change
        code, _ = run(place, f"study={name}", call, *[change] * (name == "b"), "seeds=2", "execution.max_concurrent=1")
        assert code == 0
        roots.append(place / "reports" / name)
    comparison = compare(roots, arm="baseline", page=place / "all.html")
    same, other = comparison.differences
    assert same.contrast.differences == (0.0, 0.0)
    assert any("reads its own data" in note for note in same.notes)
    assert other.reasons == ("other trainers: usersown:resumable here, usersown:run in a",)
    assert "config.Depth 2 → 3" in (place / "all.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_function_that_has_changed_since_is_found_by_a_rerun(ray_started, place):
    code, folder = run(place, "seeds=1")
    assert code == 0
    (place / "usersown.py").write_text(MODULE.replace("0.5 + start", "0.4 + start"), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "fgtune", "verify", str(folder.root), "--rerun", "3", "--plugins", "usersown"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    told = re.findall(r"run again, 4 of \d+ values differ: .*\bscore\b", done.stdout + done.stderr)
    assert len(told) == 3  # its last value, and that of each epoch
