"""Figures in which arms share a trace, a line or a row follow the choice of arms, too."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from fgtune.analysis.formatting import metric_info
from fgtune.analysis.inputs import read_study
from fgtune.analysis.level_panels import sensitivity_panels
from fgtune.analysis.verdicts.statistics import mean_interval
from fgtune.reporting.html import write_up
from fgtune.reporting.level_figures import number_figure, sensitivity_figure
from fgtune.reporting.theme import arm_styles

TRIAL = {"data": {"kind": "digits"}, "classes": {"num_fine": 10}, "epochs": 2}
GRID = {
    "study": "grid", "question": "Which?", "seeds": 2,
    "design": {"kind": "sensitivity", "grid": "full",
               "factors": {"objective.lambda_nn": [0.5, 0.7, 1.0], "objective.lambda_conf": [0.5, 1.0]}},
    "trial": TRIAL | {"objective": {"lambda_nn": 1.0, "lambda_conf": 1.0}},
}  # fmt: skip
SETS = {
    "study": "sets", "question": "Which?", "seeds": 2,
    "design": {"kind": "comparison",
               "arms": [{"name": name, "set": {"epochs": 2 + at}} for at, name in enumerate(("base", "one", "two"))],
               "datasets": {each: {"kind": "digits", "limit": limit} for limit, each in enumerate("abcd", 500)}},
    "trial": TRIAL,
}  # fmt: skip


@pytest.fixture
def opened(browser, synthetic, tmp_path):
    """Opens the report of a study where a choice of arms is in its address."""
    complaints = []

    def page(study, chosen):
        report = write_up(synthetic.SyntheticStudy(text=json.dumps(study)).write(tmp_path))[0]
        made = browser.new_page(viewport={"width": 1400, "height": 900})
        made.on("console", lambda message: complaints.append(message.text))
        made.on("pageerror", lambda error: complaints.append(str(error)))
        made.goto(f"{report.as_uri()}#arms={chosen}")
        made.locator("html[data-figures]").wait_for(state="attached", timeout=60_000)
        return made

    yield page
    assert complaints == []


@pytest.mark.slow
def test_a_hidden_arm_leaves_its_cell_of_a_heat_map_and_the_line_over_levels(opened):
    chosen = {"lambda_nn=0.5,lambda_conf=1.0", "lambda_nn=0.7,lambda_conf=0.5"}
    page = opened(GRID, ",".join(map(quote, chosen)))
    shown = page.evaluate("[...fgtune.chosen]")
    assert set(shown) == chosen | {"baseline"}
    heat = page.evaluate(
        "(({ z, text, meta }) => ({ z, text, cells: meta.cells }))(document.getElementById('grid-0').data[0])"
    )
    for row, arms in enumerate(heat["cells"]):
        for column, arm in enumerate(arms):
            assert (heat["z"][row][column] is not None) == bool(heat["text"][row][column]) == (arm in shown)
    joined = "[...document.querySelectorAll('.plot')].find(plot => plot.data[0].connectgaps)"
    line = page.evaluate(f"{joined}.data[0]")
    assert [arm for arm, y in zip(line["meta"]["arms"], line["y"], strict=True) if y is not None] == [
        arm for arm in line["meta"]["arms"] if arm in shown
    ]
    assert len(shown) > len([y for y in line["y"] if y is not None]) == 2
    path = page.evaluate(f"{joined}.querySelector('path.js-line').getAttribute('d')")
    assert (path.count("M"), path.count("L")) == (1, 1)  # it goes on past what is hidden
    page.close()


@pytest.mark.slow
def test_rows_of_ranks_and_of_data_sets_close_up_and_the_box_of_a_group_chooses_its_arms(opened):
    page, baselines = opened(SETS, "two@a"), {f"base@{each}" for each in "abcd"}
    ticks = "document.getElementById('{}').layout.yaxis.ticktext"
    ranked = page.evaluate(ticks.format("datasets-ranks"))
    assert {"base", "two"} <= set(ranked)
    assert "one" not in ranked
    marks = page.evaluate("document.getElementById('datasets-ranks').data[0].y")
    assert sorted(y for y in marks if y is not None) == [0, 1]
    ends = page.evaluate("document.getElementById('datasets-ranks').data.at(-1).y")
    assert ends == [len(ranked) - 1] * 2  # the bar of the critical difference moves up with its row
    effects = page.evaluate(ticks.format("datasets-1"))
    assert effects[0] == "a"
    assert len(effects) == 2
    box = page.locator("label.group", has_text="a").locator("input")
    assert box.evaluate("box => [box.checked, box.indeterminate]") == [False, True]
    for name, left in (("b", {"two@a", "one@b", "two@b"}), ("a", {"one@a", "two@a", "one@b", "two@b"})):
        page.locator("label.group", has_text=name).locator("input").check()
        assert set(page.evaluate("[...fgtune.chosen]")) - baselines == left
    assert box.evaluate("box => [box.checked, box.indeterminate]") == [True, False]
    page.locator("label.group", has_text="a").locator("input").uncheck()
    assert set(page.evaluate("[...fgtune.chosen]")) - baselines == {"one@b", "two@b"}
    page.close()


def test_marks_and_the_line_over_numbers_of_classes_are_about_arms(synthetic, tmp_path):
    rows = [(f"arm{size}", size, mean_interval([0.5, 0.6])) for size in (8, 10, 12)]
    line, *points = number_figure(rows, [10], 10, metric_info("test/ari")).data
    assert list(line.meta["arms"]) == [trace.meta["arm"] for trace in points] == ["arm8", "arm10", "arm12"]
    data = read_study(synthetic.SyntheticStudy().write(tmp_path))
    line = sensitivity_figure(sensitivity_panels(data)[0], arm_styles(data.arms)).data[0]
    assert list(line.meta["arms"]) == [point.arm for point in sensitivity_panels(data)[0].points]
    assert line.connectgaps
