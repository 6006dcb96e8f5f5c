from __future__ import annotations

import warnings

import numpy as np
import optuna
import pytest
from SALib.analyze import rbd_fast

from fgtune.analysis.search.effect_terms import Parameter
from fgtune.analysis.search.second_opinions import Opinion, PedAnova, first_order_sobol


def _parameters(rng, n):
    places = rng.random((n, 2))
    lists = Parameter("c", (rng.integers(0, 12, n) + 0.5) / 12, 12)
    return [Parameter("a", places[:, 0]), Parameter("b", places[:, 1]), lists]


def test_ped_anova_is_optunas_on_the_same_trials():
    rng = np.random.default_rng(0)
    parameters = _parameters(rng, 60)
    values = parameters[0].places + 0.1 * rng.normal(size=60)
    found = PedAnova(parameters, seed=0).opinion(values, "maximize")
    study = optuna.create_study(direction="maximize")
    domains = {
        "a": optuna.distributions.FloatDistribution(0, 1),
        "b": optuna.distributions.FloatDistribution(0, 1),
        "c": optuna.distributions.CategoricalDistribution(range(12)),
    }
    for rank in range(60):
        a, b, c = (each.places[rank] for each in parameters)
        params = {"a": float(a), "b": float(b), "c": int(c * 12)}
        study.add_trial(optuna.trial.create_trial(params=params, distributions=domains, value=float(values[rank])))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.1).evaluate(study)
    assert dict(found.importance) == pytest.approx(expected)
    assert found.standing == ("a",)


def test_ped_anova_follows_the_direction_and_knows_inactive_parameters():
    rng = np.random.default_rng(1)
    child = Parameter("child", np.where(rng.random(80) < 0.5, rng.random(80), np.nan))
    parameters = [*_parameters(rng, 80), child, Parameter("constant", np.full(80, 0.5))]
    judge = PedAnova(parameters, seed=0)
    values = (parameters[0].places - 0.2) ** 2
    low, high = judge.opinion(values, "minimize"), judge.opinion(values, "maximize")
    assert low.importance != high.importance
    assert low.importance == judge.opinion(-values, "maximize").importance
    assert set(low.importance) == {"a", "b", "c", "child"}


def test_the_sobol_index_is_salibs_for_parameters_with_a_scale():
    rng = np.random.default_rng(2)
    parameters = _parameters(rng, 64)
    values = parameters[0].places + 0.3 * rng.normal(size=64)
    found = first_order_sobol(parameters, values, seed=0)
    places = np.column_stack([each.places for each in parameters[:2]])
    problem = {"num_vars": 2, "names": ["a", "b"], "bounds": [[0, 1], [0, 1]]}
    expected = rbd_fast.analyze(problem, places, values, M=3, num_resamples=2, seed=0)["S1"]
    assert [found.importance["a"], found.importance["b"]] == pytest.approx(expected)
    assert found.standing == ("a",)


@pytest.mark.slow
def test_second_opinions_leave_noise_within_chance():
    wrong = {"ped": 0, "sobol": 0}
    for seed in range(30):
        rng = np.random.default_rng([seed, 7])
        parameters = _parameters(rng, 40)
        if seed % 15 == 0:
            judge = PedAnova(parameters, seed=seed)  # the design stays, the noise is new
            fixed = parameters
        values = rng.normal(size=40) if seed % 2 else rng.poisson(2.0, 40).astype(float)
        wrong["ped"] += len(judge.opinion(values, "maximize").standing) > 0
        wrong["sobol"] += len(first_order_sobol(fixed, values, seed=seed, shuffles=59).standing) > 0
    assert max(wrong.values()) <= 6  # 1 or 2 are expected; 7 or more have a probability of 0.1 %


def test_importances_are_told_in_units_of_chance():
    opinion = Opinion({"a": 0.6, "b": -0.1, "c": 0.0}, {"a": 0.2, "b": 0.2, "c": 0.0})
    assert [opinion.text(name) for name in "abcd"] == ["3.0×", "0.0×", "–", "–"]


def test_optunas_verbosity_is_as_it_was():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.DEBUG)
    try:
        PedAnova(_parameters(np.random.default_rng(0), 20), seed=0)
        assert optuna.logging.get_verbosity() == optuna.logging.DEBUG
    finally:
        optuna.logging.set_verbosity(before)
