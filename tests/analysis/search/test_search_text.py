"""What is said of a chosen trial: as much as seeds that did not choose it can tell."""

from __future__ import annotations

import math

import pytest

from fgtune.analysis.summary import summarise

CRITERION, PRIMARY = "val/silhouette", "test/clustering_accuracy"


@pytest.fixture
def summary_of(synthetic_search, tmp_path):
    def make(seeds=3, **search):
        text = synthetic_search.SEARCH_STUDY.replace("seeds: 3", f"seeds: {seeds}")
        return summarise(synthetic_search.SyntheticSearch(text=text, curves=False, **search).write(tmp_path))

    return make


def test_one_seed_gives_no_interval_and_no_word_of_chance(summary_of):
    found = summary_of(seeds=1, trials=6)
    assert "the same seed chose and judges, so there is no interval" in found.answer
    assert "interval of" not in found.answer
    assert any("on seeds that the search has not seen tells what is left" in text for text in found.warnings)
    assert not any("looks like by chance" in text for text in found.warnings)
    (selection,) = found.search.searched
    assert (selection.own.held_out.n, math.isnan(selection.chance)) == (0, True)


def test_two_seeds_give_a_held_out_lead_without_an_interval(summary_of):
    found = summary_of(seeds=2, trials=6)
    lead = found.search.searched[0].own.held_out
    assert (
        f"on seeds that did not choose, {lead.mean:+.3f} (no interval from 2 seeds)".replace("-", "−") in found.answer
    )


def test_the_lead_of_the_best_of_equal_trials_is_told_to_look_like_chance(summary_of):
    """Noise of twenty times the function: the best of 30 leads, and on other seeds nothing is left."""
    found = summary_of(trials=30, noise=4.0)
    selection = found.search.searched[0]
    assert selection.own.contrast.estimate.mean > 1.0
    assert selection.chance > 0.05
    (warning,) = (text for text in found.warnings if "looks like by chance" in text)
    assert f"the best would still reach {selection.own.contrast.estimate.mean:+.2f} or better" in warning
    assert f"in {selection.chance:.0%} of such searches" in warning


def test_a_lead_beyond_chance_has_an_interval_above_zero(summary_of):
    found = summary_of(trials=12, noise=0.005)
    selection = found.search.searched[0]
    assert selection.chance < 0.001
    assert selection.own.held_out.low > 0
    assert not any("looks like by chance" in text for text in found.warnings)
    held = selection.own.held_out
    assert (
        f"on seeds that did not choose, +{held.mean:.3f} (95 % interval +{held.low:.3f} to +{held.high:.3f}"
        in found.answer
    )


def test_the_cost_of_a_choice_has_an_interval(summary_of):
    found = summary_of(trials=30, noise=0.05)
    selection = found.search.searched[0]
    cost = selection.cost
    ends = f"{cost.low:+.3f} to {cost.high:+.3f}, n = 3 seeds".replace("-", "−")
    assert selection.arm != selection.best_arm
    assert ends in found.answer
