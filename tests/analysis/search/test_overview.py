from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import get_args

import pytest

from fgtune.analysis.curve_panels import history_panels, trial_curves_panels
from fgtune.analysis.formatting import metric_info
from fgtune.analysis.inputs import read_study
from fgtune.analysis.level_panels import agreement_panels, front_panels, scatter_panels
from fgtune.analysis.search.axes import axes_of
from fgtune.analysis.search.importances import metric_importances
from fgtune.analysis.search.overview import summarise_search
from fgtune.analysis.summary import SUMMARISERS, summarise
from fgtune.analysis.table import tidy_table
from fgtune.analysis.text.search_answer import search_answer
from fgtune.analysis.trials import BASELINE, BEST, STOPPED, criteria_of, kinds_of, ranked, trials_of
from fgtune.config.schema.study import DesignConfig

PRIMARY = "test/clustering_accuracy"
CRITERION = "val/silhouette"
PRUNED = {number: 3 if number % 2 else 9 for number in range(6, 40, 3)}


@pytest.fixture(scope="module")
def folder(synthetic_search, tmp_path_factory):
    search = synthetic_search.SyntheticSearch(pruned=PRUNED, failed={4}, unfinished={38})
    return search.write(tmp_path_factory.mktemp("search"))


@pytest.fixture(scope="module")
def summary(folder):
    return summarise(folder)


@pytest.fixture(scope="module")
def two(synthetic_search, tmp_path_factory):
    text = synthetic_search.TWO_CRITERIA
    return synthetic_search.SyntheticSearch(text=text, curves=False).write(tmp_path_factory.mktemp("two"))


def test_every_kind_of_design_is_summarised():
    union, *_ = get_args(DesignConfig)
    assert {each.model_fields["kind"].default for each in get_args(union)} == SUMMARISERS.keys()


def test_a_criterion_that_no_trial_has_a_value_of_chooses_nothing_and_the_other_still_does(synthetic_search, tmp_path):
    made = synthetic_search.SyntheticSearch(text=synthetic_search.TWO_CRITERIA, trials=6, curves=False)
    folder = made.write(tmp_path)
    for result in folder.ledger.read():
        folder.ledger.append(replace(result, metrics={**result.metrics, "val/silhouette": math.nan}))
    summary = summarise(folder)
    assert [each.criterion for each in summary.search.searched] == ["cost/solver_seconds"]
    assert summary.search.front == ()
    assert "Best by seconds in the solver: " in summary.answer
    assert "Best by silhouette" not in summary.answer


def test_trials_are_counted_by_how_they_ended(summary):
    counts = summary.search.counts
    assert (counts.asked, counts.proposed) == (40, 40)
    assert (counts.complete, counts.pruned, counts.failed, counts.unfinished) == (26, 12, 1, 1)


def test_epochs_saved_are_those_that_stopped_trials_did_not_train(folder, summary):
    table = tidy_table(folder)
    ran = table[table["state"].isin({"COMPLETE", "PRUNED"}) & (table["arm"] != "baseline")]
    assert summary.search.savings.planned == 27 * len(ran)
    assert summary.search.savings.trained == ran["epochs"].sum()
    assert summary.search.savings.share == pytest.approx((6 * 3 * 24 + 6 * 3 * 18) / (27 * len(ran)))


def test_no_trial_of_a_search_is_a_planned_contrast(summary):
    assert summary.contrasts == ()
    assert {item.arm for item in summary.exploratory} == {summary.search.searched[0].arm}
    assert not any(item.planned for item in summary.exploratory)


def test_the_answer_tells_setting_criterion_worth_and_regret(folder, summary):
    data, chosen = read_study(folder), summary.search.searched[0]
    mean = {
        (arm, metric): math.fsum(data.values(arm, metric).values()) / 3
        for arm in ("baseline", chosen.arm, chosen.best_arm)
        for metric in (CRITERION, PRIMARY)
    }
    lr = data.folder.read_plan()[-1]["optimizer.lr"]
    levels = summary.search.trial(chosen.arm).levels
    assert isinstance(lr, float)
    for text in (
        f"{chosen.arm.capitalize()} (lr {levels['optimizer.lr']:.4g}, lambda_nn",
        "the best of 26 finished trials",
        f"silhouette (val) {mean[chosen.arm, CRITERION]:.3f}",
        f"{mean[chosen.arm, CRITERION] - mean['baseline', CRITERION]:.3f} higher than the baseline's",
        f"Its clustering accuracy (test) is {mean[chosen.arm, PRIMARY]:.3f}",
        f"{chosen.best_arm}, has {mean[chosen.best_arm, PRIMARY]:.3f}",
        f"cost {mean[chosen.best_arm, PRIMARY] - mean[chosen.arm, PRIMARY]:.3f}",
    ):
        assert text in summary.answer


