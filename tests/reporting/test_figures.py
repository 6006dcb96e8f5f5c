from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgtune.analysis.curve_panels import learning_panels
from fgtune.analysis.formatting import metric_info
from fgtune.analysis.inputs import PlannedArm, read_study
from fgtune.analysis.level_panels import sensitivity_panels, solver_points
from fgtune.analysis.relations_data import relations_panels
from fgtune.analysis.search.axes import listed_axis
from fgtune.analysis.summary import summarise
from fgtune.analysis.verdicts.statistics import mean_interval, paired_contrast
from fgtune.reporting.curve_figures import learning_figure, spread_apart
from fgtune.reporting.level_figures import arms_figure, number_figure, sensitivity_figure, within_reach
from fgtune.reporting.panels import panels_of_arms
from fgtune.reporting.row_figures import forest_figure, relations_figure, solver_figure
from fgtune.reporting.theme import arm_styles, color_bar, metric_axis, shown


@pytest.fixture(scope="module")
def study(synthetic, kf_accuracy, tmp_path_factory):
    return read_study(synthetic.SyntheticStudy(accuracy=kf_accuracy).write(tmp_path_factory.mktemp("figures")))


def _arms(n):
    return [PlannedArm(str(i), str(i), i == 0, {}) for i in range(n)]


def test_styles_tell_arms_apart_and_keep_grey_for_the_baseline():
    styles = arm_styles(_arms(25))
    assert len({(style.color, style.symbol, style.dash) for style in styles.values()}) == 25
    assert [name for name, style in styles.items() if style.color == styles["0"].color] == ["0"]


def test_text_in_figures_is_escaped_and_cut():
    assert shown("<b>x</b> & y") == "&lt;b&gt;x&lt;/b&gt; &amp; y"
    assert shown("a" * 50, 10) == "a" * 9 + "…"


@settings(deadline=None, max_examples=100)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_labels_spread_apart_keep_their_order_and_range(values):
    placed = spread_apart(values, 0.1, 0.0, 1.0)
    order = sorted(range(len(values)), key=lambda i: values[i])
    gaps = [placed[after] - placed[before] for before, after in itertools.pairwise(order)]
    assert all(gap >= 0.1 - 1e-9 for gap in gaps)
    assert all(-1e-9 <= y <= 1 + 1e-9 for y in placed)


def test_labels_with_room_stay_where_they_are():
    assert spread_apart([0.9, 0.1, 0.5], 0.1, 0.0, 1.0) == [0.9, 0.1, 0.5]


def test_an_axis_of_counts_has_whole_ticks_and_nothing_below_zero():
    counts = metric_axis(metric_info("test/ged"), [0.0, 3.5])
    assert (counts["dtick"], counts["rangemode"]) == (1, "nonnegative")
    assert "dtick" not in metric_axis(metric_info("test/ged"), [0.0, 300.0])
    assert "rangemode" not in metric_axis(metric_info("test/ari"), [0.1])


def test_criteria_over_numbers_of_classes_are_on_the_axis_of_their_metric():
    rows = [(f"arm{size}", size, mean_interval(values)) for size, values in ((8, [0, 1]), (10, [0, 0]), (12, [1, 3]))]
    scale = number_figure(rows, [10], 10, metric_info("test/ged")).layout.yaxis
    assert scale.rangemode == "nonnegative"
    ends = [end for _, _, each in rows for end in (each.low, each.high)]
    assert (scale.dtick, scale.tickformat) == ((1, "d") if max(ends) - min(ends) < 6 else (None, None))
    assert number_figure(rows[:2], [10], 10, metric_info("val/silhouette")).layout.yaxis.rangemode is None


def test_colours_say_what_they_stand_for_and_count_in_whole_numbers():
    bar = color_bar(metric_info("test/ged"), [0.0, 3.5])
    assert (bar["title"]["text"], bar["dtick"]) == (metric_info("test/ged").short, 1)
    assert "dtick" not in color_bar(metric_info("test/ged"), [0.0, 300.0])
    assert "dtick" not in color_bar(metric_info("test/ari"), [0.0, 0.5])


def test_an_axis_of_values_that_hardly_differ_stays_within_the_range_of_the_metric():
    low, high = metric_axis(metric_info("test/clustering_accuracy"), [0.25, 0.25])["range"]
    assert 0.0 < low < 0.25 < high < 0.5
    low, high = metric_axis(metric_info("val/silhouette"), [-0.121760, -0.121758])["range"]
    assert high - low > 0.05  # ticks of two or three decimals
    low, high = metric_axis(metric_info("test/ged"), [4.0, 4.0])["range"]
    assert 2.0 < low < 3.0 < 5.0 < high < 6.0
    assert "range" not in metric_axis(metric_info("test/clustering_accuracy"), [0.3, 0.6])


