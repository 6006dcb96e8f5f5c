"""Fewer classes with enough samples each, as ``--smoke`` takes them, and files that are read once for it."""

from __future__ import annotations

import numpy as np
import pytest

from fgtune.config.schema.base import LabelNoiseConfig
from fgtune.config.schema.data import ArraysConfig, Cifar100Config, DigitsConfig, FewShotDataConfig, HierarchyConfig
from fgtune.data.fewer import taken
from fgtune.data.load import load_dataset
from fgtune.data.once import once, reading_once
from fgtune.data.sets import cifar_files
from fgtune.data.splits import split_dataset


@pytest.fixture
def cifar(layouts, tmp_path):
    layouts.write_cifar100(tmp_path, per_class=40, test_per_class=10)
    return str(tmp_path)


@pytest.mark.parametrize("taxonomy", ["official", "alternative", "both"])
def test_every_kept_class_of_a_given_split_has_its_test_samples(cifar, taxonomy):
    config = Cifar100Config(path=cifar, taxonomy=taxonomy, limit=300, limit_test_per_class=5)
    data = load_dataset(config)
    tests = np.bincount(data.fine[data.given_split == 2], minlength=data.num_fine)
    assert 4 <= data.num_fine <= 300 // 25
    assert tests.min() >= 5
    assert len(data.inputs) <= 300
    for source, number in enumerate(data.num_coarse):
        labels = data.coarse[:, source]
        assert set(labels[labels >= 0].tolist()) == set(range(number))
        assert len(data.coarse_names[source]) == number
    assert 2 <= data.num_coarse[0] < data.num_fine


def test_without_it_all_classes_stay_and_have_next_to_no_test_samples(cifar):
    data = load_dataset(Cifar100Config(path=cifar, limit=300))
    assert np.bincount(data.fine[data.given_split == 2], minlength=data.num_fine).max() < 5


def test_a_drawn_split_has_about_as_many(tmp_path):
    rng = np.random.default_rng(0)
    fine = np.repeat(np.arange(60), 50)
    np.savez(tmp_path / "d.npz", inputs=rng.standard_normal((3000, 2)), coarse=fine // 6, fine=fine)
    config = ArraysConfig(path=str(tmp_path / "d.npz"), limit=300, limit_test_per_class=5)
    data = load_dataset(config)
    tests = np.bincount(data.fine[split_dataset(data, config.split, 0).test])
    assert len(tests) == 12
    assert tests.mean() == pytest.approx(5.0, abs=0.5)
    assert data.num_coarse == (4,)


def test_data_with_few_classes_or_without_fine_labels_keep_them(tmp_path):
    few = load_dataset(DigitsConfig(limit=300, limit_test_per_class=5))
    assert few.num_fine == 10
    assert len(few.inputs) == 300
    np.savez(tmp_path / "n.npz", inputs=np.arange(400.0)[:, None], coarse=np.arange(400) % 40)
    data = load_dataset(ArraysConfig(path=str(tmp_path / "n.npz"), limit=100, limit_test_per_class=5))
    assert data.num_coarse == (40,)


def test_classes_with_too_few_test_samples_come_last(tmp_path):
    fine = np.repeat(np.arange(40), [6, 60] * 20)
    split = np.concatenate([np.arange(n) % 3 for n in [6, 60] * 20])
    np.savez(tmp_path / "u.npz", inputs=np.arange(len(fine))[:, None], coarse=fine // 10, fine=fine, split=split)
    data = load_dataset(ArraysConfig(path=str(tmp_path / "u.npz"), limit=150, limit_test_per_class=5))
    assert np.bincount(data.fine[data.given_split == 2]).min() >= 5


def test_parts_of_different_classes_stay_as_they_are(layouts, tmp_path):
    layouts.write_cifar100(tmp_path, per_class=20, test_per_class=3)
    names = layouts.FINE_NAMES
    layouts.write_class_lists(tmp_path / "lists", names[:64], names[64:80], names[80:])
    config = {
        "kind": "few_shot",
        "layout": "cifar100",
        "path": str(tmp_path),
        "classes": str(tmp_path / "lists"),
        "limit": 300,
    }
    data = load_dataset(FewShotDataConfig.from_plain(config | {"limit_test_per_class": 5}))
    assert {int(data.given_split[data.fine == each].max()) for each in range(data.num_fine)} == {0, 1, 2}


def test_an_archive_is_read_once_while_a_study_is_opened(cifar, monkeypatch):
    read, count = cifar_files.read_pickled_dict, []
    monkeypatch.setattr(cifar_files, "read_pickled_dict", lambda path: count.append(path) or read(path))
    configs = [Cifar100Config(path=cifar, taxonomy=each) for each in ("official", "alternative", "both")]
    with reading_once():
        kept = [load_dataset(config).fingerprint for config in configs]
    assert len(count) == 3  # train, test and meta
    assert kept == [load_dataset(config).fingerprint for config in configs]
    assert len(count) == 12


def test_a_file_that_changes_is_read_again(tmp_path):
    file = tmp_path / "a"
    file.write_text("one")
    with reading_once():
        assert once(file.read_text, [file], "text") == "one"
        file.write_text("another")
        with reading_once():
            assert once(file.read_text, [file], "text") == "another"
        assert once(lambda: "kept", [file], "text") == "another"
    assert once(lambda: "anew", [file], "text") == "anew"


def test_right_labels_stay_beside_the_wrong_ones_of_the_samples_that_are_taken():
    dataset = load_dataset(HierarchyConfig(num_samples=300, label_noise=LabelNoiseConfig(share=0.3)))
    rows = np.array([7, 2, 250])
    found = taken(dataset, rows)
    np.testing.assert_array_equal(found.true_coarse, dataset.true_coarse[rows])
    assert taken(load_dataset(HierarchyConfig(num_samples=300)), rows).true_coarse is None
