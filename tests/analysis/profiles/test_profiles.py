from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from support.benchmarks import load_benchmark

from fgtune.analysis.profiles import rivals
from fgtune.analysis.profiles.plateau import level_bounds, runs_within
from fgtune.analysis.profiles.sides import side_contrasts
from fgtune.analysis.profiles.slopes import elasticity, on_log_levels
from fgtune.analysis.summary import summarise
from fgtune.analysis.verdicts.judgement import LostCells
from fgtune.analysis.verdicts.looks import kept_shares, sequential_p
from fgtune.analysis.verdicts.shape import UNKNOWN
from fgtune.analysis.verdicts.statistics import holm
from fgtune.reporting.html import write_up
from fgtune.streams import numpy_stream

benchmark = load_benchmark("profiles")


def gains_with(means, n=12, sd=0.01, name="levels"):
    rng = numpy_stream(0, name, n)
    block = 0.02 * rng.standard_normal(n)
    values = {
        arm: {seed: float(mean + block[seed] + sd * rng.standard_normal()) for seed in range(n)}
        for arm, mean in means.items()
    }
    return benchmark.gains_with(values)


def bounds_of(gains, margin=0.02):
    return level_bounds(replace(gains, margin=margin), [[(arm, arm) for arm in gains.values]])[0]


def test_the_p_of_a_level_is_the_largest_of_one_sided_paired_t_tests_against_the_others():
    gains = gains_with({"a": 0.8, "b": 0.805, "c": 0.79})
    raw = []
    for arm in "abc":
        differences = [
            [gains.values[arm][s] - gains.values[other][s] for s in range(12)] for other in "abc" if other != arm
        ]
        raw.append(max(stats.ttest_1samp(each, -0.02, alternative="greater").pvalue for each in differences))
    found = [bound.p_adjusted for bound in bounds_of(gains)]
    ordered = sorted(raw)
    steps = np.maximum.accumulate([2 * ordered[0], 2 * ordered[1], ordered[2]])  # two of three can be wrong at most
    assert sorted(found) == pytest.approx(np.minimum(steps, 1.0))


@pytest.mark.parametrize("case", ["flat", "trend", "repeated", "lost", "skewed", "few seeds"])
def test_many_levels_have_the_answers_that_all_pairs_give(case, monkeypatch):
    means = {f"l{rank:02d}": 0.8 + (0.002 * rank if case == "trend" else 0.0) for rank in range(20)}
    gains = gains_with(means, n=4 if case == "few seeds" else 12, sd=0.004, name=case)
    values = {arm: dict(own) for arm, own in gains.values.items()}
    if case == "repeated":
        values["l03"], values["l04"] = dict(values["l07"]), {seed: v + 0.01 for seed, v in values["l07"].items()}
    if case == "lost":
        del values["l05"][2]
        gains = replace(gains, lost={**gains.lost, "l05": LostCells(failed=(2,))})
    if case == "skewed":
        gains = replace(gains, shape=replace(gains.shape, p=0.001, worst=0.03))
        assert not gains.shape.normal
    gains = replace(gains, values=values)
    fast = bounds_of(gains)
    monkeypatch.setattr(rivals, "FEW", 20)
    slow = bounds_of(gains)
    for one, two in zip(fast, slow, strict=True):
        assert (one.arm, one.seeds, one.within, bool(one.doubt)) == (two.arm, two.seeds, two.within, bool(two.doubt))
        assert one.shortfall == two.shortfall
        assert one.p_adjusted == two.p_adjusted or (math.isnan(one.p_adjusted) and math.isnan(two.p_adjusted))
    assert case != "flat" or any(each.within for each in slow)


def test_shaffers_bound_is_holms_method_where_all_hypotheses_can_be_true():
    p_values = [0.01, 0.2, 0.03, 0.004]
    assert holm(p_values, 4) == pytest.approx(multipletests(p_values, method="holm")[1])
    assert holm(p_values, 3) == pytest.approx([0.03, 0.2, 0.06, 0.012])
    assert holm([math.nan, 0.02], 2)[1] == pytest.approx(0.04)


