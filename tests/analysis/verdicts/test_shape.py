from __future__ import annotations

import numpy as np
import pytest

from fgtune.analysis.verdicts.shape import LEVEL, cells_needed, shape_of


def _table(values, baseline):
    arms = {f"arm {k}": dict(enumerate(row.tolist())) for k, row in enumerate(values)}
    return {"baseline": dict(enumerate(baseline.tolist()))} | arms


def _shapes(draw, arms, n, studies, seed=0):
    rng = np.random.default_rng(seed)
    tables = (draw(rng, arms, n) for _ in range(studies))
    return [shape_of(_table(values, baseline), "baseline") for values, baseline in tables]


def _normal(rng, arms, n):
    block, spread = rng.normal(0.8, 0.05, n), rng.uniform(0.01, 0.03, (arms, 1))
    return block + spread * rng.standard_normal((arms, n)), block + 0.02 * rng.standard_normal(n)


def _collapsing(rng, arms, n):
    values, baseline = _normal(rng, arms, n)
    return values - 0.5 * (rng.random((arms, n)) < 0.1), baseline


@pytest.mark.slow_except("1-20")
@pytest.mark.parametrize(("arms", "n"), [(1, 5), (1, 20), (5, 3), (5, 10), (12, 5)])
def test_normal_seeds_are_rarely_taken_for_anything_else(arms, n):
    shapes = _shapes(_normal, arms, n, 400)
    assert np.mean([not shape.normal for shape in shapes]) <= LEVEL + 0.025


@pytest.mark.parametrize("n", [5, 10, 20])
def test_collapsed_seeds_are_seen_wherever_there_are_any(n):
    rng = np.random.default_rng(1)
    for _ in range(40):
        values, baseline = _normal(rng, 5, n)
        arm, seed = rng.integers(5), rng.integers(n)
        values[arm, seed] -= 0.5
        shape = shape_of(_table(values, baseline), "baseline")
        assert not shape.normal
        assert shape.apart[0][:2] == (f"arm {arm}", seed)
        assert shape.apart[0][2] == pytest.approx(-0.5, abs=0.15)


def test_a_fall_in_two_of_ten_seeds_hides_neither_of_them():
    rng = np.random.default_rng(2)
    values, baseline = _normal(rng, 1, 10)
    values[0, [2, 7]] -= 0.5
    shape = shape_of(_table(values, baseline), "baseline")
    assert not shape.normal
    assert {seed for _, seed, _ in shape.apart} == {2, 7}


def test_skew_shows_over_all_arms_before_it_shows_in_one():
    def skewed(rng, arms, n):
        return 0.02 * np.exp(rng.standard_normal((arms, n))), 0.004 * rng.standard_normal(n)

    one, five = (np.mean([not shape.normal for shape in _shapes(skewed, arms, 10, 100)]) for arms in (1, 5))
    assert five > 0.85 > 0.6 > one


def test_the_shape_depends_on_neither_location_nor_scale():
    rng = np.random.default_rng(5)
    values, baseline = _collapsing(rng, 4, 8)
    plain = shape_of(_table(values, baseline), "baseline")
    moved = shape_of(_table(1000 * values + 7 * np.arange(4)[:, None], 1000 * baseline - 3), "baseline")
    assert moved.p == plain.p
    assert moved.worst == pytest.approx(1000 * plain.worst)


def test_arms_may_lack_seeds():
    rng = np.random.default_rng(6)
    table = _table(*_normal(rng, 3, 10))
    del table["arm 0"][3], table["arm 1"][0], table["arm 1"][1]
    assert shape_of(table, "baseline").normal
    table["arm 0"][5] -= 0.5
    found = shape_of(table, "baseline")
    assert (found.normal, found.apart[0][:2], found.cells) == (False, ("arm 0", 5), 27)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"baseline": {}}, id="nothing"),
        pytest.param({"baseline": {0: 1.0}, "arm": {0: 2.0}}, id="one pair"),
        pytest.param(
            {"baseline": dict.fromkeys(range(5), 1.0), "arm": dict.fromkeys(range(5), 1.0)}, id="no variation"
        ),
    ],
)
def test_where_there_is_nothing_to_see_nothing_is_odd(values):
    shape = shape_of(values, "baseline")
    assert (shape.normal, shape.apart) == (True, ())


def test_29_cells_rule_out_that_one_seed_in_ten_collapses():
    assert cells_needed(0.05, 0.1) == 29
    assert 0.9**29 <= 0.05 < 0.9**28


def test_a_table_of_few_arms_needs_more_pairs_to_show_collapses():
    rng = np.random.default_rng(8)
    needed = {}
    for arms in (1, 3, 5, 12):
        shape = shape_of(_table(*_normal(rng, arms, 8)), "baseline")
        needed[arms] = shape.pairs_needed(0.05, 0.1)
        assert shape.sees(8, 0.05, 0.1) is (needed[arms] <= 8)
    assert needed == {1: 29, 3: 10, 5: 6, 12: 5}
    assert shape.sees(1, 0.05, 0.0)


def test_a_far_cell_is_named_alone_though_it_moves_the_medians_of_others():
    rng = np.random.default_rng(9)
    values, baseline = 0.8 + 1e-4 * rng.standard_normal((5, 8)), 0.8 + 1e-4 * rng.standard_normal(8)
    values[1, 3] += 0.25
    assert [cell[:2] for cell in shape_of(_table(values, baseline), "baseline").apart] == [("arm 1", 3)]
