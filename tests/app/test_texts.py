"""Texts from a study to a model and back: refit keeps what was learned, and predict gives new texts their classes."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from support.layouts import made_texts, write_texts

from fgtune.app.data_check import check
from fgtune.app.predict import predict
from fgtune.app.refit import refit
from fgtune.errors import ConfigError
from fgtune.exporting.folder import EMBEDDING, TERMS, _embedding, load_model
from fgtune.results.archives import check_unpacked
from fgtune.tracking.pyfunc import FineClasses

STUDY = """
study: texts
question: Are topics found?
design: {{kind: comparison, baseline: falcon, arms: [{{name: falcon}}]}}
seeds: 1
metrics: {{primary: test/clustering_accuracy}}
trial:
  data: {{kind: text, path: {path}, columns: {{coarse: [group], fine: topic}}, dimension: 8}}
  model: {{backbone: {{kind: mlp, hidden: [16]}}}}
  classes: {{num_fine: 4}}
  objective: {{preset: falcon}}
  epochs: 3
  batch_size: 32
"""
NEW = pd.DataFrame(made_texts(4, seed=7), columns=["text", "group", "topic"])


def quiet(_: str) -> None:
    pass


@pytest.fixture(scope="module")
def model(tmp_path_factory, train_study):
    root = tmp_path_factory.mktemp("texts")
    write_texts(root / "t.csv")
    (root / "s.yaml").write_text(STUDY.format(path=root / "t.csv"))
    folder = train_study(root / "s.yaml", root / "reports")
    return refit(folder, out=root / "model", tracking_uri="none", say=quiet)


def predicted(model, data, tmp_path, **options) -> pd.DataFrame:
    predict(model, str(data), tmp_path / "p.parquet", say=quiet, **options)
    return pd.read_parquet(tmp_path / "p.parquet")


def test_the_texts_of_the_study_get_the_classes_that_the_model_folder_lists(model, tmp_path):
    table = model.parent / "t.csv"
    wanted = pd.read_parquet(model / "labels.parquet")
    found = predicted(model, table, tmp_path)
    assert found["fine_class"].equals(wanted["fine_class"])
    assert found["confidence"].to_numpy() == pytest.approx(wanted["confidence"].to_numpy(), abs=1e-5)
    within = predicted(model, table, tmp_path, coarse=("group",))
    assert within["fine_class"].equals(wanted["fine_class_within"])


def test_new_texts_are_read_from_tables_folders_configs_and_in_mlflow_alike(model, tmp_path):
    NEW.to_csv(tmp_path / "new.csv", index=False)
    for row, text in enumerate(NEW["text"]):
        (tmp_path / "folder" / f"{row:02}.txt").parent.mkdir(exist_ok=True)
        (tmp_path / "folder" / f"{row:02}.txt").write_text(text)
    (tmp_path / "new.yaml").write_text(
        f"kind: text\npath: {tmp_path / 'new.csv'}\ncolumns: {{coarse: [group]}}\n", encoding="utf-8"
    )
    tables = [predicted(model, tmp_path / name, tmp_path) for name in ("new.csv", "folder", "new.yaml")]
    logged = FineClasses(*load_model(model))
    tables += [logged.predict(NEW), logged.predict(NEW[["text"]]), logged.predict(NEW["text"].tolist())]
    assert len(tables[0]) == len(NEW)
    assert all(table.equals(tables[0]) for table in tables)
    within = [predicted(model, tmp_path / name, tmp_path, coarse=("group",)) for name in ("new.csv", "new.yaml")]
    assert within[0].equals(within[1])
    assert (within[0]["coarse_parent_name"] == NEW["group"]).all()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("new.csv", "body\na b c\n", "no column 'text'"),
        ("new.csv", "text\n\"\"\nword\n", "every sample needs a text, row 0 has none"),
        ("new.npz", "", "is no data of texts that can be read"),
        ("new.yaml", "kind: digits\n", "the model takes texts"),
    ],
    ids=["another column", "an empty text", "arrays", "another kind"],
)  # fmt: skip
def test_what_holds_no_texts_is_one_error(model, tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ConfigError, match=re.escape(message)):
        predicted(model, tmp_path / name, tmp_path)


@pytest.mark.parametrize("name", [TERMS, EMBEDDING])
def test_a_damaged_vocabulary_is_one_error(model, tmp_path, name):
    copy = shutil.copytree(model, tmp_path / "model")
    (copy / name).write_bytes(b"[]")
    with pytest.raises(ConfigError, match="is damaged: its content is not what was written"):
        load_model(copy)


def test_an_embedding_may_be_as_large_as_its_vocabulary_makes_it(model, tmp_path, monkeypatch):
    """A million terms in 200 dimensions take more than the arrays of a record may; 1 kB stands for that bound here."""
    monkeypatch.setattr(check_unpacked, "__defaults__", (1000,))
    assert load_model(model)[0].embedding.components.nbytes > 1000
    form = load_model(model)[1].input.text
    copy = shutil.copytree(model, tmp_path / "model")
    np.savez_compressed(copy / EMBEDDING, idf=np.zeros(1), components=np.zeros((1000, 1000)))
    with pytest.raises(ValueError, match=r"it would unpack to 0\.0 GB"):
        _embedding(copy, form)


def test_the_vocabulary_is_that_of_the_training_texts_and_no_pickle(model):
    loaded, card = load_model(model)
    terms = json.loads((model / TERMS).read_text())
    assert sorted(terms) == terms == list(loaded.embedding.terms)
    with np.load(model / EMBEDDING, allow_pickle=False) as arrays:
        assert sorted(arrays.files) == ["components", "idf"]
    assert card.input.text == loaded.embedding.form


def test_a_check_of_texts_reads_like_that_of_other_data(model):
    told = check(model.parent / "s.yaml")
    assert "100 samples of 8 float32" in told
    assert "2 coarse classes, 50 samples each" in told
    assert "neighbour purity (oracle" in told
    assert told.endswith("no warnings")