def test_a_mark_at_the_end_of_the_range_of_a_metric_is_not_cut():
    low, high = metric_axis(metric_info("test/ged"), [0.0, 10.0])["range"]
    assert -1.0 < low < 0.0
    assert high > 10.0


def test_levels_that_are_no_numbers_stand_in_the_order_of_the_study_file(synthetic, tmp_path):
    design = {"kind": "sensitivity", "factors": {"optimizer.kind": ["adamw", "sgd"]},
              "baseline": {"optimizer.kind": "sgd"}}  # fmt: skip
    study = {"study": "s", "question": "?", "design": design, "seeds": 2,
             "trial": {"data": {"kind": "digits"}, "classes": {"num_fine": 10}, "epochs": 3}}  # fmt: skip
    data = read_study(synthetic.SyntheticStudy(text=json.dumps(study)).write(tmp_path))
    assert [point.tick for point in sensitivity_panels(data)[0].points] == ["adamw", "sgd"]


def test_the_figure_of_all_arms_has_a_row_an_arm_with_its_seeds(study):
    panel = replace(sensitivity_panels(study)[0], axis=listed_axis("", "arm", ["a"]))
    figure = arms_figure(panel, arm_styles(study.arms))
    assert list(figure.layout.yaxis.ticktext) == [point.label for point in panel.points]
    means = [trace for trace in figure.data if trace.error_x.array is not None]
    assert [(trace.x[0], trace.y[0]) for trace in means] == [(p.estimate.mean, i) for i, p in enumerate(panel.points)]
    seeds = [trace for trace in figure.data if trace.error_x.array is None]
    assert [len(trace.x) for trace in seeds] == [len(point.seeds) for point in panel.points]


def test_sensitivity_figure_shows_means_intervals_and_every_seed(study):
    panel = sensitivity_panels(study)[0]
    figure = sensitivity_figure(panel, arm_styles(study.arms))
    means = [trace for trace in figure.data if trace.error_y.array is not None]
    assert [trace.y[0] for trace in means] == [point.estimate.mean for point in panel.points]
    for trace, point in zip(means, panel.points, strict=True):
        assert trace.y[0] + trace.error_y.array[0] == pytest.approx(point.estimate.high)
        assert trace.y[0] - trace.error_y.arrayminus[0] == pytest.approx(point.estimate.low)
    seeds = [trace for trace in figure.data if trace.mode == "markers" and len(trace.y) == 5]
    assert [list(trace.y) for trace in seeds] == [[value for _, value in point.seeds] for point in panel.points]
    assert list(figure.layout.xaxis.ticktext) == ["0.8", "1.0", "1.2", "1.5"]


def test_arms_keep_their_colour_in_every_figure(study):
    styles = arm_styles(study.arms)
    levels = sensitivity_figure(sensitivity_panels(study)[0], styles)
    curves = learning_figure(learning_panels(study)[0], styles)
    by_level = {
        trace.text[0].split(":")[0]: trace.marker.color for trace in levels.data if trace.error_y.array is not None
    }
    by_curve = {trace.name: trace.line.color for trace in curves.data if trace.name is not None}
    assert by_level == by_curve
    assert len(by_curve) == 4


def test_learning_curves_are_named_at_their_ends(study):
    figure = learning_figure(learning_panels(study)[0], arm_styles(study.arms))
    assert {note.text for note in figure.layout.annotations} == {arm.label for arm in study.arms}
    assert not figure.layout.showlegend


@pytest.mark.slow
def test_many_learning_curves_are_named_in_one_legend_above_all_figures(synthetic, tmp_path):
    levels = ", ".join(f"{ratio / 10}" for ratio in range(8, 18))
    text = synthetic.KF_STUDY.replace("[0.8, 1.0, 1.2, 1.5]", f"[{levels}]").replace("seeds: 5", "seeds: 2")
    data = read_study(synthetic.SyntheticStudy(text=text).write(tmp_path))
    styles = arm_styles(data.arms)
    panels = panels_of_arms(data, summarise(data), styles)
    assert [arm for arm, _, _ in panels.curve_names] == [arm.name for arm in data.arms]
    assert len({(style.color, style.strokes) for _, _, style in panels.curve_names}) == 10
    for figure in (figure for group in panels.curves for figure in group.figures):
        assert not figure.spec.layout.showlegend
        assert not figure.spec.layout.annotations


@pytest.mark.slow
def test_few_learning_curves_need_no_legend(study):
    assert panels_of_arms(study, summarise(study), arm_styles(study.arms)).curve_names == ()


def test_a_point_that_was_stopped_far_away_does_not_squeeze_those_that_finished():
    finished = [0.40, 0.41, 0.42, 0.43, 0.44]
    assert within_reach(0.39, finished) == 0.39
    assert within_reach(0.10, finished) == pytest.approx(0.32)
    assert within_reach(0.90, finished) == pytest.approx(0.52)
    assert within_reach(0.10, finished[:3]) == 0.10  # few say nothing of their spread
    assert within_reach(0.10, [0.4] * 6) == 0.10


