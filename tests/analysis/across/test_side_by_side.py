"""Studies on one page: what differs, the same arms paired by seed and corrected together, each study's own effects."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from fgtune.analysis.across.comparing import compare_data
from fgtune.analysis.across.side_by_side import differing, side_by_side
from fgtune.analysis.formatting import DASH
from fgtune.analysis.inputs import read_study
from fgtune.analysis.summary import summarise

PRIMARY = "test/clustering_accuracy"
ARMS = ("baseline", "num_fine_ratio=1.2")


def page_of(*folders):
    data = [read_study(each) for each in folders]
    return side_by_side(compare_data(data), data)


def values(folder, arm):
    return {each.seed: each.metrics[PRIMARY] for each in folder.ledger.read() if each.arm == arm and each.metrics}


def row(rows, name):
    return next(each for each in rows if each.name == name)


def test_the_same_arms_are_paired_by_seed_and_corrected_over_all_rows(write):
    one = write("one")
    two, three = write("two", accuracy={"baseline": 0.9}), write("three", accuracy={ARMS[1]: 0.95})
    found = page_of(one, two, three)
    assert [(each.arm, each.study) for each in found.same_arms] == [
        (arm, study) for arm in ARMS for study in ("two", "three")
    ]
    raw = []
    for each in found.same_arms:
        folder = {"two": two, "three": three}[each.study]
        here, there = values(folder, each.arm), values(one, each.arm)
        gaps = np.array([here[seed] - there[seed] for seed in range(5)])
        assert each.contrast.differences == pytest.approx(gaps.tolist())
        alike = 1.0 if abs(gaps[0]) < 1e-12 else 2 / 2**5  # the sign-flip test, where differences do not vary
        raw.append(alike if np.ptp(gaps) < 1e-12 else stats.ttest_1samp(gaps, 0).pvalue)
        assert not hasattr(each, "judgement")
    expected = multipletests(raw, method="holm")[1]
    assert [each.p_adjusted for each in found.same_arms] == pytest.approx(expected.tolist())


def test_cells_that_both_trained_are_counted_with_those_that_came_out_the_same(write):
    one, two = write("one"), write("two", accuracy={ARMS[1]: 0.95})
    found = page_of(one, two)
    assert [(each.repeated, each.identical) for each in found.same_arms] == [(5, 5), (5, 0)]
    assert [each.settings for each in found.same_arms] == ["", ""]


def test_what_differs_is_listed_with_every_value(write):
    one, two = write("one"), write("two", ("epochs: 60", "epochs: 30"), code="2")
    found = page_of(one, two)
    assert [(each.name, each.values) for each in found.settings] == [("trial.epochs", ("60", "30"))]
    assert row(found.facts, "fgtune").values == ("1", "2")
    assert row(found.facts, "fgtune").differs
    assert not row(found.facts, "design").differs
    same = found.same_arms[0]
    assert same.settings == "epochs 60 → 30"
    assert same.reasons == ("other epochs: 30 here, 60 in one",)
    assert same.contrast.n == 0
    assert np.isnan(same.p_adjusted)


def test_versions_of_packages_are_listed_where_they_differ(write):
    one, two = write("one"), write("two")
    for folder, version in ((one, "1.0"), (two, "2.0")):
        record = folder.read_provenance() | {"packages": {"numpy": version, "scipy": "3"}}
        folder.provenance_file.write_text(json.dumps(record))
    names = [each.name for each in page_of(one, two).facts]
    assert "numpy" in names
    assert "scipy" not in names


def test_effects_are_those_that_each_study_reports(write):
    one, two = write("one"), write("two", accuracy={ARMS[1]: 0.95}, fingerprint="beef")
    found = page_of(one, two)
    assert [(each.arm, each.study) for each in found.effects] == [(ARMS[1], "one"), (ARMS[1], "two")]
    for each, folder in zip(found.effects, (one, two), strict=True):
        (own,) = summarise(read_study(folder)).contrasts
        assert each.judgement == own.judgement
        assert each.contrast == own.contrast
    assert found.lone == 0
    assert "other data" in found.same_arms[0].reasons[0]


def test_a_study_with_another_metric_is_named_and_its_effects_are_left_out(write):
    one = write("one")
    two = write("two", ("primary: test/clustering_accuracy", "primary: test/ari"), ("[test/ari, ", "["))
    found = page_of(one, two)
    assert found.other_metrics == ("two",)
    assert found.same_arms == ()
    assert found.effects == ()
    assert found.lone == 1
    assert found.arms == ()


LEAVES = st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["a", "b"])
TREES = st.recursive(LEAVES, lambda below: st.dictionaries(st.sampled_from("xyz"), below, max_size=3), max_leaves=6)


def leaves(tree, path=()):
    if isinstance(tree, dict):
        for key, below in tree.items():
            yield from leaves(below, (*path, key))
    elif tree is not None:
        yield path, tree


@given(st.dictionaries(st.sampled_from("xyz"), TREES, max_size=3), st.dictionaries(st.sampled_from("xyz"), TREES))
def test_trees_differ_where_their_leaves_do(one, two):
    rows = list(differing([one, two]))
    first, second = dict(leaves(one)), dict(leaves(two))
    assert bool(rows) == (first != second)
    assert all(len(set(each.values)) > 1 for each in rows)
    assert all(DASH in each.values or None not in each.values for each in rows)
