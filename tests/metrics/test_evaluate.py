"""All oracle metrics at once: the same numbers as one by one, within the catalogued range."""

from __future__ import annotations

import numpy as np
import pytest

from fgtune.catalog import METRICS
from fgtune.metrics.clustering import ari_from_counts, clustering_accuracy_from_counts, contingency
from fgtune.metrics.evaluate import evaluate_counts, evaluate_within
from fgtune.metrics.relations import ged


def case(num_fine, num_true, seed=0, sources=2):
    rng = np.random.default_rng(seed)
    target = rng.integers(num_true, size=300)
    preds = np.where(rng.random(300) < 0.7, target % num_fine, rng.integers(num_fine, size=300))
    counts = contingency(preds, target, num_fine, num_true)
    return counts, rng.integers(4, size=(sources, num_fine)), rng.integers(4, size=(sources, num_true))


@pytest.mark.parametrize(("num_fine", "num_true"), [(10, 10), (8, 10), (15, 10)])
def test_gives_every_oracle_metric_that_is_defined_within_its_range(num_fine, num_true):
    counts, learned, true = case(num_fine, num_true)
    values = evaluate_counts(counts, learned, true) | evaluate_within(counts)
    specs = {name: spec for name, spec in METRICS.items() if spec.oracle and not spec.needs}
    oracle = {name for name, spec in specs.items() if "test" in spec.splits and spec.reads != "fine values"}
    assert set(values) == (oracle if num_fine == num_true else oracle - {"ged_reference"})
    for name, value in values.items():
        assert type(value) is float, name
        assert METRICS[name].low <= value <= METRICS[name].high, name


def test_gives_the_numbers_of_the_single_functions():
    counts, learned, true = case(12, 10)
    values = evaluate_counts(counts, learned, true)
    assert values["clustering_accuracy"] == clustering_accuracy_from_counts(counts)
    assert values["ari"] == ari_from_counts(counts)
    assert values["ged"] == ged(learned, true, counts)


def test_without_samples_only_structure_is_left():
    _, learned, true = case(10, 10)
    values = evaluate_counts(np.zeros((10, 10), dtype=np.int64), learned, true)
    assert set(values) == {"ged_structure", "size_distance", "ged_reference"}
    assert evaluate_within(np.zeros((10, 10), dtype=np.int64)) == {}


def test_survives_storage_to_the_bit(tmp_path):
    counts, learned, true = case(9, 10, seed=3)
    np.savez(tmp_path / "cell.npz", counts=counts, learned=learned, true=true)
    with np.load(tmp_path / "cell.npz", allow_pickle=False) as stored:
        again = evaluate_counts(stored["counts"], stored["learned"], stored["true"])
    assert again == evaluate_counts(counts, learned, true)
