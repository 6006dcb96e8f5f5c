from __future__ import annotations

import pickle
import re
import shutil
import sys
import types

import numpy as np
import pytest

from fgtune.config.schema.data_images import Cifar100Config
from fgtune.data.load import load_dataset
from fgtune.data.sets.cifar import PUBLISHED_SHARES, _read_fractions, cifar_si_fractions, first_of_each
from fgtune.data.splits import split_dataset
from fgtune.data.views import true_relations
from fgtune.errors import DataError

DROPPED = "0 2 7 9 11 15 16 21 22 25 26 27 30 40 42 45 47 49 50 51 57 61 70 72 81 85 88 89 90 93 94 95"
PUBLISHED = {"shares": "published"}
RELEASED_PAIRS = (  # supersuperclasses of datasets/cifar100/labels.py in mlbio-epfl/falcon
    "aquatic_mammals + fish",
    "medium_mammals + small_mammals",
    "large_carnivores + large_omnivores_and_herbivores",
    "insects + non-insect_invertebrates",
    "flowers + trees",
    "fruit_and_vegetables + food_containers",
    "household_electrical_devices + household_furniture",
    "large_man-made_outdoor_things + large_natural_outdoor_scenes",
    "vehicles_1 + vehicles_2",
    "people + reptiles",
)
CIFAR68_SIZES = [2, 5, 4, 2, 2, 3, 3, 4, 3, 5, 4, 3, 5, 3, 3, 3, 4, 4, 4, 2]


@pytest.fixture
def load(cifar_root):
    def load_with(root=cifar_root, **fields):
        return load_dataset(Cifar100Config.from_plain({"path": str(root), **fields}))

    return load_with


def test_images_labels_and_official_split(load, layouts):
    data = load()
    assert data.inputs.shape == (1200, 3, 32, 32)
    assert data.inputs.dtype == np.uint8
    assert np.array_equal(data.inputs[:, 0, 0, 0], data.fine)
    train, test = layouts.cifar_part(10, seed=0), layouts.cifar_part(2, seed=1)
    assert np.array_equal(data.inputs.reshape(1200, -1), np.concatenate([train["data"], test["data"]]))
    assert data.coarse[:, 0].tolist() == train["coarse_labels"] + test["coarse_labels"]
    assert np.bincount(data.given_split).tolist() == [900, 100, 200]
    assert data.fine_names == tuple(layouts.FINE_NAMES)
    assert data.coarse_names == (tuple(layouts.COARSE_NAMES),)


def test_the_first_nine_tenths_of_each_class_in_file_order_train(load):
    data = load()
    for fine in range(100):
        assert data.given_split[data.fine == fine].tolist() == [0] * 9 + [1] + [2] * 2


def test_the_folder_itself_may_be_named(load, cifar_root):
    assert load(root=cifar_root / "cifar-100-python").fingerprint == load().fingerprint


def test_cifar68_keeps_the_published_classes_and_group_sizes(load, layouts):
    data = load(variant="cifar68")
    dropped = [int(number) for number in DROPPED.split()]
    kept = [name for number, name in enumerate(layouts.FINE_NAMES) if number not in dropped]
    assert data.num_fine == 68
    assert data.fine_names == tuple(kept)
    parents = true_relations(data)[0]
    assert np.bincount(parents).tolist() == CIFAR68_SIZES
    assert parents.tolist() == [layouts.PARENT[name] for name in kept]


def test_both_taxonomies_give_the_published_joint_cells(load):
    data = load(taxonomy="both")
    assert data.num_coarse == (20, 20)
    relations = true_relations(data)
    assert [np.bincount(parents).tolist() for parents in relations] == [[5] * 20] * 2
    _, sizes = np.unique(relations, axis=1, return_counts=True)
    assert len(sizes) == 38
    assert (sizes == 1).sum() == 13