def test_the_winner_is_called_optimistic_with_what_other_seeds_leave(summary):
    warning = next(text for text in summary.warnings if "optimistic" in text)
    assert f"{summary.search.searched[0].own.held_out.mean:+.3f}" in warning


def test_a_criterion_that_leads_away_from_what_counts_is_called_a_poor_guide(synthetic_search, tmp_path, summary):
    assert not any("poor guide" in text for text in summary.warnings)
    text = synthetic_search.SEARCH_STUDY.replace(f"metric: {CRITERION}", "metric: val/neighbor_agreement")
    found = summarise(synthetic_search.SyntheticSearch(text=text, trials=12, curves=False).write(tmp_path))
    chosen = found.search.searched[0]
    gain, rho = chosen.primary.held_out, chosen.held_out_agreement
    assert found.warnings[1] == (
        "Neighbor agreement (val) is a poor guide to clustering accuracy (test) here: trials that are better by the "
        f"one tend to be worse by the other (rank correlation −{-rho.rho:.3f} on other seeds, 95 % interval "
        f"−{-rho.low:.3f} to −{-rho.high:.3f}), and what it chooses is worse than the "
        f"baseline by {-gain.mean:.3f} (95 % interval {-gain.high:.3f} to {-gain.low:.3f}, n = 3 seeds) on "
        "seeds that did not choose."
    )


def test_stopped_cells_are_grouped_and_failed_ones_listed(summary):
    assert [(row.arm, row.state) for row in summary.failures] == [("trial-0004", "FAIL")]
    assert summary.bounds == ()
    assert {group.epoch: (len(group.arms), group.cells) for group in summary.pruned} == {3: (6, 18), 9: (6, 18)}
    assert summary.pruned[0].cause.startswith("stopped at epoch 3 by asha")


def test_a_search_cut_short_says_how_many_trials_are_wanting(synthetic_search, tmp_path):
    summary = summarise(synthetic_search.SyntheticSearch(trials=7, curves=False).write(tmp_path))
    assert summary.warnings[0].startswith("7 of the 40 trials that the study asks for were proposed")


def test_a_search_without_a_finished_trial_has_no_answer_yet(synthetic_search, tmp_path):
    search = synthetic_search.SyntheticSearch(trials=2, unfinished={0, 1}, baseline=False, curves=False)
    assert summarise(search.write(tmp_path / "none")).answer == "No answer yet: no trial has silhouette (val)."
    search = synthetic_search.SyntheticSearch(trials=2, pruned={0: 3, 1: 3}, curves=False)
    assert "of 2 trials that ended, none ran to its end" in summarise(search.write(tmp_path / "stopped")).answer


def test_a_search_that_finds_nothing_better_says_so(synthetic_search, tmp_path):
    text = synthetic_search.SEARCH_STUDY.replace("epochs: 27", "epochs: 27\n  optimizer: {kind: sgd, lr: 5.0}")
    answer = summarise(synthetic_search.SyntheticSearch(text=text, trials=5, curves=False).write(tmp_path)).answer
    assert "lower than the baseline's" in answer
    assert "so no trial beat the baseline" in answer


def test_a_search_by_a_fine_label_metric_is_called_an_upper_bound(synthetic_search, tmp_path):
    text = synthetic_search.SEARCH_STUDY.replace(f"metric: {CRITERION}", f"metric: {PRIMARY}\n  oracle: true")
    summary = summarise(synthetic_search.SyntheticSearch(text=text, trials=9, curves=False).write(tmp_path))
    assert any("an upper bound on what such choices can reach" in check.sentence for check in summary.checks)
    assert "choosing without it" not in summary.answer
    assert summary.search.searched[0].regret is None


