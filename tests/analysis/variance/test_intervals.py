"""Intervals and tests of variances against SciPy, root finding and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import optimize, stats

from fgtune.analysis.variance.intervals import (
    Term,
    brown_forsythe,
    degrees_of_freedom,
    ratio_interval,
    sd_interval,
    share_interval,
)
from fgtune.streams import numpy_stream


def test_the_interval_of_a_standard_deviation_is_the_chi_square_one():
    low, high = sd_interval(4.0, 9, 0.95)
    assert (low, high) == (
        pytest.approx(2 * math.sqrt(9 / 19.0228), rel=1e-5),
        pytest.approx(2 * math.sqrt(9 / 2.7004), rel=1e-4),
    )


def test_the_interval_of_a_ratio_is_the_f_one():
    values = [numpy_stream(0, "ratio", rank).standard_normal(8) * scale for rank, scale in enumerate((2.0, 1.0))]
    one, two = (Term(1.0, float(group.var(ddof=1)), 7) for group in values)
    low, high = ratio_interval(one, two, 0.9)
    for end, tail in ((low, 0.05), (high, 0.95)):  # the ends are where an F test just rejects
        assert stats.f.sf(one.variance / two.variance / end, 7, 7) == pytest.approx(tail)


@pytest.mark.parametrize("rank", range(40))
def test_a_share_is_in_the_interval_where_zero_is_in_that_of_the_difference(rank):
    rng = numpy_stream(rank, "share")
    terms = [
        Term(float(rng.choice([1.0, -1.0, -2.0])), float(rng.exponential()), float(rng.integers(2, 20)))
        for _ in range(3)
    ]
    total = Term(1.0, float(rng.exponential()), float(rng.integers(2, 20)))
    level = 0.95

    def end(share: float, side: int) -> float:
        """An end of the interval of terms - share * total, added in squares end by end (Graybill and Wang)."""
        squares, value = 0.0, 0.0
        for term in [*terms, Term(-share, total.variance, total.df)]:
            tail = (1 - level) / 2
            low, high = (term.df * term.variance / float(q) for q in stats.chi2.ppf([1 - tail, tail], term.df))
            away = low if (term.weight > 0) == (side < 0) else high
            squares += (term.weight * (away - term.variance)) ** 2
            value += term.weight * term.variance
        return value + side * math.sqrt(squares)

    low, high = share_interval(terms, total, level)
    for found, side in ((low, -1), (high, 1)):
        reach = 1.0
        while end(-reach, side) < 0 or end(reach, side) > 0:
            reach *= 2
        assert found == pytest.approx(optimize.brentq(end, -reach, reach, args=(side,), xtol=1e-13), abs=1e-7)


def test_brown_forsythe_is_scipys():
    for n, m in ((5, 5), (10, 7), (20, 3)):
        one, two = numpy_stream(n, "one").standard_normal(n), 2 * numpy_stream(m, "two").standard_t(3, m)
        assert brown_forsythe(one, two) == pytest.approx(stats.levene(one, two, center="median").pvalue)
    assert math.isnan(brown_forsythe(np.array([1.0, 2.0]), np.array([1.0, 5.0])))
    assert math.isnan(brown_forsythe(np.ones(4), np.ones(4)))


def test_degrees_of_freedom_are_n_minus_1_for_normal_tails_and_fewer_for_heavier_ones():
    groups = [numpy_stream(rank, "normal").standard_normal(2000) for rank in range(4)]
    assert degrees_of_freedom(groups) == pytest.approx([1999] * 4, rel=0.06)
    uniform = [numpy_stream(rank, "uniform").uniform(size=50) for rank in range(4)]
    assert degrees_of_freedom(uniform) == [49.0] * 4
    # Student t with 6 degrees of freedom: kurtosis 6, so that Var(s^2) = sigma^4 (6 - 1) / n and df = 2 n / 5.
    heavy = [numpy_stream(rank, "t6").standard_t(6, 40_000) for rank in range(4)]
    assert degrees_of_freedom(heavy) == pytest.approx([2 * 40_000 / 5] * 4, rel=0.15)
    assert degrees_of_freedom([np.ones(5), np.ones(6)]) == [4.0, 5.0]
