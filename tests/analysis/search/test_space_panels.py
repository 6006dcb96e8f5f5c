"""Parallel coordinates and contours against the known function that made the points."""

from __future__ import annotations

import math

import numpy as np
import pytest
from support.synthetic_search import silhouette_of

from fgtune.analysis.inputs import read_study
from fgtune.analysis.space_panels import UNUSED, contour_panels, parallel_panel
from fgtune.analysis.trials import criteria_of, trials_of


@pytest.fixture(scope="module")
def study(synthetic_search, tmp_path_factory):
    made = synthetic_search.SyntheticSearch(noise=0.0, pruned={3: 9}, failed={4}, curves=False)
    data = read_study(made.write(tmp_path_factory.mktemp("search")))
    return data, trials_of(data)


@pytest.fixture(scope="module")
def panel(study):
    data, trials = study
    return parallel_panel(data, trials, [*criteria_of(data), data.info("test/clustering_accuracy")])


def test_every_finished_point_is_a_line_over_all_settings_and_metrics(study, panel):
    _, trials = study
    assert {line.arm for line in panel.lines} == {trial.arm for trial in trials if trial.complete}
    assert [each.title for each in panel.axes] == [
        "lr", "lambda_nn", "solver", "time_limit_s", "silhouette (val)", "clustering accuracy (test)",
    ]  # fmt: skip
    by_arm = {trial.arm: trial for trial in trials}
    for line in panel.lines:
        levels = by_arm[line.arm].levels
        assert line.places[0] == pytest.approx((math.log10(levels["optimizer.lr"]) + 3) / 3)
        assert line.places[1] == pytest.approx(levels["objective.lambda_nn"] / 2)
        assert (line.places[3] == UNUSED) == (levels["relations.solver.kind"] == "flow")
        assert (line.texts[3] == "not used") == (levels["relations.solver.kind"] == "flow")


def test_fifths_are_equal_parts_from_the_best_and_the_metric_runs_from_its_least_to_its_largest(panel):
    points = [line for line in panel.lines if line.fifth >= 0]
    sizes = [sum(line.fifth == fifth for line in points) for fifth in range(5)]
    assert max(sizes) - min(sizes) <= 1
    for fifth in range(4):
        worst = min(line.places[4] for line in points if line.fifth == fifth)
        assert worst >= max(line.places[4] for line in points if line.fifth == fifth + 1)
    ends = [line.places[4] for line in panel.lines]
    assert (min(ends), max(ends)) == (0.0, 1.0)


def test_a_contour_is_linear_between_the_points_and_empty_beyond_them(study):
    data, trials = study
    pairs = contour_panels(data, trials, criteria_of(data)[0], ["objective.lambda_nn", "optimizer.lr"], 3)
    (panel,) = pairs
    assert (panel.x.title, panel.y.title) == ("lambda_nn", "lr")
    inside = np.isfinite(panel.z)
    assert 0.5 < inside.mean() < 1.0
    for row, column in zip(*np.nonzero(inside), strict=True):  # the known function is linear on these very scales
        levels = {"optimizer.lr": panel.ys[row], "objective.lambda_nn": panel.xs[column]}
        assert panel.z[row, column] == pytest.approx(silhouette_of(levels) + 0.01, abs=1e-9)
    lowest = min(point.x for point in panel.points)
    assert not inside[:, panel.xs < lowest].any()
    assert {point.arm for point in panel.points} == {trial.arm for trial in trials if trial.complete}


def test_few_points_make_no_contour_and_one_setting_no_parallel_axes(study, synthetic, tmp_path):
    data, trials = study
    order = ["objective.lambda_nn", "optimizer.lr"]
    assert contour_panels(data, trials[:12], criteria_of(data)[0], order, 3) == ()
    one = read_study(synthetic.SyntheticStudy().write(tmp_path))
    assert parallel_panel(one, trials_of(one), criteria_of(one)) is None