def test_the_bound_of_a_level_is_its_lowest_simultaneous_difference_to_another():
    gains = gains_with({"a": 0.8, "b": 0.82, "c": 0.79})
    lows = []
    for other in "bc":
        differences = [gains.values["a"][s] - gains.values[other][s] for s in range(12)]
        test = stats.ttest_1samp(differences, 0.0, alternative="greater")
        lows.append(test.confidence_interval(1 - 0.05 / 2).low)
    assert bounds_of(gains)[0].shortfall == pytest.approx(-min(lows))
    assert bounds_of(gains_with({"a": 0.9, "b": 0.5, "c": 0.5}))[0].shortfall == 0.0


def test_levels_pay_for_every_look_at_the_results():
    gains = gains_with({"a": 0.8, "b": 0.8, "c": 0.79})
    shares = kept_shares(2, 0.2)
    looked = bounds_of(replace(gains, looks=(frozenset(range(6)), frozenset(range(12))), shares=shares))
    raw = []
    for arm in "abc":
        tests = []
        for other in sorted({*"abc"} - {arm}):
            differences = [gains.values[arm][s] - gains.values[other][s] for s in range(12)]
            both = [stats.ttest_1samp(differences[:n], -0.02, alternative="greater").pvalue for n in (6, 12)]
            tests.append(sequential_p(both, [6, 12], shares))
        raw.append(max(tests))
    assert [bound.p_adjusted for bound in looked] == pytest.approx(holm(raw, 2))
    assert all(after.shortfall > before.shortfall for before, after in zip(bounds_of(gains), looked, strict=True))


def test_a_plateau_is_the_runs_of_levels_within_the_margin():
    gains = gains_with({"a": 0.5, "b": 0.8, "c": 0.8, "d": 0.6, "e": 0.8}, n=30, sd=0.004)
    assert [[bound.arm for bound in run] for run in runs_within(bounds_of(gains))] == [["b", "c"], ["e"]]
    assert runs_within(bounds_of(gains, margin=None)) == []


def test_a_level_that_lost_cells_is_within_the_margin_only_if_they_could_not_undo_it():
    gains = gains_with({"a": 0.8, "b": 0.8, "c": 0.8}, n=30, sd=0.002)
    assert all(bound.within for bound in bounds_of(gains))
    values = {arm: dict(own) for arm, own in gains.values.items()}
    del values["b"][3]
    found = bounds_of(replace(gains, values=values, lost={"b": LostCells(failed=(3,))}))
    assert [(bound.within, bound.doubt) for bound in found] == [(True, ""), (False, "lost"), (True, "")]
    assert found[1].shortfall > 0.8 / 30  # had the lost cell been 0


def test_levels_of_skewed_seeds_or_few_that_would_miss_collapses_are_in_doubt():
    gains = gains_with({"a": 0.8, "b": 0.8, "c": 0.8}, n=4, sd=0.001)
    assert {bound.doubt for bound in bounds_of(replace(gains, shape=UNKNOWN))} == {"unseen"}
    gains = gains_with({"a": 0.8, "b": 0.8, "c": 0.8}, n=30, sd=0.002)
    odd = replace(gains.shape, p=0.001, worst=0.9)
    assert {bound.doubt for bound in bounds_of(replace(gains, shape=odd))} == {"shape"}


@pytest.mark.slow_except("edge, collapsing-10")
@pytest.mark.parametrize(("kind", "n"), [("edge", 10), ("two factors at the edge", 5), ("edge, collapsing", 10)])
def test_levels_at_the_margin_are_rarely_called_near_the_best(kind, n):
    found = benchmark.simulate(kind, n, 40, seed=1)
    allowed = 0.05 + 3.5 * math.sqrt(0.05 * 0.95 / 40)
    assert found.wrong <= allowed
    assert found.bounds_hold >= 1 - allowed


