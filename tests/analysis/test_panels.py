from __future__ import annotations

import math
import re

import numpy as np
import pytest

from fgtune.analysis.curve_panels import learning_panels
from fgtune.analysis.inputs import read_study
from fgtune.analysis.level_panels import arm_groups, sensitivity_panels, solver_points
from fgtune.analysis.summary import summarise
from fgtune.analysis.table import tidy_table
from fgtune.analysis.verdicts.statistics import mean_interval

PRIMARY = "test/clustering_accuracy"


@pytest.fixture(scope="module")
def folder(synthetic, kf_accuracy, tmp_path_factory):
    faults = synthetic.Faults(pruned={("num_fine_ratio=1.2", 1)})
    return synthetic.SyntheticStudy(accuracy=kf_accuracy, faults=faults).write(tmp_path_factory.mktemp("figures"))


def test_sensitivity_panel_holds_means_intervals_and_seeds_by_level(folder):
    table = tidy_table(folder)
    panel = sensitivity_panels(read_study(folder))[0]
    axis = panel.axis
    assert (panel.metric.name, axis.title, axis.numeric, axis.log) == (PRIMARY, "K_F/K_F*", True, False)
    assert [point.x for point in panel.points] == [0.8, 1.0, 1.2, 1.5]
    for point in panel.points:
        rows = table[(table["arm"] == point.arm) & (table["state"] == "COMPLETE")].sort_values("seed")
        assert point.seeds == tuple(zip(rows["seed"], rows[PRIMARY], strict=True))
        assert point.estimate == mean_interval(rows[PRIMARY].to_numpy())
    assert [point.estimate.n for point in panel.points] == [5, 5, 4, 5]


def test_there_is_a_panel_for_every_shown_metric(folder):
    assert [p.metric.name for p in sensitivity_panels(read_study(folder))] == [PRIMARY, "test/ari", "test/ged"]


def test_learning_curves_average_finished_seeds_alone(folder):
    panel = learning_panels(read_study(folder))[0]
    curves = folder.read_curves()
    for curve in panel.curves:
        own = curves[curves["arm"] == curve.arm]
        if curve.arm == "num_fine_ratio=1.2":
            own = own[own["seed"] != 1]
        last = own.loc[own["epoch"] == 60, PRIMARY]
        expected = mean_interval(last.to_numpy())
        assert (curve.n, curve.epochs) == (len(last), tuple(range(1, 61)))
        assert (curve.mean[-1], curve.low[-1], curve.high[-1]) == pytest.approx(
            (expected.mean, expected.low, expected.high)
        )
    assert [p.metric.name for p in learning_panels(read_study(folder))][-1] == "train/loss"


def test_curves_of_one_seed_have_no_band(synthetic, tmp_path):
    text = synthetic.KF_STUDY.replace("seeds: 5", "seeds: 1")
    data = read_study(synthetic.SyntheticStudy(text=text).write(tmp_path))
    curve = learning_panels(data)[0].curves[0]
    assert np.isnan(curve.low).all()
    assert np.isfinite(curve.mean).all()


def test_forest_holds_the_paired_differences(folder):
    summary = summarise(folder)
    table = tidy_table(folder)
    values = {arm: table[table["arm"] == arm].set_index("seed")[PRIMARY] for arm in table["arm"].unique()}
    assert [row.arm for row in summary.contrasts] == [arm.arm for arm in summary.arms[1:]]
    for row in summary.contrasts:
        for seed, difference in zip(row.contrast.seeds, row.contrast.differences, strict=True):
            assert difference == pytest.approx(values[row.arm][seed] - values["baseline"][seed])
    assert [len(row.contrast.differences) for row in summary.contrasts] == [5, 4, 5]


