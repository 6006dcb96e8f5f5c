"""Figures for papers hold the numbers of the report, the same bytes each time, and fonts that readers need not have."""

from __future__ import annotations

import io
import json
import math
import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from fgtune.analysis.curve_panels import history_panels, learning_panels
from fgtune.analysis.formatting import metric_info
from fgtune.analysis.grid_panels import grid_panels
from fgtune.analysis.inputs import read_study
from fgtune.analysis.level_panels import sensitivity_panels
from fgtune.analysis.relations_data import relations_panels
from fgtune.analysis.search.importances import metric_importances
from fgtune.analysis.summary import summarise
from fgtune.analysis.trials import criteria_of, trials_of
from fgtune.app.cli import main
from fgtune.errors import ConfigError
from fgtune.reporting.paper.draw import Row, draw_history, draw_relations, draw_rows, rows_height
from fgtune.reporting.paper.figure import PaperFigure
from fgtune.reporting.paper.figures import paper_figures
from fgtune.reporting.paper.forms import Form, Width
from fgtune.reporting.paper.style import paper_style
from fgtune.reporting.paper.write import drawn, write_figures
from fgtune.reporting.space_panels import history_beyond

GRID = """
study: grid
question: How do both act together?
design:
  kind: sensitivity
  grid: full
  factors: {classes.num_fine_ratio: [0.8, 1.0, 1.2], objective.lambda_reg: [1.0, 2.0]}
  baseline: {classes.num_fine_ratio: 1.0, objective.lambda_reg: 2.0}
seeds: 3
metrics: {primary: test/clustering_accuracy}
trial: {data: {kind: digits}, classes: {num_fine_ratio: 1.0}, epochs: 3}
"""


class Drawn:
    """A study with its figures, drawn but not written."""

    def __init__(self, folder):
        self.data = read_study(folder)
        self.summary = summarise(self.data)
        self.made = {figure.name: figure for figure in paper_figures(self.data, self.summary)}

    def axes(self, name):
        with paper_style():
            figure = Figure(layout="constrained")
            self.made[name].draw(figure)
        return figure.axes


@pytest.fixture(scope="module")
def study(synthetic, kf_accuracy, tmp_path_factory):
    return Drawn(synthetic.SyntheticStudy(accuracy=kf_accuracy).write(tmp_path_factory.mktemp("study")))


@pytest.fixture(scope="module")
def search(synthetic_search, tmp_path_factory):
    made = synthetic_search.SyntheticSearch(trials=24, pruned={3: 9})
    return Drawn(made.write(tmp_path_factory.mktemp("search")))


def bars(axes, horizontal=True):
    """Mean, low and high of every interval that was drawn."""
    found = []
    for container in axes.containers:
        mark, _, segments = container.lines
        (low, high) = segments[0].get_segments()[0][:, 0 if horizontal else 1]
        found.append(((mark.get_xdata() if horizontal else mark.get_ydata())[0], low, high))
    return found


def test_the_forest_has_mean_interval_and_every_pair_of_each_planned_contrast(study):
    (axes,) = study.axes("differences")
    contrasts = study.summary.contrasts
    estimates = [item.contrast.estimate for item in contrasts]
    assert np.array(bars(axes)) == pytest.approx(np.array([(e.mean, e.low, e.high) for e in estimates]))
    rings = {line.get_gid(): list(line.get_xdata()) for line in axes.lines if line.get_gid()}
    assert rings == {f"seeds {row}": list(item.contrast.differences) for row, item in enumerate(contrasts)}
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names == [f"{item.label} ({item.judgement.verdict.value})" for item in contrasts]
    caption = study.made["differences"].caption
    assert "n = 5 pairs" in caption
    assert f"±{study.summary.margin:g}" in caption


