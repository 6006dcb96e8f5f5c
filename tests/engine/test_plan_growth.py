"""What a search adds to its plan comes back from ``plan.csv`` as it was."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import pytest
from support import searches as toy

from fgtune.config.arms.expand import expand
from fgtune.config.arms.records import DataShape, Fork
from fgtune.config.reading.load import load_study
from fgtune.engine.designs import grown_plan
from fgtune.engine.plan_growth import arm_search_folder, with_choice, with_choices, with_proposals, with_suggestion
from fgtune.engine.seed_blocks import with_blocks
from fgtune.errors import StudyFolderError
from fgtune.results.folder import StudyFolder
from fgtune.results.records import CellResult, CellState
from fgtune.tuning.search.search import Search
from fgtune.tuning.search.suggestions import Suggestion


@pytest.fixture
def plan(tmp_path):
    return toy.search_plan(tmp_path, toy.CONDITIONAL, seeds=2)


@pytest.fixture
def folder(tmp_path):
    return StudyFolder(tmp_path / "study")


def grown(plan, count: int):
    search = Search(plan)
    for _ in range(count):
        plan = with_suggestion(plan, search.suggest())
    return plan


def test_a_suggestion_adds_its_arm_and_its_cells_once(plan):
    suggestion = Search(plan).suggest()
    larger = with_suggestion(plan, suggestion)
    assert larger.arms == (*plan.arms, suggestion.arm)
    assert larger.cells == (*plan.cells, *suggestion.cells)
    assert with_suggestion(larger, suggestion) is larger


def test_proposed_trials_come_back_from_the_plan_file(plan, folder):
    larger = grown(plan, 5)
    folder.root.mkdir()
    folder.write_plan(larger)
    again = with_proposals(plan, folder)
    assert [arm.name for arm in again.arms] == ["baseline", *(f"trial-{n:04d}" for n in range(5))]
    assert [(arm.name, arm.config) for arm in again.arms] == [(arm.name, arm.config) for arm in larger.arms]
    assert [cell.cell_id for cell in again.cells] == [cell.cell_id for cell in larger.cells]


def test_a_fork_comes_back_with_its_origin(tmp_path, folder):
    plan = toy.search_plan(tmp_path, toy.NUMBERS, scheduler={"kind": "pbt"})
    larger = grown(plan, 1)
    origin = Fork(larger.cells[-1].cell_id, 4)
    point = {"objective.lambda_nn": 0.25, "objective.lambda_reg": 1.5}
    arm, cell = plan.search.fork(1, point, 0, origin)
    larger = with_suggestion(larger, Suggestion(1, point, arm, (cell,)))
    folder.root.mkdir()
    folder.write_plan(larger)
    again = with_proposals(plan, folder)
    assert (again.cells[-1].fork, again.cells[-1].cell_id, again.arms[-1].role) == (origin, cell.cell_id, "fork")


@pytest.mark.parametrize(("column", "value"), [("relations.every_steps", "3000"), ("cell_id", "0123")])
def test_a_trial_that_the_search_does_not_propose_is_refused(plan, folder, column, value):
    folder.root.mkdir()
    folder.write_plan(grown(plan, 1))
    rows = list(csv.DictReader(folder.plan_file.open()))
    for row in rows:
        row[column] = value if row["arm"] == "trial-0000" else row[column]
    with folder.plan_file.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(StudyFolderError, match="trial-0000 is not a trial that this study proposes"):
        with_proposals(plan, folder)


def rewrite(folder: StudyFolder, change) -> None:
    """The plan file, each of its rows after ``change``, which is called with number and row."""
    rows = list(csv.DictReader(folder.plan_file.open()))
    for number, row in enumerate(rows):
        change(number, row)
    with folder.plan_file.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize("damaged", [2, 3])
def test_a_trial_is_known_by_the_row_whose_levels_give_the_ids_of_its_cells(plan, folder, damaged):
    larger = grown(plan, 1)
    folder.root.mkdir()
    folder.write_plan(larger)
    rewrite(folder, lambda number, row: row.update({"relations.every_steps": "3000"} if number == damaged else {}))
    again = with_proposals(plan, folder)
    assert [cell.cell_id for cell in again.cells] == [cell.cell_id for cell in larger.cells]
    assert again.arms[-1].levels == larger.arms[-1].levels


def test_a_plan_that_is_no_search_stays_as_it_is(plan, folder):
    other = replace(plan, search=None)
    assert with_proposals(other, folder) is other


def test_a_choice_comes_back_beside_seeds_that_looks_have_added(tmp_path, folder):
    space = {"parameters": {"optimizer.lr": {"kind": "log_uniform", "low": 0.01, "high": 1.0}}}
    design = {
        "kind": "comparison", "arms": [{"name": "own", "set": {"epochs": 7}}, {"name": "tuned", "space": space}],
        "search": {"metric": "val/silhouette", "trials": 2},
    }  # fmt: skip
    study = {"study": "study", "question": "q", "seeds": {"min": 3, "max": 9, "step": 3}, "design": design}
    path = tmp_path / "s.yaml"
    path.write_text(json.dumps(study | {"trial": {"data": {"kind": "digits"}, "classes": {"num_fine": 10}}}))
    plan = expand(load_study(path), lambda _: DataShape((2,), 10, "f00d"))
    (each,) = plan.arm_searches
    own = arm_search_folder(folder, each)
    own.root.mkdir(parents=True)
    own.write_plan(each.plan)
    chosen = with_choice(plan, each, each.plan, "baseline")
    for seeds in (3, 6, 9):
        larger = chosen.with_seeds({arm.name: seeds for arm in chosen.arms})
        folder.write_plan(larger)
        again = with_blocks(with_choices(plan, folder), folder)
        assert [cell.cell_id for cell in again.cells] == [cell.cell_id for cell in larger.cells]
    folder.plan_file.write_text(folder.plan_file.read_text().replace(larger.cells[1].cell_id, "0123456789ab"))
    with pytest.raises(StudyFolderError, match="none that the search"):
        with_choices(plan, folder)


def finish(folder: StudyFolder, cell) -> None:
    """Put a cell into the ledger."""
    folder.ledger.append(
        CellResult(
            cell_id=cell.cell_id, arm=cell.arm, seed=cell.seed, config_hash=cell.config_hash,
            state=CellState.COMPLETE, metrics={"val/silhouette": 0.5}, seconds=1.0, epochs=1, levels=dict(cell.levels),
            config=cell.config.to_plain(),
        )
    )  # fmt: skip


def table(folder: StudyFolder, plan, factors) -> None:
    """The tidy table of a plan, with the columns that matter here."""
    lines = [",".join(["cell_id", "arm", "label", "seed", *factors])]
    for cell in plan.cells:
        levels = ("" if cell.levels[path] is None else str(cell.levels[path]) for path in factors)
        lines.append(",".join([cell.cell_id, cell.arm, "x", str(cell.seed), *levels]))
    folder.results_csv.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("damage", ["missing", "junk", "torn"])
def test_a_plan_that_is_lost_is_made_again_from_table_and_ledger_and_the_search_goes_on(plan, folder, damage):
    tabled, larger = grown(plan, 3), grown(plan, 5)
    folder.root.mkdir()
    folder.write_plan(larger)
    table(folder, tabled, plan.factors)  # written while three trials were known
    cells = {(cell.arm, cell.seed): cell for cell in larger.cells}
    for key in (("trial-0003", 1), ("baseline", 0), ("trial-0000", 0)):  # two pending trials, of which one is tabled
        finish(folder, cells[key])
    content = folder.plan_file.read_bytes()
    folder.plan_file.unlink()
    if damage != "missing":
        folder.plan_file.write_bytes(b"\xff\xfe" * 50 if damage == "junk" else content[: len(content) // 2] + b"\0\xff")
    again = grown_plan(plan, folder)
    known = ["baseline", *(f"trial-{n:04d}" for n in (0, 1, 2, 3))]  # 4 is pending, and nothing tells of it
    assert [arm.name for arm in again.arms] == known
    expected = {cell.cell_id: cell for cell in larger.cells if cell.arm in known}
    assert {cell.cell_id for cell in again.cells} == expected.keys()
    assert [arm.levels for arm in again.arms] == [arm.levels for arm in larger.arms if arm.name in known]
    assert "proposed anew" in folder.damage[folder.plan_file]


def test_a_lost_plan_without_a_finished_cell_begins_anew(plan, folder):
    folder.root.mkdir()
    folder.plan_file.write_bytes(b"\xff")
    assert grown_plan(plan, folder).arms == plan.arms


def test_a_trial_of_a_whole_plan_that_is_not_proposed_is_still_refused_after_another_was_rebuilt(plan, folder):
    folder.root.mkdir()
    larger = grown(plan, 1)
    finish(folder, larger.cells[-1])
    folder.plan_file.write_bytes(b"\xff")
    changed = folder.ledger_file.read_text().replace('"relations.every_steps": ', '"relations.every_steps": 3000')
    folder.ledger_file.write_text(changed)
    with pytest.raises(StudyFolderError, match="is not a trial that this study proposes"):
        grown_plan(plan, folder)
