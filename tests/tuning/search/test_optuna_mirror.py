from __future__ import annotations

import sqlite3
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from support import searches as toy

from fgtune.results.records import CellState
from fgtune.tuning.search.search import Search
from fgtune.tuning.search.suggestions import KnownTrial


def studied(path: Path) -> optuna.Study:
    return optuna.load_study(study_name="search", storage=f"sqlite:///{path}")


def run(plan, path, count: int, known=(), warn=pytest.fail) -> list[KnownTrial]:
    """Run some trials of a search; returns the ledger, what was known included."""
    search = Search(plan, storage=path, warn=warn)
    ledger = list(known)
    search.restore(ledger)
    for _ in range(count):
        one = search.suggest()
        value = toy.valley(one.point)
        search.record(one.number, CellState.COMPLETE, [value], {1: value - 1, 2: value})
        cells = tuple(cell.cell_id for cell in one.cells)
        ledger.append(KnownTrial(one.arm.name, one.number, one.point, CellState.COMPLETE, (value,), {}, cells))
    return ledger


def test_the_mirror_shows_every_finished_trial_with_its_cell(tmp_path):
    plan = toy.search_plan(tmp_path, toy.NUMBERS)
    ledger = run(plan, tmp_path / "optuna.db", 3)
    study = studied(tmp_path / "optuna.db")
    assert study.metric_names == ["val/silhouette"]
    assert study.direction.name == "MAXIMIZE"
    for trial, known in zip(study.trials, ledger, strict=True):
        assert trial.params == known.point
        assert trial.value == known.values[0]
        assert trial.intermediate_values == {1: known.values[0] - 1, 2: known.values[0]}
        assert trial.user_attrs == {"arm": known.arm, "number": known.number, "cell_id": known.cell_ids[0]}


@pytest.mark.slow
def test_running_and_reused_trials_are_not_mirrored(tmp_path):
    plan = toy.search_plan(tmp_path, toy.FINITE, sampler={"kind": "tpe", "startup_trials": 2}, trials=15)
    search = Search(plan, storage=tmp_path / "optuna.db")
    points = toy.run_all(search, lambda point: -float(point["neighbors.sampled"]))
    assert search.reused > 0
    assert len(studied(tmp_path / "optuna.db").trials) == len(points)
    search = Search(toy.search_plan(tmp_path, toy.NUMBERS), storage=tmp_path / "other.db")
    search.suggest()
    assert studied(tmp_path / "other.db").trials == []


@pytest.mark.slow
def test_a_lost_mirror_is_made_again_from_the_ledger(tmp_path):
    plan, path = toy.search_plan(tmp_path, toy.NUMBERS), tmp_path / "optuna.db"
    ledger = run(plan, path, 3)
    path.unlink()
    run(plan, path, 1, ledger)
    assert [trial.user_attrs["number"] for trial in studied(path).trials] == [0, 1, 2, 3]


def damaged(path: Path) -> None:
    path.write_bytes(b"this is no database" * 100)


def with_a_zombie(path: Path) -> None:
    studied(path).ask()


def of_something_else(path: Path) -> None:
    path.unlink()
    optuna.create_study(study_name="search", storage=f"sqlite:///{path}", directions=["minimize", "minimize"])


def half_migrated(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE studies (study_id INTEGER)")


@pytest.mark.slow_except("damaged")
@pytest.mark.parametrize("spoil", [damaged, with_a_zombie, of_something_else, half_migrated])
def test_a_spoilt_mirror_is_made_anew_and_stops_nothing(tmp_path, spoil):
    plan, path = toy.search_plan(tmp_path, toy.NUMBERS), tmp_path / "optuna.db"
    ledger = run(plan, path, 2)
    spoil(path)
    run(plan, path, 1, ledger)
    trials = studied(path).trials
    assert [trial.user_attrs["number"] for trial in trials] == [0, 1, 2]
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}


def test_a_mirror_that_cannot_be_written_is_warned_of_once_and_stops_nothing(tmp_path):
    plan, warnings = toy.search_plan(tmp_path, toy.NUMBERS), []
    (tmp_path / "file").write_text("in the way")
    ledger = run(plan, tmp_path / "file" / "optuna.db", 3, warn=warnings.append)
    assert len(ledger) == 3
    assert len(warnings) == 1
    assert "cannot be written" in warnings[0]
    assert "the search goes on, the next start writes it anew" in warnings[0]


def test_what_samplers_note_on_trials_survives_a_restart(tmp_path):
    plan = toy.search_plan(tmp_path, toy.NUMBERS, sampler={"kind": "nsga2", "population": 3}, trials=20)
    ledger = run(plan, tmp_path / "optuna.db", 7)
    search = Search(plan, storage=tmp_path / "optuna.db")
    search.restore(ledger)
    generations = [trial.system_attrs["NSGAIISampler:generation"] for trial in search._optuna.trials]
    assert generations == sorted(generations)
    assert generations[-1] >= 1
