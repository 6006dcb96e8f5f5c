from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from fgtune.analysis.formatting import metric_info
from fgtune.analysis.inputs import read_study
from fgtune.analysis.search.selection import select
from fgtune.analysis.table import tidy_table
from fgtune.analysis.trials import best_trial, criteria_of, pareto_front, trials_of

PRIMARY = "test/clustering_accuracy"
CRITERION = "val/silhouette"


@pytest.fixture(scope="module")
def folder(synthetic_search, tmp_path_factory):
    pruned = {number: 3 if number % 2 else 9 for number in range(5, 30, 3)}
    search = synthetic_search.SyntheticSearch(
        trials=30, pruned=pruned, failed={4}, unfinished={28}, noise=0.03, curves=False
    )
    return search.write(tmp_path_factory.mktemp("selection"))


@pytest.fixture(scope="module")
def chosen(folder):
    data = read_study(folder)
    return select(data, trials_of(data), criteria_of(data)[0], metric_info(PRIMARY), searched=True)


def _complete(folder):
    """Value of each metric by arm and seed, from the tidy table; arms all of whose cells are complete."""
    table = tidy_table(folder)
    whole = table.groupby("arm")["state"].agg(lambda states: set(states) == {"COMPLETE"})
    return table[table["arm"].map(whole)].set_index(["arm", "seed"])[[CRITERION, PRIMARY]]


def test_the_chosen_trial_gain_and_regret_follow_from_the_table(folder, chosen):
    values = _complete(folder)
    means = values.groupby("arm").mean().drop(index="baseline")
    best, oracle = means[CRITERION].idxmax(), means[PRIMARY].idxmax()
    assert (chosen.arm, chosen.best_arm, chosen.n) == (best, oracle, len(means))
    gain = values.loc[best, PRIMARY] - values.loc["baseline", PRIMARY]
    assert chosen.primary.contrast.differences == pytest.approx(tuple(gain))
    own = values.loc[best, CRITERION] - values.loc["baseline", CRITERION]
    assert chosen.own.contrast.estimate.mean == pytest.approx(own.mean())
    regret = values.loc[oracle, PRIMARY] - values.loc[best, PRIMARY]
    assert chosen.regret.differences == pytest.approx(tuple(regret))
    assert chosen.random_regret == pytest.approx(means[PRIMARY].max() - means[PRIMARY].mean())


def test_held_out_lets_each_seed_judge_what_the_others_choose(folder, chosen):
    values = _complete(folder)
    wide = {metric: values[metric].unstack("seed") for metric in (CRITERION, PRIMARY)}
    gains = {CRITERION: [], PRIMARY: []}
    for seed in (0, 1, 2):
        others = [each for each in (0, 1, 2) if each != seed]
        arm = wide[CRITERION].drop(index="baseline")[others].mean(axis=1).idxmax()
        for metric, gained in gains.items():
            gained.append(wide[metric].loc[arm, seed] - wide[metric].loc["baseline", seed])
    assert chosen.own.held_out.mean == pytest.approx(np.mean(gains[CRITERION]))
    assert chosen.primary.held_out.mean == pytest.approx(np.mean(gains[PRIMARY]))


def test_the_lead_of_the_best_of_many_shrinks_when_other_seeds_judge(synthetic_search, tmp_path):
    """Where noise swamps the differences, the plain lead is the luckiest draw and the held-out one is not."""
    search = synthetic_search.SyntheticSearch(trials=60, noise=2.0, curves=False)
    data = read_study(search.write(tmp_path))
    found = select(data, trials_of(data), criteria_of(data)[0], metric_info(PRIMARY), searched=True)
    assert found.own.held_out.mean < 0.6 * found.own.contrast.estimate.mean


def test_stopped_and_failed_trials_are_never_chosen(synthetic_search, tmp_path):
    search = synthetic_search.SyntheticSearch(trials=8, pruned=dict.fromkeys(range(1, 7), 9), failed={7}, curves=False)
    data = read_study(search.write(tmp_path))
    found = select(data, trials_of(data), criteria_of(data)[0], metric_info(PRIMARY), searched=True)
    assert (found.arm, found.best_arm, found.n) == ("trial-0000", "trial-0000", 1)
    assert found.regret.estimate.mean == 0.0


def test_choosing_by_the_primary_metric_has_no_regret(folder):
    data = read_study(folder)
    info = metric_info(PRIMARY)
    found = select(data, trials_of(data), info, info, searched=False)
    assert (found.regret, found.agreement) == (None, None)
    assert found.arm == found.best_arm


def test_a_metric_that_is_minimised_turns_choice_and_correlation_round(folder, synthetic_search, tmp_path):
    data = read_study(folder)
    # val/neighbor_agreement is made as 1 - silhouette: maximised it chooses the worst silhouette, minimised the best
    up = select(data, trials_of(data), metric_info("val/neighbor_agreement"), metric_info(PRIMARY), searched=False)
    text = synthetic_search.SEARCH_STUDY.replace(
        "metric: val/silhouette", "metric: val/neighbor_agreement\n  mode: minimize"
    )
    other = synthetic_search.SyntheticSearch(text=text, trials=30, unfinished=set(range(5, 30)), curves=False)
    few = read_study(other.write(tmp_path))
    down = select(few, trials_of(few), criteria_of(few)[0], metric_info(PRIMARY), searched=True)
    means = _complete(few.folder).groupby("arm").mean().drop(index="baseline")
    assert down.arm == means[CRITERION].idxmax()
    assert down.agreement.rho == pytest.approx(stats.spearmanr(means[CRITERION], means[PRIMARY]).statistic)
    table = _complete(folder).groupby("arm").mean().drop(index="baseline")
    assert up.arm == table[CRITERION].idxmin()
    assert up.agreement.rho == pytest.approx(-stats.spearmanr(table[CRITERION], table[PRIMARY]).statistic)


def test_without_a_finished_trial_nothing_is_chosen(synthetic_search, tmp_path):
    search = synthetic_search.SyntheticSearch(trials=3, unfinished={0, 1, 2}, curves=False)
    data = read_study(search.write(tmp_path))
    assert select(data, trials_of(data), criteria_of(data)[0], metric_info(PRIMARY), searched=True) is None


def test_the_front_is_what_no_other_point_beats(synthetic_search, tmp_path):
    search = synthetic_search.SyntheticSearch(text=synthetic_search.TWO_CRITERIA, noise=0.05, curves=False)
    data = read_study(search.write(tmp_path))
    points = [trial for trial in trials_of(data) if not trial.is_baseline]
    infos = criteria_of(data)
    scores = {trial.arm: (trial.value(infos[0].name), -trial.value(infos[1].name)) for trial in points}
    beaten = {
        one
        for one, two in itertools.permutations(scores, 2)
        if scores[two] != scores[one] and all(np.greater_equal(scores[two], scores[one]))
    }
    assert set(pareto_front(points, infos)) == scores.keys() - beaten
    assert best_trial(points, infos[1]).arm == min(scores, key=lambda arm: -scores[arm][1])
