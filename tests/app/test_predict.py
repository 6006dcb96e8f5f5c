"""New samples through a model: every way to give data, the same numbers as in training, and one clear error each."""

from __future__ import annotations

import re
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
from fgtune.exporting.coarse_labels import coarse_codes
from fgtune.exporting.folder import load_model, read_card
from fgtune.plugins import permitting
from fgtune.tracking.pyfunc import FineClasses

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


@pytest.mark.slow_except("clusters")
@pytest.mark.parametrize("kind", ["fine head", "clusters"])
def test_training_inputs_give_the_labels_of_the_model_folder_exactly(models, kind, inputs, tmp_path):
    labels = pd.read_parquet(models[kind] / "labels.parquet")
    with np.load(models[kind] / "relations.npz") as arrays:
        assert ("centers" in arrays.files) == (kind == "clusters")
    np.savez(tmp_path / "mine.npz", inputs=inputs)
    found = predicted(models[kind], tmp_path / "mine.npz", tmp_path)
    same = ~labels["trained_on"] | (kind == "fine head")
    pd.testing.assert_frame_equal(found[same], labels.loc[same, COLUMNS])
    if kind == "clusters":
        assert (labels["fine_class"] == labels["fine_class_within"])[labels["trained_on"]].all()
        assert (found["fine_class"] != labels["fine_class"]).any()


KINDS = {
    "kmeans": "{pca: 3}",
    "gmm": "{kind: gmm, covariance: tied}",
    "spectral": "{kind: spectral, sizes: variance}",
    "agglomerative": "{kind: agglomerative, pca: 0.9, max_samples: 60}",
}


