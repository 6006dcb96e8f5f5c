"""Seeds added to a study that was run, through real Ray and a real MLflow store, from another folder than the first."""

from __future__ import annotations

import io
import json
import shlex
import shutil
import threading
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from fgtune.app import extend as extend_module
from fgtune.app.cli import main
from fgtune.app.extend import extend
from fgtune.app.verify import verify
from fgtune.engine.opening import open_study
from fgtune.engine.run import execute
from fgtune.errors import ConfigError, StudyFolderError
from fgtune.results.folder import StudyFolder
from fgtune.results.options import RunOptions, last_call
from fgtune.results.records import CellState

ARRAYS = "{kind: arrays, path: mine.npz}"
HIERARCHY = "{kind: hierarchy, num_samples: 300, num_coarse: 2, fine_per_coarse: 3, dim: 6}"
FEW = ("trial.epochs=2", "seeds=1", "execution.max_concurrent=1")
OPTIONS = RunOptions(Path("small.yaml"), FEW, tracking_uri="sqlite:///mlflow.db")


def told(action) -> tuple[int, str]:
    out = io.StringIO()
    return action(Console(file=out, width=500)), out.getvalue()


@pytest.fixture(scope="module")
def base(tmp_path_factory, small_study_text) -> Path:
    """A folder with a study that reads data from a relative path."""
    folder = tmp_path_factory.mktemp("base")
    assert HIERARCHY in small_study_text
    (folder / "small.yaml").write_text(small_study_text.replace(HIERARCHY, ARRAYS), encoding="utf-8")
    rng = np.random.default_rng(0)
    fine = rng.integers(0, 6, 240)
    inputs = rng.normal(size=(240, 6)) + 4 * np.eye(6)[fine]
    np.savez(folder / "mine.npz", inputs=inputs, coarse=fine // 3, fine=fine)
    return folder


@pytest.fixture(scope="module")
def extended(base, tmp_path_factory, ray_started):
    """The study run with one seed, then extended to two from elsewhere: its folder, its first ledger, what was told."""
    with chdir(base):
        code, text = told(lambda console: execute(OPTIONS, console))
    assert code == 0, text
    folder = StudyFolder(base / "reports" / "small")
    first = folder.ledger_file.read_bytes()
    with chdir(tmp_path_factory.mktemp("elsewhere")):
        code, text = told(lambda console: extend(folder.root, 2, console=console))
        assert not list(Path().iterdir())
    assert code == 0, text
    return folder, first, text


@pytest.mark.slow
def test_finished_cells_stay_and_the_new_ones_are_those_of_the_longer_study(extended, base):
    folder, first, text = extended
    assert folder.ledger_file.read_bytes().startswith(first)
    results = folder.ledger.read()
    assert [result.state for result in results] == [CellState.COMPLETE] * 4
    with chdir(base):
        plan = open_study(Path("small.yaml"), ["trial.epochs=2", "seeds=2"]).plan
    assert {result.cell_id for result in results} == {cell.cell_id for cell in plan.cells}
    assert folder.check(plan) is True
    assert "2 of 4 cells are finished already and are not run again" in text


@pytest.mark.slow
def test_the_folder_is_whole_and_its_study_file_as_it_was_given(extended, base):
    folder, _, _ = extended
    assert verify(folder.root).problems == []
    assert folder.study_file.read_bytes() == (base / "small.yaml").read_bytes()
    assert folder.read_study().seeds == 2
    assert len(folder.read_plan()) == 4
    assert folder.read_curves().groupby("cell_id").size().tolist() == [2] * 4


@pytest.mark.slow
def test_cells_have_one_mlflow_run_each_below_their_arm_and_arms_below_the_study(extended, base):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{base}/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("small").experiment_id])
    roles = sorted(run.data.tags["fgtune.role"] for run in runs)
    assert roles == ["arm_summary"] * 2 + ["cell"] * 4 + ["study"]
    (parent,) = [run.info.run_id for run in runs if run.data.tags["fgtune.role"] == "study"]
    arms = {run.info.run_id: run for run in runs if run.data.tags["fgtune.role"] == "arm_summary"}
    assert {run.data.tags["mlflow.parentRunId"] for run in arms.values()} == {parent}
    cells = [run for run in runs if run.data.tags["fgtune.role"] == "cell"]
    assert {arms[run.data.tags["mlflow.parentRunId"]].data.tags["fgtune.arm"] for run in cells} == {
        run.data.tags["fgtune.arm"] for run in cells
    }
    assert {run.data.tags["fgtune.study_hash"] for run in runs} == {extended[0].read_provenance()["study_hash"]}


@pytest.mark.slow
def test_the_study_with_its_old_seeds_is_told_how_to_go_on_and_that_line_does(extended, base):
    folder, _, _ = extended
    before = folder.ledger_file.read_bytes()
    with chdir(base):
        with pytest.raises(StudyFolderError, match="was extended from 1 to 2 seeds") as caught:
            execute(OPTIONS)
        line = str(caught.value).partition("go on with: ")[2]
        assert shlex.split(line)[:4] == ["python", "-m", "fgtune.run", "small.yaml"]
        assert main(["run", *shlex.split(line)[3:]]) == 0
    assert folder.ledger_file.read_bytes() == before


