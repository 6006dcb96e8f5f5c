"""Agreement of an arm's seeds: from stored predictions, with the interval of its jackknife; collapse wins nothing."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import adjusted_rand_score

from fgtune.analysis.agreement import agreement_of, pair_mean, pseudo_values
from fgtune.analysis.verdicts.statistics import mean_interval
from fgtune.metrics.agreement import class_share
from fgtune.results.records import LabelsRecord, PredictionsRecord

N = 240
TRUE = np.arange(N) % 6
LABELS = LabelsRecord.of((TRUE // 3)[:, None], (2,))


def predictions(fine, splits=None):
    return PredictionsRecord(np.asarray(fine, dtype=np.int8), np.full(N, 7, np.int8) if splits is None else splits)


def noisy(rng, share):
    """The true classes, renumbered, with some samples moved to another class of their coarse class."""
    moved = np.where(rng.random(N) < share, 3 * (TRUE // 3) + rng.integers(0, 3, N), TRUE)
    return rng.permutation(6)[moved]


def measured(fines, num_fine=6, labels=LABELS):
    return agreement_of(dict(enumerate(map(predictions, fines))), dict.fromkeys(range(len(fines)), num_fine), labels)


def test_it_is_the_mean_over_pairs_of_scikit_learns_index_times_the_share_of_classes():
    rng = np.random.default_rng(0)
    fines = [noisy(rng, share) for share in (0.1, 0.3, 0.5)]
    expected = []
    for one, two in itertools.combinations(fines, 2):
        inside = [adjusted_rand_score(one[coarse == TRUE // 3], two[coarse == TRUE // 3]) for coarse in (0, 1)]
        expected.append(np.mean(inside) * (class_share(one, 6) + class_share(two, 6)) / 2)
    assert measured(fines).mean == pytest.approx(np.mean(expected))


def test_of_several_sources_every_coarse_class_counts_by_its_samples():
    second = np.where(np.arange(N) < 60, TRUE % 2, -1)
    labels = LabelsRecord.of(np.column_stack([TRUE // 3, second]), (2, 2))
    rng = np.random.default_rng(1)
    one, two = noisy(rng, 0.3), noisy(rng, 0.3)
    groups = [TRUE // 3 == 0, TRUE // 3 == 1, second == 0, second == 1]
    values = [adjusted_rand_score(one[group], two[group]) for group in groups]
    plain = measured([one, two], labels=labels).plain[0, 1]
    assert plain == pytest.approx(np.average(values, weights=[group.sum() for group in groups]))


def test_pairs_are_compared_on_the_samples_that_both_predict():
    rng = np.random.default_rng(2)
    one, two = noisy(rng, 0.2), noisy(rng, 0.2)
    one[:50], two[200:] = -1, -1
    both = slice(50, 200)
    values = [adjusted_rand_score(one[both][TRUE[both] // 3 == c], two[both][TRUE[both] // 3 == c]) for c in (0, 1)]
    sizes = np.bincount(TRUE[both] // 3)
    assert measured([one, two]).plain[0, 1] == pytest.approx(np.average(values, weights=sizes))


def test_collapse_earns_nothing_though_all_seeds_agree():
    inside = measured([TRUE // 3] * 3)  # one class for each coarse class
    assert (inside.mean, inside.identical) == (0.0, False)
    everything = measured([np.zeros(N, dtype=int)] * 3)
    assert everything.mean == 0.0
    half = measured([np.where(TRUE < 3, 0, TRUE)] * 3)  # one of two coarse classes is divided, exactly alike
    assert half.plain[0, 1] == pytest.approx(0.5)
    assert half.mean < 0.5 < measured([TRUE] * 3).mean == pytest.approx(1.0)


def test_the_same_few_outliers_apart_earn_little():
    fine = TRUE // 3
    fine[[0, 3]] = [4, 5]
    found = measured([fine] * 3)
    assert found.plain[0, 1] == pytest.approx(1.0)
    assert found.mean < 0.4


def test_seeds_that_find_the_same_classes_and_share_a_split_are_told():
    rng = np.random.default_rng(3)
    one, two = predictions(TRUE), predictions((TRUE + 1) % 6)
    found = agreement_of({0: one, 1: two}, {0: 6, 1: 6}, LABELS)
    assert found.identical
    assert found.same_split
    other = predictions(noisy(rng, 0.2), rng.permutation(np.repeat([1, 2, 4], 80)).astype(np.int8))
    found = agreement_of({0: one, 1: other}, {0: 6, 1: 6}, LABELS)
    assert not found.identical
    assert not found.same_split


def test_a_single_seed_has_none_and_two_have_no_interval():
    assert measured([TRUE]) is None
    rng = np.random.default_rng(4)
    found = measured([noisy(rng, 0.2), noisy(rng, 0.4)])
    assert found.values() == {0: found.mean}
    assert math.isnan(found.without([0]))


def test_a_large_data_set_is_measured_on_a_sample_that_estimates_it(monkeypatch):
    rng = np.random.default_rng(5)
    fines = [noisy(rng, 0.3) for _ in range(3)]
    whole = measured(fines).mean
    monkeypatch.setattr("fgtune.analysis.agreement.MOST_SAMPLES", 200)
    assert measured(fines).mean != whole
    assert measured(fines).mean == pytest.approx(whole, abs=0.1)
    assert measured(fines).mean == measured(fines).mean


@pytest.mark.parametrize("n", [3, 4, 7])
def test_pseudo_values_are_those_of_leaving_out_a_seed_at_a_time(n):
    rng = np.random.default_rng(n)
    table = rng.normal(size=(n, n))
    table = table + table.T
    left_out = [pair_mean(np.delete(np.delete(table, seed, 0), seed, 1)) for seed in range(n)]
    found = pseudo_values(table)
    assert found == pytest.approx([n * pair_mean(table) - (n - 1) * each for each in left_out])
    assert found.mean() == pytest.approx(pair_mean(table))
    jackknife = math.sqrt((n - 1) / n * sum((each - np.mean(left_out)) ** 2 for each in left_out))
    estimate = mean_interval(found.tolist())
    assert estimate.high - estimate.mean == pytest.approx(stats.t.ppf(0.975, n - 1) * jackknife)


@pytest.mark.parametrize("n", [3, 5, 10])
def test_its_interval_covers_where_seeds_differ_in_how_good_they_are(n):
    rng = np.random.default_rng(n)
    quality = rng.beta(4, 2, size=(800, n))  # of pairs of seeds, the product; mean 2/3
    tables = quality[:, :, None] * quality[:, None, :] + 0.0
    noise = np.triu(rng.normal(0, 0.05, tables.shape), 1)
    tables += noise + noise.transpose(0, 2, 1)
    intervals = [mean_interval(pseudo_values(table).tolist()) for table in tables]
    covered = np.mean([each.low <= 4 / 9 <= each.high for each in intervals])
    assert 0.91 < covered < 0.99
