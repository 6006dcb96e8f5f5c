"""fgtune from Python: what an import costs, and a study loaded, planned, run and read without the command line."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import fgtune
from fgtune.analysis.summary import summarise
from fgtune.analysis.table import tidy_table
from fgtune.errors import ConfigError, FgtuneError
from fgtune.results.folder import StudyFolder

HEAVY = {"torch", "ray", "mlflow", "pandas", "scipy", "numpy", "pydantic", "optuna", "plotly", "rich"}


def imported(code: str) -> set[str]:
    """Which of the heavy libraries a fresh interpreter has after some code."""
    code += f"\nimport sys; print('imported:', *sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rsplit("imported:", 1)[1].split())


@pytest.mark.integration
def test_importing_fgtune_imports_nothing():
    assert imported("import fgtune; fgtune.__version__; dir(fgtune)") == set()


@pytest.mark.slow
@pytest.mark.integration
def test_a_study_is_loaded_and_planned_without_torch_and_ray(small_study):
    assert not imported(f"import fgtune; fgtune.load_study({str(small_study)!r}).study") & {"torch", "ray", "pandas"}
    code = f"import fgtune; fgtune.plan({str(small_study)!r}).table; fgtune.run_study"
    assert not imported(code) & {"torch", "ray", "mlflow", "optuna"}


@pytest.mark.slow
@pytest.mark.integration
def test_results_are_read_without_torch_and_ray(synthetic, tmp_path):
    root = str(synthetic.SyntheticStudy().write(tmp_path).root)
    code = f"import fgtune; r = fgtune.open_results({root!r})"
    code += "; r.table, r.curves, r.answer, r.relations(r.table.cell_id[0])"
    assert not imported(code) & {"torch", "ray", "mlflow", "optuna"}


def test_names_are_offered_and_others_are_not():
    stub = (Path(fgtune.__file__).parent / "__init__.pyi").read_text(encoding="utf-8")
    typed = re.search(r"__all__ = \[(.*?)\]", stub, re.DOTALL).group(1)
    assert sorted(re.findall(r'"(\w+)"', typed)) == sorted(fgtune.__all__)
    assert set(fgtune.__all__) <= set(dir(fgtune))
    assert all(hasattr(fgtune, name) for name in fgtune.__all__)
    with pytest.raises(AttributeError, match="module 'fgtune' has no attribute 'launch'"):
        _ = fgtune.launch
    assert fgtune.ConfigError is ConfigError


def test_overrides_and_smoke_reach_the_study(small_study):
    study = fgtune.load_study(small_study, overrides=["seeds=[3, 4, 5]", "trial.epochs=9"], smoke=True)
    assert (study.name, study.study.seeds, study.study.trial.epochs) == ("small-smoke", (3, 4, 5), 9)
    assert repr(study) == "StudyFile('small-smoke', sensitivity, 3 seeds)"


def test_mistakes_are_exceptions_with_the_text_of_the_command_line(small_study, tmp_path):
    with pytest.raises(FgtuneError, match=r"trial\.epocs: unknown key"):
        fgtune.load_study(small_study, overrides=["trial.epocs=3"])
    with pytest.raises(ConfigError, match=r"overrides: must be a list of strings"):
        fgtune.load_study(small_study, overrides="trial.epochs=3")
    with pytest.raises(ConfigError, match="no such study file"):
        fgtune.run_study(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="is no study folder"):
        fgtune.open_results(tmp_path)


def test_the_plan_is_a_table_of_cells_in_the_order_they_run(small_study, tmp_path):
    plan = fgtune.plan(fgtune.load_study(small_study), out=tmp_path / "reports")
    assert list(plan.table.columns) == ["cell_id", "arm", "seed", "classes.num_fine_ratio", "num_fine", "state"]
    assert list(plan.table["cell_id"]) == [cell.cell_id for cell in plan.plan.cells]
    assert plan.table.groupby("arm")["num_fine"].first().to_dict() == {"baseline": 6, "num_fine_ratio=1.5": 9}
    assert set(plan.table["state"]) == {"MISSING"}
    assert len(plan) == 4
    assert "0 finished" in repr(plan)
    assert "<table" in plan._repr_html_()
    assert not (tmp_path / "reports").exists()


@pytest.fixture
def partial(synthetic, tmp_path):
    faults = synthetic.Faults(missing={("baseline", 4)}, failed={("num_fine_ratio=0.8", 2): "loss is not finite"})
    return synthetic.SyntheticStudy(faults=faults).write(tmp_path)


def test_results_hold_table_curves_summary_and_answer(partial):
    results = fgtune.open_results(partial.root)
    pd.testing.assert_frame_equal(results.table, tidy_table(partial))
    pd.testing.assert_frame_equal(results.curves, partial.read_curves())
    assert results.answer == summarise(partial).answer
    assert results.summary.counts.failed == 1
    assert list(results.failed["cause"]) == ["loss is not finite"]
    assert results.complete is False
    assert results.report is None
    assert repr(results) == "Results('kf_demo': 18 COMPLETE, 1 FAIL, 1 MISSING of 20 cells)"
    assert results.answer.split()[0] in results._repr_html_()


def test_relations_are_those_of_the_cell_and_others_are_refused(partial):
    results = fgtune.open_results(partial.root)
    table = results.table.set_index("state")
    record = results.relations(table.loc["COMPLETE", "cell_id"].iloc[0])
    assert record.fine_to_coarse.shape == (1, 10)
    for cell_id in (table.loc["FAIL", "cell_id"], "0123456789ab", "../results"):
        with pytest.raises(ConfigError, match="no relations are stored for this cell"):
            results.relations(cell_id)


@pytest.mark.slow
def test_a_study_runs_prints_its_progress_and_tells_failed_cells_in_its_results(
    small_study, tmp_path, ray_started, capsys
):
    text = small_study.read_text(encoding="utf-8").replace("hidden: [16]", "hidden: [16], norm: none")
    text = text.replace("classes.num_fine_ratio: [1.0, 1.5]", "optimizer.lr: [0.1, 1.0e+30]")
    small_study.write_text(text, encoding="utf-8")
    study = fgtune.load_study(small_study, overrides=["seeds=1", "trial.epochs=2", "execution.max_concurrent=1"])
    results = fgtune.run_study(study, out=tmp_path / "reports", tracking_uri="none")
    printed = capsys.readouterr().out
    assert "[2/2]" in printed
    assert "\x1b" not in printed
    assert results.complete is False
    assert list(results.failed["arm"]) == ["lr=1e+30"]
    assert "non-finite" in results.failed["cause"].iloc[0]
    assert results.report.is_file()
    done = results.table[results.table["state"] == "COMPLETE"]
    assert list(done["arm"]) == ["baseline"]
    assert results.relations(done["cell_id"].iloc[0]).fine_to_coarse.shape == (1, 6)
    command = StudyFolder(results.folder.root).read_provenance()["command"]
    assert command[3:7] == [str(small_study), "--set", "seeds=1", "--set"]
    again = fgtune.run_study(study, out=tmp_path / "reports", tracking_uri="none", quiet=True)
    assert capsys.readouterr().out == ""
    assert set(fgtune.plan(study, out=tmp_path / "reports").table["state"]) == {"COMPLETE", "FAIL"}
    pd.testing.assert_frame_equal(again.table, results.table)
