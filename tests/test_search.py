"""Searches, early stopping and budgets from the study file to the ledger: real Ray, a real MLflow store, real files."""

from __future__ import annotations

import contextlib
import json
import random
import re
import shutil
import sqlite3
from collections import Counter
from dataclasses import replace

import pytest
from support.lazy import LazyModule
from support.search_runs import METRIC, ONE_WORKER, STUDY, folder_of, made, mirrored, run

from fgtune.analysis.inputs import read_study
from fgtune.analysis.trials import trials_of
from fgtune.app.verify import verify
from fgtune.errors import ConfigError
from fgtune.results.folder import StudyFolder
from fgtune.results.records import CellState

mlflow = LazyModule("mlflow")


@pytest.fixture
def options(tmp_path):
    return made(tmp_path, execution=ONE_WORKER)


@pytest.mark.slow
def test_a_search_cut_by_a_budget_goes_on_and_plans_and_mirrors_every_trial(options, ray_started, capsys):
    from fgtune.app.cli import main

    code, printed = run(replace(options, overrides=("execution.budget.cells=2",)))
    assert code == 4, printed
    assert "the budget of 2 cells is used up: 2 of 5 cells are finished" in printed
    assert main(["plan", str(options.study), "--out", str(options.out)]) == 0
    shown = capsys.readouterr().out
    assert "the baseline and up to 4 trials x 1 seed, at most 5 cells" in shown
    assert "3 of 5 cells to run" in shown
    code, printed = run(replace(options, overrides=("execution.budget.cells=3",)))
    assert code == 0, printed  # just enough is enough
    folder = folder_of(options)
    arms = ["baseline", *(f"trial-{n:04d}" for n in range(4))]
    assert [row["arm"] for row in folder.read_plan()] == arms
    results = folder.ledger.read()
    assert sorted(result.arm for result in results) == arms
    assert {row["cell_id"] for row in folder.read_plan()} == {result.cell_id for result in results}
    assert sorted(mirrored(folder)) == [(arm, "COMPLETE") for arm in arms]
    for result in results:
        if result.arm != "baseline":
            assert 0.1 <= result.levels["objective.lambda_nn"] <= 2.0
            assert result.config["objective"]["lambda_nn"] == result.levels["objective.lambda_nn"]
    before = folder.ledger_file.read_bytes()
    code, printed = run(options)
    assert code == 0
    assert "nothing is run" in printed
    assert folder.ledger_file.read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize(
    "scheduler",
    [
        {"kind": "asha", "grace_epochs": 1, "reduction": 2},
        pytest.param({"kind": "hyperband", "reduction": 2}, marks=pytest.mark.long),
        pytest.param({"kind": "median", "grace_epochs": 1, "min_trials": 2}, marks=pytest.mark.long),
        pytest.param(
            {"kind": "plateau", "grace_epochs": 2, "patience_epochs": 2, "tolerance": 10}, marks=pytest.mark.long
        ),
    ],
    ids=lambda scheduler: scheduler["kind"],
)
def test_a_stopped_trial_is_pruned_with_its_last_epoch_everywhere(tmp_path, ray_started, new_store, scheduler):
    uri = new_store(tmp_path)
    design = {"trials": 10, "sampler": {"kind": "random"}}
    options = made(tmp_path, uri, scheduler=scheduler, design=design, execution=ONE_WORKER)
    code, printed = run(options)
    assert code == 0, printed
    folder = folder_of(options)
    results = folder.ledger.read()
    assert len(results) == 11
    pruned = [result for result in results if result.state is CellState.PRUNED]
    assert pruned
    curves = folder.read_curves()
    for result in results:
        own = curves[curves["cell_id"] == result.cell_id]
        assert list(own["epoch"]) == list(range(1, result.epochs + 1))
        assert (result.epochs < 8) == (result.state is CellState.PRUNED)
    for result in pruned:
        assert result.cause.startswith(f"stopped after epoch {result.epochs} by {scheduler['kind']}: ")
        assert (METRIC in result.metrics) == (result.metrics["val/num_used_classes"] > 1)  # one class has no silhouette
    assert sorted(mirrored(folder)) == sorted((result.arm, result.state.value) for result in results)
    assert not list(folder.checkpoints_dir.glob("*"))
    runs = mlflow.MlflowClient(uri).search_runs(["1"], "tags.`fgtune.role` = 'cell'")
    assert Counter(each.info.status for each in runs) == {"KILLED": len(pruned), "FINISHED": 11 - len(pruned)}
    assert verify(folder.root).problems == []
    for change, problem in CHANGES_OF_A_SEARCH:
        copy = StudyFolder(shutil.copytree(folder.root, tmp_path / "copy" / folder.root.name))
        change(copy)
        problems = verify(copy.root).problems
        assert any(re.search(problem, each) for each in problems), problems
        shutil.rmtree(copy.root)


