from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations, permutations, product

import numpy as np
import pytest
from scipy import stats
from support.benchmarks import load_benchmark

from fgtune.analysis.parts.effects import summarise_parts
from fgtune.analysis.text.parts import describe_parts, parts_answer
from fgtune.analysis.verdicts.combining import Gains, combine, paid_p_values
from fgtune.analysis.verdicts.judgement import LostCells, Rules, Verdict
from fgtune.analysis.verdicts.looks import kept_shares, sequential_p
from fgtune.analysis.verdicts.shape import UNKNOWN
from fgtune.streams import numpy_stream

ablation = load_benchmark("ablation")

PARTS = ("a", "b", "c")
UNITS = {part: (part,) for part in PARTS}
SUBSETS = [frozenset(names) for size in range(4) for names in combinations(PARTS, size)]
ARMS = {on: "".join(sorted(on)) or "none" for on in SUBSETS}


def gains_with(values, *, margin=0.02, lost=None, shape=UNKNOWN, low=0.0, high=1.0, rate=0.0):
    rules = Rules("maximize", 0.05, low=low, high=high, collapse_rate=rate)
    return Gains(values, lost or {}, rules, margin, shape)


def table(n=6, truth=lambda on: 0.5 + 0.1 * len(on), sd=0.01, name="table"):
    rng = numpy_stream(0, name, n)
    block = 0.02 * rng.standard_normal(n)
    return {
        arm: {seed: float(truth(on) + block[seed] + sd * rng.standard_normal()) for seed in range(n)}
        for on, arm in ARMS.items()
    }


def found_in(gains, arms=None, units=UNITS, parts=PARTS):
    return summarise_parts(gains, arms or ARMS, units, parts, planned=True)


def test_a_parts_effect_is_the_paired_t_of_its_gain_beside_all_others_minus_its_gain_alone():
    values = table()
    found = found_in(gains_with(values))
    effect = found.parts[0]
    by_hand = [values["abc"][s] - values["bc"][s] - values["a"][s] + values["none"][s] for s in range(6)]
    assert effect.contrast.differences == pytest.approx(by_hand)
    test = stats.ttest_1samp(by_hand, 0.0)
    assert effect.contrast.p_t == pytest.approx(test.pvalue)
    ends = test.confidence_interval(0.95)
    assert (effect.contrast.estimate.low, effect.contrast.estimate.high) == pytest.approx((ends.low, ends.high))
    assert effect.beside.differences == pytest.approx([values["abc"][s] - values["bc"][s] for s in range(6)])
    assert effect.without.differences == pytest.approx([values["a"][s] - values["none"][s] for s in range(6)])


def test_p_values_pay_for_every_look_at_the_results():
    shares = kept_shares(2, 0.2)
    gains = gains_with(table(10, lambda on: 0.5 + 0.03 * bool(on & {"a", "b"})))
    looked = replace(gains, looks=(frozenset(range(5)), frozenset(range(10))), shares=shares)
    sums = combine(gains, {"abc": 1.0, "bc": -1.0, "a": -1.0, "none": 1.0})
    both = [stats.ttest_1samp(sums.contrast.differences[:n], 0.0).pvalue for n in (5, 10)]
    assert paid_p_values(gains, sums)[0] == pytest.approx(both[1])
    assert paid_p_values(looked, sums)[0] == pytest.approx(sequential_p(both, [5, 10], shares))
    assert paid_p_values(looked, sums)[0] > both[1]


def test_pairs_of_a_full_factorial_are_the_interactions_of_the_saturated_linear_model():
    values = table()
    found = found_in(gains_with(values))
    assert found.averaged
    rows = [[(part in on) - 0.5 for part in PARTS] for on in SUBSETS]
    design = np.array([[math.prod(row[i] for i in term) for term in _terms()] for row in rows])
    for seed in range(6):
        outcome = np.array([values[ARMS[on]][seed] for on in SUBSETS])
        fitted = dict(zip(_terms(), np.linalg.solve(design, outcome), strict=True))
        for effect in found.pairs:
            term = tuple(PARTS.index(part) for part in effect.parts)
            assert effect.contrast.differences[seed] == pytest.approx(fitted[term])


def _terms():
    return [term for size in range(4) for term in combinations(range(3), size)]


def test_pairs_without_the_full_factorial_have_the_other_parts_on():
    arms = {on: arm for on, arm in ARMS.items() if len(on) > 0}
    values = table()
    found = found_in(gains_with(values), arms)
    assert not found.averaged
    assert (found.parts, found.shares, found.total) == ((), (), None)
    effect = next(each for each in found.pairs if each.parts == ("a", "b"))
    by_hand = [values["abc"][s] - values["bc"][s] - values["ac"][s] + values["c"][s] for s in range(6)]
    assert effect.contrast.differences == pytest.approx(by_hand)


