from __future__ import annotations

import json
import subprocess
import sys

import pandas as pd
import pytest

from fgtune.analysis.inputs import read_study
from fgtune.analysis.table import COLUMNS, MISSING, factor_columns, tidy_table, write_tables
from fgtune.config.schema.base import RESERVED_COLUMNS
from fgtune.config.schema.trial import TrialConfig
from fgtune.errors import StudyFolderError
from fgtune.results.folder import StudyFolder


@pytest.fixture
def partial(synthetic, tmp_path):
    faults = synthetic.Faults(
        missing={("baseline", 4)},
        failed={("num_fine_ratio=0.8", 2): "TrialError: loss is not finite"},
        pruned={("num_fine_ratio=1.2", 1)},
    )
    return synthetic.SyntheticStudy(faults=faults).write(tmp_path)


def test_table_has_a_row_for_every_planned_cell(partial):
    table = tidy_table(partial)
    assert len(table) == 20
    assert table["state"].value_counts().to_dict() == {"COMPLETE": 17, MISSING: 1, "FAIL": 1, "PRUNED": 1}
    lost = table[table["state"] == "FAIL"].iloc[0]
    assert (lost["arm"], lost["seed"], lost["cause"]) == ("num_fine_ratio=0.8", 2, "TrialError: loss is not finite")
    assert (lost["attempts"], pd.isna(lost["test/ari"])) == (2, True)


def test_table_repeats_the_ledger(partial):
    table = tidy_table(partial).set_index("cell_id")
    for result in partial.ledger.read():
        row = table.loc[result.cell_id]
        assert row["classes.num_fine_ratio"] == result.levels["classes.num_fine_ratio"]
        assert row["num_fine"] == result.config["classes"]["num_fine"]
        assert row["is_baseline"] == (result.arm == "baseline")
        assert row["solver_seconds"] == result.solver.seconds
        assert json.loads(row["solver_statuses"]) == dict(result.solver.statuses)
        for name, value in result.metrics.items():
            assert row[name] == value


def test_written_tables_hold_the_same_numbers(partial):
    table = write_tables(partial)
    for stored in (pd.read_parquet(partial.results_parquet), pd.read_csv(partial.results_csv)):
        assert list(stored["cell_id"]) == list(table["cell_id"])
        assert stored["test/ari"].to_numpy() == pytest.approx(table["test/ari"].to_numpy(), nan_ok=True)
    assert not [path for path in partial.root.iterdir() if path.suffix == ".tmp"]


@pytest.mark.parametrize(
    ("factor", "trial", "stored"),
    [
        ("neighbors.refresh_epochs: [null, 5]", "neighbors: {features: teacher}", {None, 5.0}),
        ("data.fine_per_coarse: [3, [2, 3, 4, 3]]", "data: {kind: hierarchy}", {"3", "[2, 3, 4, 3]"}),
    ],
    ids=["none and a number", "a number and a list"],
)
def test_levels_of_mixed_types_can_be_stored(synthetic, tmp_path, factor, trial, stored):
    text = synthetic.KF_STUDY.replace("classes.num_fine_ratio: [0.8, 1.0, 1.2, 1.5]", factor)
    text = text.replace("baseline: {classes.num_fine_ratio: 1.0}", "baseline: {}")
    text = text.replace(
        "data: {kind: digits}", trial if trial.startswith("data") else f"data: {{kind: digits}}\n  {trial}"
    )
    folder = synthetic.SyntheticStudy(text=text).write(tmp_path)
    write_tables(folder)
    column = pd.read_parquet(folder.results_parquet)[factor.partition(":")[0]]
    assert {None if pd.isna(level) else level for level in column} == stored
    assert folder.results_csv.read_text() == tidy_table(folder).to_csv(None, index=False, lineterminator="\n")