def test_levels_and_curves_are_those_of_the_page(study):
    for rank, panel in enumerate(sensitivity_panels(study.data)):
        (axes,) = study.axes(f"levels-{rank}")
        estimates = [point.estimate for point in panel.points]
        assert np.array(bars(axes, horizontal=False)) == pytest.approx(
            np.array([(each.mean, each.low, each.high) for each in estimates])
        )
        assert axes.get_ylabel() == panel.metric.title
    for rank, panel in enumerate(learning_panels(study.data)):
        axes = study.axes(f"curves-{rank}")[0]
        for line, curve in zip(axes.lines, panel.curves, strict=True):
            assert tuple(line.get_xdata()) == curve.epochs
            assert tuple(line.get_ydata()) == pytest.approx(curve.mean)


def ticks_in_view(axes, side="y"):
    low, high = sorted(getattr(axes, f"get_{side}lim")())
    return [tick for tick in getattr(axes, f"get_{side}ticks")() if low <= tick <= high]


@pytest.mark.parametrize("accuracy", [1.0, 0.99, 0.7])
def test_counts_have_whole_ticks_and_none_below_the_end_of_their_range(synthetic, tmp_path, accuracy):
    levels = ("baseline", "num_fine_ratio=0.8", "num_fine_ratio=1.2", "num_fine_ratio=1.5")
    made = Drawn(synthetic.SyntheticStudy(accuracy=dict.fromkeys(levels, accuracy)).write(tmp_path))
    ranks = {panel.metric.name: f"levels-{rank}" for rank, panel in enumerate(sensitivity_panels(made.data))}
    curves = {panel.metric.name: f"curves-{rank}" for rank, panel in enumerate(learning_panels(made.data))}
    for names in (ranks, curves):
        ticks = ticks_in_view(made.axes(names["test/ged"])[0])
        assert ticks
        assert min(ticks) >= 0
        assert all(tick == round(tick) for tick in ticks)
        shares = ticks_in_view(made.axes(names["test/clustering_accuracy"])[0])
        assert len(shares) > 1
        assert 0 <= min(shares) <= max(shares) <= 1


def test_a_count_that_is_the_same_everywhere_is_drawn_within_its_range():
    info = metric_info("test/ged")
    rows = [Row(name, 0.0, 0.0, 0.0, (0.0, 0.0)) for name in ("a", "b")]
    figure = Figure()
    draw_rows(figure, rows, info.title, 0.0, None, info)
    (axes,) = figure.axes
    assert ticks_in_view(axes, "x") == [0.0, 1.0]


def test_relations_show_the_shares_and_marks_of_the_median_seed(study):
    for rank, panel in enumerate(relations_panels(study.data)):
        left, right, scale = study.axes(f"relations-{rank}")
        assert [tick.get_text() for tick in scale.get_xticklabels()] == ["0 %", "50 %", "100 %"]
        assert np.asarray(left.images[0].get_array().filled(np.nan)) == pytest.approx(panel.shares, nan_ok=True)
        marks = sum(len(line.get_xdata()) for line in right.lines)
        assert marks == np.count_nonzero(panel.marks)
        assert [text.get_text() for text in left.get_yticklabels()] == list(panel.rows)


def test_neighbours_that_share_a_cell_are_drawn_over_their_rows_and_columns(study, monkeypatch):
    monkeypatch.setattr("fgtune.analysis.relations_data.MOST_SHARES", 4)
    panel = relations_panels(study.data)[0]
    figure = Figure()
    draw_relations(figure, panel)
    left, right, _ = figure.axes
    assert np.asarray(left.images[0].get_array().filled(np.nan)) == pytest.approx(panel.shares, nan_ok=True)
    assert tuple(left.images[0].get_extent()) == (-0.5, 11.5, 11.5, -0.5)
    assert (left.get_xlim(), left.get_ylim()) == ((-0.5, 9.5), (9.5, -0.5))
    assert right.get_ylim() == (9.5, -0.5)


