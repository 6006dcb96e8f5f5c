from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from markupsafe import escape

from fgtune.analysis.curve_panels import history_panels, trial_curves_panels
from fgtune.analysis.inputs import read_study
from fgtune.analysis.level_panels import front_panels, scatter_panels
from fgtune.analysis.search.effect_terms import Parameter
from fgtune.analysis.search.importances import importances
from fgtune.analysis.summary import summarise
from fgtune.analysis.trials import criteria_of, trials_of
from fgtune.reporting.curve_figures import history_figure, trial_curves_figure
from fgtune.reporting.dependence_panels import NO_DEPENDENCE, dependence_panels
from fgtune.reporting.html import _environment, tight, write_up
from fgtune.reporting.importance_panels import importance_panels, importances_figure
from fgtune.reporting.level_figures import KIND_STYLES, pair_figure, scatter_figure

PRUNED = {number: 3 if number % 2 else 9 for number in range(6, 40, 3)}
SOBOL = {
    "study": "sobol",
    "question": "Which?",
    "seeds": 2,
    "metrics": {"primary": "test/clustering_accuracy", "also": ["test/ari", "test/silhouette"]},
    "design": {
        "kind": "sensitivity",
        "grid": "sobol",
        "points": 30,
        "factors": {
            "objective.lambda_nn": {"low": 0.1, "high": 10.0, "scale": "log"},
            "relations.solver.kind": ["scip", "flow"],
        },
    },
    "trial": {"data": {"kind": "digits"}, "classes": {"num_fine": 10}, "epochs": 4},
}


@pytest.fixture(scope="module")
def folder(synthetic_search, tmp_path_factory):
    search = synthetic_search.SyntheticSearch(pruned=PRUNED, failed={4})
    return search.write(tmp_path_factory.mktemp("search"))


@pytest.fixture(scope="module")
def page(folder):
    return write_up(folder)[0].read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def sobol(synthetic, tmp_path_factory):
    return synthetic.SyntheticStudy(text=json.dumps(SOBOL)).write(tmp_path_factory.mktemp("sobol"))


def _titles(page):
    found = re.findall(r"<(?:h2|h3|h4)[^>]*>(.*?)</(?:h2|h3|h4)>", page)
    return [re.sub(r" ?<small>.*", "", title) for title in found]


def test_the_page_of_a_search_has_its_own_sections(folder, page):
    assert escape(tight(summarise(folder).answer)) in page
    titles = _titles(page)
    for wanted in (
        "What the search found",
        "Parameters",
        "What each explains",
        "Learning curves",
        "Failed and stopped cells",
    ):
        assert wanted in titles
    for unwanted in ("Arms", "Metrics over the levels"):
        assert unwanted not in titles
    assert not re.search('class="chip (helps|hurts|equivalent|undecided)"', page)


def test_stopped_trials_do_not_flood_the_failures(page):
    table = re.search(r'aria-label="Failed cells">(.*?)</table>', page, re.DOTALL).group(1)
    assert table.count("<code>") == 1
    assert "trial-0004" in table
    stopped = re.search(r'aria-label="Cells stopped early">(.*?)</table>', page, re.DOTALL).group(1)
    assert stopped.count("<tr") == 1 + len(set(PRUNED.values()))


def test_the_best_ten_trials_are_in_sight_and_all_of_them_at_hand(page):
    open_table, folded = re.findall(r'aria-label="Trials"(?: id="trials")?>(.*?)</table>', page, re.DOTALL)
    assert open_table.count('<th scope="row">') == 11
    assert folded.count('<th scope="row">') == 41
    assert "stopped at epoch 9" in folded


@pytest.mark.slow
def test_the_same_search_gives_the_same_bytes(folder, page):
    assert write_up(folder)[0].read_text(encoding="utf-8") == page


def test_figures_of_a_search_stay_small(page):
    specs = re.findall(r'<script type="application/json" id="[a-z]+-\d+-data">(.*?)</script>', page, re.DOTALL)
    assert len(specs) > 10
    assert sum(map(len, specs)) < 700_000


