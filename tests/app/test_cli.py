"""The command line as users meet it: what is told, with which exit code, and that nothing is written on bad input."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fgtune import __version__
from fgtune.analysis.verdict_file import verdicts_schema
from fgtune.app.cli import main
from fgtune.config.reading.load import load_study
from fgtune.config.reading.reference import study_schema
from fgtune.engine.opening import open_study
from fgtune.errors import SolverError
from fgtune.results.folder import StudyFolder
from fgtune.results.records import CellResult, CellState

STUDIES = Path(__file__).parents[2] / "studies"

STUDY = """\
study: tiny
question: What happens?
design:
  kind: sensitivity
  factors:
    classes.num_fine: [4, 3]
seeds: 2
metrics: {primary: test/coarse_accuracy, also: [val/loss]}
trial:
  data: {kind: hierarchy, num_samples: 60, num_coarse: 2, fine_per_coarse: 2, dim: 3}
  classes: {num_fine: 4}
  epochs: 2
  batch_size: 16
"""
HIERARCHY = "{kind: hierarchy, num_samples: 60, num_coarse: 2, fine_per_coarse: 2, dim: 3}"
ARRAYS = "{kind: arrays, path: mine.npz}"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    monkeypatch.chdir(tmp_path)

    def write_study(*replaced: tuple[str, str]) -> str:
        text = STUDY
        for old, new in replaced:
            assert text.count(old) == 1
            text = text.replace(old, new)
        Path("tiny.yaml").write_text(text)
        return "tiny.yaml"

    return write_study


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def arrays(**changes) -> dict[str, np.ndarray]:
    coarse = np.repeat([0, 1], 30)
    made = {"inputs": np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32), "coarse": coarse}
    return made | changes


def with_nan() -> np.ndarray:
    inputs = arrays()["inputs"].copy()
    inputs[7, 1] = np.nan
    return inputs


def test_a_valid_study_is_counted(write, capsys):
    assert main(["validate", write()]) == 0
    out = capsys.readouterr().out
    assert re.fullmatch(r"tiny\.yaml: valid, 2 arms x 2 seeds = 4 cells, study hash [0-9a-f]{12}\n", out)


WARNED = {"many_coarse": "a batch cannot show every fine class twice"}
"""What shipped studies ask about on purpose, by their names."""


@pytest.mark.parametrize("path", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_studies_are_valid_with_and_without_smoke(path, capsys):
    study = load_study(path).study
    trial, datasets = study.trial, getattr(study.design, "datasets", {})
    if any(getattr(data, "path", None) is not None for data in (getattr(trial, "data", None), *datasets.values())):
        assert main(["validate", str(path)]) == 2  # the published data are not here; test_recipes writes tiny ones
        assert re.search(
            r"\.yaml:\d+: (trial\.data|design\.datasets\.\w+)\.\w+: .*(not found; looked for|no such file)",
            capsys.readouterr().err,
        )
        return
    permit = ["--plugins", trial.call.partition(":")[0]] if trial.trial_kind == "function" else []
    assert main(["validate", str(path), *permit]) == 0
    assert main(["validate", str(path), "--smoke", *permit]) == 0
    warnings = capsys.readouterr().err.splitlines()
    assert all(line.startswith("warning: ") and WARNED.get(path.stem, line) in line for line in warnings)
    assert bool(warnings) == (path.stem in WARNED)


def test_overrides_and_smoke_reach_the_plan(write, capsys):
    assert main(["validate", write(), "--set", "seeds=[4, 5, 6]", "--set", "study=other"]) == 0
    assert "2 arms x 3 seeds = 6 cells" in capsys.readouterr().out
    assert main(["plan", write(), "--smoke"]) == 0
    assert "tiny-smoke: 2 arms x 2 seeds = 4 cells" in capsys.readouterr().out


def test_the_plan_shows_arms_levels_and_class_numbers_and_writes_nothing(write, capsys, tmp_path):
    path = write()
    assert main(["plan", path]) == 0
    out = capsys.readouterr().out
    assert re.search(r"baseline \*\s+│ 4\s+│ 4\s+│ 2", out)
    assert re.search(r"num_fine=3\s+│ 3\s+│ 3\s+│ 2", out)
    assert "4 of 4 cells to run, in reports/tiny" in out
    assert list(tree(tmp_path)) == ["tiny.yaml"]


def test_the_plan_says_a_section_in_words(write, capsys):
    arms = "  kind: comparison\n  arms: [{name: a}, {name: b, set: {relations.solver: {kind: scip}}}]\n"
    assert main(["plan", write(("  kind: sensitivity\n  factors:\n    classes.num_fine: [4, 3]\n", arms))]) == 0
    out = capsys.readouterr().out
    assert "scip (" in out
    assert "{" not in out


def test_the_plan_lists_single_cells_in_the_order_they_run(write, capsys):
    path = write()
    plan = open_study(Path(path)).plan
    assert main(["plan", path, "--cells"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if "to run │" in line]
    assert [row.split("│")[1].strip() for row in rows] == [cell.cell_id for cell in plan.cells]


def finish(path: str, root: Path, states: list[CellState]) -> StudyFolder:
    """A study folder whose first cells have ended in the given states."""
    opened = open_study(Path(path))
    loaded, plan = opened.loaded, opened.plan
    folder = StudyFolder(root / plan.study.study)
    folder.create_or_check(plan, loaded, {"study_hash": plan.study_hash})
    for cell, state in zip(plan.cells, states, strict=False):
        folder.ledger.append(
            CellResult(cell.cell_id, cell.arm, cell.seed, cell.config_hash, state, {}, 1.0, 2, cell.levels, {})
        )
    return folder


def test_the_plan_shows_how_far_the_folder_is(write, capsys, tmp_path):
    path = write()
    finish(path, Path("elsewhere"), [CellState.COMPLETE, CellState.FAIL, CellState.COMPLETE])
    before = tree(tmp_path)
    assert main(["plan", path, "--out", "elsewhere"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"baseline \*.*│ 2 +│ 2 +│ 0 +│ 0", out)
    assert re.search(r"num_fine=3.*│ 2 +│ 0 +│ 1 +│ 0", out)
    assert "1 of 4 cells to run, in elsewhere/tiny" in out
    assert tree(tmp_path) == before


def npz(**changes) -> Callable[[], None]:
    return lambda: np.savez("mine.npz", **arrays(**changes))


BAD_STUDIES = {
    "unknown key": (("epochs: 2", "epocs: 2"), r"tiny.yaml:12: trial.epocs: unknown key. Fix: did you mean 'epochs'?"),
    "wrong type": (("epochs: 2", "epochs: two"), "tiny.yaml:12: trial.epochs: must be a whole number, got 'two'."),
    "duplicate key": (("epochs: 2", "epochs: 2\n  epochs: 3"), "tiny.yaml:13: trial.epochs: key given twice, on lines"),
    "empty factor": (("[4, 3]", "[]"), "tiny.yaml:6: design.factors.classes.num_fine: must not be empty, got []"),
    "K_F < K_C": (("[4, 3]", "[1]"), "tiny.yaml:6: design.factors.classes.num_fine[0]: must be >= number of coarse cl"),
    "unknown data kind": (("{kind: hierarchy", "{kind: hierarchi"), "tiny.yaml:10: trial.data.kind: unknown kind, got"),
    "unknown metric": (("val/loss", "val/los"), "tiny.yaml:8: metrics.also[0]: unknown metric, got 'val/los'. Fix: di"),
    "broken YAML": (("seeds: 2", "seeds: [2"), "tiny.yaml:8: is not valid YAML: "),
    "train metric": (("val/loss", "train/coarse_accuracy"), "tiny.yaml:8: metrics.also[0]: train is not among trial.e"),
}  # fmt: skip


@pytest.mark.parametrize("verb", ["validate", "plan"])
@pytest.mark.parametrize(("replaced", "message"), BAD_STUDIES.values(), ids=BAD_STUDIES)
def test_a_bad_study_ends_with_2_one_message_and_nothing_written(write, capsys, tmp_path, verb, replaced, message):
    path = write(replaced)
    before = tree(tmp_path)
    assert main([verb, path]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"error: {message}")
    assert len(captured.err.splitlines()) == 1
    assert tree(tmp_path) == before


def truncate() -> None:
    npz()()
    Path("mine.npz").write_bytes(Path("mine.npz").read_bytes()[:-100])


BAD_DATA = {
    "no file": (lambda: None, "no such file"),
    "not an archive": (lambda: Path("mine.npz").write_bytes(b"PK not really"), "is not a readable .npz archive"),
    "truncated": (truncate, "is not a readable .npz archive"),
    "pickled": (npz(coarse=np.array([[0], [1, 2]] * 30, dtype=object)), "object"),
    "NaN inputs": (npz(inputs=with_nan()), "finite"),
    "coarse class without samples": (npz(coarse=np.repeat([0, 2], 30)), "coarse class"),
    "labels of the wrong length": (npz(coarse=np.repeat([0, 1], 20)), "mine.npz: coarse: must have"),
    "fine labels of the wrong length": (npz(fine=np.arange(7)), "mine.npz: fine: must have"),
    "no inputs": (lambda: np.savez("mine.npz", coarse=np.arange(3)), "'inputs' is missing"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "words"), BAD_DATA.values(), ids=BAD_DATA)
def test_bad_data_end_with_2_one_message_and_nothing_written(write, capsys, tmp_path, make, words):
    path = write((HIERARCHY, ARRAYS))
    make()
    before = tree(tmp_path)
    assert main(["validate", path]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.match(r"error: tiny\.yaml:10: trial\.data(\.path)?: mine\.npz: ", captured.err)
    assert words in captured.err
    assert "Fix: " in captured.err
    assert len(captured.err.splitlines()) == 1
    assert tree(tmp_path) == before


def test_good_arrays_are_accepted(write, capsys):
    path = write((HIERARCHY, ARRAYS))
    npz()()
    assert main(["validate", path]) == 0, capsys.readouterr().err


def test_metrics_that_read_fine_labels_are_refused_where_there_are_none(write, capsys):
    path = write((HIERARCHY, ARRAYS), ("val/loss", "test/ari"))
    npz()()
    assert main(["validate", path]) == 2
    assert (
        "metrics.also[0]: reads fine labels, which the data do not have, got 'test/ari'. Fix: choose among: coarse_"
        in (capsys.readouterr().err)
    )


def test_a_folder_of_another_study_ends_with_2_and_is_left_as_it_is(write, capsys, tmp_path):
    finish(write(), Path("reports"), [CellState.COMPLETE])
    path = write(("epochs: 2", "epochs: 3"))
    before = tree(tmp_path)
    assert main(["plan", path]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: reports/tiny: belongs to another study (hash ")
    assert "it differs in trial.epochs (2 there, 3 here). Fix: choose another folder with --out" in error
    assert tree(tmp_path) == before


def test_every_mistake_has_its_own_line(write, capsys):
    assert main(["validate", write(("epochs: 2", "epocs: 2"), ("seeds: 2", "seeds: no"))]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[:3] for line in lines] == [
        ["error", "tiny.yaml:7", "seeds"], ["error", "tiny.yaml:12", "trial.epocs"]
    ]  # fmt: skip


def test_warnings_go_to_stderr_and_do_not_fail(write, capsys):
    assert main(["validate", write(("batch_size: 16", "batch_size: 7"))]) == 0
    captured = capsys.readouterr()
    assert "valid" in captured.out
    assert captured.err.startswith("warning: arm baseline: batch_size 7 is below 2 x num_fine = 8")


@pytest.mark.parametrize(
    "arguments", [["validate"], ["valdate", "x"], ["validate", "a", "b"], ["plan", "x", "--sett", "a=1"], ["--nope"]]
)
def test_a_wrong_command_ends_with_2(arguments, capsys):
    assert main(arguments) == 2
    assert "Usage" in capsys.readouterr().err


def test_an_absent_study_ends_with_2(write, capsys):
    write()
    assert main(["validate", "tinny.yaml"]) == 2
    assert capsys.readouterr().err == "error: tinny.yaml: no such study file. Fix: the folder . holds: tiny.yaml\n"


def test_an_error_while_running_ends_with_1_and_an_interrupt_with_130(write, capsys, monkeypatch):
    path = write()

    def fail(*_):
        raise SolverError("no solution in time")

    monkeypatch.setattr("fgtune.engine.opening.expand", fail)
    assert main(["validate", path]) == 1
    assert capsys.readouterr().err == "error: no solution in time\n"

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("fgtune.engine.opening.expand", interrupt)
    assert main(["validate", path]) == 130


def test_the_version_is_told(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"fgtune {__version__}\n"


@pytest.mark.slow
def test_the_schema_is_printed_or_written(capsys, tmp_path):
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == study_schema()
    target = tmp_path / "study.schema.json"
    assert main(["schema", "--write", str(target)]) == 0
    assert json.loads(target.read_text()) == study_schema()
    capsys.readouterr()
    assert main(["schema", "--verdicts"]) == 0
    assert json.loads(capsys.readouterr().out) == verdicts_schema()
    assert main(["schema", "--write", str(tmp_path / "absent" / "x.json")]) == 2
    assert "cannot be written (No such file or directory)" in capsys.readouterr().err
    assert not (tmp_path / "absent").exists()


@pytest.mark.integration
def test_looking_at_a_study_imports_nothing_heavy(write):
    path = write()
    code = (
        "import sys, fgtune.app.cli\n"
        f"assert fgtune.app.cli.main(['plan', {path!r}]) == 0\n"
        "heavy = {'torch', 'ray', 'mlflow', 'optuna', 'plotly', 'cvxpy', 'pyscipopt', 'faiss'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
