"""Every arm of every design is in every figure that claims to show the arms, on the page and on paper."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure as PaperCanvas

import fgtune
from fgtune.analysis.curve_panels import learning_panels
from fgtune.analysis.inputs import read_study
from fgtune.analysis.level_panels import sensitivity_panels
from fgtune.analysis.summary import summarise
from fgtune.reporting.html import write_up
from fgtune.reporting.page import page_context
from fgtune.reporting.paper.figures import paper_figures
from fgtune.reporting.paper.style import cut
from fgtune.results.records import PortraitRecord

PARTS = {name: {"off": {f"objective.lambda_{name}": 0.0}} for name in ("coarse", "nn", "conf")}
TWO = {"objective.lambda_nn": [0.1, 0.5, 1.0], "relations.solver.kind": ["scip", "flow"]}
RANGES = {"objective.lambda_nn": {"low": 0.1, "high": 1.0}, "optimizer.lr": {"low": 0.01, "high": 0.2}}


def compared(arms, datasets=0):
    design = {
        "kind": "comparison",
        "arms": [{"name": f"a{rank:02}", "set": {"epochs": 20 + rank}} for rank in range(arms)],
    }
    sets = {f"set{rank}": {"kind": "digits", "limit": 500 + rank} for rank in range(datasets)}
    return design | ({"datasets": sets} if sets else {})


ARMS = {
    "one at a time": {"kind": "sensitivity", "factors": TWO},
    "full grid": {"kind": "sensitivity", "grid": "full", "factors": TWO},
    "ablation": {
        "kind": "ablation", "components": PARTS, "groups": {"fine": ["nn", "conf"]},
        "schemes": ["leave_one_out", "add_one_in", "none"],
    },
    "comparison": compared(5),
    "data sets": compared(3, datasets=4),
    "variance": {"kind": "variance"},
    "many arms": compared(30),
    "imported": None,
}  # fmt: skip
POINTS = {
    "random": {"kind": "sensitivity", "grid": "random", "points": 5, "factors": RANGES},
    "sobol": {"kind": "sensitivity", "grid": "sobol", "points": 4, "factors": RANGES},
    "many points": {"kind": "sensitivity", "grid": "random", "points": 30, "factors": RANGES},
    "search": None,
}


def keep_portraits(folder):
    """Give the first seed of every arm a portrait with a reliability diagram."""
    nothing, none = np.empty((0, 5), dtype=np.int64), np.empty(0, dtype=np.int64)
    for result in folder.ledger.read():
        if result.seed == 0:
            bins = np.array([[4, 6], [0.3, 0.8], [0.25, 0.9]], dtype=np.float32)
            folder.write_portrait(result.cell_id, PortraitRecord(
                rows=none, features=np.empty((0, 2), dtype=np.float16), learned=none, coarse=none, classes=none,
                sizes=none, confidence=none.astype(np.float32), samples=nothing,
                sample_confidence=nothing.astype(np.float32), sample_second=nothing, reliability=bins,
            ))  # fmt: skip


class Made:
    def __init__(self, folder):
        self.folder, self.data = folder, read_study(folder)
        self.summary = summarise(self.data)
        self.panels = page_context(self.data, self.summary)["panels"]
        self.arms = {arm.name for arm in self.data.arms}
        self.others = {arm.name for arm in self.data.arms if not arm.is_baseline}

    def of(self, *keys):
        """The page's figures whose key begins so."""
        return [figure for figure in self.panels.figures if figure.key.startswith(keys)]

    def by_title(self, key):
        """The arms in all figures of a title together."""
        found = {}
        for figure in self.of(key):
            found.setdefault(figure.title, set()).update(arms_in(figure.spec))
        return found


def arms_in(spec):
    """The arms whose traces, points or lines a figure of the page has."""
    found = set()
    for trace in spec.data:
        meta, points = trace.meta or {}, list(zip(trace.x, trace.y, strict=True))
        if "arm" in meta and any(x is not None and y is not None for x, y in points):
            found.add(meta["arm"])
        drawn = [arm for arm, (x, y) in zip(meta.get("arms", []), points, strict=False) if None not in (x, y)]
        found.update(arm for arm in drawn if arm is not None)
        found.update(arm for arm, length, *_ in meta.get("runs", []) if length)
    return found