def test_a_search_that_has_not_begun_has_a_page(synthetic_search, tmp_path):
    search = synthetic_search.SyntheticSearch(trials=0, baseline=False)
    assert "No answer yet" in write_up(search.write(tmp_path))[0].read_text(encoding="utf-8")


@pytest.mark.slow
def test_points_of_a_sobol_design_get_panels_and_importances(sobol):
    page = write_up(sobol)[0].read_text(encoding="utf-8")
    titles = _titles(page)
    assert titles.count("Over lambda_nn") == titles.count("Over solver") == 3
    assert "What each explains" in titles
    assert "What choosing by each label-free metric yields" in page  # test/silhouette against the primary metric
    assert "the Sobol index of first order what a parameter explains alone" in page
    assert "PED-ANOVA and the Sobol index are in units of" in page
    assert "The verdict on each of 30 arms" in page  # folded, since nobody reads thirty
    assert "Drawn are the 24 of 30 that are farthest from 0" in page


# Single figures


def test_every_kind_of_point_has_colour_and_shape_of_its_own():
    assert len({style.symbol for style in KIND_STYLES.values()}) == 4
    assert len({style.color for style in KIND_STYLES.values()}) == 4


def test_history_draws_values_best_so_far_and_the_stopped(folder):
    data = read_study(folder)
    (panel,) = history_panels(data, trials_of(data))
    step, others, best, stopped = history_figure(panel, ["trial-0029"]).data
    assert len(others.x) + len(best.x) == len(panel.points)
    assert step.y[-1] == pytest.approx(panel.points[-1].best, rel=1e-4)
    assert step.x[-1] == 40
    assert len(stopped.x) == len(PRUNED) + 1
    assert len(stopped.meta["arms"]) == len(stopped.x)  # which hide them with their arms
    assert sum(f"stopped at epoch {epoch}" in text for text in stopped.text for epoch in {*PRUNED.values()}) == len(
        PRUNED
    )
    assert max(stopped.y) > min(others.y)  # at their values, not at the foot


def test_a_criterion_that_counts_has_whole_ticks_and_its_crosses_at_the_foot_in_sight(folder):
    data = read_study(folder)
    (panel,) = history_panels(data, trials_of(data))
    points = tuple(replace(point, value=float(point.order % 4), best=0.0) for point in panel.points)
    lost = tuple(replace(point, value=math.nan) for point in panel.stopped)
    ged = replace(data.info("test/ged"), name=panel.metric.name)
    counts = replace(panel, metric=ged, points=points, stopped=lost, baseline=1.0)
    figure = history_figure(counts, [])
    scale, foot = figure.layout.yaxis, min(figure.data[-1].y)
    assert (scale.dtick, scale.rangemode) == (1, "nonnegative")
    assert -1.0 < scale.range[0] < foot < 0.0  # no tick below 0
    assert history_figure(panel, []).layout.yaxis.rangemode is None  # a silhouette may be negative


def test_parameter_panels_follow_the_domain(folder):
    data = read_study(folder)
    panels = {p.axis.title: p for p in scatter_panels(data, trials_of(data), criteria_of(data))}
    assert scatter_figure(panels["lr"]).layout.xaxis.type == "log"
    strips = scatter_figure(panels["solver"])
    assert list(strips.layout.xaxis.ticktext) == ["flow", "scip"]
    assert all(abs(x - round(x)) <= 0.25 for trace in strips.data for x in trace.x)
    drawn = sum(len(trace.x) for trace in strips.data)
    assert drawn == len(panels["solver"].points)


def test_importances_are_drawn_with_intervals_and_chance():
    rng = np.random.default_rng(0)
    places = rng.random((40, 2))
    parameters = [Parameter("a.b", places[:, 0]), Parameter("c.d", places[:, 1])]
    found = importances("m", parameters, places[:, 1] + 0.2 * rng.normal(size=40), seed=0)
    figure = importances_figure(found, {"a.b": "b", "c.d": "d"})
    bars, joint, chance, joint_chance = figure.data
    items = found.ranked
    assert list(figure.layout.yaxis.ticktext) == ["d", "b", "a random number"]
    for place, item in enumerate(items):
        assert bars.x[place] + bars.error_x.array[place] == pytest.approx(item.high, abs=1e-4)
        assert bars.x[place] - bars.error_x.arrayminus[place] == pytest.approx(item.low, abs=1e-4)
    assert list(joint.x) == pytest.approx([item.joint for item in items[:2]], abs=1e-4)
    assert list(chance.x) == pytest.approx([item.chance for item in items], abs=1e-4)
    assert list(joint_chance.x) == pytest.approx([item.joint_chance for item in items[:2]], abs=1e-4)
    assert bars.marker.color[0] != bars.marker.color[1] == bars.marker.color[2]  # above chance, and not


