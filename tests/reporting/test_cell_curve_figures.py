from __future__ import annotations

import re
from dataclasses import replace

import pytest

from fgtune.analysis.cell_curves import cell_curves_panel
from fgtune.analysis.inputs import read_study
from fgtune.analysis.trials import kinds_of, trials_of
from fgtune.reporting import cell_curve_figures as module
from fgtune.reporting.cell_curve_figures import (
    cell_curve_figures,
    cell_curves_figure,
    drawn_cells,
    looks_of_arms,
    looks_of_points,
)
from fgtune.reporting.html import write_up
from fgtune.reporting.level_figures import KIND_STYLES
from fgtune.reporting.theme import arm_styles


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


def test_in_a_search_cells_have_the_colour_of_their_point_also_where_it_failed(synthetic_search, tmp_path):
    data = read_study(synthetic_search.SyntheticSearch(trials=12, failed={4}, pruned={6: 3}).write(tmp_path))
    kinds = kinds_of(data, trials_of(data))
    figure = cell_curves_figure(cell_curves_panel(data), looks_of_points([arm.name for arm in data.arms], kinds))
    colors = {run[0]: trace.line.color for run, _, trace in _lines(figure)}
    assert colors == {arm.name: KIND_STYLES[kinds.get(arm.name, "stopped")].color for arm in data.arms}
    assert "trial-0004" in colors
    assert drawn_cells(figure) == data.results.keys()
    assert figure.data[-1].line.color == KIND_STYLES["best"].color


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