@pytest.mark.long  # test_kills cuts a search with two seeds in every run
def test_the_seeds_of_a_whole_trial_are_stopped_together_also_after_a_cut(tmp_path, ray_started):
    scheduler = {"kind": "asha", "grace_epochs": 2, "reduction": 2}
    design = {"trials": 6, "sampler": {"kind": "random"}}
    for name in ("uncut", "cut"):
        (tmp_path / name).mkdir()
    uncut = made(tmp_path / "uncut", scheduler=scheduler, design=design, seeds=2, execution=ONE_WORKER)
    cut = made(tmp_path / "cut", scheduler=scheduler, design=design, seeds=2, execution=ONE_WORKER)
    assert run(replace(cut, overrides=("execution.budget.cells=5",)))[0] == 4
    for options in (uncut, cut):
        code, printed = run(options)
        assert code == 0, printed
    results = {result.cell_id: result for result in folder_of(uncut).ledger.read()}
    for other in folder_of(cut).ledger.read():
        assert (other.state, other.epochs) == (results[other.cell_id].state, results[other.cell_id].epochs)
        assert other.metrics == results[other.cell_id].metrics
    ends = {}
    for result in results.values():
        ends.setdefault(result.arm, set()).add((result.state, result.epochs))
    assert len(ends) == 7
    assert all(len(each) == 1 for each in ends.values())
    states = Counter(state for each in ends.values() for state, _ in each)
    assert states[CellState.PRUNED] >= 1
    assert states[CellState.COMPLETE] >= 2  # the baseline, and a trial that has a value
    folder = folder_of(cut)
    assert verify(folder.root).problems == []
    assert sorted(mirrored(folder)) == sorted((arm, state.value) for arm, each in ends.items() for state, _ in each)
    trials = {trial.arm: trial for trial in trials_of(read_study(folder))}
    for arm in ends:
        own = [result.metrics[METRIC] for result in results.values() if result.arm == arm]
        assert trials[arm].means[METRIC] == pytest.approx(sum(own) / 2, rel=1e-12)
    write_lines(folder, [line | {"stop": False} for line in lines_of(folder)])
    assert any("the decisions say None" in problem for problem in verify(folder.root).problems)


def lines_of(folder):
    return [json.loads(line) for line in folder.stopping_file.read_text().splitlines()]


def write_lines(folder, lines):
    folder.stopping_file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def without_a_stop(folder):
    lines = lines_of(folder)
    lines.remove(next(line for line in lines if line["stop"]))
    write_lines(folder, lines)


def with_another_score(folder):
    lines = lines_of(folder)
    lines[0]["score"] += 1.0
    write_lines(folder, lines)


def with_another_decision(folder):
    """The best trial of those that were judged is stopped at once."""
    lines = lines_of(folder)
    lines[0]["stop"] = True
    write_lines(folder, lines)


def with_another_value_in_the_copy(folder):
    with contextlib.closing(sqlite3.connect(folder.optuna_file)) as database, database:
        database.execute("UPDATE trial_values SET value = value + 0.1")


CHANGES_OF_A_SEARCH = (
    (without_a_stop, r"stopping.jsonl: cell .* was stopped after epoch \d+, the decisions say None"),
    (with_another_score, r"stopping.jsonl: line 1, .* has the score .* the curve gives"),
    (
        with_another_decision,
        r"stopping.jsonl: line 1, .* stops the cell after epoch \d+, by the scores before it goes on",
    ),
    (lambda folder: folder.stopping_file.unlink(), r"stopping.jsonl: cell .* the decisions say None"),
    (with_another_value_in_the_copy, r"optuna.db: .* reaches .* there, .* in the ledger"),
    (lambda folder: folder.optuna_file.write_bytes(b"junk"), r"optuna.db: holds no trials of small"),
)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["tpe", "gp", "cmaes", "nsga2", "qmc", "random", "brute_force"])
def test_every_sampler_runs_to_its_end(tmp_path, ray_started, kind):
    if kind == "cmaes":
        pytest.importorskip("cmaes")
    changes = {"sampler": {"kind": kind}, "trials": 4}
    if kind == "brute_force":
        changes["space"] = {"parameters": {"neighbors.sampled": {"kind": "choice", "values": [1, 2, 3, 4]}}}
    if kind == "nsga2":
        changes["metric"] = [METRIC, "cost/solver_seconds"]
    options = made(tmp_path, design=changes)
    code, printed = run(options)
    assert code == 0, printed
    assert [result.state for result in folder_of(options).ledger.read()] == [CellState.COMPLETE] * 5
    assert folder_of(options).report_file.is_file()


