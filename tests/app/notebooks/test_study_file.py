"""Studies from dicts and with data in memory: planned without a file, run with all of it in their folder."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

import fgtune
from fgtune.app.cli import main
from fgtune.errors import ConfigError
from fgtune.results.folder import StudyFolder


@pytest.fixture
def content(small_study) -> dict[str, object]:
    return YAML(typ="safe").load(small_study.read_text(encoding="utf-8"))


@pytest.fixture
def clouds() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Six easy classes, three in each coarse one."""
    fine = np.arange(300) % 6
    inputs = 6 * np.eye(6)[fine] + np.random.default_rng(1).normal(size=(300, 6))
    return inputs, fine // 3, fine


def test_a_dict_is_the_study_that_its_file_is(small_study, content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = {"trial.epochs": 9, "seeds": (3, 4, 5)}
    from_dict = fgtune.load_study(content, overrides=options, smoke=True)
    from_file = fgtune.load_study(small_study, overrides=["trial.epochs=9", "seeds=[3, 4, 5]"], smoke=True)
    assert from_dict.study == from_file.study
    assert fgtune.plan(from_dict).plan.study_hash == fgtune.plan(from_file).plan.study_hash
    assert fgtune.plan(content).table["cell_id"].tolist() == fgtune.plan(small_study).table["cell_id"].tolist()
    assert not (tmp_path / "reports").exists()


def test_a_space_that_a_dict_names_is_spelled_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("space.yaml").write_text(
        "parameters: {trial.optimizer.lr: {kind: uniform, low: 0.1, high: 1.0}}\n".replace("trial.", ""),
        encoding="utf-8",
    )
    study = {
        "study": "s",
        "question": "Which rate?",
        "design": {"kind": "search", "space": "space.yaml", "trials": 2},
        "trial": {"data": {"kind": "digits"}, "classes": {"num_fine": 10}},
    }
    loaded = fgtune.load_study(study)
    Path("space.yaml").unlink()
    assert "optimizer.lr" in loaded.loaded.source_text
    assert fgtune.load_study(YAML(typ="safe").load(loaded.loaded.source_text)).study == loaded.study


def test_mistakes_have_the_text_of_the_command_line(small_study, content, capsys):
    assert main(["validate", str(small_study), "--set", "trial.epocs=3"]) == 2
    printed = capsys.readouterr().err.strip().removeprefix("error: ")
    with pytest.raises(ConfigError) as caught:
        fgtune.load_study(small_study, overrides={"trial.epocs": 3})
    assert str(caught.value) == printed
    with pytest.raises(ConfigError, match=r"^study: trial\.epocs: unknown key\. Fix: did you mean 'epochs'\?$"):
        fgtune.load_study({**content, "trial": {**content["trial"], "epocs": 3}})
    with pytest.raises(ConfigError, match="study: must be a study file's path, a dict, or what load_study returned"):
        fgtune.load_study(3)


@pytest.mark.parametrize(
    ("change", "overrides", "message"),
    [
        ({"trial": {"kind": "function", "call": "a:b"}}, {}, "data: cannot be given to a trial of kind function"),
        ({"trial": 3}, {}, "study: trial: must be a mapping"),
        ({"design": {"kind": "comparison", "datasets": {"a": {"kind": "digits"}}}}, {}, "design.datasets"),
        ({}, {"trial.data": {"kind": "digits"}}, "cannot be given beside an override of the same"),
        ({}, {"trial.data.path": "x.npz"}, "cannot be given beside an override of the same"),
    ],
)
def test_data_are_refused_where_a_study_has_no_place_for_them(content, clouds, change, overrides, message):
    with pytest.raises(ConfigError, match=message):
        fgtune.load_study({**content, **change}, overrides=overrides, data=clouds)


def test_lines_of_a_file_stay_in_errors_beside_given_data(small_study, clouds):
    text = small_study.read_text(encoding="utf-8").replace("batch_size: 64", "batch_size: 0")
    small_study.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"^{small_study}:13: trial\.batch_size: must be >= "):
        fgtune.load_study(small_study, data=clouds)


@pytest.mark.long  # two runs
def test_a_study_with_data_in_memory_runs_and_goes_on_from_its_folder(
    content, clouds, tmp_path, monkeypatch, ray_started, capsys
):
    monkeypatch.chdir(tmp_path)
    study = fgtune.load_study(content, overrides={"seeds": 1, "trial.epochs": 2}, data=clouds)
    plan = fgtune.plan(study, out="elsewhere")
    assert not Path("elsewhere").exists()
    results = fgtune.run_study(study, out="elsewhere", tracking_uri="none")
    assert results.complete
    assert results.table["cell_id"].tolist() == plan.table["cell_id"].tolist()
    assert (results.folder.root / "data.npz").is_file()
    record = StudyFolder(Path("elsewhere/small")).read_provenance()
    assert list(record["data"].values()) == [shape.fingerprint for shape in plan.plan.shapes.values()]
    capsys.readouterr()
    # What the folder says is enough for the command line, and to check everything.
    command = record["command"][3:]
    assert main(["run", *command]) == 0
    assert "all 2 cells are finished already" in capsys.readouterr().out
    assert main(["verify", "elsewhere/small", "--rerun", "1"]) == 0
    other = (clouds[0] + 1, *clouds[1:])
    with pytest.raises(ConfigError, match="has the same settings on other data"):
        fgtune.run_study(fgtune.load_study(content, overrides={"seeds": 1, "trial.epochs": 2}, data=other), "elsewhere")
    assert shlex.join(command).startswith("elsewhere/small/study.yaml")
