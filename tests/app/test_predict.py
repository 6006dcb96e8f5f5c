"""New samples through a model: every way to give data, the same numbers as in training, and one clear error each."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fgtune.app.cli import main
from fgtune.app.predict import predict
from fgtune.app.refit import refit
from fgtune.data.load import load_dataset
from fgtune.errors import ConfigError
from fgtune.exporting.folder import load_model, read_card
from fgtune.plugins import permitting

COLUMNS = ["row", "fine_class", "confidence", "coarse_parent"]
DATA = "kind=hierarchy,num_samples=300,num_coarse=2,fine_per_coarse=3,dim=6"


@pytest.fixture(scope="module")
def study_file(tmp_path_factory, small_study_text):
    path = tmp_path_factory.mktemp("studies") / "small.yaml"
    path.write_text(small_study_text, encoding="utf-8")
    return path


def fitted(folder: Path, out: Path) -> Path:
    return refit(folder, "baseline", out=out, tracking_uri="none", say=lambda _: None)


@pytest.fixture(scope="module")
def models(tmp_path_factory, train_study, study_file):
    """A model with a fine head, and one whose fine classes are clusters."""
    root = tmp_path_factory.mktemp("models")
    heads = train_study(study_file, root / "a", ("seeds=1",))
    clusters = train_study(study_file, root / "b", ("seeds=1", "trial.objective={preset: base}"))
    return {"fine head": fitted(heads, root / "heads"), "clusters": fitted(clusters, root / "clusters")}


@pytest.fixture
def model(models):
    return models["fine head"]


@pytest.fixture(scope="module")
def inputs(models):
    return np.asarray(load_dataset(load_model(models["fine head"])[0].config.data).inputs)


def predicted(model: Path, data: object, tmp_path: Path) -> pd.DataFrame:
    out = tmp_path / "predictions.parquet"
    predict(model, str(data), out, say=lambda _: None)
    return pd.read_parquet(out)


@pytest.mark.parametrize("kind", ["fine head", "clusters"])
def test_training_inputs_give_the_labels_of_the_model_folder_exactly(models, kind, inputs, tmp_path):
    expected = pd.read_parquet(models[kind] / "labels.parquet")[COLUMNS]
    with np.load(models[kind] / "relations.npz") as arrays:
        assert ("centers" in arrays.files) == (kind == "clusters")
    np.savez(tmp_path / "mine.npz", inputs=inputs)
    pd.testing.assert_frame_equal(predicted(models[kind], tmp_path / "mine.npz", tmp_path), expected)


def test_every_form_of_data_gives_the_same_predictions(model, study_file, inputs, tmp_path):
    expected = pd.read_parquet(model / "labels.parquet")[COLUMNS]
    np.save(tmp_path / "mine.npy", inputs.astype(np.float64))
    table = pd.DataFrame(inputs, columns=[f"gene{n}" for n in range(inputs.shape[1])])
    table.to_parquet(tmp_path / "mine.parquet")
    table.astype(np.float64).to_csv(tmp_path / "mine.csv", index=False)
    (tmp_path / "data.yaml").write_text(f"{{{DATA.replace('=', ': ')}}}")
    forms = [tmp_path / name for name in ("mine.npy", "mine.parquet", "mine.csv", "data.yaml")]
    for form in (*forms, study_file, DATA):
        pd.testing.assert_frame_equal(predicted(model, form, tmp_path), expected, obj=str(form))


def test_clusters_assign_the_nearest_centre_of_the_features(models, inputs):
    model, card = load_model(models["clusters"])
    features = model._compute.predict(model.network, inputs).features
    distances = ((features[:, None, :] - model.clusters.rule.centers) ** 2).sum(axis=2)
    assert np.array_equal(model.predict(inputs).fine, distances.argmin(axis=1))
    assert model.clusters.rule.centers.shape[0] == card.num_fine


def test_a_model_that_was_moved_works(model, inputs, tmp_path):
    moved = Path(shutil.copytree(model, tmp_path / "elsewhere" / "renamed"))
    np.save(tmp_path / "mine.npy", inputs)
    here, there = (predicted(each, tmp_path / "mine.npy", tmp_path) for each in (model, moved))
    pd.testing.assert_frame_equal(here, there)


def test_a_table_is_read_by_the_column_names_of_the_training_data(tmp_path, train_study):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(60, 3)), columns=["x", "y", "z"])
    frame["kind"] = np.where(frame["x"] > 0, "high", "low")
    frame.to_csv(tmp_path / "mine.csv", index=False)
    study = tmp_path / "own.yaml"
    study.write_text(
        "study: own\nquestion: Which classes?\nseeds: 1\nmetrics: {primary: val/silhouette, also: []}\n"
        "design: {kind: sensitivity, factors: {classes.num_fine: [4, 5]}}\n"
        f"trial:\n  data: {{kind: arrays, path: {tmp_path / 'mine.csv'}, columns: {{coarse: [kind]}}}}\n"
        "  classes: {num_fine: 4}\n  epochs: 2\n  batch_size: 20\n"
    )
    model = fitted(train_study(study, tmp_path / "reports"), tmp_path / "model")
    labels = pd.read_parquet(model / "labels.parquet")
    assert set(labels["coarse_parent_name"]) <= {"high", "low"}
    assert read_card(model).input.columns == ("x", "y", "z")
    frame[["kind", "z", "y", "x"]].to_csv(tmp_path / "shuffled.csv", index=False)
    again = predicted(model, tmp_path / "shuffled.csv", tmp_path)
    assert np.array_equal(again["fine_class"], labels["fine_class"])
    frame[["x", "y"]].to_csv(tmp_path / "short.csv", index=False)
    with pytest.raises(ConfigError, match="no column 'z'"):
        predicted(model, tmp_path / "short.csv", tmp_path)


def test_unlike_numbers_are_warned_of(model, inputs, tmp_path):
    lines: list[str] = []
    np.save(tmp_path / "mine.npy", inputs * 100)
    predict(model, str(tmp_path / "mine.npy"), tmp_path / "out.csv", say=lines.append)
    assert "were they scaled in the same way" in lines[0]
    assert list(pd.read_csv(tmp_path / "out.csv").columns) == COLUMNS


def test_wrong_data_exit_2_with_one_clear_line_and_write_nothing(model, inputs, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("narrow.npy", inputs[:, :4])
    np.save("empty.npy", inputs[:0])
    np.save("words.npy", np.full(inputs.shape, "a"))
    holed = inputs.copy()
    holed[3, 1] = np.nan
    np.save("holed.npy", holed)
    np.save("one.npy", inputs[0])
    np.savez("noinputs.npz", x=inputs)
    pd.DataFrame({"a": ["x"], "b": [1.0]}).to_csv("text.csv", index=False)
    Path("nothing.yaml").write_text("epochs: 3\n")
    Path("damaged.npy").write_bytes(b"no array")
    cases = {
        "narrow.npy": "samples must have shape (6,), got (4,)",
        "one.npy": "inputs[None]",
        "empty.npy": "holds no samples",
        "words.npy": "must be real numbers",
        "holed.npy": "first row 3",
        "noinputs.npz": "'inputs' is missing",
        "text.csv": "column 'a' must hold numbers",
        "nothing.yaml": "holds no data config",
        "damaged.npy": "cannot be read",
        "missing.npy": "no such file",
        "missing.yaml": "no such file",
        "mine.txt": "not data that can be read",
        "kind=digts": "kind",
        "kind=digits,simples=3": "simples",
        "kind=digits": "samples must have shape (6,), got (64,)",
    }
    before = sorted(tmp_path.iterdir())
    for data, told in cases.items():
        assert main(["predict", str(model), data]) == 2, data
        captured = capsys.readouterr()
        assert told in captured.err, captured.err
        assert captured.err.count("error:") == 1, captured.err
    assert main(["predict", str(model), "one.npy", "--out", "one.npy"]) == 2
    assert main(["predict", str(model), DATA, "--out", "out.xlsx"]) == 2
    assert main(["predict", str(model), DATA, "--out", "one.npy/out.csv"]) == 2
    assert sorted(tmp_path.iterdir()) == before


def test_a_model_that_is_damaged_or_none_is_told(model, tmp_path):
    def broken(change) -> str:
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(model, copy)
        change(copy)
        with pytest.raises(ConfigError) as caught:
            predicted(copy, DATA, tmp_path)
        return str(caught.value)

    def flip(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[-3] ^= 1
        path.write_bytes(content)

    for name in ("weights.safetensors", "relations.npz", "config.yaml", "labels.parquet"):
        assert f"{name}: is damaged" in broken(lambda copy, name=name: flip(copy / name))
        assert f"{name}: is missing" in broken(lambda copy, name=name: (copy / name).unlink())
    assert "no model.json" in broken(lambda copy: (copy / "model.json").unlink())
    assert "not JSON" in broken(lambda copy: (copy / "model.json").write_text("{"))
    newer = (model / "model.json").read_text().replace('"format": 1', '"format": 2')
    assert "format 2" in broken(lambda copy: (copy / "model.json").write_text(newer))
    other = (model / "model.json").read_text().replace('"num_fine": 6', '"num_fine": "six"')
    assert "num_fine" in broken(lambda copy: (copy / "model.json").write_text(other))
    with pytest.raises(ConfigError, match="no such model folder"):
        predicted(tmp_path / "nowhere", DATA, tmp_path)
    assert not (tmp_path / "predictions.parquet").exists()


OWN_BACKBONE = """
from torch import nn
class Narrow(nn.Module):
    def __init__(self, options, input_shape):
        super().__init__()
        self.feature_dim = 4
        self.linear = nn.Linear(input_shape[0], 4)
    def forward(self, inputs):
        return self.linear(inputs).relu()