@pytest.mark.long
def test_enumerated_cells_stop_early_where_asked(tmp_path, ray_started):
    design = {"kind": "sensitivity", "factors": {"objective.lambda_reg": [0.0, 1.0, 2.0, 3.0, 4.0]}}
    scheduler = {"kind": "asha", "metric": METRIC, "grace_epochs": 2, "reduction": 2}
    options = made(tmp_path, scheduler=scheduler)
    options.study.write_text(json.dumps(STUDY | {"design": design, "scheduler": scheduler}))
    code, printed = run(options)
    assert code == 0, printed
    states = Counter(result.state for result in folder_of(options).ledger.read())
    assert states[CellState.PRUNED] > 0
    assert states[CellState.COMPLETE] > 0
    assert sum(states.values()) == 5


@pytest.mark.long
def test_only_runs_a_part_and_the_next_call_the_rest(tmp_path, ray_started):
    design = {"kind": "sensitivity", "factors": {"objective.lambda_reg": [1.0, 2.0]}}
    options = made(tmp_path)
    options.study.write_text(json.dumps(STUDY | {"design": design, "seeds": 2}))
    code, printed = run(replace(options, only=("seed=1",)))
    assert code == 0, printed
    assert "every cell that --only selects is finished; 2 of 4 cells are finished" in printed
    assert {result.seed for result in folder_of(options).ledger.read()} == {1}
    code, printed = run(options)
    assert code == 0
    assert len(folder_of(options).ledger.read()) == 4


def test_only_goes_with_planned_cells_alone(options):
    with pytest.raises(ConfigError, match="needs cells that are planned beforehand"):
        run(replace(options, only=("seed=0",)))
    assert not options.out.exists()


@pytest.mark.long
def test_a_budget_of_seconds_stops_in_order_and_the_next_call_goes_on(tmp_path, ray_started):
    options = made(tmp_path, execution={"budget": {"wall_s": 0.01}})
    code, printed = run(options)
    assert code == 4, printed
    assert "the budget of 0.01 wall seconds is used up" in printed
    assert "continue with: python -m fgtune.run" in printed
    code, printed = run(replace(options, overrides=("execution.budget.wall_s=null",)))
    assert code == 0, printed
    assert len(folder_of(options).ledger.read()) == 5


def test_a_warm_start_without_results_is_refused_before_anything_is_written(options):
    options = replace(options, overrides=("design.warm_start=[nowhere]",))
    with pytest.raises(ConfigError, match=r"design.warm_start\[0\]: holds no results"):
        run(options)
    assert not options.out.exists()


@pytest.mark.long
def test_a_search_learns_from_an_earlier_study(tmp_path, ray_started):
    first = made(tmp_path)
    assert run(first)[0] == 0
    (tmp_path / "two").mkdir()
    second = made(tmp_path / "two", design={"warm_start": [str(folder_of(first).root)], "trials": 2})
    code, printed = run(second)
    assert code == 0, printed
    assert "5 of 5 finished settings are of use to this search" in printed
    arms = [arm for arm, _ in mirrored(folder_of(second))]
    assert sum(arm.startswith("small/") for arm in arms) == 5
    known = {result.config_hash for result in folder_of(first).ledger.read()}
    assert not known & {r.config_hash for r in folder_of(second).ledger.read() if r.arm != "baseline"}


def check_once_each(options, trials: int, uri: str) -> None:
    folder = folder_of(options)
    lines = [json.loads(line) for line in folder.ledger_file.read_text().splitlines()]
    cells = Counter(line["cell_id"] for line in lines)
    assert set(cells.values()) == {1}
    assert set(cells) == {row["cell_id"] for row in folder.read_plan()}
    assert sorted(line["arm"] for line in lines) == ["baseline", *(f"trial-{n:04d}" for n in range(trials))]
    curves = folder.read_curves()
    for line in lines:  # stopped ones included: what a cell reported before a cut is reported again after it
        assert list(curves[curves["cell_id"] == line["cell_id"]]["epoch"]) == list(range(1, line["epochs"] + 1))
    states = mirrored(folder)
    assert len(states) == trials + 1
    assert {state for _, state in states} <= {"COMPLETE", "PRUNED"}
    runs = mlflow.MlflowClient(uri).search_runs(["1"], "tags.`fgtune.role` = 'cell'")
    assert sorted(each.data.tags["fgtune.cell_id"] for each in runs) == sorted(cells)


@pytest.mark.long  # test_kills kills a search once in every run of CI
@pytest.mark.parametrize("kills", [1, 20])
def test_a_search_killed_at_random_moments_loses_and_repeats_nothing(tmp_path, kills, start_driver, kill_driver):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    trials = 3 * kills
    scheduler = {"kind": "asha", "grace_epochs": 2, "reduction": 2}
    trial = STUDY["trial"] | {"epochs": 60}
    options = made(tmp_path, uri, trial=trial, scheduler=scheduler, design={"trials": trials})
    rng = random.Random(kills)
    for _ in range(kills):
        kill_driver(options, rng.uniform(4.0, 12.0))
    process = start_driver(options)
    assert process.wait(timeout=300) == 0
    check_once_each(options, trials, uri)
