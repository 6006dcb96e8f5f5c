"""What is lost without each part stands beside what it gains alone, metric by metric, with the numbers of the arms."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from fgtune.analysis.inputs import read_study
from fgtune.analysis.parts.side_by_side import part_gains
from fgtune.analysis.summary import summarise
from fgtune.reporting.html import write_up
from fgtune.reporting.joint_panels import gains_figures
from fgtune.reporting.paper.figures import paper_figures

ALL = ("leave_one_out", "add_one_in", "none")
PARTS = ("coarse", "nn", "conf")
ACCURACY = {"full": 0.9, "no_nn": 0.7, "no_coarse": 0.85, "only_nn": 0.6, "only_coarse": 0.55, "none": 0.5}
NEITHER = "test/coarse_information"
SAME = {"only_fine": "no_coarse", "only_coarse": "no_fine"}
"""Arms that leave the same components on run once, under the first name."""


@pytest.fixture
def folder_of(synthetic, tmp_path):
    def write(schemes, also=("test/ged",), **options):
        study = {
            "study": "sides", "question": "Which parts?", "seeds": 4,
            "design": {
                "kind": "ablation", "schemes": schemes, "groups": {"fine": ["nn", "conf"]},
                "components": {name: {"off": {f"objective.lambda_{name}": 0.0}} for name in PARTS},
            },
            "metrics": {"primary": "test/clustering_accuracy", "also": also, "equivalence_margin": 0.02},
            "trial": {"data": {"kind": "digits"}, "classes": {"num_fine": 10}, "epochs": 3},
        }  # fmt: skip
        return synthetic.SyntheticStudy(text=json.dumps(study), accuracy=ACCURACY, **options).write(tmp_path)

    return write


def expected(data, metric, one, two):
    """Paired differences of two arms, by hand."""
    first, second = data.values(one, metric), data.values(two, metric)
    sign = -1 if metric == "test/ged" else 1
    return [sign * (first[seed] - second[seed]) for seed in sorted(first.keys() & second.keys())]


def test_both_gains_are_paired_differences_of_two_arms_and_positive_where_the_part_helps(folder_of):
    data = read_study(folder_of(ALL))
    found = part_gains(data)
    assert [each.metric.name for each in found] == ["test/clustering_accuracy", "test/ged"]
    for each in found:
        assert [part.part for part in each.parts] == [*PARTS, "fine"]
        for part in each.parts:
            beside = expected(data, each.metric.name, "full", f"no_{part.part}")
            only = SAME.get(f"only_{part.part}", f"only_{part.part}")
            alone = expected(data, each.metric.name, only, "none")
            assert list(part.beside.differences) == pytest.approx(beside)
            assert list(part.alone.differences) == pytest.approx(alone)
            assert part.beside.estimate.mean == pytest.approx(np.mean(beside))
    effects = {effect.parts: effect for effect in summarise(data).parts.parts}
    for part in found[0].parts:
        effect = effects[part.part,]
        assert (effect.beside, effect.without) == (part.beside, part.alone)
    nn = next(part for part in found[1].parts if part.part == "nn")
    assert nn.beside.estimate.mean > 0, "a smaller distance is a gain"


def test_a_metric_without_a_better_end_has_no_gains(folder_of):
    folder = folder_of(ALL, also=["test/ged", NEITHER])
    for result in folder.ledger.read():
        folder.ledger.append(replace(result, metrics={**result.metrics, NEITHER: 0.1 * result.seed}))
    data, summary = read_study(folder), summarise(folder)
    assert NEITHER in data.shown_metrics
    assert [each.metric.name for each in part_gains(data)] == ["test/clustering_accuracy", "test/ged"]
    assert [figure.key for figure in gains_figures(data, summary).figures] == ["gains-0", "gains-1"]
    assert {figure.name for figure in paper_figures(data, summary) if "gains" in figure.name} == {"gains-0", "gains-1"}


@pytest.mark.parametrize("schemes", [["leave_one_out"], ["leave_one_out", "add_one_in"], ["ladder"]])
def test_without_all_four_arms_there_is_nothing_to_show(folder_of, schemes):
    folder = folder_of(schemes)
    data, summary = read_study(folder), summarise(folder)
    assert part_gains(data) == ()
    assert gains_figures(data, summary).figures == ()
    assert not any(figure.name.startswith("gains") for figure in paper_figures(data, summary))


def drawn_on_page(spec):
    """Every mean with the ends of its interval, by row and kind."""
    found = {}
    for trace in spec.data:
        bar, place = trace.error_x, trace.y[0]
        ends = (bar.arrayminus[0], bar.array[0]) if bar.visible is not False else (math.nan, math.nan)
        found[round(place), place < round(place)] = (trace.x[0], *ends)
    return found


@pytest.mark.slow
def test_the_page_and_the_paper_draw_two_marks_with_intervals_a_part(folder_of):
    folder = folder_of(ALL)
    data, summary = read_study(folder), summarise(folder)
    figures = gains_figures(data, summary).figures
    assert [figure.key for figure in figures] == ["gains-0", "gains-1"]
    papers = {figure.name: figure for figure in paper_figures(data, summary)}
    for figure, found in zip(figures, part_gains(data), strict=True):
        want = {}
        for row, part in enumerate(found.parts):
            for kind, contrast in ((True, part.beside), (False, part.alone)):
                e = contrast.estimate
                want[row, kind] = (e.mean, e.mean - e.low, e.high - e.mean)
        drawn = drawn_on_page(figure.spec)
        assert drawn.keys() == want.keys()
        for key, numbers in want.items():
            assert drawn[key] == pytest.approx(numbers, rel=1e-3)
        canvas = Figure()
        papers[figure.key].draw(canvas)
        (axes,) = canvas.axes
        means = [line for line in axes.lines if line.get_marker() in {"D", "o"} and len(line.get_xdata())]
        places = [(line.get_ydata()[0], line.get_xdata()[0]) for line in means]
        on_paper = {(round(y), y < round(y)): x for y, x in places}
        assert on_paper == pytest.approx({key: numbers[0] for key, numbers in want.items()})
        assert [tick.get_text() for tick in axes.get_yticklabels()] == [part.part for part in found.parts]
    assert "Exploratory" not in figures[0].note
    assert "Exploratory." in figures[1].note
    assert "±0.02" in papers["gains-0"].caption
    assert "±" not in papers["gains-1"].caption
    page = write_up(folder)[0].read_text(encoding="utf-8")
    assert "Without each part, and with it alone" in page
    assert 'id="gains-0-data"' in page


def test_a_part_of_which_one_kind_of_arm_is_unfinished_has_the_other_mark_alone(folder_of, synthetic):
    missing = {("only_nn", seed) for seed in range(4)}
    folder = folder_of(ALL, faults=synthetic.Faults(missing=missing))
    data = read_study(folder)
    nn = next(part for part in part_gains(data)[0].parts if part.part == "nn")
    assert (nn.beside.n, nn.alone.n) == (4, 0)
    figure = gains_figures(data, summarise(folder)).figures[0]
    assert "nn +" in figure.alt
    assert "and unknown" in figure.alt
    row = [part.part for part in part_gains(data)[0].parts].index("nn")
    assert {(row, True)} == {key for key in drawn_on_page(figure.spec) if key[0] == row}
