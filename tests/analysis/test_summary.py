from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import stats

from fgtune.analysis.formatting import number
from fgtune.analysis.latex import latex_table
from fgtune.analysis.summary import summarise
from fgtune.analysis.table import tidy_table
from fgtune.analysis.verdicts.judgement import Verdict
from fgtune.analysis.verdicts.statistics import holm

PRIMARY = "test/clustering_accuracy"


@pytest.fixture(scope="module")
def complete(synthetic, kf_accuracy, tmp_path_factory):
    folder = synthetic.SyntheticStudy(accuracy=kf_accuracy).write(tmp_path_factory.mktemp("complete"))
    return folder, summarise(folder)


def _values(table, arm, metric=PRIMARY):
    rows = table[(table["arm"] == arm) & (table["state"] == "COMPLETE")]
    return rows.set_index("seed")[metric]


def test_every_number_can_be_recomputed_from_the_tidy_table(complete):
    folder, summary = complete
    table = tidy_table(folder)
    baseline = _values(table, "baseline")
    p_values = []
    for arm in summary.arms:
        values = _values(table, arm.arm)
        assert arm.estimates[PRIMARY].mean == pytest.approx(values.mean())
        assert arm.estimates[PRIMARY].n == 5
        contrast = summary.contrast_of(arm.arm)
        if contrast is not None:
            expected = stats.ttest_rel(values, baseline[values.index])
            assert contrast.contrast.estimate.mean == pytest.approx((values - baseline).mean())
            assert contrast.contrast.p_t == pytest.approx(expected.pvalue)
            p_values.append(expected.pvalue)
    assert [c.judgement.p_adjusted for c in summary.contrasts] == pytest.approx(
        holm([p / 0.8 for p in p_values])  # a fifth of alpha is kept for later looks
    )


def test_verdicts_follow_the_numbers(complete):
    _, summary = complete
    verdicts = {contrast.arm: contrast.judgement.verdict for contrast in summary.contrasts}
    assert verdicts["num_fine_ratio=0.8"] is Verdict.HURTS
    assert verdicts["num_fine_ratio=1.2"] is Verdict.UNDECIDED
    assert [contrast.planned for contrast in summary.contrasts] == [True] * 3


def test_other_metrics_are_exploratory_and_carry_no_verdict(complete):
    _, summary = complete
    assert {contrast.metric for contrast in summary.exploratory} == {"test/ari", "test/ged"}
    assert len(summary.exploratory) == 6
    assert all(item.judgement is None and not item.planned for item in summary.exploratory)
    assert all(item.sentence.endswith(": exploratory.") for item in summary.exploratory)


def test_answer_and_sentences_carry_their_numbers(complete):
    _, summary = complete
    low = summary.contrast_of("num_fine_ratio=0.8").contrast.estimate
    base = summary.baseline.estimates[PRIMARY].mean
    sentence = summary.contrast_of("num_fine_ratio=0.8").sentence
    assert sentence == (
        f"K_F/K_F* 0.8: clustering accuracy {-low.mean:.3f} lower than the baseline's {base:.3f} "
        f"(95 % interval {-low.high:.3f} to {-low.low:.3f}, n = 5 pairs): hurts."
    )
    assert summary.answer.startswith("The baseline (K_F/K_F* 1.0) reaches clustering accuracy (test) ")
    assert f"K_F/K_F* 0.8 (−{-low.mean:.3f})" in summary.answer
    assert "K_F/K_F* 1.2" in summary.answer.rsplit(";", 1)[1]
    assert summary.answer.endswith("is undecided.")


def test_warnings_name_the_oracle_setting(complete):
    _, summary = complete
    assert any("an oracle setting that a user without fine labels cannot make" in text for text in summary.warnings)


def test_summary_is_plain_json_without_nan(complete):
    _, summary = complete
    plain = json.loads(json.dumps(summary.to_plain(), allow_nan=False))
    assert plain["arms"][0]["estimates"][PRIMARY]["n"] == 5
    assert plain["contrasts"][0]["judgement"]["verdict"] == "hurts"
    ged = next(metric for metric in plain["metrics"] if metric["name"] == "test/ged")
    assert ged["high"] is None


def test_the_same_folder_gives_the_same_summary(complete):
    folder, summary = complete
    assert json.dumps(summarise(folder).to_plain()) == json.dumps(summary.to_plain())