@pytest.mark.slow
def test_the_same_extension_again_runs_nothing(extended, tmp_path):
    folder, _, _ = extended
    before = folder.ledger_file.read_bytes()
    code, text = told(lambda console: extend(folder.root, 2, console=console))
    assert (code, folder.ledger_file.read_bytes()) == (0, before)
    assert "all 4 cells are finished already" in text
    assert len(folder.read_provenance()["extended"]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 0])
def test_fewer_seeds_are_refused(extended, seeds):
    with pytest.raises(ConfigError, match="must be more than the 2 seeds that the study has"):
        extend(extended[0].root, seeds)


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def begun(base, tmp_path) -> StudyFolder:
    """A study with the seeds 4 and 7 of which nothing has run."""
    with chdir(base):
        options = RunOptions(Path("small.yaml"), ("seeds=[4, 7]",), out=tmp_path / "reports", tracking_uri="none")
        opened = open_study(options.study, options.overrides)
    folder = StudyFolder(tmp_path / "reports" / "small")
    record = {
        "study": "small",
        "study_hash": opened.plan.study_hash,
        "started_at": "2026-01-02T03:04:05+00:00",
        **options.record(),
    }
    folder.create_or_check(opened.plan, opened.loaded, record)
    return folder


@pytest.fixture
def runs(monkeypatch) -> list[RunOptions]:
    """What an extension asks to be run, in place of running it: the process ends there."""
    asked = []

    def killed(options, console, opened, *, wait):
        asked.append((options, opened.plan.study.seed_list))
        raise Killed

    monkeypatch.setattr("fgtune.engine.run.execute", killed)
    return asked


def test_seeds_that_were_listed_are_kept_and_followed_and_a_cut_extension_goes_on(begun, base, runs):
    with chdir(base):
        for _ in range(2):
            with pytest.raises(Killed):
                extend(begun.root, 4)
    assert [seeds for _, seeds in runs] == [(4, 7, 8, 9)] * 2
    options = runs[0][0]
    assert options.overrides == ("seeds=[4, 7, 8, 9]",)
    assert (options.out, options.tracking_uri) == (begun.root.parent, "none")
    assert len(begun.read_provenance()["extended"]) == 1
    assert {row["seed"] for row in begun.read_plan()} == {4, 7, 8, 9}
    last = last_call(begun.read_provenance())
    assert (last.line, last.options) == (options.command(), options)


def test_an_arm_with_another_preset_than_the_trial_keeps_its_cells(small_study_text, tmp_path, runs):
    arms = "{kind: comparison, arms: [{name: falcon}, {name: base, set: {objective.preset: base}}]}"
    design = "{kind: sensitivity, factors: {classes.num_fine_ratio: [1.0, 1.5]}}"
    assert design in small_study_text
    (tmp_path / "small.yaml").write_text(small_study_text.replace(design, arms), encoding="utf-8")
    opened = open_study(tmp_path / "small.yaml")
    folder = StudyFolder(tmp_path / "reports" / "small")
    options = RunOptions(Path("small.yaml"))
    record = {"study": "small", "study_hash": opened.plan.study_hash, **options.record()}
    folder.create_or_check(opened.plan, opened.loaded, record)
    planned = {row["cell_id"] for row in folder.read_plan()}
    with pytest.raises(Killed):
        extend(folder.root, 3, "none")
    assert planned < {row["cell_id"] for row in folder.read_plan()}
    assert len(folder.read_plan()) == 6


def test_as_many_seeds_as_there_are_is_no_extension(begun, base, runs):
    with chdir(base), pytest.raises(ConfigError, match="must be more than the 2 seeds"):
        extend(begun.root, 2)
    assert runs == []


def test_changed_data_are_refused_and_nothing_is_written(begun, base, runs, tmp_path):
    with np.load(base / "mine.npz") as arrays:
        changed = dict(arrays)
    changed["inputs"] = changed["inputs"] + 1
    np.savez(tmp_path / "mine.npz", **changed)
    before = {path: path.read_bytes() for path in begun.root.iterdir() if path != begun.lock_file}
    with chdir(tmp_path), pytest.raises(StudyFolderError, match="the data have changed since the study was started"):
        extend(begun.root, 4)
    assert {path: path.read_bytes() for path in begun.root.iterdir() if path != begun.lock_file} == before
    assert runs == []


def test_a_running_study_is_not_extended(begun, base):
    with chdir(base), begun.lock(), pytest.raises(StudyFolderError, match="is being written by process"):
        extend(begun.root, 4)


def test_a_masked_password_is_asked_for(begun, base, runs):
    record = begun.read_provenance()
    options = RunOptions(Path("small.yaml"), out=begun.root.parent, tracking_uri="http://me:secret@host:5000")
    begun.provenance_file.write_text(json.dumps(record | options.record()))
    assert "secret" not in begun.provenance_file.read_text()
    with chdir(base):
        with pytest.raises(ConfigError, match="its password is not stored with the study"):
            extend(begun.root, 4)
        with pytest.raises(Killed):
            extend(begun.root, 4, tracking_uri="none")