def test_shares_are_the_mean_gain_over_all_orders_and_sum_to_the_total_seed_by_seed():
    values = table(truth=lambda on: 0.4 + 0.1 * len(on & {"a"}) + 0.2 * ({"b", "c"} <= on))
    found = found_in(gains_with(values))
    for seed in range(6):
        by_order = dict.fromkeys(PARTS, 0.0)
        for order in permutations(PARTS):
            on = frozenset()
            for part in order:
                by_order[part] += (values[ARMS[on | {part}]][seed] - values[ARMS[on]][seed]) / 6
                on |= {part}
        shares = {each.part: each.contrast.differences[seed] for each in found.shares}
        assert shares == pytest.approx(by_order)
        assert math.fsum(shares.values()) == pytest.approx(found.total.differences[seed], abs=1e-12)
    assert found.total.estimate.mean == pytest.approx(np.mean([values["abc"][s] - values["none"][s] for s in range(6)]))


def test_a_seed_with_a_lost_cell_is_left_out_of_shares_and_total_alike():
    values = table()
    del values["ab"][2]
    found = found_in(gains_with(values, lost={"ab": LostCells(failed=(2,))}))
    assert found.total.seeds == (0, 1, 3, 4, 5)
    assert all(each.contrast.seeds == found.total.seeds for each in found.shares)
    assert math.fsum(each.contrast.estimate.mean for each in found.shares) == pytest.approx(found.total.estimate.mean)
    sentence = describe_parts(found, 0.95).sentence
    assert "n = 5 seeds; seeds with a lost cell are left out" in sentence


def test_groups_that_overlap_with_what_they_are_combined_with_have_no_interactions():
    units = UNITS | {"ab": ("a", "b")}
    found = found_in(gains_with(table()), None, units, ("a", "ab"))
    assert (found.pairs, found.shares) == ((), ())
    assert [each.label for each in found.parts] == ["a", "b", "c", "ab"]


def test_arms_that_tell_nothing_about_parts_together_have_no_summary():
    arms = {on: arm for on, arm in ARMS.items() if len(on) in (1, 3)}  # all, or one alone
    assert found_in(gains_with(table()), arms) is None


@pytest.mark.parametrize(
    ("truth", "name", "others"),
    [
        (lambda on: 0.5 + 0.1 * bool(on & {"a", "b"}), "redundancy", "redundant with the others"),
        (lambda on: 0.5 + 0.1 * ({"a", "b"} <= on), "synergy", "in synergy with the others"),
        (lambda on: 0.5 + 0.1 * len(on), "additive", "worth the same beside the others and alone"),
        (lambda on: 0.5 - 0.1 * ({"a", "b"} <= on), "less beside", "worth less beside the others than alone"),
        (lambda on: 0.5 - 0.1 * bool(on & {"a", "b"}), "more beside", "worth more beside the others than alone"),
    ],
)
def test_planted_parts_get_their_names(truth, name, others):
    found = describe_parts(found_in(gains_with(table(10, truth, sd=0.005))), 0.95)
    assert [each.name for each in found.parts] == [name, name, "additive"]
    assert f"a {others}; b {others}" in parts_answer(found)
    pair = next(each for each in found.pairs if each.parts == ("a", "b"))
    assert pair.name == {"less beside": "redundancy", "more beside": "synergy"}.get(name, name)


def test_a_difference_without_the_gain_that_the_name_speaks_of_has_no_name():
    # what moves both gains cancels in their difference
    rng = numpy_stream(1, "noise")
    both, own = 0.03 * rng.standard_normal(6), 0.002 * rng.standard_normal(6)
    values = table(6)
    values |= {"bc": dict.fromkeys(range(6), 0.6), "none": dict.fromkeys(range(6), 0.5)}
    values["abc"] = {s: 0.6 - 0.012 + both[s] + own[s] for s in range(6)}
    values["a"] = {s: 0.5 + 0.012 + both[s] for s in range(6)}
    effect = found_in(gains_with(values, margin=None)).parts[0]
    assert effect.contrast.p_t < 1e-5
    assert min(effect.without.p_t, effect.beside.p_t) > 0.05
    assert effect.name == "undecided"


def test_a_name_stands_only_where_it_survives_the_lost_cells():
    values = table(10, lambda on: 0.5 + 0.1 * bool(on & {"a", "b"}), sd=0.005)
    lost = {"bc": LostCells(failed=(3, 7))}
    for seed in (3, 7):
        del values["bc"][seed]
    found = describe_parts(found_in(gains_with(values, lost=lost)), 0.95)
    effect = found.parts[0]
    assert (effect.name, effect.judgement.doubt) == ("undecided", "lost")
    assert (
        "one of its arms failed on seeds 3, 7; with these cells at their worst and best, the mean difference could lie"
        in effect.sentence
    )
    assert "n = 8 seeds, 2 left out for lost cells" in effect.sentence
    low, high = combine(gains_with(values, lost=lost), {"abc": 1.0, "bc": -1.0}).bounds
    kept = [values["abc"][s] - values["bc"][s] for s in values["bc"]]
    ends = [sum(kept) + values["abc"][3] + values["abc"][7] - 2 * end for end in (1.0, 0.0)]
    assert (low, high) == pytest.approx((ends[0] / 10, ends[1] / 10))


