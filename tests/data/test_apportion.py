from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgtune.data.splits import apportion


@settings(deadline=None, max_examples=200)
@given(st.lists(st.integers(1, 500), min_size=1, max_size=12), st.integers(0, 1000))
def test_sums_gives_each_one_and_keeps_to_the_rounded_quota(weights, extra):
    total = len(weights) + extra
    counts = apportion(weights, total)
    quotas = [Fraction(weight * total, sum(weights)) for weight in weights]
    assert counts.sum() == total
    assert counts.min() >= 1
    assert all(
        count <= max(1, -(-quota.numerator // quota.denominator)) for count, quota in zip(counts, quotas, strict=True)
    )
    if min(quotas) >= 1:  # no group had to be helped: every count is its quota rounded up or down
        assert all(abs(count - quota) < 1 for count, quota in zip(counts, quotas, strict=True))


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(1, 500), min_size=2, max_size=12), st.integers(0, 1000))
def test_a_heavier_group_never_gets_less(weights, extra):
    counts = apportion(sorted(weights), len(weights) + extra)
    for lighter in range(len(weights)):
        for heavier in range(lighter + 1, len(weights)):
            if sorted(weights)[lighter] < sorted(weights)[heavier]:
                assert counts[lighter] <= counts[heavier]


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(1, 500), min_size=1, max_size=12), st.data())
def test_never_takes_more_than_a_group_holds(sizes, data):
    limit = data.draw(st.integers(len(sizes), sum(sizes)))
    assert (apportion(sizes, limit) <= np.array(sizes)).all()


def test_hand_case_of_largest_remainders():
    assert apportion([5, 3, 2], 7).tolist() == [4, 2, 1]  # quotas 3.5, 2.1, 1.4


def test_less_than_one_each_raises():
    with pytest.raises(ValueError, match="cannot give 3 groups at least one of 2"):
        apportion([1, 1, 1], 2)
