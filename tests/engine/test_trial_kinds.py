from __future__ import annotations

from fgtune.config.arms.records import Cell
from fgtune.data.load import load_dataset
from fgtune.engine.trial_kinds import TRIAL_KINDS
from fgtune.training.prepared import dataset_key


def test_a_cell_is_given_what_was_prepared_for_another_of_its_seed_and_nothing_else(make_config):
    config = make_config()
    datasets, known = {dataset_key(config): load_dataset(config.data)}, {}
    cells = [Cell("one", 0, config, {}), Cell("two", 1, config, {}), Cell("one", 0, make_config({"epochs": 9}), {})]
    given = [TRIAL_KINDS["discovery"].prepare(cell, datasets, known) for cell in cells]
    (first,), (second,), (again,) = (each.values() for each in given)
    assert again is first
    assert first.splits.train.tolist() != second.splits.train.tolist()
    assert known == given[0] | given[1]