def test_a_full_grid_is_a_heat_map_of_the_means_of_its_arms(synthetic, tmp_path):
    accuracy = {"num_fine_ratio=0.8,lambda_reg=1.0": 0.5}
    study = Drawn(synthetic.SyntheticStudy(text=GRID, accuracy=accuracy).write(tmp_path))
    (panel,) = grid_panels(study.data)
    image, scale = study.axes("grid-0")
    assert np.asarray(image.images[0].get_array()) == pytest.approx(panel.means)
    by_levels = {tuple(arm.levels.values()): arm.name for arm in study.data.arms}
    for (row, column), mean in np.ndenumerate(panel.means):
        arm = by_levels[float(panel.columns[column]), float(panel.rows[row])]
        values = study.data.values(arm, "test/clustering_accuracy").values()
        assert mean == pytest.approx(sum(values) / 3)
        assert panel.counts[row, column] == 3
    assert (panel.rows[panel.baseline[0]], panel.columns[panel.baseline[1]]) == ("2.0", "1.0")
    assert scale.get_ylabel() == panel.metric.title


@pytest.mark.slow
def test_a_search_has_its_history_and_what_stands_out_from_chance(search):
    trials, criteria = trials_of(search.data), criteria_of(search.data)
    (panel,) = history_panels(search.data, trials)
    lines = {line.get_label(): line for line in search.axes("history-0")[0].lines}
    assert list(lines["ran to its end"].get_ydata()) == [point.value for point in panel.points]
    assert list(lines["best so far"].get_ydata()) == [point.best for point in panel.points]
    assert list(lines["stopped early"].get_xdata()) == [point.order for point in panel.stopped]
    (found,) = metric_importances(search.data, trials, criteria)
    assert found.anything
    drawn_bars = [patch.get_width() for patch in search.axes("importances-0")[0].patches]
    assert drawn_bars == pytest.approx([item.main for item in found.ranked])


@pytest.mark.slow
def test_a_trial_that_was_stopped_far_away_leaves_the_others_their_room(synthetic_search, tmp_path):
    made = Drawn(synthetic_search.SyntheticSearch(trials=24, pruned={3: 9}).write(tmp_path))
    (panel,) = history_panels(made.data, trials_of(made.data))
    points = tuple(replace(p, value=1 + p.order / 1000, best=1.07) for p in panel.points)
    far = replace(panel, baseline=1.0, points=points, stopped=(replace(panel.stopped[0], value=1e9),))
    figure = Figure()
    draw_history(figure, far)
    (axes,) = figure.axes
    assert axes.get_ylim()[1] < 2
    crosses = next(line for line in axes.lines if line.get_label() == "stopped early")
    highest = max(p.value for p in points)
    assert list(crosses.get_ydata()) == pytest.approx([highest + 2 * (highest - 1)])
    assert history_beyond(far) == "1 cross at the edge lies far above."
    assert "at the edge" not in made.made["history-0"].caption


@pytest.mark.slow_except("svg")
@pytest.mark.parametrize("form", Form)
def test_files_repeat_to_the_byte_carry_no_time_and_have_the_width_of_a_column(study, form):
    figure = study.made["differences"]
    content = drawn(figure, form, Width.SINGLE).content
    assert content == drawn(figure, form, Width.SINGLE).content
    if form is Form.PDF:
        assert b"CreationDate" not in content
        assert b"/FontFile2" in content
        assert b"/Type3" not in content
        width = float(re.search(rb"/MediaBox \[ 0 0 ([\d.]+)", content).group(1)) / 72 * 25.4
    elif form is Form.SVG:
        text = content.decode()
        assert "<dc:date>" not in text
        assert "<text" not in text  # letters are shapes
        assert "<path" in text
        width = float(re.search(r'width="([\d.]+)pt"', text).group(1)) / 72 * 25.4
    else:
        picture = Image.open(io.BytesIO(content))
        assert not {"Creation Time", "date"} & picture.info.keys()
        width = picture.width / 300 * 25.4
    assert width == pytest.approx(85.0, abs=0.2)


@pytest.mark.slow
def test_the_command_writes_a_file_a_figure_with_captions_whatever_the_users_own_style(study, tmp_path, capsys):
    import matplotlib

    with matplotlib.rc_context({"font.family": "serif", "pdf.fonttype": 3, "text.usetex": False}):
        assert main(["export", str(study.data.folder.root), "--figures", "svg", "--out", str(tmp_path / "f")]) == 0
    names = {path.name for path in (tmp_path / "f").iterdir()}
    assert names == {f"{name}.svg" for name in study.made} | {"captions.md"}
    assert f"wrote {len(study.made)} figures to {tmp_path / 'f'}" in capsys.readouterr().out
    for name, figure in study.made.items():
        assert (tmp_path / "f" / f"{name}.svg").read_bytes() == drawn(figure, Form.SVG, Width.SINGLE).content
    captions = (tmp_path / "f" / "captions.md").read_text(encoding="utf-8")
    assert all(f"**{name}.svg** " in captions for name in study.made)


