from __future__ import annotations

import numpy as np
import pytest

from fgtune.analysis.search.effect_terms import Parameter
from fgtune.analysis.search.importances import FEWEST, RANDOM_NUMBER, importances
from fgtune.analysis.text.importances import importance_sentence


def _points(n, d, seed=0):
    return np.random.default_rng(seed).random((n, d))


def _ranges(places, names):
    return [Parameter(name, places[:, rank]) for rank, name in enumerate(names)]


def _items(found):
    return {item.parameter: item for item in found.items}


def test_an_additive_function_is_split_by_its_coefficients():
    places = _points(300, 4)
    found = importances("m", _ranges(places, "abcd"), 3 * places[:, 0] + places[:, 1], seed=1)
    assert [item.parameter for item in found.ranked][:2] == ["a", "b"]
    shares = _items(found)
    assert shares["a"].main == pytest.approx(0.9, abs=0.03)  # 3^2 / (3^2 + 1)
    assert shares["b"].main == pytest.approx(0.1, abs=0.03)
    assert all(shares[name].main < 0.01 for name in "cd")
    assert [name for name, item in shares.items() if item.stands_out] == ["a", "b"]
    assert found.explained > 0.9
    assert found.reliable


def test_a_pure_interaction_is_found_and_named():
    places = _points(100, 6)
    values = np.sign(places[:, 0] - 0.5) * np.sign(places[:, 1] - 0.5) + np.random.default_rng(1).normal(size=100)
    found = importances("m", _ranges(places, "abcdef"), values, seed=0)
    assert [pair.parameters for pair in found.interactions] == [("a", "b")]
    shares = _items(found)
    assert not any(item.stands_out for item in found.items)
    assert (shares["a"].partners, shares["b"].partners) == (("b",), ("a",))
    assert shares["a"].joint > shares["a"].joint_chance
    assert [item.parameter for item in found.ranked[:2]] == ["a", "b"]


def test_within_chance_no_bar_reaches_its_tick():
    for seed in range(8):
        rng = np.random.default_rng([seed, 1])
        found = importances("m", _ranges(rng.random((40, 4)), "abcd"), rng.normal(size=40), seed=seed)
        for item in found.items:
            assert item.stands_out or item.main <= item.chance
            assert item.partners or not item.joint > item.joint_chance


def test_the_same_seed_gives_the_same_shares_whatever_the_global_state():
    places = _points(15, 2)
    values = places[:, 0] + _points(15, 1, seed=2)[:, 0]
    np.random.seed(1)  # noqa: NPY002
    first = importances("m", _ranges(places, "ab"), values, seed=5)
    np.random.seed(2)  # noqa: NPY002
    assert importances("m", _ranges(places, "ab"), values, seed=5) == first
    assert importances("m", _ranges(places, "ab"), values, seed=6) != first


def test_an_inactive_parameter_gets_no_share_for_being_inactive():
    places = _points(200, 2)
    values = (places[:, 0] > 0.5).astype(float)
    places[places[:, 0] <= 0.5, 1] = np.nan  # as a condition on the first one makes it
    found = _items(importances("m", _ranges(places, "ab"), values, seed=0))
    assert found["a"].main > 0.7
    assert not found["b"].stands_out
    assert found["b"].main < 0.05


def test_few_points_are_named_few():
    places = _points(12, 4)
    found = importances("m", _ranges(places, "abcd"), places[:, 0] + _points(12, 1, seed=3)[:, 0], seed=0)
    assert [item.parameter for item in found.items] == [*"abcd", RANDOM_NUMBER]
    assert found.doubts[0] == "12 finished points are few for 4 parameters, 20 would do"
    for item in found.items:
        assert 0.0 <= item.low <= item.main <= item.high <= 1.0
        assert item.low < item.high


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
    found = importances("m", _ranges(places, "ab"), spread * places[:, 0], seed=0)
    assert (found.items, found.doubts) == ((), (doubt,))
    assert importance_sentence(found, {"a": "a", "b": "b"}) == f"Nothing can be said: {doubt}."


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="10 finite values"):
        importances("m", _ranges(_points(10, 1), "a"), np.full(10, np.nan), seed=0)


# Sentences


def _percent(share):
    return f"{share * 100:.0f} %"


def test_the_sentence_names_what_stands_out_and_what_it_predicts():
    places = _points(120, 4, seed=3)
    product = 6 * (places[:, 1] - 0.5) * (places[:, 2] - 0.5)
    values = 3 * places[:, 0] + product + 0.5 * np.random.default_rng(1).normal(size=120)
    found = importances("m", _ranges(places, "abcd"), values, seed=1)
    names = {"a": "lr", "b": "weight", "c": "width", "d": "depth"}
    text = importance_sentence(found, names)
    a, (pair,) = _items(found)["a"], found.interactions
    assert text == (
        f"Above chance: lr explains {_percent(a.main)} alone ({a.low * 100:.0f} to {_percent(a.high)}) "
        f"and weight and width explain {_percent(pair.share)} together beyond what each does alone "
        f"({pair.low * 100:.0f} to {_percent(pair.high)}). That predicts {_percent(found.explained)} of the variation "
        "between points that are left out of the fit "
        "(n = 120). The other parameter stays within chance."
    )


def test_the_sentence_of_noise_says_what_could_have_been_seen():
    values = np.random.default_rng(3).normal(size=60)
    found = importances("m", _ranges(_points(60, 4), "abcd"), values, seed=0)
    alone = _percent(max(item.chance for item in found.items[:4]))
    together = _percent(max(item.joint_chance for item in found.items[:4]))
    assert importance_sentence(found, dict(zip("abcd", "abcd", strict=True))) == (
        "Nothing stands out from chance. With 60 finished points a parameter would have to explain more than "
        f"{alone} of the variation alone, or two more than {together} together, to be told from one without effect. "
        "This does not say that there is no effect."
    )


def test_a_parameter_that_does_not_vary_leaves_the_sentence_of_noise_its_number():
    rng = np.random.default_rng(3)
    constant, varied = Parameter("a", np.full(60, 0.5)), Parameter("b", rng.random(60))
    found = importances("m", [constant, varied], rng.normal(size=60), seed=0)
    assert np.isnan(found.items[0].chance)
    alone = _percent(max(item.chance for item in found.items[1:]))
    sentence = importance_sentence(found, {"a": "a", "b": "b"})
    assert f"would have to explain more than {alone} of the variation" in sentence