def test_lost_cells_are_counted_listed_and_bounded(synthetic, tmp_path):
    faults = synthetic.Faults(
        missing={("baseline", 4)},
        failed={("num_fine_ratio=0.8", 2): "TrialError: loss is not finite"},
        pruned={("num_fine_ratio=1.2", 1)},
        undefined={("num_fine_ratio=1.5", 0)},
    )
    folder = synthetic.SyntheticStudy(faults=faults).write(tmp_path)
    summary = summarise(folder)
    counts = summary.counts
    assert (counts.planned, counts.complete, counts.failed, counts.pruned, counts.missing) == (20, 17, 1, 1, 1)
    assert {(row.arm, row.seed, row.state) for row in summary.failures} == {
        ("num_fine_ratio=0.8", 2, "FAIL"),
        ("num_fine_ratio=1.2", 1, "PRUNED"),
        ("num_fine_ratio=1.5", 0, "COMPLETE"),
    }
    assert next(row.cause for row in summary.failures if row.state == "COMPLETE") == f"not finite: {PRIMARY}"
    table = tidy_table(folder)
    kept, baseline = _values(table, "num_fine_ratio=0.8"), _values(table, "baseline")
    bounds = next(row for row in summary.bounds if row.arm == "num_fine_ratio=0.8")
    assert bounds.lost == (2,)
    assert bounds.mean_low == pytest.approx(kept.sum() / 5)
    assert bounds.mean_high == pytest.approx((kept.sum() + 1.0) / 5)
    paired = [kept[seed] - baseline[seed] for seed in (0, 1, 3)]
    assert bounds.difference_low == pytest.approx((sum(paired) + 0.0 - baseline[2]) / 4)
    assert bounds.difference_high == pytest.approx((sum(paired) + 1.0 - baseline[2]) / 4)


def test_a_lost_baseline_cell_bounds_every_arm(synthetic, tmp_path):
    faults = synthetic.Faults(failed={("baseline", 0): "out of memory"})
    summary = summarise(synthetic.SyntheticStudy(faults=faults).write(tmp_path))
    assert [row.arm for row in summary.bounds] == [arm.arm for arm in summary.arms]
    assert math.isnan(summary.bounds[0].difference_low)
    assert summary.bounds[1].lost == ()
    assert summary.bounds[1].difference_low < summary.bounds[1].difference_high


def test_means_hold_complete_cells_alone(synthetic, tmp_path):
    faults = synthetic.Faults(pruned={("baseline", 0)})
    folder = synthetic.SyntheticStudy(faults=faults).write(tmp_path)
    values = _values(tidy_table(folder), "baseline")
    assert len(values) == 4
    assert summarise(folder).baseline.estimates[PRIMARY].mean == pytest.approx(np.mean(values))


def test_one_seed_gives_means_without_verdicts(synthetic, tmp_path):
    text = synthetic.KF_STUDY.replace("seeds: 5", "seeds: 1")
    summary = summarise(synthetic.SyntheticStudy(text=text).write(tmp_path))
    assert {contrast.judgement.verdict for contrast in summary.contrasts} == {Verdict.UNDECIDED}
    assert math.isnan(summary.baseline.estimates[PRIMARY].low)
    assert any(text.sentence.startswith("One seed: no interval and no verdict is possible") for text in summary.checks)
    assert "no interval, n = 1 pair): undecided; one pair gives no interval." in summary.contrasts[0].sentence


def test_one_arm_is_described_without_contrasts(synthetic, tmp_path):
    text = synthetic.SOLVER_STUDY.replace("    - {name: scip, set: {relations.solver: {kind: scip}}}\n", "")
    text = text.replace("    - {name: cvxpy, set: {relations.solver: {kind: cvxpy}}}\n", "")
    summary = summarise(synthetic.SyntheticStudy(text=text).write(tmp_path))
    assert summary.contrasts == ()
    assert summary.answer.endswith("; no other arm was planned.")


def test_a_study_without_results_has_no_answer_yet(synthetic, tmp_path):
    faults = synthetic.Faults(missing={(arm, seed) for arm in _kf_arms() for seed in range(5)})
    summary = summarise(synthetic.SyntheticStudy(faults=faults).write(tmp_path))
    assert summary.answer.startswith("No answer yet: the baseline (K_F/K_F* 1.0) has no finished cell")
    assert summary.counts.missing == 20


def _kf_arms():
    return ("baseline", *(f"num_fine_ratio={ratio}" for ratio in (0.8, 1.2, 1.5)))


def test_metrics_without_fine_labels_are_named_as_unmeasured(synthetic, tmp_path):
    text = synthetic.SOLVER_STUDY.replace("seeds: 5", "seeds: 4\nmetrics: {primary: test/silhouette}")
    summary = summarise(synthetic.SyntheticStudy(text=text, fine_labels=False).write(tmp_path))
    assert [info.name for info in summary.metrics] == ["test/silhouette"]
    assert summary.failures == ()
    assert any(text.startswith("ARI (test) was asked for and is in no finished cell") for text in summary.warnings)


