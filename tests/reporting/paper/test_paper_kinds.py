"""Every design has the figures for papers that the docs name, each with a caption and with the numbers of the page."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from fgtune.analysis.curve_panels import learning_panels
from fgtune.analysis.inputs import read_study
from fgtune.analysis.level_panels import agreement_panels, front_panels, scatter_panels, shown_choices
from fgtune.analysis.search.overview import choosing_infos, selections_of
from fgtune.analysis.space_panels import contour_panels, parallel_panel
from fgtune.analysis.summary import summarise
from fgtune.analysis.trials import criteria_of, trials_of
from fgtune.catalog.metrics import ARM_METRICS
from fgtune.reporting.paper.figures import paper_figures
from fgtune.reporting.paper.forms import Form, Width
from fgtune.reporting.paper.style import paper_style
from fgtune.reporting.paper.write import drawn
from fgtune.results.records import RelationsRecord

DOCS = Path(__file__).parents[3] / "docs" / "running.md"
KINDS = ("sensitivity", "ablation", "comparison", "variance", "search")
PARTS = {name: {"off": {f"objective.lambda_{name}": 0.0}} for name in ("nn", "conf")}
LR = "optimizer.lr"
DESIGNS = {
    "one at a time": {"kind": "sensitivity", "factors": {LR: [0.01, 0.1], "objective.lambda_reg": [1.0, 2.0]}},
    "full grid": {"kind": "sensitivity", "grid": "full", "factors": {LR: [0.01, 0.1], "objective.lambda_reg": [1, 2]}},
    "sobol": {
        "kind": "sensitivity", "grid": "sobol", "points": 24,
        "factors": {LR: {"low": 0.001, "high": 1.0, "scale": "log"}, "objective.lambda_nn": {"low": 0.0, "high": 1.0}},
    },
    "ablation": {"kind": "ablation", "schemes": ["factorial"], "components": PARTS, "interactions": "planned"},
    "comparison": {
        "kind": "comparison", "arms": [{"name": f"arm{rank}", "set": {LR: 0.1 / (rank + 1)}} for rank in range(4)],
    },
    "data sets": {
        "kind": "comparison", "arms": [{"name": f"arm{rank}", "set": {LR: 0.1 / (rank + 1)}} for rank in range(3)],
        "datasets": {f"set{rank}": {"kind": "digits", "limit": 500 + rank} for rank in range(4)},
    },
    "variance": {"kind": "variance"},
}  # fmt: skip


def documented():
    """The stem of every documented file, with the designs that have it."""
    rows = re.findall(r"^\| `([a-z-]+?)(?:-0)?` \| .+ \| (.+) \|$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) > 15
    return {stem: set(KINDS if kinds == "every design" else re.findall(r"`(\w+)`", kinds)) for stem, kinds in rows}


class Made:
    """A study with its figures, not drawn yet."""

    def __init__(self, folder):
        self.data = read_study(folder)
        self.summary = summarise(self.data)
        self.figures = {figure.name: figure for figure in paper_figures(self.data, self.summary)}

    @property
    def stems(self):
        return {re.sub(r"-\d+$", "", name) for name in self.figures}

    def axes(self, name):
        with paper_style():
            figure = Figure(layout="constrained")
            self.figures[name].draw(figure)
        return figure.axes


def write_design(synthetic, root, design):
    study = {
        "study": "designed", "question": "Which?", "design": design, "seeds": 5,
        "metrics": {"primary": "test/clustering_accuracy", "also": ["val/fixed_silhouette"]},
        "trial": {"data": {"kind": "digits"}, "classes": {"num_fine": 10}, "epochs": 3},
    }  # fmt: skip
    folder = synthetic.SyntheticStudy(text=json.dumps(study), noise=0.05).write(root)
    rng = np.random.default_rng(0)
    for result in folder.ledger.read():
        steps = float(np.log10(result.config["optimizer"]["lr"] / 0.1))
        own = {
            "val/fixed_silhouette": 0.3 + 0.1 * rng.random() - 0.05 * abs(steps),
            "test/clustering_accuracy": 0.7 + 0.5 * (result.metrics["test/clustering_accuracy"] - 0.7) + 0.1 * steps,
        }
        folder.ledger.append(replace(result, metrics={**result.metrics, **own}))
    return folder


@pytest.fixture(scope="module")
def made(synthetic, synthetic_search, tmp_path_factory):
    root = tmp_path_factory.mktemp("kinds")
    studies = {name: Made(write_design(synthetic, root / name, design)) for name, design in DESIGNS.items()}
    search = synthetic_search.SyntheticSearch(trials=24, pruned={3: 9}).write(root / "search")
    for result in search.ledger.read():
        learned, counts = np.arange(10)[None] // 5, np.ones((1, 10, 2), dtype=np.int64)
        search.write_relations(result.cell_id, RelationsRecord(learned, counts))
    studies["search"] = Made(search)
    two = synthetic_search.SyntheticSearch(text=synthetic_search.TWO_CRITERIA, trials=16)
    studies["two criteria"] = Made(two.write(root / "two"))
    return studies


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_design_has_the_figures_that_the_docs_name_and_no_others(made, kind):
    own = [each for each in made.values() if each.data.study.design.kind == kind]
    assert own
    assert set().union(*(each.stems for each in own)) == {stem for stem, kinds in documented().items() if kind in kinds}


def test_every_figure_has_a_caption_and_can_be_drawn(made):
    for study in made.values():
        for figure in study.figures.values():
            assert len(figure.caption) > 40, figure.name
            assert figure.caption.endswith("."), figure.name
            assert figure.caption[0].isupper(), figure.name
    for name, study in (("data sets", "ranks"), ("variance", "variance-shares"), ("two criteria", "front-0")):
        assert drawn(made[name].figures[study], Form.PNG, Width.SINGLE).content.startswith(b"\x89PNG")


@pytest.mark.slow
def test_axes_on_a_logarithm_have_plain_numbers(made):
    for study in made.values():
        for name in study.figures:
            for axes in study.axes(name):
                texts = [tick.get_text() for axis in (axes.xaxis, axes.yaxis) for tick in axis.get_ticklabels()]
                assert not any("$" in text for text in texts), name
    search = made["search"].axes("slices-0")[0]
    assert search.get_xscale() == "log"
    assert {"0.01", "0.1"} <= {tick.get_text() for tick in search.get_xticklabels()}


def offsets(axes):
    """(x, y) of every point of every series that has a kind."""
    return {
        (x, y) for line in axes.lines if line.get_gid() for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    }


def test_two_metrics_have_every_point_of_the_page(made):
    two, one = made["two criteria"], made["search"]
    for rank, panel in enumerate(front_panels(two.data, trials_of(two.data))):
        assert offsets(two.axes(f"front-{rank}")[0]) == {(point.x, point.y) for point in panel.points}
    trials = trials_of(one.data, ARM_METRICS)
    choosing = choosing_infos(one.data, selections_of(one.data, trials))
    panels = agreement_panels(one.data, trials, choosing)
    assert panels
    for rank, panel in enumerate(panels):
        axes = one.axes(f"agreement-{rank}")[0]
        assert offsets(axes) == {(point.x, point.y) for point in panel.points}
        assert {text.get_text() for text in axes.texts} == set(panel.marked)
    for name in ("comparison", "ablation", "full grid"):
        panels = shown_choices(made[name].data, made[name].summary.choices)
        assert panels
        for rank, (_, panel) in enumerate(panels):
            axes = made[name].axes(f"choosing-{rank}")[0]
            assert offsets(axes) == {(point.x, point.y) for point in panel.points}
            assert axes.get_xlabel() == panel.x.title


def test_slices_contours_and_parallel_lines_have_every_finished_point(made):
    search = made["search"]
    trials, criteria = trials_of(search.data), criteria_of(search.data)
    panels = scatter_panels(search.data, trials, criteria)
    shown = [axes for axes in search.axes("slices-0") if axes.get_visible()]
    assert len(shown) == len(panels)
    for axes, panel in zip(shown, panels, strict=True):
        assert len(offsets(axes)) == len({(point.arm, point.x) for point in panel.points})
        if panel.axis.numeric:
            finished = {(point.x, point.y) for point in panel.points if point.kind != "stopped"}
            assert finished <= offsets(axes)
    (pair,) = contour_panels(search.data, trials, criteria[0], ["optimizer.lr", "objective.lambda_nn"], 1)
    assert offsets(search.axes("contour-0")[0]) == {(point.x, point.y) for point in pair.points}
    parallel = parallel_panel(search.data, trials, criteria)
    drawn_arms = {line.get_gid() for line in search.axes("parallel")[0].lines if line.get_gid()}
    assert {line.arm for line in parallel.lines} <= drawn_arms


def test_ranks_and_shares_are_those_of_the_summary(made):
    test = made["data sets"].summary.datasets.ranks
    axes = made["data sets"].axes("ranks")[0]
    assert list(axes.lines[0].get_xdata()) == list(test.ranks)
    names = [text.get_text() for text in axes.get_yticklabels()]
    assert names == [*test.arms, *["not told apart"] * len(test.groups), "critical difference"]
    start, end = axes.lines[-1].get_xdata()
    assert end - start == pytest.approx(test.critical)
    assert f"critical difference {test.critical:.2f}" in made["data sets"].figures["ranks"].caption
    found = made["variance"].summary.variance
    axes = made["variance"].axes("variance-shares")[0]
    widths = {name.get_text(): bar.get_width() for name, bar in zip(axes.get_yticklabels(), axes.patches, strict=True)}
    assert widths["runs that do not repeat"] == pytest.approx(100 * found.repeated.value)
    assert sorted(widths.values()) == pytest.approx(
        sorted(100 * share.value for share in (*(each.share for each in found.streams), found.repeated, found.together))
    )


@pytest.mark.slow
def test_of_many_arms_twelve_curves_are_drawn_and_the_caption_says_which(synthetic, tmp_path):
    arms = [{"name": f"arm{rank:02}", "set": {"optimizer.lr": 0.1 / (rank + 1)}} for rank in range(15)]
    root = write_design(synthetic, tmp_path, {"kind": "comparison", "arms": arms})
    many = Made(root)
    panels = learning_panels(many.data)
    sizes = {each.arm: abs(each.contrast.estimate.mean) for each in many.summary.contrasts}
    farthest = {"arm00", *sorted(sizes, key=lambda arm: -sizes[arm])[:11]}
    for rank, panel in enumerate(panels):
        axes = many.axes(f"curves-{rank}")[0]
        assert {line.get_label() for line in axes.lines} == farthest
        assert len(panel.curves) == 15
        caption = many.figures[f"curves-{rank}"].caption
        assert caption.endswith("12 of 15 arms: the baseline and those whose means of clustering accuracy (test) are "
                                "farthest from it.")  # fmt: skip
