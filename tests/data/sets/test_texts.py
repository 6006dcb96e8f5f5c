"""Texts from tables and folders: the same data set either way, and one clear error for what cannot be used."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import threadpoolctl
from pydantic import ValidationError
from sklearn.decomposition import TruncatedSVD
from support.layouts import made_texts
from threadpoolctl import threadpool_info, threadpool_limits

from fgtune.config.schema.data import TextConfig
from fgtune.data import terms
from fgtune.data.load import load_dataset
from fgtune.data.sets import texts
from fgtune.data.sets.texts import folder_texts
from fgtune.errors import DataError

COLUMNS = {"coarse": ["group"], "fine": "topic"}
FRAME = pd.DataFrame(made_texts(6), columns=["text", "group", "topic"])


def load(path: Path, columns=COLUMNS, **changes):
    return load_dataset(TextConfig.from_plain({"path": str(path), "columns": columns, "dimension": 5, **changes}))


def folders(root: Path, frame: pd.DataFrame = FRAME, fine: bool = True) -> Path:
    for row, (text, group, topic) in enumerate(frame.itertuples(index=False)):
        file = (root / group / topic if fine else root / group) / f"{row:03}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return root


def test_tables_and_folders_give_the_same_classes_and_numbers(tmp_path):
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    FRAME.to_csv(tmp_path / "t.tsv", index=False, sep="\t")
    FRAME.to_parquet(tmp_path / "t.parquet")
    tables = [load(tmp_path / name) for name in ("t.csv", "t.tsv", "t.parquet")]
    assert len({data.fingerprint for data in tables}) == 1
    assert (tables[0].num_coarse, tables[0].num_fine) == ((2,), 4)
    assert tables[0].coarse_names == (("science", "sport"),)
    data = load(folders(tmp_path / "f"), columns=None)
    order = np.lexsort([FRAME.index, FRAME["topic"], FRAME["group"]])
    assert np.array_equal(data.coarse, tables[0].coarse[order])
    assert (data.inputs.counts.toarray() == tables[0].inputs.counts.toarray()[order]).all()
    assert data.fine_names == ("science/biology", "science/physics", "sport/football", "sport/tennis")


def test_folders_without_fine_classes_and_new_texts_without_any(tmp_path):
    data = load(folders(tmp_path / "f", fine=False), columns=None)
    assert (data.num_coarse, data.fine) == ((2,), None)
    assert sorted(folder_texts(tmp_path / "f")) == sorted(FRAME["text"])


def test_new_texts_are_the_files_that_training_would_take(tmp_path):
    root = folders(tmp_path / "f")
    (root / "sport" / "tennis" / "Z.TXT").write_text("serve volley")
    (root / "sport" / "tennis" / "._000.txt").write_bytes(b"\x00\x05\x16\x07\xff")
    (root / ".trash" / "old").mkdir(parents=True)
    (root / ".trash" / "old" / "a.txt").write_text("thrown away")
    assert len(load(root, columns=None).inputs) == len(FRAME) + 1
    assert sorted(folder_texts(root)) == sorted([*FRAME["text"], "serve volley"])


def test_a_text_or_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    root = folders(tmp_path / "f")

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", denied)
        for read in (lambda: load(root, columns=None), lambda: folder_texts(root)):
            with pytest.raises(DataError, match=r"\.txt: cannot be read \(Permission denied\)"):
                read()
    monkeypatch.setattr("fgtune.data.readers.data_files.os.scandir", denied)
    with pytest.raises(DataError, match=r"f: .*folder cannot be read \(Permission denied\)"):
        load(root, columns=None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": ["", *FRAME["text"][1:]]}, "t.csv: text: every sample needs a text, row 0 has none"),
        ({"text": range(24)}, "text: must be a column of text, row 0 is none"),
        ({"text": "a"}, "no word of two letters or more is in 2 or more texts"),
        ({"body": FRAME["text"], "text": None}, "text: every sample needs a text, row 0 has none, and 23 more"),
    ],
    ids=["an empty text", "numbers", "words of one letter", "an empty column"],
)
def test_texts_that_cannot_be_used_are_one_error(tmp_path, change, message):
    FRAME.assign(**change).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match=re.escape(message)):
        load(tmp_path / "t.csv")


def test_a_corpus_of_stop_words_is_one_error(tmp_path):
    FRAME.assign(text="the and of").to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match="no word of two letters or more that is no stop word is in 2 or more texts"):
        load(tmp_path / "t.csv", stop_words="english")


def test_a_text_without_a_term_is_named_in_a_note(tmp_path):
    FRAME.assign(text=["zzz", *FRAME["text"][1:]]).to_csv(tmp_path / "t.csv", index=False)
    data = load(tmp_path / "t.csv")
    assert data.notes == (f"{tmp_path / 't.csv'}: 1 of 24 texts have no term that is used; all their numbers are 0",)
    assert (data.inputs[0] == 0).all()


def test_one_text_is_one_error(tmp_path):
    FRAME[:1].to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match="one text cannot be told apart from others"):
        load(tmp_path / "t.csv")


def test_other_encodings_are_one_error(tmp_path):
    FRAME.assign(text=[f"größe {text}" for text in FRAME["text"]]).to_csv(
        tmp_path / "t.csv", index=False, encoding="latin-1"
    )
    with pytest.raises(DataError, match="is not a readable CSV file in UTF-8"):
        load(tmp_path / "t.csv")
    root = folders(tmp_path / "f")
    (root / "sport" / "tennis" / "x.txt").write_bytes("größe".encode("latin-1"))
    with pytest.raises(DataError, match=re.escape("x.txt: is not text in UTF-8 (byte 2)")):
        load(root, columns=None)


def test_an_empty_file_and_a_folder_without_texts_are_one_error(tmp_path):
    root = folders(tmp_path / "f")
    (root / "sport" / "tennis" / "x.txt").write_text(" \n")
    with pytest.raises(DataError, match=r"x\.txt: is empty"):
        load(root, columns=None)
    (tmp_path / "g" / "a").mkdir(parents=True)
    with pytest.raises(DataError, match=r"holds no texts of \.txt in folders COARSE/FINE or COARSE"):
        load(tmp_path / "g", columns=None)
    with pytest.raises(DataError, match="folder of texts not found"):
        load(tmp_path / "nowhere", columns=None)


@pytest.mark.parametrize("plain", [{"path": "t.csv"}, {"path": "folder", "columns": COLUMNS}], ids=str)
def test_columns_belong_to_tables(plain):
    with pytest.raises(ValidationError, match="columns belongs to a path"):
        TextConfig.from_plain(plain)


def test_loading_embeds_nothing_and_counts_the_same_texts_once(tmp_path, monkeypatch):
    counts = []
    once = texts.counted
    monkeypatch.setattr(texts, "counted", lambda *given: counts.append(1) or once(*given))
    monkeypatch.setattr(texts, "_COUNTED", {})
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    by_group, by_topic = (load(tmp_path / "t.csv", columns={"coarse": [name]}) for name in ("group", "topic"))
    assert len(counts) == 1
    assert by_group.num_coarse != by_topic.num_coarse
    assert not {"whole", "_by_all"} & by_group.inputs.__dict__.keys()
    other = load(tmp_path / "t.csv", ngrams=2)
    assert len(counts) == 2
    assert len(other.inputs.terms) > len(by_group.inputs.terms)


# --- what is kept on disk ----------------------------------------------------------------------------------------


@pytest.fixture
def kept(cache_folder, monkeypatch):
    """Texts of any size are kept, and none in memory; returns the folder."""
    monkeypatch.setattr(texts, "LEAST_KEPT", 0)
    forgetful = type("Forgetful", (dict,), {"__contains__": lambda *_: False})
    monkeypatch.setattr(texts, "_COUNTED", forgetful())
    return cache_folder.parent / "texts"


def test_texts_are_counted_and_decomposed_once_with_the_bits_of_a_call_that_keeps_nothing(tmp_path, kept, monkeypatch):
    FRAME.replace("match", "m\u00e4tch\U0001f600").to_csv(tmp_path / "t.csv", index=False)
    rows = np.arange(0, len(FRAME), 2)
    bare = load(tmp_path / "t.csv", cache=False)
    own = bare.inputs.fitted(rows)
    numbers = bare.inputs.embedded(own)
    assert not kept.exists()
    first = load(tmp_path / "t.csv")
    assert (first.inputs.fitted(rows).components == own.components).all()
    assert len(list(kept.glob("*.npz"))) == 2

    def not_again(*_):
        raise AssertionError("is worked out again")

    monkeypatch.setattr(terms, "counted", not_again)
    monkeypatch.setattr(terms, "_components", not_again)
    again = load(tmp_path / "t.csv")
    for data in (first, again):
        assert data.fingerprint == bare.fingerprint
        assert (data.inputs.terms, data.inputs.excerpts) == (bare.inputs.terms, bare.inputs.excerpts)
        for name in ("data", "indices", "indptr"):
            array, right = (getattr(each.inputs.counts, name) for each in (data, bare))
            assert (array.tobytes(), array.dtype) == (right.tobytes(), right.dtype)
        found = data.inputs.fitted(rows)
        assert (found.form, found.terms) == (own.form, own.terms)
        assert found.idf.tobytes() == own.idf.tobytes()
        assert data.inputs.embedded(found).tobytes() == numbers.tobytes()


@pytest.mark.parametrize(
    "changes", [{"dimension": 4}, {"ngrams": 2}, {"min_documents": 3}, {"max_share": 0.4}, {"stop_words": "english"}]
)
def test_other_texts_forms_or_training_texts_are_not_taken_for_the_same(tmp_path, kept, changes):
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    FRAME.assign(text=FRAME["text"] + " more").to_csv(tmp_path / "other.csv", index=False)
    rows = np.arange(0, len(FRAME), 2)
    for name, setting, own in (("t", {}, rows), ("t", changes, rows), ("other", {}, rows), ("t", {}, rows + 1)):
        data, bare = (load(tmp_path / f"{name}.csv", cache=cache, **setting) for cache in (True, False))
        found, right = data.inputs.fitted(own), bare.inputs.fitted(own)
        assert data.fingerprint == bare.fingerprint
        assert found.terms == right.terms
        assert found.components.tobytes() == right.components.tobytes()
    assert len(list(kept.glob("*.npz"))) == 7


def test_an_embedding_from_another_kind_of_processor_is_not_read(tmp_path, kept, monkeypatch):
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    data = load(tmp_path / "t.csv")
    data.inputs.fitted(slice(None))
    monkeypatch.setattr(terms, "_arithmetic", lambda: "another")
    replace(data.inputs).fitted(slice(None))
    assert len(list(kept.glob("*.npz"))) == 3


def test_what_an_earlier_scheme_has_kept_is_not_read(tmp_path, kept, monkeypatch):
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    load(tmp_path / "t.csv").inputs.fitted(slice(None))
    monkeypatch.setattr(terms, "SCHEME", terms.SCHEME + 1)
    load(tmp_path / "t.csv").inputs.fitted(slice(None))
    assert len(list(kept.glob("*.npz"))) == 4


@pytest.mark.parametrize("name", ["architecture", "version", "internal_api"])
def test_the_kind_of_arithmetic_is_that_of_the_kernels_of_numpy_and_scipy(monkeypatch, name):
    def blas(folder, **changes):
        path = f"/lib/python3/site-packages/{folder}/libopenblas.so"
        known = {"user_api": "blas", "internal_api": "openblas", "version": "0.3", "architecture": "Haswell"}
        return {**known, "filepath": path, "num_threads": 2, **changes}

    def arithmetic(*loaded):
        monkeypatch.setattr(threadpoolctl, "threadpool_info", lambda: list(loaded))
        return terms._arithmetic()

    own, other, system = blas("numpy.libs"), {name: "another"}, blas("../lib")
    assert arithmetic(own) == arithmetic(own, blas("faiss_cpu.libs", **other)) == arithmetic({**own, "num_threads": 1})
    assert arithmetic(own) != arithmetic(blas("numpy.libs", **other))
    assert arithmetic(own, blas("scipy.libs")) != arithmetic(own, blas("scipy.libs", **other))
    assert arithmetic(system) != arithmetic({**system, **other})


def test_few_texts_are_not_kept(tmp_path, cache_folder):
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    load(tmp_path / "t.csv").inputs.fitted(slice(None))
    assert not cache_folder.parent.exists()


@pytest.mark.parametrize("dimension", [4, 4096])
def test_numbers_do_not_depend_on_threads(tmp_path, kept, monkeypatch, dimension):
    """A truncated decomposition, and a whole one."""
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    seen = []

    def noted(original):
        def call(*arguments, **named):
            seen.extend(each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas")
            return original(*arguments, **named)

        return call

    monkeypatch.setattr(TruncatedSVD, "fit", noted(TruncatedSVD.fit))
    monkeypatch.setattr(np.linalg, "svd", noted(np.linalg.svd))
    with threadpool_limits(2):
        load(tmp_path / "t.csv", dimension=dimension).inputs.fitted(slice(None))
    assert set(seen) == {1}