def test_two_sources_share_training_images_by_parity_and_both_label_the_test_part(load):
    official, alternative, both = (load(taxonomy=name) for name in ("official", "alternative", "both"))
    for part, name in enumerate(("train", "val")):
        rows = np.flatnonzero(both.given_split == part)
        even, odd = rows[::2], rows[1::2]
        assert (both.coarse[even, 0] == official.coarse[even, 0]).all(), name
        assert (both.coarse[even, 1] == -1).all()
        assert (both.coarse[odd, 1] == alternative.coarse[odd, 0]).all()
        assert (both.coarse[odd, 0] == -1).all()
    test = both.given_split == 2
    assert np.array_equal(both.coarse[test], np.hstack([official.coarse[test], alternative.coarse[test]]))


def test_a_half_trains_on_the_images_that_one_source_labels(load):
    both, half = load(taxonomy="both"), load(half="even")
    labelled = both.inputs[(both.given_split == 0) & (both.coarse[:, 0] >= 0)]
    assert np.array_equal(half.inputs[half.given_split == 0], labelled)
    assert np.bincount(half.given_split).tolist() == [450, 100, 200]
    assert np.bincount(load(half="odd").given_split).tolist() == [450, 100, 200]


def test_the_nested_taxonomy_pairs_official_groups(load):
    nested, official = load(taxonomy="nested"), load()
    assert nested.num_coarse == (10,)
    pairs = np.unique(np.hstack([official.coarse, nested.coarse]), axis=0)
    assert np.bincount(pairs[:, 1]).tolist() == [2] * 10
    assert len(pairs) == 20
    members = [pairs[pairs[:, 1] == group, 0] for group in range(10)]
    joined = {frozenset(official.coarse_names[0][each] for each in both) for both in members}
    assert joined == {frozenset(pair.split(" + ")) for pair in RELEASED_PAIRS}


def test_the_nested_taxonomy_may_be_a_second_source(load):
    official, nested, two = (load(taxonomy=name) for name in ("official", "nested", "official_nested"))
    assert two.num_coarse == (20, 10)
    train, test = (np.flatnonzero(two.given_split == part) for part in (0, 2))
    assert np.array_equal(two.coarse[train[::2]], np.hstack([official.coarse[train[::2]], -np.ones((450, 1))]))
    assert np.array_equal(two.coarse[train[1::2]], np.hstack([-np.ones((450, 1)), nested.coarse[train[1::2]]]))
    assert np.array_equal(two.coarse[test], np.hstack([official.coarse[test], nested.coarse[test]]))


@pytest.mark.parametrize("taxonomy", ["alternative", "nested", "both", "official_nested"])
def test_cifar68_has_no_empty_group_in_any_taxonomy(load, taxonomy):
    data = load(variant="cifar68", taxonomy=taxonomy)
    assert [len(names) for names in data.coarse_names] == list(data.num_coarse)


@pytest.mark.parametrize("seed", range(5))
def test_drawn_shares_have_the_published_range_and_mean(seed):
    shares = cifar_si_fractions(seed)
    assert shares.shape == (100,)
    assert (shares.min(), shares.max()) == pytest.approx((0.3173, 0.9881))
    assert shares.mean() == pytest.approx(0.6468)
    assert not np.array_equal(shares, cifar_si_fractions(seed + 1))


def test_cifar_si_keeps_a_share_of_both_files_from_the_front(load, tmp_path):
    shares = np.linspace(0.3, 1.0, 100)
    (tmp_path / "shares.txt").write_text("# by fine id\n" + "\n".join(map(str, shares)))
    data, full = load(variant="cifar_si", fractions=str(tmp_path / "shares.txt")), load()
    for fine in range(100):
        for parts, count in (((0, 1), 10), ((2,), 2)):
            kept = data.inputs[(data.fine == fine) & np.isin(data.given_split, parts)]
            whole = (
                full.inputs[(full.fine == fine) & np.isin(full.given_split, parts)] if data.num_fine == 100 else None
            )
            expected = int(np.floor(round(shares[fine] * count, 9)))
            assert len(kept) == expected
            assert whole is None or np.array_equal(kept, whole[:expected])