def test_a_name_that_does_not_stand_leaves_the_difference_with_its_own_numbers_and_words():
    # less beside than alone for sure; but had the lost cells of "none" been high, alone it would gain nothing
    values = table(10, lambda on: {"abc": 0.5, "bc": 0.7, "a": 0.6, "none": 0.5}.get(ARMS[on], 0.6), sd=0.003)
    values["bc"] = {seed: value + 0.05 * (-1) ** seed for seed, value in values["bc"].items()}
    lost = {"none": LostCells(failed=(3, 7)), "bc": LostCells(failed=(5,))}
    for seed in (3, 7):
        del values["none"][seed]
    del values["bc"][5]
    effect = describe_parts(found_in(gains_with(values, lost=lost)), 0.95).parts[0]
    assert (effect.name, effect.judgement.doubt) == ("undecided", "lost")
    assert effect.judgement.tests_say is Verdict.HURTS
    assert effect.judgement.lost.failed == (3, 5, 7)
    assert effect.judgement.p_equivalent > 0.9
    assert "n = 7 seeds, 3 left out for lost cells" in effect.sentence
    assert "these seeds alone say less together, but one of its arms failed on seeds 3, 7;" in effect.sentence


def test_lost_cells_of_a_metric_without_bounds_could_have_changed_anything():
    values = table(10, lambda on: 0.5 + 0.1 * bool(on & {"a", "b"}), sd=0.005)
    del values["none"][0]
    gains = gains_with(values, lost={"none": LostCells(failed=(0,))}, low=-math.inf, high=math.inf)
    found = describe_parts(found_in(gains), 0.95)
    assert {each.name for each in found.parts} == {"undecided"}
    reason = "one of its arms failed on seed 0; the metric has no bounds, so those cells could have changed anything"
    assert found.parts[0].judgement.reason == reason
    assert found.parts[0].sentence.endswith(f"{reason}.")
    below, above = combine(gains, {"abc": 1.0, "none": -1.0}).ends
    assert (below[0], above[0]) == (-math.inf, math.inf)
    assert below[1:] == above[1:] == combine(gains, {"abc": 1.0, "none": -1.0}).contrast.differences


def test_the_seed_of_a_cell_that_two_arms_lost_in_different_ways_is_counted_once():
    values = table(10, lambda on: 0.5 + 0.1 * bool(on & {"a", "b"}), sd=0.005)
    lost = {"bc": LostCells(failed=(3,)), "none": LostCells(undefined=(3, 4))}
    del values["bc"][3], values["none"][3], values["none"][4]
    effect = describe_parts(found_in(gains_with(values, lost=lost)), 0.95).parts[0]
    assert effect.judgement.lost == LostCells(failed=(3,), undefined=(3, 4))
    assert "n = 8 seeds, 2 left out for lost cells" in effect.sentence


def test_where_no_seed_is_left_the_sentence_speaks_of_the_arms_of_the_sum():
    values = table(4) | {"bc": {}}
    effect = describe_parts(found_in(gains_with(values, lost={"bc": LostCells(failed=(0, 1, 2, 3))})), 0.95).parts[0]
    assert effect.sentence == "a: no pair is left: one of its arms failed on seeds 0, 1, 2, 3."


def test_few_seeds_cannot_rule_out_collapses_of_which_none_was_seen():
    values = table(3, lambda on: 0.5 + 0.02 * bool(on & {"a", "b"}), sd=0.0001)
    effect = found_in(gains_with(values, margin=None, rate=0.1)).parts[0]
    assert (effect.name, effect.judgement.doubt) == ("undecided", "unseen")


@pytest.mark.slow_except("redundant-5")
@pytest.mark.parametrize(
    ("kind", "n"),
    [("additive", 5), ("redundant", 5), ("nothing alone", 10), ("at the margin", 10), ("additive, collapsing", 10)],
)
def test_parts_of_planted_studies_are_rarely_called_what_they_are_not(kind, n):
    studies = 40
    found = ablation.simulate(kind, n, studies, seed=1)
    allowed = 0.05 + 3.5 * math.sqrt(0.05 * 0.95 / studies)
    assert max(found.wrong_parts, found.wrong_pairs) <= allowed
    assert min(found.covered_pairs, found.covered_shares) >= 0.95 - 3.5 * math.sqrt(0.05 * 0.95 / (4 * studies))


@pytest.mark.parametrize("kind", ["redundant", "synergy"])
def test_planted_redundancy_and_synergy_are_found(kind):
    found = ablation.simulate(kind, 10, 20, seed=2)
    assert min(found.found_parts, found.found_pair) >= 0.9


def test_the_planted_truths_of_the_benchmark_are_what_they_say():
    full = frozenset(ablation.PARTS)
    for truth, part in product((ablation.additive, ablation.redundant, ablation.synergy, ablation.lossy), full):
        beside, alone = ablation.gains_of_part(truth, part)
        assert beside == pytest.approx(truth(full) - truth(full - {part}))
        assert alone == pytest.approx(truth(frozenset({part})) - truth(frozenset()))
    assert math.fsum(ablation.shapley(ablation.synergy).values()) == pytest.approx(0.11)