def test_identical_arms_are_equivalent(synthetic, tmp_path):
    summary = summarise(synthetic.SyntheticStudy(text=synthetic.SOLVER_STUDY, noise=0.0).write(tmp_path))
    assert {contrast.judgement.verdict for contrast in summary.contrasts} == {Verdict.EQUIVALENT}
    assert "the same as the baseline's" in summary.contrasts[0].sentence


def test_solver_usage_adds_up_over_the_cells_of_an_arm(synthetic, tmp_path):
    study = synthetic.SyntheticStudy(text=synthetic.SOLVER_STUDY, solvers={"scip": 0.03})
    folder = study.write(tmp_path)
    summary = summarise(folder)
    row = next(row for row in summary.solvers if row.arm == "scip")
    uses = [result.solver for result in folder.ledger.read() if result.arm == "scip"]
    assert (row.solver, row.cells, row.solves) == ("scip", 5, 300)
    assert row.seconds_per_solve == pytest.approx(sum(use.seconds for use in uses) / 300)
    assert row.statuses == {"optimal": 298, "time_limit": 2}
    assert row.max_gap == 0.004


def test_many_contrasts_are_grouped_in_the_answer(synthetic, tmp_path):
    factors = "objective.lambda_reg: [0.0, 0.5, 1.0, 1.5, 2.0, 3.0], teacher.decay: [0.9, 0.99, 0.999]"
    text = synthetic.KF_STUDY.replace("classes.num_fine_ratio: [0.8, 1.0, 1.2, 1.5]", factors)
    text = text.replace("baseline: {classes.num_fine_ratio: 1.0}", "baseline: {}").replace("seeds: 5", "seeds: 6")
    summary = summarise(synthetic.SyntheticStudy(text=text, accuracy={"lambda_reg=0.0": 0.4}).write(tmp_path))
    assert len(summary.contrasts) == 7
    assert ". Against it, of 7 arms 1 hurts (lambda_reg 0.0 −0." in summary.answer


def test_many_contrasts_of_one_verdict_are_told_in_a_word(synthetic, tmp_path):
    factors = "objective.lambda_reg: [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0]"
    text = synthetic.KF_STUDY.replace("classes.num_fine_ratio: [0.8, 1.0, 1.2, 1.5]", factors)
    text = text.replace("baseline: {classes.num_fine_ratio: 1.0}", "baseline: {}").replace("seeds: 5", "seeds: 2")
    answer = summarise(synthetic.SyntheticStudy(text=text).write(tmp_path)).answer
    assert ". Against it, all 6 arms are undecided (largest: lambda_reg " in answer


def test_a_smoke_run_says_so(synthetic, tmp_path):
    text = synthetic.KF_STUDY.replace("study: kf_demo", "study: kf_demo-smoke")
    assert summarise(synthetic.SyntheticStudy(text=text).write(tmp_path)).warnings[0].startswith("A smoke run")


def test_unplanned_ledger_lines_are_left_out_and_told(synthetic, tmp_path):
    folder = synthetic.SyntheticStudy().write(tmp_path)
    lines = folder.plan_file.read_text().splitlines()
    folder.plan_file.write_text("\n".join(lines[:-1]) + "\n")
    summary = summarise(folder)
    assert summary.counts.planned == 19
    assert summary.warnings[-1] == "The ledger has 1 line of cells that are not in the plan; they are left out."


@pytest.mark.parametrize("arm", ["num_fine_ratio=0.8", "baseline"])
def test_an_arm_with_pairs_stopped_early_gets_no_verdict(synthetic, tmp_path, kf_accuracy, arm):
    faults = synthetic.Faults(pruned={(arm, 1), (arm, 3)})
    folder = synthetic.SyntheticStudy(accuracy=kf_accuracy, noise=0.001, faults=faults).write(tmp_path)
    summary = summarise(folder)
    hit = {contrast.arm for contrast in summary.contrasts} if arm == "baseline" else {arm}
    for contrast in summary.contrasts:
        if contrast.arm in hit:
            assert contrast.judgement.verdict.value == "undecided"
            assert contrast.sentence.endswith("2 pairs were stopped early, so those left are the ones that went well.")
        else:
            assert contrast.judgement.tests_say.value != "undecided"
            assert (contrast.judgement.stopped, contrast.judgement.doubt) in {(0, ""), (0, "unseen")}
    assert any(
        "cannot be judged: a scheduler stopped some of their pairs" in check.sentence for check in summary.checks
    )


