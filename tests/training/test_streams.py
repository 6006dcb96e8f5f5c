"""Each random stream of a trial follows its own seed alone, and is fixed where the trial says so."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fgtune.config.schema.streams import STREAMS, StreamsConfig
from fgtune.config.schema.trial import TrialConfig
from fgtune.data.load import load_dataset
from fgtune.streams import BlockSeeds
from fgtune.training.build import build_trainer
from fgtune.training.prepared import preparation_key, prepare_split, views

PLAIN = {
    "data": {"kind": "hierarchy", "num_samples": 240}, "classes": {"num_fine": 12}, "epochs": 2,
    "model": {"backbone": {"kind": "mlp", "hidden": [8]}}, "evaluation": {"silhouette_samples": 20},
    "augmentation": {"kind": "noise"},
}  # fmt: skip
FIXED = {"split": 70, "weights": 80, "order": 90}


def config_of(streams, **changes):
    return TrialConfig.from_plain({**PLAIN, **changes, "streams": streams})


@pytest.fixture(scope="module")
def dataset():
    return load_dataset(config_of({}).data)


def drawn(dataset, streams, seed, **changes):
    """What a trial draws before it starts and in its first epoch, by stream."""
    config = config_of(streams, **changes)
    prepared = prepare_split(dataset, config, seed, threads=1)
    trainer = build_trainer(config, *views(dataset, prepared), prepared, seed)
    start = torch.cat([p.detach().flatten() for p in trainer.networks.model.parameters()]).numpy().copy()
    relations = trainer.relations.fine_to_coarse.copy()
    found = {
        "split": prepared.splits.train.tolist() + prepared.fixed["test"].positions.tolist(),
        "weights": start.tolist() + relations.tolist(),
        "order": trainer.seed,
    }
    return found, [dict(entry.metrics) for entry in trainer]


@pytest.mark.slow
def test_a_stream_that_follows_the_seed_moves_and_fixed_ones_do_not(dataset):
    base, curve = drawn(dataset, FIXED, seed=0)
    repeated, again = drawn(dataset, FIXED, seed=1)
    assert repeated == base
    assert again == curve
    for name in STREAMS:
        streams = {other: seed for other, seed in FIXED.items() if other != name}
        first, _ = drawn(dataset, streams, seed=3)
        second, other_curve = drawn(dataset, streams, seed=4)
        assert {each for each in STREAMS if first[each] != second[each]} == {name}
        assert {each for each in STREAMS if base[each] != second[each]} == {name}
        assert other_curve != curve


def test_streams_at_the_seed_of_a_cell_are_those_of_a_cell_without_fixed_streams(dataset):
    assert drawn(dataset, {}, seed=5) == drawn(dataset, dict.fromkeys(STREAMS, 5), seed=2)


def test_pretrained_weights_follow_the_stream_of_weights(dataset):
    changes = {"model": {**PLAIN["model"], "pretrain": {"kind": "denoising", "epochs": 1}}}
    first, second = (
        drawn(dataset, {"split": 1, "weights": weights, "order": 1}, 0, **changes)[0] for weights in (1, 2)
    )
    third = drawn(dataset, {"split": 1, "weights": 1, "order": 2}, 9, **changes)[0]
    assert first["weights"] != second["weights"]
    assert first["weights"] == third["weights"]


def test_preparations_are_shared_where_the_split_is():
    fixed = config_of({"split": 4})
    assert preparation_key(fixed, 0) == preparation_key(fixed, 1) == preparation_key(config_of({}), 4)
    moving = config_of({"weights": 4, "order": 4})
    assert preparation_key(moving, 0) != preparation_key(moving, 1)


def test_a_trial_without_fixed_streams_keeps_its_hash():
    assert config_of({}).digest == config_of(dict.fromkeys(STREAMS)).digest == TrialConfig.from_plain(PLAIN).digest
    assert "streams" not in config_of({}).identity()
    assert len({config_of({name: 0}).digest for name in STREAMS}) == 3


def test_seeds_of_a_block():
    assert StreamsConfig(weights=0).seeds(7) == BlockSeeds(split=7, weights=0, order=7)
    assert StreamsConfig(weights=0, order=2).fixed == ("weights", "order")
    assert np.array_equal(StreamsConfig().fixed, ())