def test_arms_are_labelled_by_what_sets_them_apart(synthetic, tmp_path):
    data = read_study(synthetic.SyntheticStudy().write(tmp_path))
    assert [arm.label for arm in data.arms] == ["K_F/K_F* 1.0", "K_F/K_F* 0.8", "K_F/K_F* 1.2", "K_F/K_F* 1.5"]
    assert data.baseline.name == "baseline"


def test_the_named_arm_of_a_comparison_is_the_baseline(synthetic, tmp_path):
    text = synthetic.SOLVER_STUDY.replace("kind: comparison", "kind: comparison\n  baseline: scip")
    data = read_study(synthetic.SyntheticStudy(text=text).write(tmp_path))
    assert [(arm.label, arm.is_baseline) for arm in data.arms] == [("scip", True), ("flow", False), ("cvxpy", False)]


def test_a_folder_without_a_study_is_refused(tmp_path):
    with pytest.raises(StudyFolderError, match="this file of a study folder is missing"):
        read_study(StudyFolder(tmp_path))


def test_a_plan_without_its_columns_is_refused(synthetic, tmp_path):
    folder = synthetic.SyntheticStudy().write(tmp_path)
    folder.plan_file.write_text("cell,arm\n1,baseline\n")
    with pytest.raises(StudyFolderError, match="every row must hold cell_id, arm, seed"):
        read_study(folder)


def test_a_plan_without_the_baseline_is_refused(synthetic, tmp_path):
    folder = synthetic.SyntheticStudy().write(tmp_path)
    lines = folder.plan_file.read_text().splitlines()
    folder.plan_file.write_text("\n".join(line for line in lines if "baseline" not in line) + "\n")
    with pytest.raises(StudyFolderError, match="must hold the baseline arm 'baseline'"):
        read_study(folder)


def test_an_unreadable_resolved_study_is_refused(synthetic, tmp_path):
    folder = synthetic.SyntheticStudy().write(tmp_path)
    folder.resolved_file.write_text("study: x\n")
    with pytest.raises(StudyFolderError, match="is not the resolved study that this version writes"):
        read_study(folder)


@pytest.mark.slow
@pytest.mark.integration
def test_analysis_needs_no_heavy_library():
    code = (
        "import sys, fgtune.analysis.summary, fgtune.analysis.curve_panels, fgtune.analysis.relations_data as _;"
        "heavy = {'torch', 'ray', 'mlflow', 'plotly', 'jinja2', 'cvxpy', 'optuna'} & set(sys.modules);"
        "sys.exit(f'imported {sorted(heavy)}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_factor_named_like_a_column_gets_a_column_of_its_own(synthetic, tmp_path):
    text = synthetic.KF_STUDY.replace("classes.num_fine_ratio: [0.8, 1.0, 1.2, 1.5]", "epochs: [60, 20]")
    text = text.replace("baseline: {classes.num_fine_ratio: 1.0}", "baseline: {}")
    faults = synthetic.Faults(pruned={("epochs=20", 1)})
    folder = synthetic.SyntheticStudy(text=text, faults=faults).write(tmp_path)
    write_tables(folder)
    for table in (tidy_table(folder), pd.read_parquet(folder.results_parquet), pd.read_csv(folder.results_csv)):
        assert table.columns.is_unique
        assert table.groupby("arm")["trial.epochs"].unique().map(list).to_dict() == {
            "baseline": [60],
            "epochs=20": [20],
        }
        stopped = table[table["state"] == "PRUNED"].iloc[0]
        assert (stopped["trial.epochs"], stopped["epochs"]) == (20, 12)


def test_every_table_has_the_documented_columns_and_no_component_may_take_one(partial):
    table = tidy_table(partial)
    assert [column for column in table.columns if column in COLUMNS] == list(COLUMNS)
    assert set(COLUMNS) <= RESERVED_COLUMNS


def test_no_two_columns_are_ever_one():
    factors = [*TrialConfig.model_fields, *COLUMNS, "model.backbone", "optimizer.lr"]
    columns = [*COLUMNS, *factor_columns(dict.fromkeys(factors)).values()]
    assert len(set(columns)) == len(columns)