def test_forest_figure_shows_the_margin_and_every_pair(study):
    summary = summarise(study)
    rows = summary.contrasts
    figure = forest_figure(rows, arm_styles(study.arms), summary.metrics[0], summary.margin)
    band = next(shape for shape in figure.layout.shapes if shape.type == "rect")
    assert (band.x0, band.x1) == (-0.02, 0.02)
    pairs = [trace for trace in figure.data if len(trace.x) == 5]
    assert [list(trace.x) for trace in pairs] == [list(row.contrast.differences) for row in rows]
    assert next(iter(figure.layout.yaxis.ticktext)) == "K_F/K_F* 0.8"
    low, high = figure.layout.xaxis.range
    assert all(low < row.contrast.estimate.low and row.contrast.estimate.high < high for row in rows)


def test_forest_figure_of_equal_values_without_a_margin_has_an_axis_of_some_length(study):
    summary = summarise(study)
    pairs = paired_contrast({0: 0.5, 1: 0.6}, {0: 0.5, 1: 0.6}, direction="maximize", level=0.95)
    rows = [replace(summary.contrasts[0], contrast=pairs)]
    low, high = forest_figure(rows, arm_styles(study.arms), summary.metrics[0], None).layout.xaxis.range
    assert low < 0.0 < high


def test_solver_axis_is_logarithmic_where_times_span_a_decade(synthetic, tmp_path):
    solvers = {"flow": 0.0003, "scip": 0.03, "cvxpy": 0.012}
    data = read_study(synthetic.SyntheticStudy(text=synthetic.SOLVER_STUDY, solvers=solvers).write(tmp_path))
    points = solver_points(data)
    assert solver_figure(points, arm_styles(data.arms)).layout.xaxis.type == "log"
    flow = [point for point in points if point.solver == "flow"]
    assert solver_figure(flow, arm_styles(data.arms)).layout.xaxis.rangemode == "tozero"


@pytest.mark.parametrize(("seconds", "unit", "drawn"), [(0.0003, "µs", 300.0), (0.03, "ms", 30.0), (2.5, "s", 2.5)])
def test_times_of_solvers_are_drawn_in_a_unit_that_suits_them(study, seconds, unit, drawn):
    points = [replace(point, seconds_per_solve=seconds) for point in solver_points(study)]
    figure = solver_figure(points, arm_styles(study.arms))
    assert figure.layout.xaxis.title.text == f"time per solve in {unit}, mean of a cell"
    assert figure.data[0].x[0] == pytest.approx(drawn)


def test_relations_figure_marks_every_edge(study):
    panel = relations_panels(study)[0]
    figure = relations_figure(panel)
    heatmap, *marks = figure.data
    assert [[math.isclose(a, b, abs_tol=1e-4) for a, b in zip(r, s, strict=True)] for r, s in
            zip(heatmap.z, panel.shares, strict=True)] == [[True] * 10] * 10  # fmt: skip
    assert sum(len(trace.x) for trace in marks) == (panel.marks > 0).sum()
    assert list(figure.layout.xaxis2.tickvals) == [0, 1]
    assert list(figure.layout.yaxis.ticktext) == list(panel.rows)


def test_neighbours_that_share_a_cell_are_drawn_over_their_rows_and_columns(study, monkeypatch):
    monkeypatch.setattr("fgtune.analysis.relations_data.MOST_SHARES", 4)
    panel = relations_panels(study)[0]
    heatmap = relations_figure(panel).data[0]
    assert (len(heatmap.z), len(heatmap.z[0])) == (4, 4)
    assert (heatmap.x0, heatmap.dx, heatmap.y0, heatmap.dy) == (1, 3, 1, 3)
    row, column = heatmap.customdata[1][3]
    assert (row, column) == (f"{panel.rows[3]} to {panel.rows[5]}", panel.columns[9])


@pytest.mark.parametrize(
    ("classes", "ticks"), [(8, [*range(8)]), (20, [0, 3, 6, 9, 12, 15, 18]), (1000, [*range(0, 1000, 125)])]
)
def test_parents_have_as_many_numbers_as_find_room(study, classes, ticks):
    panel = relations_panels(study)[0]
    marks = np.zeros((len(panel.rows), classes), dtype=np.int64)
    assert list(relations_figure(replace(panel, marks=marks)).layout.xaxis2.tickvals) == [*ticks]


def test_large_relations_are_drawn_without_names(synthetic, tmp_path, monkeypatch):
    monkeypatch.setattr("fgtune.reporting.row_figures._MOST_NAMED", 5)
    data = read_study(synthetic.SyntheticStudy().write(tmp_path))
    figure = relations_figure(relations_panels(data)[0])
    assert figure.layout.yaxis.ticktext is None
    assert figure.layout.yaxis.showticklabels is False