def test_cifar_si_has_the_published_shares_and_so_the_sizes_of_the_released_code(load, cifar_root):
    shares = _read_fractions(PUBLISHED_SHARES)
    assert shares[[0, 56, 81, 99]].tolist() == [0.57375399, 0.3173045, 0.98812622, 0.36106552]
    official, test = np.repeat(np.arange(100), 500), np.repeat(np.arange(100), 100)
    kept = official[first_of_each(official, shares)]
    train = first_of_each(kept, 0.9)
    assert (train.sum(), (~train).sum(), first_of_each(test, shares).sum()) == (29_014, 3_268, 6_415)
    given, drawn = (load(variant="cifar_si", **each) for each in ({"fractions": str(PUBLISHED_SHARES)}, {}))
    assert load(variant="cifar_si", **PUBLISHED).fingerprint == given.fingerprint
    assert drawn.fingerprint not in {given.fingerprint, load(variant="cifar_si", fractions_seed=1).fingerprint}


def test_first_of_each_agrees_with_a_loop():
    rng = np.random.default_rng(0)
    fine, shares = rng.integers(0, 5, 200), np.array([0.1, 0.3, 0.5, 0.7, 1.0])
    counts, expected = np.zeros(5, int), []
    for label in fine:
        counts[label] += 1
        expected.append(counts[label] <= int(shares[label] * (fine == label).sum() + 1e-9))
    assert first_of_each(fine, shares).tolist() == expected


def test_the_given_split_is_used_whatever_the_seed(load):
    data = load()
    config = Cifar100Config(path="x").split
    assert np.array_equal(split_dataset(data, config, 0).test, split_dataset(data, config, 1).test)


# --- what is wrong with the files ----------------------------------------------------------------------------------


@pytest.fixture
def copy(cifar_root, tmp_path):
    """A copy of the set that a test may damage; returns the folder of files."""
    shutil.copytree(cifar_root, tmp_path / "set")
    return tmp_path / "set" / "cifar-100-python"


def _edit(**changes):
    def edit(file, layouts):
        content = pickle.loads(file.read_bytes(), encoding="latin1")  # noqa: S301 (written by the test)
        layouts.write_pickle(file, content | {key: change(content[key]) for key, change in changes.items()})

    return edit