@pytest.fixture(scope="module")
def clustered(tmp_path_factory, train_study, study_file):
    """A model of every kind of clustering, on untrained features."""
    root = tmp_path_factory.mktemp("clustered")
    study = root / "kinds.yaml"
    arms = ", ".join(f"{{name: {kind}, set: {{clustering: {settings}}}}}" for kind, settings in KINDS.items())
    text = study_file.read_text(encoding="utf-8")
    design = f"design: {{kind: comparison, baseline: kmeans, arms: [{arms}]}}"
    study.write_text(re.sub("design: .*", lambda _: design, text), encoding="utf-8")
    folder = train_study(study, root / "reports", ("seeds=1", "trial.objective={preset: untrained}", "trial.epochs=1"))
    quiet = {"tracking_uri": "none", "say": lambda _: None}
    return {kind: refit(folder, kind, out=root / kind, **quiet) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_of_every_kind_of_clustering_predicts_what_its_folder_holds(clustered, kind, inputs, tmp_path):
    model, card = load_model(clustered[kind])
    labels = pd.read_parquet(clustered[kind] / "labels.parquet")
    assert model.config.clustering.kind == kind
    np.save(tmp_path / "mine.npy", inputs)
    found, same = predicted(clustered[kind], tmp_path / "mine.npy", tmp_path), ~labels["trained_on"]
    pd.testing.assert_frame_equal(found[same], labels.loc[same, COLUMNS])
    coarse = load_dataset(model.config.data).coarse
    assert (model.fine_to_coarse[0][labels["fine_class_within"]] == coarse[:, 0]).all()
    assert model.predict(inputs, coarse).fine.tolist() == labels["fine_class_within"].tolist()
    assert labels["fine_class_within"].nunique() == card.num_fine


def within(model, inputs, coarse):
    """Class and confidence by hand: Bayes' rule for the classes whose parent agrees with the label."""
    probs = model.outputs(inputs).probs.astype(np.float64)
    probs[(model.fine_to_coarse[0] != coarse[:, None]) & (coarse >= 0)[:, None]] = 0.0
    probs /= probs.sum(axis=1, keepdims=True)
    return probs.argmax(axis=1), probs.max(axis=1)


@pytest.mark.parametrize("kind", ["fine head", "clusters"])
def test_known_coarse_labels_restrict_the_fine_class_in_every_form_of_data(models, kind, inputs, tmp_path):
    model, _ = load_model(models[kind])
    coarse = load_dataset(model.config.data).coarse[:, 0].copy()
    coarse[::7] = -1
    expected, confidence = within(model, inputs, coarse)
    np.savez(tmp_path / "mine.npz", inputs=inputs, coarse=coarse)
    table = pd.DataFrame(inputs, columns=[f"gene{n}" for n in range(inputs.shape[1])])
    table["kind"] = pd.array(np.where(coarse < 0, None, coarse), dtype="Int64")
    table.to_parquet(tmp_path / "mine.parquet")
    table.astype({"kind": "float"}).to_csv(tmp_path / "mine.csv", index=False)
    for name, column in {"mine.npz": "coarse", "mine.parquet": "kind", "mine.csv": "kind"}.items():
        out = predict(models[kind], str(tmp_path / name), tmp_path / "out.parquet", say=lambda _: None, coarse=[column])
        found = pd.read_parquet(out)
        assert found["fine_class"].tolist() == expected.tolist()
        np.testing.assert_allclose(found["confidence"], confidence, atol=1e-5)
        assert found["coarse_label"].fillna(-1).tolist() == coarse.tolist()
        known = coarse >= 0
        assert (found["coarse_parent"][known] == coarse[known]).all()
    everything = predict(models[kind], DATA, tmp_path / "all.parquet", say=lambda _: None, coarse=["coarse"])
    labels = pd.read_parquet(models[kind] / "labels.parquet")
    assert pd.read_parquet(everything)["fine_class"].tolist() == labels["fine_class_within"].tolist()


def test_coarse_labels_that_do_not_fit_are_one_clear_error(models, inputs, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = pd.DataFrame(inputs[:20], columns=[f"gene{n}" for n in range(inputs.shape[1])])
    table.assign(kind=["0", "1", "seven", *["0"] * 17]).to_csv("odd.csv", index=False)
    np.savez("short.npz", inputs=inputs, coarse=np.zeros(3, dtype=np.int64))
    np.savez("unlabelled.npz", inputs=inputs)
    np.save("plain.npy", inputs)
    cases = {
        ("odd.csv", "kind"): "--coarse: is no coarse class that the model was trained with, got 'seven'",
        ("odd.csv", "sort"): "no column 'sort'",
        ("short.npz", "coarse"): "must give a label for each of the 300 samples",
        ("short.npz", "other"): "holds no columns of labels",
        ("unlabelled.npz", "coarse"): "'coarse' is missing",
        ("plain.npy", "coarse"): "give a table, or an .npz",
    }
    for (data, column), told in cases.items():
        assert main(["predict", str(models["clusters"]), data, "--coarse", column]) == 2, data
        captured = capsys.readouterr()
        assert told in captured.err, captured.err
    both = ["--coarse", "gene0", "--coarse", "gene1"]
    assert main(["predict", str(models["clusters"]), "odd.csv", *both]) == 2
    assert "must give the labels of 1 source, as in training, got 2" in capsys.readouterr().err
    assert not Path("predictions.parquet").exists()


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
    frame["kind"] = frame["kind"].where(frame.index % 5 > 0)
    frame.assign(kind=frame["kind"]).to_csv(tmp_path / "labelled.csv", index=False)
    out = predict(model, str(tmp_path / "labelled.csv"), tmp_path / "out.csv", say=lambda _: None, coarse=["kind"])
    named = pd.read_csv(out)
    known = frame["kind"].notna()
    assert (named["coarse_parent_name"][known] == frame["kind"][known]).all()
    assert (named["fine_class"][~known] == labels["fine_class"][~known]).all()
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


@pytest.mark.slow
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


@pytest.mark.parametrize("kind", ["fine head", "clusters"])
def test_an_mlflow_model_takes_coarse_labels_beside_the_inputs(models, kind, inputs):
    model, card = load_model(models[kind])
    coarse = load_dataset(model.config.data).coarse
    served = FineClasses(model, card)
    plain, restricted = served.predict({"inputs": inputs}), served.predict({"coarse": coarse, "inputs": inputs})
    assert list(plain.columns) == COLUMNS
    assert plain["fine_class"].tolist() == model.predict(inputs).fine.tolist()
    assert restricted["fine_class"].tolist() == model.predict(inputs, coarse).fine.tolist()
    assert served.predict({"inputs": inputs, "coarse": coarse[:, 0].tolist()}).equals(restricted)
    with pytest.raises(ConfigError, match="must give a label for each of the 300 samples"):
        served.predict({"inputs": inputs, "coarse": [0, 1]})


def test_labels_of_several_sources_go_by_names_or_by_numbers(models):
    card = read_card(models["clusters"]).model_copy(
        update={"num_coarse": (2, 3), "coarse_names": (("cat", "dog"), ("10", "20", "30"))}
    )
    names = [["dog", None, "cat"], [30, "", 10.0]]
    assert coarse_codes(names, 3, card, "here").tolist() == [[1, 2], [-1, -1], [0, 0]]
    assert coarse_codes([[1, -1, 0], [2, 0, -1]], 3, card, "here").tolist() == [[1, 2], [-1, 0], [0, -1]]
    with pytest.raises(ConfigError, match="must give the labels of 2 sources, as in training, got 1"):
        coarse_codes(names[:1], 3, card, "here")
    with pytest.raises(ConfigError, match=r"got 'cow'. Fix: it knows cat, dog"):
        coarse_codes([["cow", "dog", "cat"], names[1]], 3, card, "here")