@pytest.mark.parametrize("stored", [True, False], ids=["options of another form", "no options"])
def test_a_folder_without_the_options_of_its_run_is_to_be_run_once_more(begun, runs, stored):
    record = begun.read_provenance() | {"options": {"file": "small.yaml"}}
    if not stored:
        del record["options"]
    begun.provenance_file.write_text(json.dumps(record))
    with pytest.raises(StudyFolderError, match="lacks the options of the last run") as caught:
        extend(begun.root, 4)
    assert str(caught.value).endswith(f"run the study once more: {shlex.join(record['command'])}")
    begun.provenance_file.write_text(json.dumps(record | {"command": []}))
    with pytest.raises(StudyFolderError, match="lacks the options of the last run") as caught:
        extend(begun.root, 4)
    assert str(caught.value).endswith("run the study once more")
    assert runs == []


def test_a_renamed_folder_is_refused(begun, runs):
    renamed = begun.root.rename(begun.root.with_name("other"))
    with pytest.raises(StudyFolderError, match="holds the study 'small' under another name"):
        extend(renamed, 4)


def test_a_search_is_refused(begun, monkeypatch, runs):
    study = begun.read_study()
    search = {
        "kind": "search",
        "space": {"parameters": {"optimizer.lr": {"kind": "uniform", "low": 0.01, "high": 0.1}}},
        "trials": 3,
        "metric": "val/silhouette",
    }
    plain = study.to_plain() | {"design": search}
    monkeypatch.setattr(StudyFolder, "read_study", lambda _: type(study).from_plain(plain))
    with pytest.raises(StudyFolderError, match="a search judges every point by the seeds it began with"):
        extend_module.extend(begun.root, 4)


def test_the_command_line_asks_for_a_number_of_seeds(begun, capsys):
    assert main(["extend", str(begun.root)]) == 2
    assert main(["extend", str(begun.root), "--seeds", "0"]) == 2
    assert main(["extend", str(begun.root), "--seeds", "1"]) == 2
    assert "error: --seeds: must be more than the 2 seeds that the study has, got 1" in capsys.readouterr().err


def test_an_extension_that_waits_begins_once_the_folder_is_free(real_folder, tmp_path, monkeypatch, capsys):
    root = Path(shutil.copytree(real_folder, tmp_path / "reports" / "real"))
    calls = []
    monkeypatch.setattr("fgtune.engine.run.execute", lambda options, *_, **more: calls.append((options, more)) or 0)
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        with StudyFolder(root).lock():
            held.set()
            free.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(60)
    assert main(["extend", str(root), "--seeds", "4"]) == 2
    assert "is being written by process" in capsys.readouterr().err
    assert calls == []
    threading.Timer(1.0, free.set).start()
    assert main(["extend", str(root), "--seeds", "4", "--wait"]) == 0
    holder.join()
    assert "is being written by process" in capsys.readouterr().out
    (called,) = calls
    assert called[1] == {"wait": True}
    assert len(StudyFolder(root).read_study().seed_list) == 4


@pytest.mark.parametrize(
    ("options", "storage", "named"),
    [
        ({"plugins": ["evil_package"]}, None, "packages to import (evil_package)"),
        ({"address": "ray://evil:10001"}, None, "a cluster (ray://evil:10001)"),
        ({"tracking_uri": "http://evil"}, None, "an MLflow store (http://evil)"),
        ({}, "s3://evil/x?endpoint_override=evil", "a storage (s3://evil/x?endpoint_override=evil)"),
    ],
)
def test_a_folder_from_elsewhere_chooses_neither_code_nor_cluster_nor_stores(
    begun, base, runs, options, storage, named
):
    record = begun.read_provenance()
    record["options"] |= options
    if storage is not None:
        record["given"]["execution"] = {**record["given"].get("execution", {}), "storage": storage}
    begun.provenance_file.write_text(json.dumps(record), encoding="utf-8")
    (begun.root.parent / "evil_package.py").write_text("open('ran', 'w')\n")
    with chdir(begun.root.parent), pytest.raises(StudyFolderError) as caught:
        extend(begun.root, 4)
    assert f"names {named}, and was not written by you on this machine" in str(caught.value)
    assert "run the study once yourself" in caught.value.fix
    assert not runs
    assert not (begun.root.parent / "ran").exists()
    assert "extended" not in begun.read_provenance()


def test_what_this_call_permits_itself_may_stand_in_a_folder_from_elsewhere(begun, base, runs, monkeypatch):
    record = begun.read_provenance()
    record["options"] |= {"plugins": ["json"], "tracking_uri": "http://evil"}
    begun.provenance_file.write_text(json.dumps(record), encoding="utf-8")
    monkeypatch.setenv("FGTUNE_PLUGINS", "json")
    with chdir(base), pytest.raises(Killed):
        extend(begun.root, 4, "none")
    assert runs[0][0].tracking_uri == "none"
