"""Texts as numbers, against scikit-learn's own pipeline and by hand; training learns from training texts alone."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from support.layouts import made_texts, write_texts

from fgtune.config.schema.data import TextConfig
from fgtune.config.schema.trial import TrialConfig
from fgtune.data.load import load_dataset
from fgtune.data.preparation import as_prepared, fitted
from fgtune.data.samples import sample_card
from fgtune.data.terms import TextForm, counted, weighted
from fgtune.errors import DataError
from fgtune.results.folder import StudyFolder
from fgtune.results.samples import read_samples, write_samples
from fgtune.training.prepared import prepare_split, views

TEXTS = [text for text, _, _ in made_texts()]
ROWS = np.arange(0, 100, 2)


def form(**changes) -> TextForm:
    return TextForm.of(TextConfig(path="folder", **changes))


@pytest.mark.parametrize("changes", [{"dimension": 6}, {"dimension": 40, "ngrams": 2, "min_documents": 3}], ids=str)
def test_cosines_are_those_of_scikit_learns_tf_idf_and_an_exact_svd_of_the_training_texts(changes):
    counts = counted(TEXTS, form(**changes), "here")
    found = counts.embedded(counts.fitted(ROWS))
    oracle = TfidfVectorizer(
        sublinear_tf=True, max_df=0.5, min_df=changes.get("min_documents", 2), ngram_range=(1, changes.get("ngrams", 1))
    )
    train = oracle.fit_transform([TEXTS[row] for row in ROWS]).toarray()
    right = np.linalg.svd(train)[2][: changes["dimension"]]
    wanted = oracle.transform(TEXTS).toarray() @ right.T
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    assert found.shape[1] == min(changes["dimension"], len(counts.terms))
    assert found @ found.T / found.shape[1] == pytest.approx(wanted @ wanted.T, abs=2e-5)


def test_weights_by_hand():
    counts = counted(["red red blue", "blue green", "green blue", "red"], form(max_share=1.0), "here")
    assert counts.terms == ("blue", "green", "red")
    idf = np.log(5 / (1 + np.array([3, 2, 2]))) + 1
    row = np.array([idf[0], 0, (1 + np.log(2)) * idf[2]])
    assert weighted(counts.counts, idf).toarray()[0] == pytest.approx(row / np.linalg.norm(row))


def test_numbers_of_a_text_are_the_same_whether_it_was_counted_before_or_comes_later():
    counts = counted(TEXTS, form(dimension=7, ngrams=2), "here")
    embedding = counts.fitted(ROWS)
    assert embedding(TEXTS) == pytest.approx(counts.embedded(embedding), abs=1e-6)
    assert (embedding(["words that nobody knows"]) == 0).all()
    assert (embedding(TEXTS) ** 2).mean() == pytest.approx(1.0, abs=1e-5)


def test_what_is_learned_of_training_texts_does_not_depend_on_others():
    """The other half is replaced by texts with words of their own, and nothing moves."""
    other = [text if row in ROWS else f"{text} unseen word{row} word{row + 1}" for row, text in enumerate(TEXTS)]
    first, second = (counted(texts, form(), "here").fitted(ROWS) for texts in (TEXTS, other))
    assert first.terms == second.terms
    assert np.array_equal(first.idf, second.idf)
    assert np.array_equal(first.components, second.components)


@pytest.fixture
def config(tmp_path):
    write_texts(tmp_path / "t.csv")
    columns = {"coarse": ["group"], "fine": "topic"}
    return {"kind": "text", "path": str(tmp_path / "t.csv"), "columns": columns, "dimension": 8}


def test_trainer_and_evaluator_see_texts_as_the_training_texts_of_the_seed_teach(config):
    trial = TrialConfig.from_plain({"data": config, "classes": {"num_fine": 4}})
    data = load_dataset(trial.data)
    seen = {}
    for seed in (0, 1):
        prepared = prepare_split(data, trial, seed, threads=1)
        wanted = data.inputs.embedded(data.inputs.fitted(prepared.splits.train))
        for view in views(data, pickle.loads(pickle.dumps(prepared))):  # noqa: S301 (our own bytes)
            assert np.array_equal(view.inputs, wanted)
        seen[seed] = wanted
    assert not np.array_equal(seen[0], seen[1])


def test_content_and_form_are_the_fingerprint(config):
    def fingerprint(**changes):
        return load_dataset(TextConfig.from_plain({**config, **changes})).fingerprint

    assert fingerprint() == fingerprint()
    assert len({fingerprint(), fingerprint(dimension=7), fingerprint(ngrams=2), fingerprint(max_share=0.4)}) == 4


def test_pages_show_the_beginnings_of_texts(config, tmp_path):
    data = load_dataset(TextConfig.from_plain(config))
    card = sample_card(data)
    assert [each.name for each in card.classes] == ["science", "sport"]
    assert card.classes[0].texts[0] == TEXTS[50]
    folder = StudyFolder(tmp_path / "study")
    write_samples(folder, "key", card)
    assert read_samples(folder) == (card,)
    older = json.loads((folder.samples_dir / "key.json").read_text())
    for each in older["classes"]:
        del each["texts"]
    (folder.samples_dir / "key.json").write_text(json.dumps(older))
    assert [each.texts for each in read_samples(folder)[0].classes] == [(), ()]


def test_terms_that_training_texts_lack_are_one_error():
    texts = [f"word{row} other{row}" for row in range(20)] + ["same same", "same"] * 10
    counts = counted(texts, form(), "here")
    with pytest.raises(DataError, match="no term is in 2 or more and in at most 50% of the 20 training texts"):
        counts.fitted(np.arange(20))


def test_only_texts_are_embedded(config):
    data = load_dataset(TextConfig.from_plain(config))
    prepared = as_prepared(data, fitted(data, ROWS))
    with pytest.raises(TypeError):
        as_prepared(prepared, fitted(data, ROWS))