@pytest.fixture(scope="module")
def made(synthetic, synthetic_search, tmp_path_factory):
    kept = {}

    def make(name):
        if name in kept:
            return kept[name]
        root = tmp_path_factory.mktemp("arms")
        if name == "search":
            folder = synthetic_search.SyntheticSearch(trials=12, pruned={3: 9}).write(root)
        elif name == "imported":
            rows = [{"arm": arm, "seed": seed, "score": 0.1 * rank + 0.01 * ((seed * 7 + rank) % 3)}
                    for rank, arm in enumerate("abcd") for seed in range(4)]  # fmt: skip
            options = {"primary": "score", "direction": "maximize", "baseline": "a", "range": (0, 1)}
            folder = fgtune.import_results(pd.DataFrame(rows), out=root / "out", **options).folder
        else:
            study = {
                "study": "designed", "question": "Which?", "design": (ARMS | POINTS)[name], "seeds": 4,
                "metrics": {"primary": "test/clustering_accuracy", "also": ["test/ari"]},
                "trial": {"data": {"kind": "digits"}, "classes": {"num_fine": 10}, "epochs": 20},
            }  # fmt: skip
            folder = synthetic.SyntheticStudy(text=json.dumps(study)).write(root)
            keep_portraits(folder)
        kept[name] = Made(folder)
        return kept[name]

    return make


@pytest.mark.slow_except("full grid")
@pytest.mark.parametrize("name", ARMS)
def test_arms_are_in_the_figures_that_show_arms_on_the_page(made, name):
    study = made(name)
    shown = {study.data.info(metric).title for metric in study.data.shown_metrics}
    assert study.by_title("levels") == dict.fromkeys(shown, study.arms)
    if name == "variance":
        assert not study.of("differences")
    else:
        (forest,) = study.of("differences")
        assert arms_in(forest.spec) == study.others
    if name == "imported":
        return
    curves = study.by_title("curves")
    assert curves.keys() > shown
    assert all(arms == study.arms for arms in curves.values())
    (solver,) = study.of("solver")
    assert arms_in(solver.spec) == study.arms
    (calibration,) = study.of("reliability")
    first = {arm.name for arm in study.data.arms if arm.dataset == study.data.baseline.dataset}
    if name == "many arms":
        assert len(arms_in(calibration.spec)) == 24
        assert "24 of 30 arms are drawn: the baseline and those whose means are farthest from it." in calibration.note
        sizes = {each.arm: abs(each.contrast.estimate.mean) for each in study.summary.contrasts}
        assert arms_in(calibration.spec) == {"a00", *sorted(sizes, key=lambda arm: -sizes[arm])[:23]}
    else:
        assert arms_in(calibration.spec) == first
        assert ("Of data set set0 alone." in calibration.note) == (name == "data sets")
    relations = {figure.arms[0] for figure in study.of("relations")}
    assert len(relations) + study.panels.relations.left_out == len(study.arms)


def test_every_arm_over_data_sets_has_a_figure_with_each_of_them_and_a_rank(made):
    study = made("data sets")
    assert {figure.arms for figure in study.of("datasets-0", "datasets-1")} == {
        tuple(f"{arm}@set{rank}" for rank in range(4)) for arm in ("a01", "a02")
    }
    (ranks,) = study.of("datasets-ranks")
    assert {*ranks.spec.layout.yaxis.ticktext} >= {"a00", "a01", "a02"}


@pytest.mark.slow
def test_of_many_pooled_arms_those_that_differ_most_have_a_figure_and_the_page_says_so(synthetic, tmp_path):
    study = {
        "study": "many", "question": "Which?", "design": compared(27, datasets=3), "seeds": 2,
        "metrics": {"primary": "test/clustering_accuracy"},
        "trial": {"data": {"kind": "digits"}, "classes": {"num_fine": 10}},
    }  # fmt: skip
    many = Made(synthetic.SyntheticStudy(text=json.dumps(study)).write(tmp_path))
    sizes = {each.arm: abs(each.pooled.estimate.mean) for each in many.summary.datasets.contrasts}
    drawn = {figure.arms[0].partition("@")[0] for figure in many.of("datasets-") if figure.arms}
    assert drawn == {*sorted(sizes, key=lambda arm: -sizes[arm])[:24]}
    page = write_up(many.folder)[0].read_text(encoding="utf-8")
    assert "those with the largest differences over all data sets have a figure; 2 other arms have none." in page