def test_names_may_hold_signs_of_other_languages(tmp_path):
    rows = [Row("a$b_{$ <i> \\frac", 0.1, -0.1, 0.3, (0.0, 0.2)), Row("x$", 0.2, math.nan, math.nan)]
    figure = PaperFigure(
        "rows", "", rows_height(len(rows)), partial(draw_rows, rows=rows, title="$t", line=0, margin=None)
    )
    assert drawn(figure, Form.PNG, Width.DOUBLE).content.startswith(b"\x89PNG")


JAPANESE = "日本"


def rows_of(name):
    rows = [Row(name, 0.1, -0.1, 0.3, (0.0, 0.2)), Row("b", 0.2, math.nan, math.nan)]
    return PaperFigure(
        "rows", "", rows_height(len(rows)), partial(draw_rows, rows=rows, title="t", line=0, margin=None)
    )


@pytest.fixture
def without_japanese(monkeypatch):
    """No installed font but Matplotlib's own."""
    from matplotlib.font_manager import fontManager

    monkeypatch.setattr(fontManager, "ttflist", [each for each in fontManager.ttflist if "mpl-data" in each.fname])
    fontManager._findfont_cached.cache_clear()
    yield fontManager
    fontManager._findfont_cached.cache_clear()


def test_characters_that_no_font_has_are_named_with_the_text_that_they_are_in(without_japanese, recwarn):
    made = drawn(rows_of(f"K_F {JAPANESE}"), Form.SVG, Width.SINGLE)
    assert made.boxes == dict.fromkeys(JAPANESE, f"K_F {JAPANESE}")
    assert not recwarn.list, "Matplotlib's own words are left out"
    assert drawn(rows_of("Größe, ширина, μ"), Form.SVG, Width.SINGLE).boxes == {}


def test_an_installed_font_stands_in_for_characters_that_ours_lacks(without_japanese, tmp_path):
    boxes = drawn(rows_of(JAPANESE), Form.SVG, Width.SINGLE)
    without_japanese.addfont(font_with(JAPANESE, tmp_path / "font.ttf"))
    without_japanese._findfont_cached.cache_clear()
    made = drawn(rows_of(JAPANESE), Form.SVG, Width.SINGLE)
    assert made.boxes == {}
    assert made.content != boxes.content
    assert b"MadeUp" in made.content


