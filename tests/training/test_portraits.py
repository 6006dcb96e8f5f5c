"""Portraits of learned classes: whose samples they show, and that fine labels change only what is named after them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fgtune.config.schema.data_text import TextConfig
from fgtune.data.base import Dataset
from fgtune.data.terms import TextForm, counted
from fgtune.results.rebuilding import plausible
from fgtune.results.samples import is_picture
from fgtune.training.portraits import CLEAR, Painter

PARENTS = np.array([[0, 0, 1]])


def made(inputs=None, **changes) -> Dataset:
    """Classes 0 and 1 of the first coarse class differ in the first feature; class 2 is the second coarse class."""
    rng = np.random.default_rng(0)
    fine = np.arange(90) % 3
    values = rng.normal(size=(90, 4)).astype(np.float32)
    values[fine == 1, 0] += 8
    names = ("height", "b", "c", "d")
    fields = {"coarse": (fine == 2).astype(np.int64)[:, None], "num_coarse": (2,), "fine": fine, "num_fine": 3}
    return Dataset("made", values if inputs is None else inputs, **fields, **({"feature_names": names} | changes))


def painted(data: Dataset, with_samples: bool = True, rows=None):
    rows = np.arange(30, 90) if rows is None else rows
    scores = np.full((len(rows), 3), -4.0, dtype=np.float32)
    strength = np.random.default_rng(1).uniform(0.5, 3.0, len(rows))
    scores[np.arange(len(rows)), rows % 3] += strength
    features = np.random.default_rng(2).normal(size=(len(rows), 5)).astype(np.float32)
    return Painter(data, with_samples)(rows, scores, features, PARENTS, seed=0), features, strength


def test_it_describes_classes_by_samples_of_the_split():
    record, features, strength = painted(made())
    assert plausible(record)
    assert sorted(record.classes.tolist()) == [0, 1, 2]
    assert record.sizes.tolist() == [20, 20, 20]
    shown = record.samples[record.samples >= 0]
    assert set(shown.tolist()) <= set(range(30, 90))
    assert len(set(shown.tolist())) == len(shown)
    for line, number in enumerate(record.classes.tolist()):
        own = np.arange(30, 90)[np.arange(30, 90) % 3 == number]
        assert set(record.samples[line].tolist()) <= set(own.tolist())
        points = features[own - 30].astype(np.float64)
        distances = np.linalg.norm(points[:, None] - points[None], axis=2).sum(axis=1)
        assert record.samples[line, 0] == own[distances.argmin()]
        by_margin = own[np.argsort(-strength[own - 30])]
        clear = [row for row in by_margin if row != record.samples[line, 0]][:CLEAR]
        assert record.samples[line, 1 : 1 + CLEAR].tolist() == clear
        assert record.samples[line, -2] in by_margin[-2:]


def test_every_class_is_described_up_to_a_number_beyond_which_the_largest_are(monkeypatch):
    data = replace(made(), num_fine=60)
    scores = np.full((90, 60), -4.0, dtype=np.float32)
    learned = np.r_[np.arange(60), np.arange(30)]  # the first thirty have two samples, the others one
    scores[np.arange(90), learned] = 1.0
    features, parents = np.random.default_rng(2).normal(size=(90, 5)).astype(np.float32), np.arange(60)[None] % 2
    whole = Painter(data, True)(np.arange(90), scores, features, parents, seed=0)
    assert plausible(whole)
    assert whole.classes.tolist() == list(range(60))
    assert whole.sizes.tolist() == [2] * 30 + [1] * 30
    monkeypatch.setattr("fgtune.training.portraits.MOST_CLASSES", 40)
    cut = Painter(data, True)(np.arange(90), scores, features, parents, seed=0)
    assert cut.classes.tolist() == list(range(40))
    assert (cut.effect == whole.effect[:40]).all()
    assert (cut.rows == whole.rows).all()


def test_features_that_tell_classes_apart_are_in_the_units_of_the_data():
    data = made()
    record, *_ = painted(data)
    line = record.classes.tolist().index(1)
    own = np.arange(31, 90, 3)
    assert record.differs[line, 0] == b"height"
    assert record.inside[line, 0] == pytest.approx(data.inputs[own, 0].mean(), rel=1e-5)
    whole = record.classes.tolist().index(2)  # there is no rest of its coarse class
    assert not record.differs[whole].any()


def test_missing_values_do_not_hide_what_tells_a_class_apart():
    data = made()
    values = data.inputs.copy()
    values[::7, 0] = np.nan
    record, *_ = painted(replace(data, inputs=values))
    assert record.differs[record.classes.tolist().index(1), 0] == b"height"
    assert np.isfinite(record.effect).all()


def test_pictures_are_shown_as_such_unless_samples_may_not_be_shown():
    images = np.random.default_rng(3).integers(0, 256, (90, 3, 32, 32)).astype(np.uint8)
    record, *_ = painted(made(images, feature_names=None))
    assert plausible(record)
    assert record.differs is None
    assert all(is_picture(url.decode()) for url in record.pictures[record.samples >= 0])
    hidden, *_ = painted(made(images, feature_names=None), with_samples=False)
    assert hidden.pictures is None
    assert hidden.differs is None
    assert (hidden.samples == record.samples).all()
    table, *_ = painted(made(), with_samples=False)
    assert table.differs is None
    assert table.inside is None


def test_fine_labels_change_only_what_is_named_after_them():
    data = made()
    scrambled = replace(data, fine=np.random.default_rng(4).permutation(data.fine))
    blind = replace(data, fine=None, num_fine=None)
    first, second, third = (vars(painted(each)[0]) for each in (data, scrambled, blind))
    for name in first.keys() - {"true", "sample_true"}:
        assert np.array_equal(first[name], second[name]) if first[name] is not None else second[name] is None
        assert np.array_equal(first[name], third[name]) if first[name] is not None else third[name] is None
    assert third["true"] is None
    assert third["sample_true"] is None
    assert (first["true"] == data.fine[first["rows"]]).all()


def test_all_arms_of_a_block_have_the_same_samples_on_their_maps():
    many = np.arange(900) % 90
    data = made()
    data = replace(data, inputs=data.inputs[many], coarse=data.coarse[many], fine=data.fine[many])
    first, second = (painted(data, rows=np.arange(900))[0] for _ in range(2))
    assert len(first.rows) == 300
    assert first.rows.tolist() == second.rows.tolist()
    assert first.features.shape == (300, 5)
    assert np.isfinite(first.features).all()


def test_classes_of_texts_are_told_apart_by_terms():
    words = ("apple", "pear", "stone")
    texts = [f"{words[each % 3]} lies here with number {each % 7}" for each in range(90)]
    data = made(counted(texts, TextForm.of(TextConfig(path="folder")), "texts"), feature_names=None)
    record, *_ = painted(data)
    assert plausible(record)
    line = record.classes.tolist().index(1)
    assert set(record.differs[line, :2]) == {b"apple", b"pear"}
    place = record.differs[line].tolist().index(b"pear")
    assert (record.inside[line, place], record.outside[line, place]) == (1.0, 0.0)
    assert record.pictures is None