def test_solver_points_are_seconds_a_solve_of_every_cell(folder):
    points = solver_points(read_study(folder))
    results = {(result.arm, result.seed): result.solver for result in folder.ledger.read()}
    assert len(points) == 20
    for point in points:
        use = results[point.arm, point.seed]
        assert point.seconds_per_solve == pytest.approx(use.seconds / use.solves)


def test_several_factors_get_a_panel_each_at_the_baseline_of_the_others(synthetic, tmp_path):
    text = synthetic.KF_STUDY.replace(
        "factors: {classes.num_fine_ratio: [0.8, 1.0, 1.2, 1.5]}",
        "grid: full\n  factors: {classes.num_fine_ratio: [0.8, 1.0], optimizer.lr: [0.001, 0.01, 0.1], "
        "neighbors.scope: [coarse, global]}",
    ).replace("baseline: {classes.num_fine_ratio: 1.0}", "baseline: {}")
    data = read_study(synthetic.SyntheticStudy(text=text.replace("seeds: 5", "seeds: 2")).write(tmp_path))
    groups = dict(arm_groups(data))
    assert len(data.arms) == 12
    assert [arm.levels["optimizer.lr"] for arm in groups["optimizer.lr"]] == [0.1, 0.001, 0.01]
    assert all(arm.levels["neighbors.scope"] == "coarse" for arm in groups["optimizer.lr"])
    panels = {panel.axis.path: panel for panel in sensitivity_panels(data) if panel.metric.name == PRIMARY}
    assert [point.x for point in panels["optimizer.lr"].points] == [0.001, 0.01, 0.1]
    assert panels["optimizer.lr"].axis.log
    assert not panels["classes.num_fine_ratio"].axis.log
    scope = panels["neighbors.scope"]
    assert (scope.axis.numeric, [point.tick for point in scope.points]) == (False, ["coarse", "global"])
    assert {panel.group for panel in learning_panels(data)} == {"all arms", "K_F/K_F*", "lr", "scope"}


@pytest.mark.parametrize(
    ("levels", "zero"),
    [
        ([0, 0.01, 0.1, 1.0, 10.0], 0.001),
        ([0, 0.5, 1.0, 2.0], 0),  # a linear scale shows them all
        ([0, 40.0], 0),
    ],
)
def test_a_level_of_0_stands_apart_from_levels_of_several_magnitudes(synthetic, tmp_path, levels, zero):
    factors = f"factors: {{objective.lambda_reg: {levels}}}\n  baseline: {{objective.lambda_reg: 0}}"
    text = re.sub(r"factors: .*\n  baseline: .*", factors, synthetic.KF_STUDY)
    panel = sensitivity_panels(read_study(synthetic.SyntheticStudy(text=text).write(tmp_path)))[0]
    assert [point.x for point in panel.points] == pytest.approx([zero, *levels[1:]])
    assert [float(point.tick) for point in panel.points] == levels
    assert panel.axis.log == ("0 apart" in panel.scale_title) == (zero > 0)


def test_a_comparison_has_its_arms_on_the_axis(synthetic, tmp_path):
    data = read_study(synthetic.SyntheticStudy(text=synthetic.SOLVER_STUDY).write(tmp_path))
    panel = sensitivity_panels(data)[0]
    assert (panel.axis.path, panel.axis.numeric) == ("", False)
    assert [(point.x, point.tick) for point in panel.points] == [(0.0, "flow"), (1.0, "scip"), (2.0, "cvxpy")]


def test_figures_of_an_empty_study_are_empty(synthetic, tmp_path):
    arms = ("baseline", *(f"num_fine_ratio={ratio}" for ratio in (0.8, 1.2, 1.5)))
    faults = synthetic.Faults(missing={(arm, seed) for arm in arms for seed in range(5)})
    data = read_study(synthetic.SyntheticStudy(faults=faults).write(tmp_path))
    assert learning_panels(data) == ()
    assert solver_points(data) == ()
    assert all(math.isnan(point.estimate.mean) for point in sensitivity_panels(data)[0].points)
