from __future__ import annotations

import numpy as np
import pytest
from sklearn.tree import DecisionTreeRegressor

from fgtune.analysis.search.importances import FEWEST, _tree_variances, importances


def _points(n, d, seed=0):
    return np.random.default_rng(seed).random((n, d))


def test_the_variance_of_a_tree_is_split_as_a_dense_grid_says():
    places = _points(80, 3)
    values = np.sin(6 * places[:, 0]) + places[:, 0] * places[:, 1]
    tree = DecisionTreeRegressor(max_leaf_nodes=20, random_state=0).fit(places, values)
    steps = (np.arange(120) + 0.5) / 120
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    cube = tree.predict(grid).reshape(120, 120, 120)
    main = [cube.mean(axis=tuple(k for k in range(3) if k != axis)).var() for axis in range(3)]
    total = [cube.var() - cube.mean(axis=axis).var() for axis in range(3)]
    variance, *effects = _tree_variances(tree.tree_)
    assert variance == pytest.approx(cube.var(), rel=0.02)
    assert effects[:3] == pytest.approx(main, rel=0.06, abs=2e-3)
    assert effects[3:] == pytest.approx(total, rel=0.06, abs=2e-3)


def test_an_additive_function_is_split_by_its_coefficients():
    places = _points(300, 4)
    found = importances("m", places, 3 * places[:, 0] + places[:, 1], list("abcd"), seed=1)
    shares = {item.parameter: item for item in found.items}
    assert [item.parameter for item in found.items][:2] == ["a", "b"]
    assert shares["a"].main == pytest.approx(0.9, abs=0.03)  # 3^2 / (3^2 + 1)
    assert shares["b"].main == pytest.approx(0.1, abs=0.03)
    assert all(shares[name].main < 0.01 for name in "cd")
    assert shares["a"].above_chance
    assert shares["b"].above_chance
    assert found.skill > 0.9
    assert found.reliable


def test_an_interaction_is_in_the_total_effects_alone():
    places = _points(400, 2)
    values = np.sign(places[:, 0] - 0.5) * np.sign(places[:, 1] - 0.5)
    found = importances("m", places, values, ["a", "b"], seed=0)
    for item in found.items:
        assert item.main < 0.2
        assert item.total > 0.7


def test_noise_stays_within_chance_and_is_called_unreliable():
    values = np.random.default_rng(3).normal(size=60)
    found = importances("m", _points(60, 4), values, list("abcd"), seed=0)
    assert sum(item.above_chance for item in found.items) <= 1
    assert found.skill < 0.1
    assert not found.reliable
    assert "predicts points that it has not seen no better" in found.doubts[-1]


def test_the_same_seed_gives_the_same_shares_whatever_the_global_state():
    places = _points(15, 2)
    values = places[:, 0] + places[:, 1]
    np.random.seed(1)  # noqa: NPY002
    first = importances("m", places, values, ["a", "b"], seed=5)
    np.random.seed(2)  # noqa: NPY002
    assert importances("m", places, values, ["a", "b"], seed=5) == first
    assert importances("m", places, values, ["a", "b"], seed=6) != first


def test_an_inactive_parameter_gets_no_share_for_being_inactive():
    places = _points(200, 2)
    values = (places[:, 0] > 0.5).astype(float)
    places[places[:, 0] <= 0.5, 1] = np.nan  # as a condition on the first one makes it
    found = {item.parameter: item for item in importances("m", places, values, ["a", "b"], seed=0).items}
    assert found["a"].main > 0.9
    assert found["b"].total < 0.05


def test_few_points_are_named_few():
    places = _points(12, 4)
    found = importances("m", places, places[:, 0], list("abcd"), seed=0)
    assert found.items
    assert found.doubts[0] == "12 finished points are few for 4 parameters, 20 would do"
    for item in found.items:
        assert 0.0 <= item.low <= item.main <= item.high <= 1.0
        assert item.low < item.high
        assert item.total >= item.main


@pytest.mark.parametrize(
    ("n", "spread", "doubt"),
    [
        (FEWEST - 1, 1.0, f"only {FEWEST - 1} finished points, {FEWEST} are the least"),
        (20, 0.0, "every point has the same value"),
    ],
    ids=["too few", "no variation"],
)
def test_nothing_is_said_without_a_basis(n, spread, doubt):
    places = _points(n, 2)
    found = importances("m", places, spread * places[:, 0], ["a", "b"], seed=0)
    assert (found.items, found.doubts) == ((), (doubt,))


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="finite values for 10 points"):
        importances("m", _points(10, 1), np.full(10, np.nan), ["a"], seed=0)