@pytest.mark.slow
def test_where_nothing_stands_out_the_page_has_a_sentence_and_no_ranked_bars(sobol):
    page = write_up(sobol)[0].read_text(encoding="utf-8")
    assert "Nothing stands out from chance. With 30 finished points" in page
    table = re.search(
        r'aria-label="Importances for clustering accuracy \(test\)">(.*?)</table>', page, re.DOTALL
    ).group(1)
    rows = re.findall(r'<th scope="row">(.*?)</th>', table)
    assert rows == ["lambda_nn", "solver", "a random number"]  # the order of the study
    assert 'id="importances-0"' not in page


def test_a_search_has_no_word_of_sobol_indices(page):
    assert "PED-ANOVA says what sets the best tenth of the points apart.</dd>" in page
    assert "Sobol index" not in page


@pytest.mark.slow
def test_a_table_without_ped_anova_says_what_the_sobol_index_is_in_units_of(sobol):
    data = read_study(sobol)
    (table,) = importance_panels(data, trials_of(data), criteria_of(data)).tables
    only = replace(table, found=replace(table.found, ped=None))
    made = _environment().get_template("report_tables.html.j2").module.importances_table(only, summarise(data))
    assert "The Sobol index is in units of what the largest of all parameters reaches by chance: bold above 1." in made


def test_costs_of_several_magnitudes_get_a_logarithmic_axis(synthetic_search, tmp_path):
    text = synthetic_search.TWO_CRITERIA
    folder = synthetic_search.SyntheticSearch(text=text, trials=12, curves=False).write(tmp_path)
    data = read_study(folder)
    (panel,) = front_panels(data, trials_of(data))
    layout = pair_figure(panel).layout
    assert (layout.xaxis.type, layout.yaxis.type) == (None, "log")


def test_curves_of_one_kind_are_one_trace_with_gaps(folder):
    data = read_study(folder)
    panel = trial_curves_panels(data, trials_of(data))[0]
    figure = trial_curves_figure(panel)
    assert len(figure.data) == 5  # four kinds of lines, and where the stopped ones end
    lines = [trace for trace in figure.data if trace.mode == "lines"]
    assert sum(trace.x.count(None) for trace in lines) == len(panel.curves)
    ends = next(trace for trace in figure.data if trace.mode == "markers")
    assert sorted(ends.x) == sorted(PRUNED.values())


@pytest.mark.slow
def test_the_page_shows_how_the_metric_depends_on_what_stands_out_and_the_way_to_the_best_point(page, folder):
    data = read_study(folder)
    trials, primary = trials_of(data), data.info(data.study.metrics.primary)
    found = dependence_panels(data, trials, primary, importance_panels(data, trials, (primary,)))
    path = found.found.path
    assert "lr" in {curve.axis.title for curve in found.found.curves}
    assert len(found.curves.figures) == len(found.found.curves)
    assert escape(found.sentence) in page
    total = sum(change.share.value for change in path.changes)
    assert total == pytest.approx(path.total.value)
    assert path.total.value * path.measured > 0
    for key in ("dependence-0", "ablation-path"):
        assert page.count(f'id="{key}"') == 1


def test_where_nothing_stands_out_there_is_no_curve_and_no_path(sobol):
    data = read_study(sobol)
    trials, primary = trials_of(data), data.info(data.study.metrics.primary)
    noise = np.random.default_rng(0).normal(size=len(trials))
    flat = [replace(each, means={primary.name: value}) for each, value in zip(trials, noise, strict=True)]
    importances_of = importance_panels(data, flat, (primary,))
    assert not importances_of.tables[0].found.anything
    assert dependence_panels(data, flat, primary, importances_of) == NO_DEPENDENCE