def test_the_answer_tells_which_of_the_front_the_baseline_beats_and_names_the_best_on_the_front(two):
    summary = summarise(two)
    search, (one, other) = summary.search, summary.search.criteria
    front, baseline = [search.trial(arm) for arm in search.front], search.baseline
    best = max(front, key=lambda trial: trial.value(one.name))
    assert f"Best by {one.title}: {best.arm} with" in search_answer(search, summary.metrics[0], 0.95)

    def answer(values):
        means = dict(zip((one.name, other.name), values, strict=True))
        changed = replace(baseline, means={**baseline.means, **means})
        trials = tuple(changed if trial.is_baseline else trial for trial in search.trials)
        return search_answer(replace(search, trials=trials), summary.metrics[0], 0.95)

    assert "The baseline beats" not in answer([-1.0, 0.0])  # the cheapest, and the worst
    assert answer([1.0, 0.0]).endswith(" The baseline beats all of them: at least as good in all and better in one.")
    cheapest = min(front, key=lambda trial: trial.value(other.name))
    just = answer([cheapest.value(one.name), cheapest.value(other.name) / 2])
    assert just.endswith(" The baseline beats 1 of them: at least as good in all and better in one.")


def test_several_criteria_are_told_by_their_front(two):
    summary = summarise(two)
    front = summary.search.front
    assert f"{len(front)} are on the Pareto front of silhouette (val) and seconds in the solver" in summary.answer
    assert {selection.arm for selection in summary.search.searched} <= set(front)
    assert "The front holds clustering accuracy (test) up to" in summary.answer


def test_costs_of_several_magnitudes_are_decomposed_by_their_logarithm(two):
    data = read_study(two)
    (found,) = metric_importances(data, trials_of(data), criteria_of(data)[1:])
    costs = [trial.value("cost/solver_seconds") for trial in trials_of(data)]
    assert max(costs) / min(costs) > 30
    assert (found.ranked[0].parameter, found.ranked[0].main > 0.9) == ("relations.solver.kind", True)


def test_a_cost_is_never_called_a_poor_guide(two):
    warnings = summarise(two).warnings
    assert not any("poor guide" in text for text in warnings)
    assert sum("optimistic" in text for text in warnings) == 1


def test_a_summary_of_a_search_is_plain_json(summary):
    plain = json.loads(json.dumps(summary.to_plain(), allow_nan=False))
    assert plain["search"]["counts"]["pruned"] == 12
    assert len(plain["search"]["trials"]) == 41


def test_an_enumerated_design_is_no_search(synthetic, tmp_path):
    folder = synthetic.SyntheticStudy(text=synthetic.SOLVER_STUDY.replace("seeds: 5", "seeds: 1")).write(tmp_path)
    assert summarise(folder).search is None
    with pytest.raises(TypeError, match="the design is a comparison, not a search"):
        summarise_search(read_study(folder))


# Figures


def test_history_follows_the_order_in_which_trials_ended(folder):
    data = read_study(folder)
    (panel,) = history_panels(data, trials_of(data))
    order = [line.arm for line in folder.ledger.read() if line.seed == 2 and line.arm != "baseline"]
    assert [order[point.order - 1] for point in panel.points] == [point.arm for point in panel.points]
    assert {order[point.order - 1] for point in panel.stopped} == {f"trial-{n:04d}" for n in (*PRUNED, 4)}
    assert {point.trial.epochs for point in panel.stopped if math.isfinite(point.value)} == {3, 9}
    assert [point.arm for point in panel.stopped if math.isnan(point.value)] == ["trial-0004"]
    values = [point.value for point in panel.points]
    assert [point.best for point in panel.points] == [max(values[: n + 1]) for n in range(len(values))]


def test_scatter_panels_hold_every_trial_that_has_the_parameter(folder):
    data = read_study(folder)
    trials = trials_of(data)
    panels = {panel.axis.path: panel for panel in scatter_panels(data, trials, criteria_of(data))}
    assert {path: panel.axis.log for path, panel in panels.items()} == {
        "optimizer.lr": True,
        "objective.lambda_nn": False,
        "relations.solver.kind": False,
        "relations.solver.time_limit_s": True,
    }
    with_limit = {trial.arm for trial in trials if trial.levels["relations.solver.kind"] == "scip"}
    drawn = {point.arm for point in panels["relations.solver.time_limit_s"].points}
    assert drawn == with_limit - {"trial-0004", "trial-0038"}
    assert {point.x for point in panels["relations.solver.kind"].points} == {0.0, 1.0}
    stopped = [point for point in panels["optimizer.lr"].points if point.kind == STOPPED]
    assert {point.trial.epochs for point in stopped} == {3, 9}