@pytest.mark.slow
def test_picking_the_best_first_would_be_wrong_more_often():
    assert benchmark.simulate("two factors at the edge", 5, 40, seed=1).wrong_picked > 0.1


def test_an_elasticity_is_the_mean_of_the_seeds_slopes_on_log_scales():
    levels = [0.1, 1.0, 10.0, 30.0]
    gains = gains_with({str(level): 0.5 + 0.02 * math.log(level) for level in levels}, n=6)
    found = elasticity(gains, [(str(level), level) for level in levels], 1.0, ratio_scale=True)
    table = np.array([[gains.values[str(level)][s] for s in range(6)] for level in levels])
    by_seed = [stats.linregress(np.log(levels), np.log(table[:, s])).slope for s in range(6)]
    assert found.slope.differences == pytest.approx(by_seed)
    bends = [np.polyfit(np.log(levels), np.log(table[:, s]), 2)[0] for s in range(6)]
    assert found.bend.differences == pytest.approx(bends)


def test_a_metric_without_a_true_zero_has_its_change_per_tenfold_factor_and_its_own_sign():
    gains = gains_with({"1": -0.5, "10": -0.3, "100": -0.1}, sd=0.0)  # gains of a metric that is better when smaller
    found = elasticity(gains, [("1", 1.0), ("10", 10.0), ("100", 100.0)], -1.0, ratio_scale=False)
    assert not found.relative
    assert found.slope.estimate.mean == pytest.approx(-0.2)


def test_a_factor_is_on_a_log_scale_by_its_range_or_its_span():
    assert on_log_levels([0.1, 0.3, 1.0], log_range=False)
    assert on_log_levels([1.0, 2.0, 4.0], log_range=True)
    assert not on_log_levels([1.0, 2.0, 4.0], log_range=False)
    assert not on_log_levels([0.0, 1.0, 10.0], log_range=True)
    assert not on_log_levels([1.0, 100.0], log_range=True)


def test_elasticities_are_covered_and_sides_without_an_effect_rarely_told_apart():
    assert benchmark.slope_coverage(5, 100) >= 0.95 - 3.5 * math.sqrt(0.05 * 0.95 / 100)
    assert benchmark.side_errors(10, 40) <= 0.05 + 3.5 * math.sqrt(0.05 * 0.95 / 40)
    assert benchmark.side_errors(10, 20, effect=0.06) >= 0.8


def test_levels_at_equal_distance_from_the_baseline_are_contrasts():
    gains = gains_with({"8": 0.7, "10": 0.8, "12": 0.75, "15": 0.6})
    (found,) = side_contrasts(gains, [(name, name, float(name)) for name in gains.values], 10.0)
    assert (found.above, found.below) == (("12",), ("8",))
    assert found.distance == pytest.approx(0.2)
    by_hand = [gains.values["12"][s] - gains.values["8"][s] for s in range(12)]
    assert found.contrast.differences == pytest.approx(by_hand)


def test_levels_at_unequal_distances_are_compared_by_their_slopes_from_the_baseline():
    gains = gains_with({"7": 0.6, "10": 0.8, "12": 0.75, "15": 0.6})
    levels = [(name, name, float(name)) for name in ("7", "10", "12", "15")]
    (found,) = side_contrasts(gains, levels, 10.0)
    assert math.isnan(found.distance)
    for seed in range(12):
        at = {name: gains.values[name][seed] - gains.values["10"][seed] for name in ("7", "12", "15")}
        above = np.linalg.lstsq(np.array([[0.2], [0.5]]), np.array([at["12"], at["15"]]), rcond=None)[0][0]
        assert found.contrast.differences[seed] == pytest.approx(0.1 * (above - at["7"] / 0.3))
    assert found.judgement.margin is None