def _longer(synthetic, seeds=10, **metrics):
    text = synthetic.KF_STUDY.replace("seeds: 5", f"seeds: {seeds}")
    settings = ", ".join(f"{name}: {value}" for name, value in metrics.items())
    return text.replace("metrics: {", f"metrics: {{{settings}, " if settings else "metrics: {")


def test_a_collapsed_seed_leaves_small_differences_of_all_arms_undecided_and_is_named(synthetic, tmp_path):
    accuracy = {"baseline": 0.85, "num_fine_ratio=0.8": 0.9, "num_fine_ratio=1.2": 0.9, "num_fine_ratio=1.5": 0.4}
    study = {"text": _longer(synthetic), "accuracy": accuracy, "noise": 0.01}
    whole = summarise(synthetic.SyntheticStudy(**study).write(tmp_path / "whole"))
    assert [item.judgement.verdict.value for item in whole.contrasts] == ["helps", "helps", "hurts"]
    faults = synthetic.Faults(collapsed={("num_fine_ratio=1.2", 3)})
    summary = summarise(synthetic.SyntheticStudy(**study, faults=faults).write(tmp_path / "fallen"))
    assert [item.judgement.verdict.value for item in summary.contrasts] == ["undecided", "undecided", "hurts"]
    assert "undecided; seed 3 (−0." in summary.contrasts[1].sentence
    assert "collapsed and carries the mean" in summary.contrasts[1].sentence
    other = summary.contrasts[0]
    assert other.judgement.doubt == "shape"
    assert "these pairs alone say helps, but collapsed: seed 3 of K_F/K_F* 1.2 (" in other.sentence


def test_a_study_may_be_judged_by_a_typical_seed(synthetic, tmp_path):
    accuracy = {"baseline": 0.85, "num_fine_ratio=0.8": 0.9, "num_fine_ratio=1.2": 0.9, "num_fine_ratio=1.5": 0.4}
    faults = synthetic.Faults(collapsed={("num_fine_ratio=1.2", 3)})
    text = _longer(synthetic, summary="median")
    summary = summarise(
        synthetic.SyntheticStudy(text=text, accuracy=accuracy, noise=0.01, faults=faults).write(tmp_path)
    )
    assert [item.judgement.verdict.value for item in summary.contrasts] == ["helps", "helps", "hurts"]
    assert "; median difference +0.0" in summary.contrasts[1].sentence
    assert summary.judged_by == "median"


def test_lost_cells_undo_a_verdict_in_sentence_warning_and_latex(synthetic, tmp_path):
    accuracy = {"num_fine_ratio=0.8": 0.95}
    faults = synthetic.Faults(failed={("num_fine_ratio=0.8", seed): "out of memory" for seed in (1, 4, 6)})
    study = synthetic.SyntheticStudy(text=_longer(synthetic), accuracy=accuracy, noise=0.005, faults=faults)
    summary = summarise(study.write(tmp_path))
    found = summary.contrast_of("num_fine_ratio=0.8")
    assert found.judgement.tests_say is Verdict.HELPS
    assert found.sentence.endswith(
        ": undecided; these pairs alone say helps, but it failed on seeds 1, 4, 6; with these cells at their worst and "
        f"best, the mean difference could lie from {_ends(summary, 'num_fine_ratio=0.8')}."
    )
    assert any(
        check.sentence.startswith("K_F/K_F* 0.8 failed on seeds 1, 4, 6 (of 10 cells)") for check in summary.checks
    )
    assert "failed on seeds 1, 4, 6." in latex_table(summary)


def _ends(summary, arm):
    row = next(row for row in summary.bounds if row.arm == arm)
    return f"{number(row.difference_low, sign=True)} to {number(row.difference_high, sign=True)}"


def test_an_arm_that_crashed_on_every_seed_says_so(synthetic, tmp_path):
    faults = synthetic.Faults(failed={("num_fine_ratio=0.8", seed): "out of memory" for seed in range(5)})
    summary = summarise(synthetic.SyntheticStudy(faults=faults).write(tmp_path))
    sentence = summary.contrast_of("num_fine_ratio=0.8").sentence
    assert sentence == "K_F/K_F* 0.8: undecided; no pair is left: it failed on seeds 0, 1, 2 and 2 more."


def test_an_unbounded_metric_without_a_margin_has_no_equivalent_arm(synthetic, tmp_path):
    text = synthetic.KF_STUDY.replace("primary: test/clustering_accuracy", "primary: train/loss").replace(
        "seeds: 5", "seeds: 8"
    )
    summary = summarise(synthetic.SyntheticStudy(text=text).write(tmp_path))
    assert summary.margin is None
    assert any("states no metrics.equivalence_margin" in text for text in summary.warnings)
