from __future__ import annotations

import json
from dataclasses import replace

import pytest
from support import searches as toy

from fgtune.errors import ConfigError
from fgtune.results.ledger import Ledger
from fgtune.results.records import CellResult, CellState
from fgtune.tuning.search.history import baseline_trial, earlier_trials, ledger_trials
from fgtune.tuning.search.search import Search

METRIC = "val/silhouette"


def result_of(cell, value: float | None, state=CellState.COMPLETE) -> CellResult:
    metrics = {} if value is None else {METRIC: value}
    return CellResult(
        cell.cell_id, cell.arm, cell.seed, cell.config_hash, state, metrics, 1.0, 3, dict(cell.levels),
        cell.config.to_plain(),
    )  # fmt: skip


def known_of(plan, results, **options):
    return ledger_trials(plan, results, **options)


@pytest.fixture
def plan(tmp_path):
    return toy.search_plan(tmp_path, toy.CONDITIONAL, seeds=2, trials=6)


def some(plan, n: int):
    search = Search(plan)
    return [search.suggest() for _ in range(n)]


def test_the_ledger_gives_back_what_was_proposed_and_how_it_ended(plan):
    suggestions = some(plan, 4)
    results = [result_of(cell, float(cell.seed)) for each in (suggestions[2], suggestions[0]) for cell in each.cells]
    results.append(result_of(suggestions[1].cells[1], 1.0))
    proposed = [(each.arm.name, each.arm.levels) for each in suggestions]
    known = known_of(plan, results, proposed=proposed)
    assert [(each.number, each.state) for each in known] == [
        (2, CellState.COMPLETE), (0, CellState.COMPLETE), (1, None), (3, None)
    ]  # fmt: skip
    for each in known:
        assert each.point == suggestions[each.number].point
        assert each.cell_ids == tuple(cell.cell_id for cell in suggestions[each.number].cells)
    assert known[0].values == (0.5,)


def test_a_search_is_the_same_after_its_ledger_was_read(plan):
    suggestions = some(plan, 4)
    results = [result_of(cell, 0.1) for each in suggestions[:3] for cell in each.cells]
    search = Search(plan)
    search.restore(known_of(plan, results, proposed=[(each.arm.name, each.arm.levels) for each in suggestions]))
    assert search.issued == 4
    again = search.suggest()
    assert (again.number, again.point, again.cells) == (3, suggestions[3].point, suggestions[3].cells)


@pytest.mark.parametrize(
    ("states", "joint"),
    [
        ((CellState.COMPLETE, CellState.FAIL), CellState.FAIL),
        ((CellState.PRUNED, CellState.COMPLETE), CellState.PRUNED),
        ((CellState.PRUNED, CellState.FAIL), CellState.FAIL),
    ],
)
def test_an_arm_ends_as_its_worst_cell(plan, states, joint):
    cells = some(plan, 1)[0].cells
    known = known_of(plan, [result_of(cell, 1.0, state) for cell, state in zip(cells, states, strict=True)])
    assert [each.state for each in known] == [joint]
    assert known[0].values == ()


def test_intermediate_values_are_means_of_the_epochs_that_all_seeds_have(plan):
    cells = some(plan, 1)[0].cells
    curves = {cells[0].cell_id: {1: 0.0, 2: 1.0, 3: 5.0}, cells[1].cell_id: {1: 1.0, 2: 2.0}}
    known = known_of(plan, [result_of(cell, 1.0, CellState.PRUNED) for cell in cells], curve=curves.__getitem__)
    assert known[0].intermediate == {1: 0.5, 2: 1.5}


def test_the_baseline_is_known_where_it_lies_in_the_space(tmp_path):
    plan = toy.search_plan(tmp_path, toy.NUMBERS)
    results = [result_of(cell, 0.7) for cell in plan.cells]
    known = baseline_trial(plan, results)
    assert known.point == {"objective.lambda_nn": 0.5, "objective.lambda_reg": 2.0}
    assert (known.number, known.values) == (None, (0.7,))
    outside = {**toy.NUMBERS, "objective.lambda_nn": {"kind": "uniform", "low": 1.0, "high": 2.0}}
    plan = toy.search_plan(tmp_path, outside)
    assert baseline_trial(plan, results) is None


def test_earlier_studies_teach_what_differs_in_searched_settings_alone(tmp_path):
    plan = toy.search_plan(tmp_path, toy.NUMBERS, seeds=2)
    ledger = Ledger(tmp_path / "before" / "results.jsonl")
    suggestions = some(plan, 4)
    for each in suggestions[:2]:
        for cell in each.cells:
            ledger.append(result_of(cell, float(cell.seed)))
    ledger.append(result_of(suggestions[2].cells[0], None, CellState.FAIL))
    longer = result_of(suggestions[3].cells[0], 9.0)
    ledger.append(replace(longer, config={**longer.config, "epochs": 7}, config_hash="other"))
    folder = str(tmp_path / "before")
    known, notes = earlier_trials(plan.search, [folder])
    assert [each.point for each in known] == [each.point for each in suggestions[:2]]
    assert [each.values for each in known] == [(0.5,), (0.5,)]
    assert known[0].arm == "before/trial-0000"
    assert notes == [f"{folder}: 2 of 3 finished settings are of use to this search"]
    search = Search(plan, storage=tmp_path / "optuna.db")
    search.restore(known)
    assert search.issued == 0
    assert search.suggest().number == 0


@pytest.mark.parametrize("mark", [1, 2])
def test_clusters_that_an_earlier_version_found_otherwise_teach_nothing(tmp_path, mark):
    presets = {"objective.preset": {"kind": "choice", "values": ["falcon", "base", "scan"]}}
    plan = toy.search_plan(tmp_path, presets, sampler={"kind": "brute_force"}, trials=None)
    folder = tmp_path / "before"
    ledger = Ledger(folder / "results.jsonl")
    for each in some(plan, 2):
        ledger.append(result_of(each.cells[0], 1.0))
    (folder / "provenance.json").write_text(json.dumps({"results": mark} if mark > 1 else {}))
    known, (note,) = earlier_trials(plan.search, [str(folder)])
    taken = sorted(each.point["objective.preset"] for each in known)
    assert taken == ["base", "scan"][mark == 1 :]
    left_out = "1 left out, whose clusters an earlier version found otherwise"
    assert note.endswith(left_out if mark == 1 else "2 of 2 finished settings are of use to this search")


def test_ratios_of_the_number_of_classes_come_back_from_levels(tmp_path):
    ratios = {"classes.num_fine_ratio": {"kind": "quantized", "low": 0.8, "high": 1.2, "step": 0.2}}
    plan = toy.search_plan(tmp_path, ratios, sampler={"kind": "brute_force"}, trials=None)
    ledger = Ledger(tmp_path / "before" / "results.jsonl")
    for each in some(plan, 2):  # and 1.0 is the baseline's
        ledger.append(result_of(each.cells[0], 1.0))
    known, _ = earlier_trials(plan.search, [str(tmp_path / "before")])
    assert sorted(each.point["classes.num_fine_ratio"] for each in known) == [0.8, 1.2]


def test_a_folder_without_results_is_refused(tmp_path):
    plan = toy.search_plan(tmp_path, toy.NUMBERS)
    Ledger(tmp_path / "results.jsonl").append(result_of(plan.cells[0], 1.0))
    with pytest.raises(ConfigError, match=r"^design\.warm_start\[1\]: holds no results, got 'nowhere'"):
        earlier_trials(plan.search, [str(tmp_path), "nowhere"])
