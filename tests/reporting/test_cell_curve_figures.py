from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest

from fgtune.analysis.cell_curves import cell_curves_panel
from fgtune.analysis.formatting import number
from fgtune.analysis.inputs import read_study
from fgtune.analysis.trials import kinds_of, trials_of
from fgtune.reporting import cell_curve_figures as module
from fgtune.reporting.cell_curve_figures import (
    cell_curve_figures,
    cell_curves_figure,
    drawn_cells,
    looks_of_arms,
    looks_of_points,
    reach_of,
)
from fgtune.reporting.html import write_up
from fgtune.reporting.level_figures import KIND_STYLES
from fgtune.reporting.theme import arm_styles
from fgtune.results.records import CellState


@pytest.fixture
def study(synthetic, tmp_path):
    faults = synthetic.Faults(failed={("num_fine_ratio=0.8", 2): "lost"}, pruned={("num_fine_ratio=1.2", 1)})
    return read_study(synthetic.SyntheticStudy(faults=faults).write(tmp_path))


def _lines(figure):
    """Each run of a figure with the points that it draws, and its trace."""
    found = []
    for trace in figure.data:
        start = 0
        for run in trace.meta["runs"]:
            end = start + run[1]
            found.append((run, list(zip(trace.x[start:end], trace.y[start:end], strict=True)), trace))
            assert trace.x[end] is None
            start = end + 1
        assert start == len(trace.x)
    return found


def test_each_cell_is_one_line_in_the_colour_of_its_arm_which_says_its_seed_and_how_it_ended(study):
    styles = arm_styles(study.arms)
    panel = cell_curves_panel(study)
    lines = {
        run[3]: (run, points, trace) for run, points, trace in _lines(cell_curves_figure(panel, looks_of_arms(styles)))
    }
    assert lines.keys() == study.results.keys()
    for curve in panel.curves:
        (arm, _, name, _), points, trace = lines[curve.cell_id]
        assert points == [(x, pytest.approx(y, rel=1e-4)) for x, y in zip(curve.epochs, curve.values, strict=True)]
        assert (trace.line.color, trace.line.dash) == (styles[arm].color, styles[arm].dash)
        assert arm == curve.arm
        assert trace.hovertemplate == "%{text}, epoch %{x}: %{y:.3f}<extra></extra>"
        assert name.startswith(f"{curve.label}, seed {curve.seed}")
    ends = [run[2].rpartition(", ")[2] for run, _, _ in lines.values() if run[2].count(",") > 1]
    assert sorted(ends) == ["failed", "stopped early"]


def test_a_cell_of_one_epoch_is_a_mark(study, monkeypatch):
    panel = cell_curves_panel(study)
    first = replace(panel.curves[0], epochs=(1,), values=(0.5,))
    panel = replace(panel, curves=(first, *panel.curves[1:]))
    modes = {
        run[3]: trace.mode for run, _, trace in _lines(cell_curves_figure(panel, looks_of_arms(arm_styles(study.arms))))
    }
    assert [cell for cell, mode in modes.items() if mode == "markers"] == [first.cell_id]
    assert "A dot" not in cell_curve_figures(study, looks_of_arms(arm_styles(study.arms))).figures[0].note
    monkeypatch.setattr(module, "cell_curves_panel", lambda _: panel)
    assert (
        cell_curve_figures(study, looks_of_arms(arm_styles(study.arms))).figures[0].note.startswith("A dot is a cell")
    )
    assert set(modes.values()) == {"markers", "lines"}


def test_the_words_say_how_many_cells_there_are_and_what_is_not_drawn(study, monkeypatch):
    looks = looks_of_arms(arm_styles(study.arms))
    (figure,) = cell_curve_figures(study, looks).figures
    assert "a thin line for each of 20 cells, 1 of them stopped early, 1 of them failed." in figure.alt
    assert "20 are drawn" in figure.note
    assert drawn_cells(figure.spec) == study.results.keys()
    monkeypatch.setattr(module, "MOST_CELLS", 19)
    assert cell_curve_figures(study, looks).figures == ()