def test_one_side_alone_is_compared_with_nothing():
    gains = gains_with({"10": 0.8, "12": 0.75, "15": 0.6})
    assert side_contrasts(gains, [(name, name, float(name)) for name in gains.values], 10.0) == ()


@pytest.fixture
def folder_of(synthetic, tmp_path):
    def write(profiles="planned", metric="test/clustering_accuracy", seeds=10, collapse_rate=0.1):
        design = {
            "kind": "sensitivity", "profiles": profiles, "baseline": {"classes.num_fine_ratio": 1.0},
            "factors": {
                "classes.num_fine_ratio": [0.8, 1.0, 1.2],
                "objective.lambda_nn": {"low": 0.05, "high": 5.0, "scale": "log", "count": 3},
                "relations.solver": [{"kind": "flow"}, {"kind": "scip"}],
            },
        }  # fmt: skip
        study = {
            "study": "levels", "question": "Where is the plateau?", "design": design, "seeds": seeds,
            "metrics": {"primary": metric, "collapse_rate": collapse_rate},
            "trial": {"data": {"kind": "digits"}, "classes": {"num_fine_ratio": 1.0}, "epochs": 3},
        }  # fmt: skip
        accuracy = {"num_fine_ratio=0.8": 0.7}
        return synthetic.SyntheticStudy(text=json.dumps(study), accuracy=accuracy, noise=0.004).write(tmp_path)

    return write


@pytest.mark.slow
def test_planned_profiles_are_in_the_answer_the_section_and_the_json(folder_of):
    folder = folder_of()
    path, summary = write_up(folder)
    assert "K_F/K_F*: every level from 1.0 to 1.2 stays within 0.02 of the best level" in summary.answer
    assert "20 % too many is better than 20 % too few." in summary.answer
    page = path.read_text(encoding="utf-8")
    assert "lambda_nn from 0.05 to 5.0: 1 % more goes with" in page
    assert 'id="sides-0-data"' in page
    (kf, lambda_nn) = summary.to_plain()["profiles"]["factors"]
    assert [level["within"] for level in kf["levels"]] == [False, True, True]
    assert (kf["elasticity"], lambda_nn["sides"]) == (None, [])


def test_profiles_that_were_not_planned_are_marked_and_not_in_the_answer(folder_of):
    summary = summarise(folder_of("exploratory"))
    assert "stays within" not in summary.answer
    assert all(each.sentence.endswith("(exploratory).") for each in summary.profiles.factors)


@pytest.mark.parametrize(("rate", "words"), [("0.1", "one seed in ten collapses"), ("0.25", "25 % of seeds collapse")])
def test_a_plateau_that_too_few_seeds_cannot_show_names_the_studys_own_rate_of_collapse(folder_of, rate, words):
    summary = summarise(folder_of(seeds=4, collapse_rate=float(rate)))
    assert summary.profiles.factors[0].sentence.endswith(f"but so few seeds cannot rule out that {words}.")


def test_whole_levels_are_written_as_in_the_study_file(tmp_path, synthetic):
    design = {"kind": "sensitivity", "factors": {"batch_size": [64, 256, 1024]}, "baseline": {"batch_size": 64}}
    study = {
        "study": "whole", "question": "How large a batch?", "design": design, "seeds": 3,
        "trial": {"data": {"kind": "digits"}, "classes": {"num_fine": 10}, "epochs": 3},
    }  # fmt: skip
    folder = synthetic.SyntheticStudy(text=json.dumps(study), noise=0.004).write(tmp_path)
    sentence = summarise(folder).profiles.factors[0].slope_sentence
    assert sentence.startswith("batch_size from 64 to 1024: 1 % more goes with")


def test_without_a_margin_no_plateau_is_named(folder_of):
    summary = summarise(folder_of(metric="test/ged"))
    assert "no plateau is named, since the study states no margin" in summary.profiles.factors[0].sentence