FAULTS = {
    "no folder": ("train", lambda f, _: shutil.rmtree(f.parent), "CIFAR-100's file 'train' not found; looked for "),
    "renamed": ("meta", lambda f, _: f.rename(f.with_name("batches.meta")), "CIFAR-100's file 'meta' not found"),
    "truncated": (
        "train",
        lambda f, _: f.write_bytes(f.read_bytes()[:-500]),
        "train: trial.data.path: is not a readable",
    ),
    "empty": ("test", lambda f, _: f.write_bytes(b""), "test: trial.data.path: is not a readable pickle"),
    "text": ("test", lambda f, _: f.write_text("<html>404"), "test: trial.data.path: is not a readable pickle"),
    "cifar10": ("train", _edit(data=lambda d: d[:, :100]), "is not CIFAR-100: 'data' must be (N, 3072) uint8, it is"),
    "floats": ("train", _edit(data=lambda d: d / 255), "'data' must be (N, 3072) uint8, it is float64 of shape"),
    "short labels": (
        "train",
        _edit(fine_labels=lambda labels: labels[:-1]),
        "'fine_labels' must hold one whole number for each",
    ),
    "text labels": (
        "train",
        _edit(fine_labels=lambda labels: ["a"] * len(labels)),
        "'fine_labels' must hold one whole number",
    ),
    "high labels": (
        "test",
        _edit(coarse_labels=lambda labels: [20, *labels[1:]]),
        "'coarse_labels' must lie in 0 .. 19",
    ),
    "relabelled": (
        "train",
        _edit(fine_labels=lambda labels: [labels[1], labels[0], *labels[2:]]),
        "is in two groups (image",
    ),
    "relabelled test": ("test", _edit(coarse_labels=lambda labels: labels[::-1]), "is in two groups (image"),
    "one class gone": (
        "train",
        _edit(fine_labels=lambda labels: [n if n else 1 for n in labels]),
        "class 'apple' has no images",
    ),
    "few names": ("meta", _edit(fine_label_names=lambda n: n[:10]), "it names 10 classes in 20 groups"),
    "no names": ("meta", _edit(fine_label_names=lambda n: 3), "'fine_label_names' must be a list of names"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_gives_one_clear_error_that_names_the_file(load, copy, layouts, fault):
    name, damage, message = FAULTS[fault]
    damage(copy / name, layouts)
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        load(root=copy.parent)
    assert "\n" not in str(caught.value)
    assert "cifar-100-python.tar.gz there" in str(caught.value) or "Nothing in it was run" in str(caught.value)


def test_other_names_do_not_pass_for_the_taxonomies(load, copy, layouts):
    _edit(fine_label_names=lambda names: ["otter2" if name == "otter" else name for name in names])(
        copy / "meta", layouts
    )
    load(root=copy.parent)
    with pytest.raises(DataError, match="the file 'meta' does not name the classes as CIFAR-100 does"):
        load(root=copy.parent, taxonomy="alternative")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.5\n" * 99, "must hold 100 numbers in (0, 1], it holds 99"),
        ("1.5\n" * 100, "must hold 100 numbers in (0, 1], it holds 100"),
        ("half\n" * 100, "holds something else than numbers"),
        (None, "file of kept shares not found; looked for "),
    ],
)
def test_a_bad_file_of_shares_is_told(load, tmp_path, text, message):
    if text is not None:
        (tmp_path / "shares.txt").write_text(text)
    with pytest.raises(DataError, match=re.escape(message)):
        load(variant="cifar_si", fractions=str(tmp_path / "shares.txt"))


@pytest.fixture
def torchvision_cifar(monkeypatch):
    """Put a function in the place of torchvision's data set."""

    def put(function):
        datasets = types.ModuleType("torchvision.datasets")
        datasets.CIFAR100 = function
        monkeypatch.setitem(sys.modules, "torchvision", types.ModuleType("torchvision"))
        monkeypatch.setitem(sys.modules, "torchvision.datasets", datasets)

    return put


def test_a_failed_download_says_how_to_go_on(load, tmp_path, torchvision_cifar):
    def refuse(root, download):
        raise OSError("no route to host")

    torchvision_cifar(refuse)
    with pytest.raises(DataError, match=re.escape("trial.data.download: CIFAR-100 cannot be downloaded (no route")):
        load(root=tmp_path / "none", download=True)


def test_a_download_is_asked_for_once_and_only_when_files_are_missing(load, tmp_path, torchvision_cifar, layouts):
    calls = []

    def fetch(root, download):
        calls.append(root)
        layouts.write_cifar100(tmp_path / "new")

    torchvision_cifar(fetch)
    first = load(root=tmp_path / "new", download=True)
    assert load(root=tmp_path / "new", download=True).fingerprint == first.fingerprint
    assert calls == [str(tmp_path / "new")]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"fractions": "x.txt"}, "fractions belongs to variant cifar_si"),
        (PUBLISHED, "shares: published belongs to variant cifar_si"),
        ({"variant": "cifar_si", "fractions": "x.txt", **PUBLISHED}, "so shares must not be published"),
        ({"variant": "cifar_si", "fractions_seed": 3, **PUBLISHED}, "so shares must not be published"),
        ({"taxonomy": "both", "half": "even"}, "half belongs to a single taxonomy"),
        ({"taxonomy": "official_nested", "half": "odd"}, "half belongs to a single taxonomy"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Cifar100Config.from_plain({"path": "x", **fields})