def test_a_failed_cell_far_beyond_the_complete_ones_moves_neither_axis_nor_words(study, monkeypatch):
    looks = looks_of_arms(arm_styles(study.arms))
    panel = replace(cell_curves_panel(study), metric=study.info("test/loss"))
    assert not math.isfinite(panel.metric.high)
    assert cell_curves_figure(panel, looks).layout.yaxis.range is None  # the browser chooses
    fail = next(place for place, curve in enumerate(panel.curves) if curve.state is CellState.FAIL)
    last = panel.curves[fail].values[-1]

    def shown(*values):
        curve = replace(panel.curves[fail], epochs=(1, 2, 3), values=values)
        changed = replace(panel, curves=(*panel.curves[:fail], curve, *panel.curves[fail + 1 :]))
        monkeypatch.setattr(module, "cell_curves_panel", lambda _: changed)
        return cell_curve_figures(study, looks).figures[0], changed

    figure, changed = shown(last, 7e5, 1e9)
    values = [value for curve in panel.curves for value in curve.values]
    low, high = figure.spec.layout.yaxis.range
    assert min(values) - 1 < low < min(values) < max(values) < high < max(values) + 1
    ends = [curve.values[-1] for place, curve in enumerate(panel.curves) if place != fail]
    between = f"Their last values lie between {number(min(ends))} and {number(max(ends))}"
    assert figure.alt.endswith(f"{between}; that of 1 cell far beyond.")
    assert "The line of 1 cell beside the complete ones leaves the figure: its values lie far beyond." in figure.note
    assert drawn_cells(figure.spec) == study.results.keys()
    figure, _ = shown(1e9, 7e5, last)  # it is back at its end
    assert "far beyond" not in figure.alt
    assert "leaves the figure" in figure.note
    figure, _ = shown(last, last, last)
    assert figure.spec.layout.yaxis.range is None
    assert "leaves the figure" not in figure.note
    # few values of complete cells say nothing of their spread, none say nothing at all
    done = next(curve for curve in panel.curves if curve.state is CellState.COMPLETE)
    lone = replace(changed, curves=(replace(done, epochs=(1,), values=(0.5,)), changed.curves[fail]))
    assert reach_of(lone) == (0.0, 1.0)
    assert cell_curves_figure(lone, looks).layout.yaxis.range[1] < 2
    assert reach_of(replace(changed, curves=(changed.curves[fail],))) == (-math.inf, math.inf)


@pytest.mark.slow
def test_in_a_search_cells_have_the_colour_of_their_point_also_where_it_failed(synthetic_search, tmp_path):
    data = read_study(synthetic_search.SyntheticSearch(trials=12, failed={4}, pruned={6: 3}).write(tmp_path))
    kinds = kinds_of(data, trials_of(data))
    figure = cell_curves_figure(cell_curves_panel(data), looks_of_points([arm.name for arm in data.arms], kinds))
    colors = {run[0]: trace.line.color for run, _, trace in _lines(figure)}
    assert colors == {arm.name: KIND_STYLES[kinds.get(arm.name, "stopped")].color for arm in data.arms}
    assert "trial-0004" in colors
    assert drawn_cells(figure) == data.results.keys()
    assert figure.data[-1].line.color == KIND_STYLES["best"].color
    page = write_up(data.folder)[0].read_text(encoding="utf-8")
    legend = page.partition('id="learning-cells"')[2].partition("</ul>")[0]
    words = ["baseline", "best by silhouette (val)", "ran to its end", "stopped early, failed or unfinished"]
    assert re.findall(r"</svg>([^<]+)</li>", legend) == words
    assert re.findall(r'stroke="(#\w+)"', legend) == [
        KIND_STYLES[kind].color for kind in ("baseline", "best", "complete", "stopped")
    ]
    assert "a seed of a point, in the colour of the point's kind." in legend


def test_links_lead_to_cells_that_the_page_draws_and_a_page_without_curves_has_none(study, synthetic_search, tmp_path):
    page = write_up(study.folder)[0].read_text(encoding="utf-8")
    linked = re.findall(r'href="#learning-cells&(?:amp;)?arms=[^"&]+&(?:amp;)?cell=([^"]+)">curve<', page)
    assert sorted(linked) == sorted(study.results)
    assert page.count('id="learning-cells"') == page.count('id="cell-curves"') == 1
    assert write_up(study.folder)[0].read_text(encoding="utf-8") == page
    without = synthetic_search.SyntheticSearch(trials=3, curves=False).write(tmp_path / "few")
    page = write_up(without)[0].read_text(encoding="utf-8")
    assert ">curve<" not in page
    assert "learning-cells" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
