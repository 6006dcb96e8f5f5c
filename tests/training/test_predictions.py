"""A finished trial predicts every sample of the data set, without fine labels, and its metrics are of these classes."""

from __future__ import annotations

import numpy as np
import pytest

from fgtune.metrics.clustering import ari_from_counts, contingency
from fgtune.results.evidence import arrays_digest
from fgtune.results.records import compact

KMEANS = {"objective": {"preset": "untrained"}}


def finished(trainer):
    for _ in trainer:
        pass
    return trainer.outcome()


@pytest.mark.parametrize("changes", [{}, KMEANS, {"data.split.transductive": True}])
def test_the_counts_of_a_trial_are_those_of_its_predictions(make_trainer, changes):
    trainer = make_trainer(changes)
    outcome = finished(trainer)
    predictions = outcome.predictions
    assert predictions.fine.dtype == np.int8
    assert len(predictions.fine) == 300
    assert (predictions.fine >= 0).all()
    rows = trainer.evaluator.rows("test")
    assert np.array_equal(np.flatnonzero(predictions.splits & 4), rows)
    assert np.array_equal(np.flatnonzero(predictions.splits & 1), trainer.evaluator.rows("train"))
    counts = contingency(predictions.fine[rows].astype(np.int64), trainer.evaluator._view.fine[rows], 6, 6)
    assert np.array_equal(counts, outcome.relations.fine_counts)
    assert outcome.metrics["test/ari"] == ari_from_counts(counts)
    within = contingency(predictions.restricted[rows].astype(np.int64), trainer.evaluator._view.fine[rows], 6, 6)
    assert outcome.metrics["test/within_coarse_ari"] == ari_from_counts(within)
    parents = outcome.relations.fine_to_coarse[0]
    coarse = trainer.evaluator._view.coarse[:, 0]
    allowed = np.isin(coarse, parents)
    assert np.array_equal(parents[predictions.restricted[allowed]], coarse[allowed])


def test_restricted_predictions_are_stored_where_they_differ_only(make_trainer):
    apart = {"data.coarse_separation": 100.0, "epochs": 1}
    assert finished(make_trainer(apart | KMEANS)).predictions.within_coarse is None
    assert finished(make_trainer({"epochs": 1})).predictions.within_coarse is not None


def test_every_split_is_marked_once_or_all_three_times(make_trainer):
    assert sorted(set(finished(make_trainer({"epochs": 1})).predictions.splits)) == [1, 2, 4]
    assert set(finished(make_trainer({"epochs": 1, "data.split.transductive": True})).predictions.splits) == {7}


def test_scrambled_fine_labels_change_no_prediction(make_trainer, scramble_fine):
    one, two = (finished(make_trainer(change_data=change)) for change in (lambda data: data, scramble_fine))
    assert arrays_digest(one.predictions) == arrays_digest(two.predictions)


@pytest.mark.parametrize("changes", [{}, KMEANS])
def test_a_trial_restored_at_its_end_predicts_the_same(make_trainer, changes):
    first, again = make_trainer(changes), make_trainer(changes)
    outcome = finished(first)
    again.load_state_dict(first.state_dict())
    assert arrays_digest(again.outcome().predictions) == arrays_digest(outcome.predictions)


@pytest.mark.parametrize(("number", "dtype"), [(1, "int8"), (128, "int8"), (129, "int16"), (40_000, "int32")])
def test_labels_take_the_smallest_type_that_holds_them(number, dtype):
    labels = np.array([-1, number - 1])
    stored = compact(labels, number)
    assert stored.dtype == dtype
    assert np.array_equal(stored, labels)