@pytest.mark.slow
@pytest.mark.parametrize("name", POINTS)
def test_points_are_in_the_figures_that_show_points_on_the_page(made, name):
    study = made(name)
    ended = {arm.name for arm in study.data.arms if study.data.ended(arm.name)}
    assert ended == study.arms
    figures = study.of("space", "trials", "history", "parallel")
    assert {figure.key.partition("-")[0] for figure in figures} >= {"space", "trials", "parallel"}
    primary = study.data.study.metrics.primary
    for key in ("space", "trials"):
        assert set().union(*(arms_in(figure.spec) for figure in study.of(key))) == study.arms
    (parallel,) = study.of("parallel")
    assert arms_in(parallel.spec) == {arm for arm in study.arms if study.data.values(arm, primary)} - stopped(study)
    page = write_up(study.folder)[0].read_text(encoding="utf-8")
    if name == "search":
        (history,) = study.of("history")
        assert arms_in(history.spec) == study.others
        return
    (forest,) = study.of("differences")
    if name != "many points":
        assert arms_in(forest.spec) == study.others
        return
    sizes = {each.arm: abs(each.contrast.estimate.mean) for each in study.summary.contrasts}
    assert arms_in(forest.spec) == {*sorted(sizes, key=lambda arm: -sizes[arm])[:24]}
    assert "Drawn are the 24 of 30 that are farthest from 0; the table has all." in page
    (calibration,) = study.of("reliability")
    assert len(arms_in(calibration.spec)) == 24
    assert "24 of 31 arms are drawn: the baseline and the best points." in page
    assert "The median seed of the baseline and of the best point." in page


def stopped(study):
    return {result.arm for result in study.data.results.values() if result.state.value == "PRUNED"}


@pytest.mark.slow_except("full grid")
@pytest.mark.parametrize("name", [*ARMS, *POINTS])
def test_arms_are_in_the_figures_for_papers(made, name):
    study = made(name)
    figures = {figure.name: figure for figure in paper_figures(study.data, study.summary)}

    def axes_of(figure):
        canvas = PaperCanvas()
        figure.draw(canvas)
        return canvas.axes[0]

    if study.summary.contrasts:
        names = [text.get_text() for text in axes_of(figures["differences"]).get_yticklabels()]
        drawn = sorted(study.summary.contrasts, key=lambda each: -abs(each.contrast.estimate.mean))
        drawn = drawn[:24] if name == "many points" else drawn
        shown = [each for each in study.summary.contrasts if each in drawn]
        assert names == [cut(f"{each.label} ({each.judgement.verdict.value})") for each in shown]
        assert {each.arm for each in study.summary.contrasts} == study.others
        said = "Drawn are the 24 of 30 that are farthest from 0." in figures["differences"].caption
        assert said == (name == "many points")
    if name in POINTS:
        return  # tests/reporting/paper/test_paper_kinds.py has their points
    levels = sensitivity_panels(study.data)
    assert {point.arm for panel in levels for point in panel.points} == study.arms
    for rank, panel in enumerate(levels):
        lines = [line for line in axes_of(figures[f"levels-{rank}"]).lines if str(line.get_gid()).startswith("seeds")]
        assert [len(line.get_xdata()) for line in lines] == [len(point.seeds) for point in panel.points]
    for rank, curves in enumerate(learning_panels(study.data)):
        drawn = {line.get_label() for line in axes_of(figures[f"curves-{rank}"]).lines}
        every = {cut(curve.label, 24) for curve in curves.curves}
        assert drawn == every if len(every) <= 12 else len(drawn) == 12
    relations = [figure for key, figure in figures.items() if key.startswith("relations")]
    assert len(relations) == (0 if name == "imported" else min(24, len(study.arms)))
    left = "Drawn are the baseline and those whose means are farthest from it; 6 other arms have no such figure."
    assert [left in figure.caption for figure in relations] == [name == "many arms"] * len(relations)