def font_with(signs, path):
    """A font that has these characters alone, as squares."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    names = [".notdef", *(f"uni{ord(sign):04X}" for sign in signs)]
    pen = TTGlyphPen(None)
    for draw, point in zip([pen.moveTo, *[pen.lineTo] * 3], [(0, 0), (0, 700), (700, 700), (700, 0)], strict=True):
        draw(point)
    pen.closePath()
    made = FontBuilder(1000, isTTF=True)
    made.setupGlyphOrder(names)
    made.setupCharacterMap({ord(sign): name for sign, name in zip(signs, names[1:], strict=True)})
    made.setupGlyf(dict.fromkeys(names, pen.glyph()))
    made.setupHorizontalMetrics(dict.fromkeys(names, (800, 0)))
    made.setupHorizontalHeader(ascent=800, descent=-200)
    made.setupNameTable({"familyName": "MadeUp", "styleName": "Regular", "psName": "MadeUp-Regular"})
    made.setupOS2(sTypoAscender=800, usWeightClass=400)
    made.setupPost()
    made.save(path)
    return str(path)


def test_the_warning_about_fonts_is_said_once(study, without_japanese, monkeypatch, tmp_path, capsys):
    figures = [rows_of(JAPANESE), replace(rows_of(JAPANESE), name="others")]
    monkeypatch.setattr("fgtune.reporting.paper.write.paper_figures", lambda *_: figures)
    write_figures(study.data, study.summary, Form.SVG, Width.SINGLE, tmp_path)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(
        f"warning: no installed font has {''.join(sorted(JAPANESE))}, as in '{JAPANESE}' of rows.svg:"
    )
    assert "Noto Sans CJK" in line


def test_an_unfinished_study_has_nothing_to_draw(synthetic, tmp_path, capsys):
    places = {(arm, seed) for arm in ("flow", "scip", "cvxpy") for seed in range(5)}
    empty = synthetic.SyntheticStudy(text=synthetic.SOLVER_STUDY, faults=synthetic.Faults(missing=places))
    root = empty.write(tmp_path / "empty").root
    assert main(["export", str(root), "--figures", "pdf"]) == 0
    assert "nothing to draw yet" in capsys.readouterr().out
    assert not (root / "figures").exists()


def drawn_rows(axes):
    """Every interval by the name of its row."""
    names = [text.get_text() for text in axes.get_yticklabels()]
    return dict(zip(names, bars(axes), strict=True))


def test_parts_of_an_ablation_have_their_effects_and_their_shares(synthetic, tmp_path):
    off = {name: {"off": {f"objective.lambda_{name}": 0.0}} for name in ("nn", "conf")}
    study = {
        "study": "parts", "question": "q", "seeds": 5,
        "design": {"kind": "ablation", "schemes": ["factorial"], "components": off, "interactions": "planned"},
        "trial": {"data": {"kind": "digits"}, "classes": {"num_fine": 10}, "epochs": 3},
    }  # fmt: skip
    accuracy = {"full": 0.9, "no_nn": 0.8, "no_conf": 0.8, "none": 0.8}
    made = Drawn(synthetic.SyntheticStudy(text=json.dumps(study), accuracy=accuracy).write(tmp_path))
    parts = made.summary.parts
    effects, shares = (made.axes(name)[0] for name in ("parts-effects", "parts-shares"))
    for axes, named in (
        (effects, {f"{each.label} ({each.name})": each.contrast.estimate for each in parts.effects}),
        (shares, {each.part: each.contrast.estimate for each in parts.shares}),
    ):
        found = drawn_rows(axes)
        assert found.keys() == named.keys()
        for name, estimate in named.items():
            assert found[name] == pytest.approx((estimate.mean, estimate.low, estimate.high))


def test_several_data_sets_stand_above_what_they_say_together(synthetic, tmp_path):
    study = {
        "study": "many", "question": "Which?", "seeds": 4,
        "design": {
            "kind": "comparison",
            "arms": [{"name": "base", "set": {"epochs": 3}}, {"name": "other", "set": {"epochs": 4}}],
            "datasets": {f"set{rank}": {"kind": "digits", "limit": 500 + rank} for rank in range(4)},
        },
        "trial": {"data": {"kind": "digits"}, "classes": {"num_fine": 10}},
    }  # fmt: skip
    made = Drawn(synthetic.SyntheticStudy(text=json.dumps(study), noise=0.01).write(tmp_path))
    (contrast,) = made.summary.datasets.contrasts
    found = drawn_rows(made.axes("datasets-0")[0])
    assert list(found) == [*(f"set{rank}" for rank in range(4)), f"together ({contrast.verdict.value})"]
    for effect in contrast.measured:
        estimate = effect.contrast.estimate
        assert found[effect.dataset] == pytest.approx((estimate.mean, estimate.low, estimate.high))
    pooled = contrast.pooled.estimate
    assert found[f"together ({contrast.verdict.value})"] == pytest.approx((pooled.mean, pooled.low, pooled.high))


def test_numbers_that_nothing_can_draw_are_one_error():
    rows = [Row(name, x, x, x, [x], "#000000", "o") for name, x in (("a", -1.7e308), ("b", 1.7e308))]
    figure = PaperFigure("effects", "", 2.0, partial(draw_rows, rows=rows, title="x", line=None, margin=None))
    with pytest.raises(ConfigError, match="effects cannot be drawn"):
        drawn(figure, Form.PNG, Width.SINGLE)