def test_kinds_tell_the_baseline_the_best_and_the_stopped(folder, summary):
    data = read_study(folder)
    kinds = kinds_of(data, trials_of(data))
    assert kinds["baseline"] == BASELINE
    assert [arm for arm, kind in kinds.items() if kind == BEST] == [summary.search.searched[0].arm]
    assert [arm for arm, kind in kinds.items() if kind == STOPPED] == [f"trial-{n:04d}" for n in PRUNED]
    assert not {"trial-0004", "trial-0038"} & kinds.keys()


def test_curves_of_stopped_trials_end_where_they_were_stopped(folder):
    data = read_study(folder)
    panel = trial_curves_panels(data, trials_of(data))[0]
    ends = {curve.arm: curve.epochs[-1] for curve in panel.curves}
    assert panel.metric.name == CRITERION
    assert {arm: end for arm, end in ends.items() if end != 27} == {f"trial-{n:04d}": end for n, end in PRUNED.items()}
    own = folder.read_curves().query("arm == 'trial-0006' and epoch == 9")[CRITERION]
    assert next(c.mean[-1] for c in panel.curves if c.arm == "trial-0006") == pytest.approx(own.mean())


def test_a_trial_stopped_in_one_seed_alone_is_told_by_all_its_seeds_at_that_epoch(synthetic_search, tmp_path):
    search = synthetic_search.SyntheticSearch(trials=3, pruned={1: 9}, spared={0, 2})
    data = read_study(search.write(tmp_path))
    trials = trials_of(data)
    stopped = next(trial for trial in trials if trial.arm == "trial-0001")
    own = data.folder.read_curves().query("arm == 'trial-0001' and epoch == 9")[CRITERION]
    assert (stopped.state, stopped.epochs, len(own)) == ("PRUNED", 9, 3)
    assert stopped.means[CRITERION] == pytest.approx(own.mean(), rel=1e-12)
    assert math.isnan(stopped.value(CRITERION))
    curve = next(curve for curve in trial_curves_panels(data, trials)[0].curves if curve.arm == "trial-0001")
    assert curve.epochs[-1] == 9
    assert summarise_search(data).savings.trained == 27 * 8 + 9


def test_importances_of_a_search_find_what_the_function_depends_on(folder):
    data = read_study(folder)
    (found,) = metric_importances(data, trials_of(data), criteria_of(data))
    assert found.n == 26
    assert found.ranked[0].parameter == "optimizer.lr"
    assert found.ranked[0].above_chance


def test_pairs_show_front_and_agreement(two):
    data = read_study(two)
    trials = trials_of(data)
    (front,) = front_panels(data, trials)
    assert (front.x.name, front.y.name) == (CRITERION, "cost/solver_seconds")
    panels = agreement_panels(data, trials, criteria_of(data))
    assert [panel.marked[0] for panel in panels] == [each.arm for each in summarise_search(data).searched]
    assert agreement_panels(data, trials, [metric_info(PRIMARY)]) == ()


def test_trials_are_ranked_from_best_to_unfinished(folder):
    data = read_study(folder)
    found = ranked(data, trials_of(data))
    states = [trial.state for trial in found]
    assert states == ["COMPLETE"] * 26 + ["PRUNED"] * 12 + ["FAIL", "UNFINISHED"]
    values = [trial.value(CRITERION) for trial in found[:26]]
    assert values == sorted(values, reverse=True)
    assert [trial.epochs for trial in found[26:38]] == [9] * 6 + [3] * 6


def test_axes_place_levels_in_the_unit_interval(folder):
    lr, weight, solver, limit = axes_of(read_study(folder))
    assert (lr.share(0.001), lr.share(1.0)) == (0.0, 1.0)
    assert lr.share(math.sqrt(0.001)) == pytest.approx(0.5)
    assert weight.share(0.5) == pytest.approx(0.25)
    assert (solver.share("flow"), solver.share("scip")) == (0.25, 0.75)
    assert math.isnan(limit.share(None))
    assert math.isnan(solver.share("unheard of"))
