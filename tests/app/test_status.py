"""How far a study is, from folders with made-up numbers, and that asking is fast and changes nothing."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import astuple

import pytest
from rich.console import Console

from fgtune.app.cli import main
from fgtune.app.status import print_status, read_status
from fgtune.engine.opening import open_study
from fgtune.errors import StudyFolderError
from fgtune.results.folder import StudyFolder
from fgtune.results.live import RunningTrial, write_running
from fgtune.results.records import CellResult, CellState

pytestmark = pytest.mark.usefixtures("ledger_alone")


@pytest.fixture
def partial(synthetic, tmp_path):
    faults = synthetic.Faults(
        missing={("baseline", 4), ("num_fine_ratio=1.5", 4)},
        failed={("num_fine_ratio=0.8", 2): "TrialError: loss is not finite"},
        pruned={("num_fine_ratio=1.2", 1)},
    )
    accuracy = {"baseline": 0.8, "num_fine_ratio=0.8": 0.5, "num_fine_ratio=1.2": 0.95, "num_fine_ratio=1.5": 0.6}
    return synthetic.SyntheticStudy(faults=faults, accuracy=accuracy).write(tmp_path / "reports")


def told(root) -> str:
    out = io.StringIO()
    print_status(read_status(root), Console(file=out, width=200))
    return out.getvalue()


def test_cells_are_counted_by_arm_and_state(partial):
    status = read_status(partial.root)
    counts = {arm.arm: astuple(arm.counts) for arm in status.arms}
    assert counts == {
        "baseline": (5, 4, 0, 0, 1),
        "num_fine_ratio=0.8": (5, 4, 1, 0, 0),
        "num_fine_ratio=1.2": (5, 4, 0, 1, 0),
        "num_fine_ratio=1.5": (5, 4, 0, 0, 1),
    }
    assert (status.planned, status.ended, status.count(CellState.COMPLETE)) == (20, 18, 16)


def test_seconds_and_the_estimate_follow_from_the_ledger(partial):
    status = read_status(partial.root)
    results = partial.ledger.read()
    assert status.seconds == pytest.approx(sum(each.seconds for each in results))
    means = {}
    for arm in ("baseline", "num_fine_ratio=1.5"):
        own = [each.seconds for each in results if each.arm == arm]
        means[arm] = sum(own) / len(own)
    assert status.left.cells == 2
    assert status.left.cell_seconds == pytest.approx(sum(means.values()))


def test_the_best_arm_has_the_best_mean_of_its_complete_cells(partial):
    status = read_status(partial.root)
    values = [
        each.metrics["test/clustering_accuracy"]
        for each in partial.ledger.read()
        if each.arm == "num_fine_ratio=1.2" and each.state is CellState.COMPLETE
    ]
    assert (status.best.arm, status.best.scored) == ("num_fine_ratio=1.2", 4)
    assert status.best.score == pytest.approx(sum(values) / 4)


def test_a_metric_that_is_better_when_small_has_its_lowest_arm_as_the_best(synthetic, tmp_path):
    text = synthetic.KF_STUDY.replace("primary: test/clustering_accuracy", "primary: test/ged")
    accuracy = {"baseline": 0.9, "num_fine_ratio=0.8": 0.3, "num_fine_ratio=1.2": 0.9, "num_fine_ratio=1.5": 0.2}
    folder = synthetic.SyntheticStudy(text=text, accuracy=accuracy).write(tmp_path)
    means = {arm.arm: arm.score for arm in read_status(folder.root).arms}
    assert read_status(folder.root).best.arm == min(means, key=means.get)


def test_a_person_is_told_everything_at_once(partial):
    text = told(partial.root)
    assert f"kf_demo (sensitivity), in {partial.root}" in text
    assert "question: How far may K_F be from the truth" in text
    assert "not running: 18 of 20 cells ended, 1 failed, 1 stopped early" in text
    assert "failed: num_fine_ratio=0.8, seed 2: TrialError: loss is not finite" in text
    assert "left: about" in text
    assert "best so far: num_fine_ratio=1.2, test/clustering_accuracy 0.9" in text
    assert "continue with: fgtune run study.yaml" in text


def test_a_finished_study_with_failures_is_told_how_to_run_them_again(synthetic, tmp_path):
    faults = synthetic.Faults(failed={("baseline", 0): "killed"})
    text = told(synthetic.SyntheticStudy(faults=faults).write(tmp_path).root)
    assert "left:" not in text
    assert "run failed cells again with: fgtune run study.yaml --retry-failed" in text


def test_a_finished_study_has_nothing_to_continue(synthetic, tmp_path):
    text = told(synthetic.SyntheticStudy().write(tmp_path).root)
    assert "not running: 20 of 20 cells ended\n" in text
    assert "continue" not in text


def test_checks_of_the_last_report_that_did_not_pass_are_named(synthetic, tmp_path):
    folder = synthetic.SyntheticStudy().write(tmp_path)
    assert "checks of the last report" not in told(folder.root)
    checks = [{"name": "Lost cells", "status": "FAIL"}, {"name": "Number of seeds", "status": "WARN"}]
    checks += [{"name": "Repeatability", "status": "PASS"}]
    folder.verdicts_file.write_text(json.dumps({"checks": checks}))
    line = (
        f"checks of the last report: FAIL lost cells, WARN number of seeds; fgtune report {folder.root} says what to do"
    )
    assert line in told(folder.root).splitlines()
    for junk in ("junk", "[]", '{"checks": [1]}'):
        folder.verdicts_file.write_text(junk)
        assert "checks of the last report" not in told(folder.root)


def test_a_study_without_a_finished_cell_has_no_estimate(synthetic, tmp_path):
    arms = ["baseline", *(f"num_fine_ratio={ratio}" for ratio in (0.8, 1.2, 1.5))]
    faults = synthetic.Faults(missing={(arm, seed) for arm in arms for seed in range(5)})
    folder = synthetic.SyntheticStudy(faults=faults).write(tmp_path)
    assert read_status(folder.root).best is None
    assert "left: unknown until a cell is finished" in told(folder.root)


def test_a_running_study_names_its_process_and_the_cells_that_have_begun(partial):
    missing = {row["cell_id"] for row in partial.read_plan()} - {each.cell_id for each in partial.ledger.read()}
    partial.checkpoints_dir.mkdir()
    partial.checkpoint_file(missing.pop()).touch()
    with partial.lock():
        text = told(partial.root)
    ended = "18 of 20 cells ended, 1 failed, 1 stopped early, 1 under way"
    assert re.search(rf"running \(process {os.getpid()} of .* on .*\): {ended}", text)
    assert "continue with" not in text


def test_the_rows_of_the_plan_count_and_not_what_the_study_expands_to(partial):
    with partial.plan_file.open("a") as file:
        file.write("0123456789ab,trial-0007,0,2.0\n")
    status = read_status(partial.root)
    assert status.arms[-1].arm == "trial-0007"
    assert (status.planned, status.left.cells) == (21, 3)


def test_the_folder_is_left_as_it_is(partial):
    before = {path: path.read_bytes() for path in partial.root.rglob("*") if path.is_file()}
    told(partial.root)
    assert {path: path.read_bytes() for path in partial.root.rglob("*") if path.is_file()} == before


def test_a_folder_without_a_study_is_refused(tmp_path, capsys):
    with pytest.raises(StudyFolderError, match=r"is no study folder, it lacks provenance\.json"):
        read_status(tmp_path)
    assert main(["status", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path}: is no study folder")


@pytest.mark.slow
@pytest.mark.integration
def test_asking_imports_nothing_heavy(partial):
    code = (
        "import sys; from fgtune.app.cli import main; code = main(['status', sys.argv[1]]);"
        "heavy = {'torch', 'ray', 'mlflow', 'pandas', 'scipy', 'optuna', 'plotly'} & set(sys.modules);"
        "sys.exit(f'imported {sorted(heavy)}' if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(partial.root)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "18 of 20 cells ended" in done.stdout


def test_the_plan_tells_the_time_from_finished_cells(small_study, tmp_path, capsys):
    opened = open_study(small_study)
    folder = StudyFolder(tmp_path / "reports" / "small")
    folder.create_or_check(opened.plan, opened.loaded, {"study_hash": opened.plan.study_hash})
    arguments = ["plan", str(small_study), "--out", str(tmp_path / "reports"), "--set", "execution.max_concurrent=1"]
    assert main(arguments) == 0
    assert "time:" not in capsys.readouterr().out
    for cell, seconds in zip(opened.plan.cells, (600.0, 120.0), strict=False):
        result = CellResult(
            cell.cell_id, cell.arm, cell.seed, cell.config_hash, CellState.COMPLETE, {}, seconds, 2, cell.levels, {}
        )
        folder.ledger.append(result)
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert "2 of 4 cells to run" in told
    assert "time: about 12 min for 2 cells of 6 min, 1 at once (judged by 2 cells finished)" in told


def test_a_search_counts_the_points_that_are_not_proposed_yet(synthetic_search, tmp_path):
    search = synthetic_search.SyntheticSearch(trials=6, unfinished={5}, curves=False).write(tmp_path)
    status = read_status(search.root)
    assert status.proposed == (6, 40)
    assert status.planned == (1 + 40) * 3
    assert status.left.cells == status.planned - status.ended == 3 * (40 - 5)
    assert status.criterion.name == "val/silhouette"
    text = told(search.root)
    assert "search: 6 points proposed of 40" in text


def test_a_silent_trial_is_told_while_the_study_runs_and_only_then(partial):
    missing = {row["arm"]: row["cell_id"] for row in partial.read_plan() if row["seed"] == 4}
    now = time.time()
    silent = RunningTrial(missing["num_fine_ratio=1.5"], 12, now - 3600, now - 14 * 60, 9.04, 300.0)
    lively = RunningTrial(missing["baseline"], 12, now - 3600, now - 200, 9.04, 300.0)
    write_running(partial.running_file, [silent, lively])
    assert "silent: " not in told(partial.root), "a file of a killed driver"
    with partial.lock():
        text = told(partial.root)
        assert "silent: num_fine_ratio=1.5, seed 4: no epoch for 14 min since epoch 12, the median is 9.0 s\n" in text
        assert text.count("silent: ") == 1
        assert "2 under way" in text
        assert "is it stuck" not in text
        write_running(partial.running_file, [], written=now - 180)
        assert "the process that runs it has noted nothing for 3 min: is it stuck?" in told(partial.root)
        partial.running_file.write_text("{")
        assert "silent: " not in told(partial.root)
