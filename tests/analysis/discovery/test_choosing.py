"""A number of classes and a method are chosen by how runs agree; the default stands where criteria contradict."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from fgtune.analysis.agreement import ArmAgreement, pseudo_values
from fgtune.analysis.discovery.choosing import Candidate, agreement_interval, choose_method, choose_num_fine


def agreement(pairs: list[float]) -> ArmAgreement:
    """An arm whose pairs of seeds agree so far."""
    n = round((1 + math.sqrt(1 + 8 * len(pairs))) / 2)
    table = np.full((n, n), np.nan)
    rows, columns = np.triu_indices(n, 1)
    table[rows, columns] = table[columns, rows] = pairs
    return ArmAgreement(tuple(range(n)), table, np.ones(n), same_split=False)


def test_the_number_on_which_runs_agree_most_is_chosen_with_those_that_agree_no_less():
    found = {4: agreement([0.1, 0.12, 0.11]), 6: agreement([0.7, 0.9, 0.8]), 8: agreement([0.8, 0.9, 0.85])}
    choice = choose_num_fine({**found, 10: agreement([0.3, 0.31, 0.3])}, missing=[12])
    assert (choice.chosen, choice.low, choice.high, choice.edge, choice.missing) == (8, 6, 8, "", (12,))
    assert [level.num_fine for level in choice.levels] == [4, 6, 8, 10]
    assert choice.levels[1].pairs == (0.7, 0.9, 0.8)


def test_numbers_beyond_one_that_is_ruled_out_are_not_in_the_interval():
    found = {4: agreement([0.8, 0.9, 0.84]), 6: agreement([0.1, 0.1, 0.11]), 8: agreement([0.8, 0.9, 0.85])}
    choice = choose_num_fine(found)
    assert (choice.chosen, choice.low, choice.high, choice.edge) == (8, 8, 8, "largest")


def test_two_seeds_rule_out_nothing_and_of_equal_numbers_the_smaller_is_taken():
    choice = choose_num_fine({5: agreement([0.4]), 3: agreement([0.9]), 4: agreement([0.9])})
    assert (choice.chosen, choice.low, choice.high) == (3, 3, 5)
    assert math.isnan(choice.levels[0].low)
    assert choice.edge == "smallest"
    assert choose_num_fine({3: agreement([0.9]), 4: agreement([0.1])}, least=3).edge == ""
    with pytest.raises(ValueError, match="no number"):
        choose_num_fine({})


def test_the_interval_is_the_jackknifes():
    arm = agreement([0.5, 0.7, 0.6, 0.65, 0.8, 0.75])
    values = pseudo_values(arm.corrected)
    low, high = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    assert agreement_interval(arm) == pytest.approx((low, high))


def candidate(arm: str, agreement: float, judge: float, seeds: int = 5, spread: float = 0.01) -> Candidate:
    by_seed = {seed: agreement + spread * (seed - (seeds - 1) / 2) for seed in range(seeds)}
    return Candidate(arm, arm.upper(), agreement, math.nan, math.nan, judge, (judge,), by_seed, seeds, 1.0)


RIVALS = [candidate(f"m{rank}", 0.2 + 0.1 * rank, 0.02 * rank) for rank in range(5)]
"""Both criteria rank them alike, m4 first."""


def test_a_method_that_both_criteria_prefer_clearly_is_taken_instead_of_the_default():
    choice = choose_method([*RIVALS, candidate("default", 0.25, 0.01)], "default")
    assert (choice.arm, choice.refused) == ("m4", False)
    assert [each.arm for each in choice.candidates][:2] == ["m4", "m3"]
    assert "agree by 0.350" in choice.reason
    assert choice.reason.endswith("more than those of the default, DEFAULT.")


def test_the_default_is_taken_where_the_criteria_contradict_each_other():
    rivals = [candidate(f"m{rank}", 0.2 + 0.1 * rank, 0.1 - 0.02 * rank) for rank in range(5)]
    choice = choose_method([*rivals, candidate("default", 0.25, 0.01)], "default")
    assert (choice.arm, choice.refused) == ("default", True)
    assert choice.reason.startswith(
        "Nothing is shown to choose better than the default (DEFAULT): agreement of seeds and"
    )


def test_the_default_is_taken_where_the_best_method_is_not_clearly_ahead():
    choice = choose_method([*RIVALS, candidate("default", 0.599, 0.07, spread=0.2)], "default")
    assert (choice.arm, choice.refused) == ("default", True)
    assert "M4 is first by both together, but its seeds do not agree clearly more" in choice.reason


def test_a_default_whose_runs_hardly_agree_is_given_up_for_one_that_is_ahead_by_both():
    """The criteria rank the others as by chance, as in the folder of pictures of docs/discover.md."""
    judges = (0.07, 0.06, 0.065, 0.05, 0.08)
    rivals = [candidate(f"m{rank}", 0.5 + 0.1 * rank, judge) for rank, judge in enumerate(judges)]
    failing = replace(candidate("default", 0.3, 0.01), high=0.4)
    choice = choose_method([*rivals, failing], "default")
    assert (choice.arm, choice.refused) == ("m4", False)
    assert (
        "Runs of the default, DEFAULT, hardly find the same classes (agreement 0.300, at most 0.400)" in choice.reason
    )
    unsure = replace(failing, high=0.6)
    assert choose_method([*rivals, unsure], "default").refused
    assert choose_method([*rivals, replace(failing, judge=0.2)], "default").refused


def test_a_default_that_ranks_first_is_no_refusal():
    choice = choose_method([*RIVALS, candidate("default", 0.9, 0.2)], "default")
    assert (choice.arm, choice.refused) == ("default", False)
    assert choice.reason.startswith("DEFAULT, the default, ranks first")


def test_methods_that_lost_runs_do_not_win_and_few_methods_choose_nothing():
    lost = candidate("lost", 0.99, 0.5, seeds=3)
    choice = choose_method([*RIVALS, lost, candidate("default", 0.9, 0.2)], "default")
    assert choice.arm == "default"
    assert choice.candidates[-1] is lost
    few = choose_method([*RIVALS[:2], candidate("default", 0.1, 0.0)], "default")
    assert (few.arm, few.refused) == ("default", True)
    assert "3 methods of 5 that are needed" in few.reason


def test_the_best_method_is_taken_where_the_default_did_not_finish():
    choice = choose_method([candidate("alone", math.nan, 0.1)], "default")
    assert (choice.arm, choice.refused) == ("alone", False)
    assert choice.reason == "ALONE, the only method that finished."
    two = choose_method([candidate("alone", math.nan, 0.1), candidate("other", math.nan, 0.2)], "default")
    assert "the default did not finish" in two.reason
