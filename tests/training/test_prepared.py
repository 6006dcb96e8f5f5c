from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from fgtune.config.schema.base import stable_hash
from fgtune.config.schema.trial import TrialConfig
from fgtune.data.load import load_dataset
from fgtune.neighbors import coarse_groups, find_neighbors
from fgtune.training.prepared import dataset_key, preparation_key, prepare_split, views

PLAIN = {"data": {"kind": "hierarchy", "num_samples": 240}, "classes": {"num_fine": 12}}


def config_of(**changes):
    """The base trial with top-level parts merged one level deep."""
    plain = {name: dict(part) for name, part in PLAIN.items()}
    for name, part in changes.items():
        plain[name] = {**plain.get(name, {}), **part} if isinstance(part, dict) else part
    return TrialConfig.from_plain(plain)


@pytest.fixture(scope="module")
def dataset():
    return load_dataset(config_of().data)


def test_neighbors_lie_in_the_training_part_within_the_coarse_class(dataset):
    prepared = prepare_split(dataset, config_of(), seed=1, threads=1)
    train = prepared.splits.train
    assert prepared.neighbors.shape == (len(train), 20)
    assert prepared.neighbors.max() < len(train)
    groups = coarse_groups(dataset.coarse[train])
    assert (groups[prepared.neighbors] == groups[:, None]).all()
    with pytest.raises(ValueError, match="read-only"):
        prepared.neighbors[0, 0] = 0


def test_global_scope_crosses_coarse_classes(dataset):
    apart = config_of(neighbors={"scope": "global", "stored": 100})
    prepared = prepare_split(dataset, apart, seed=1, threads=1)
    groups = coarse_groups(dataset.coarse[prepared.splits.train])
    assert (groups[prepared.neighbors] != groups[:, None]).any()


@pytest.mark.parametrize("changes", [{}, {"objective": {"lambda_nn": 0.0}}, {"neighbors": {"features": "teacher"}}])
def test_measured_splits_get_neighbors_of_their_own_whatever_training_uses(dataset, changes):
    config = config_of(**changes, evaluation={"splits": ["train", "test"]})
    prepared = prepare_split(dataset, config, seed=1, threads=1)
    assert sorted(prepared.evaluation_neighbors) == ["test", "train", "val"]
    for name, near in prepared.evaluation_neighbors.items():
        rows = getattr(prepared.splits, name)
        groups = coarse_groups(dataset.coarse[rows])
        assert near.shape == (len(rows), config.neighbors.sampled)
        assert (groups[near] == groups[:, None]).all()
        assert np.array_equal(near, find_neighbors(dataset.inputs[rows], groups, near.shape[1], threads=2))
        assert not near.flags.writeable


@pytest.mark.parametrize(
    "changes",
    [{"objective": {"lambda_nn": 0.0}}, {"neighbors": {"features": "teacher"}}, {"neighbors": {"features": "initial"}}],
    ids=["no term", "teacher features", "initial features"],
)
def test_no_neighbors_are_searched_where_raw_inputs_are_not_compared(dataset, changes):
    config = config_of(**changes)
    prepared = prepare_split(dataset, config, seed=1, threads=1)
    assert prepared.neighbors is None
    assert np.array_equal(prepared.splits.train, prepare_split(dataset, config_of(), 1, 1).splits.train)


def test_scrambled_fine_labels_change_nothing_that_training_gets(dataset):
    scrambled = replace(dataset, fine=np.random.default_rng(0).permutation(dataset.fine))
    first, second = (prepare_split(data, config_of(), seed=2, threads=1) for data in (dataset, scrambled))
    assert np.array_equal(first.splits.train, second.splits.train)
    assert np.array_equal(first.neighbors, second.neighbors)
    for name, near in first.evaluation_neighbors.items():
        assert np.array_equal(near, second.evaluation_neighbors[name])


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 3},
        {"optimizer": {"kind": "sgd", "lr": 0.5}},
        {"classes": {"num_fine": 20}},
        {"objective": {"lambda_nn": 2.0}},
        {"neighbors": {"targets": "forward"}},
        {"evaluation": {"splits": ["test"]}},
    ],
    ids=["epochs", "lr", "num_fine", "lambda_nn", "targets", "val is always measured"],
)
def test_trials_that_differ_elsewhere_share_one_preparation(changes):
    assert preparation_key(config_of(**changes), 0) == preparation_key(config_of(), 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"data": {"data_seed": 1}},
        {"data": {"split": {"train": 0.6, "val": 0.2, "test": 0.2}}},
        {"neighbors": {"stored": 10}},
        {"neighbors": {"scope": "global"}},
        {"neighbors": {"features": "teacher"}},
        {"objective": {"lambda_nn": 0.0}},
        {"evaluation": {"splits": ["train", "test"]}},
    ],
    ids=["data", "split", "stored", "scope", "features", "no term", "measured splits"],
)
def test_trials_that_need_another_preparation_have_another_key(changes):
    assert preparation_key(config_of(**changes), 0) != preparation_key(config_of(), 0)


def test_neighbor_settings_that_nothing_reads_do_not_split_preparations():
    without = {"objective": {"lambda_nn": 0.0}}
    assert preparation_key(config_of(**without), 0) == preparation_key(config_of(**without, neighbors={"stored": 9}), 0)


def test_seeds_have_preparations_of_their_own():
    assert preparation_key(config_of(), 0) != preparation_key(config_of(), 1)


def test_a_data_set_is_known_by_its_config():
    plain = config_of().data.to_plain()
    for later in ("coarse_sets", "label_noise", "limit_test_per_class"):
        assert plain.pop(later) is None  # left out, so that a set is known by the key that it had without
    assert dataset_key(config_of()) == stable_hash(plain)


def test_views_give_training_the_neighbors_and_the_evaluator_the_fine_labels(dataset):
    prepared = prepare_split(dataset, config_of(), seed=0, threads=1)
    training, evaluation = views(dataset, prepared)
    assert training.neighbors is prepared.neighbors
    assert training.inputs is dataset.inputs
    assert not hasattr(training, "fine")
    assert evaluation.fine is dataset.fine
    assert evaluation.true_fine_to_coarse.tolist() == [np.repeat(np.arange(4), 3).tolist()]


@pytest.mark.integration
def test_preparing_needs_neither_torch_nor_any_adapter():
    code = (
        "import sys, fgtune.training.prepared, fgtune.data.load; "
        "print(sorted({'torch', 'ray', 'mlflow', 'optuna', 'plotly', 'faiss', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