"""


def test_a_model_with_a_backbone_of_ones_own_needs_permission(tmp_path, train_study, study_file, monkeypatch, capsys):
    (tmp_path / "netsofmine.py").write_text(OWN_BACKBONE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FGTUNE_PLUGINS", raising=False)
    overrides = ("seeds=1", "trial.epochs=1", "trial.model.backbone={kind: 'netsofmine:Narrow'}")
    try:
        with permitting(("netsofmine",)):
            folder = train_study(study_file, tmp_path / "reports", overrides)
        assert main(["refit", str(folder), "--arm", "baseline", "--out", "m", "--tracking-uri", "none"]) == 2
        assert not Path("m").exists()
        refitted = ["refit", str(folder), "--arm", "baseline", "--out", "m", "--tracking-uri", "none"]
        assert main([*refitted, "--plugins", "netsofmine"]) == 0
        sys.modules.pop("netsofmine")
        capsys.readouterr()
        assert main(["predict", "m", DATA]) == 2
        assert "--plugins netsofmine" in capsys.readouterr().err
        assert "netsofmine" not in sys.modules
        assert main(["predict", "m", DATA, "--plugins", "netsofmine"]) == 0
        labels = pd.read_parquet("m/labels.parquet")[COLUMNS]
        pd.testing.assert_frame_equal(pd.read_parquet("predictions.parquet"), labels)
    finally:
        sys.modules.pop("netsofmine", None)
