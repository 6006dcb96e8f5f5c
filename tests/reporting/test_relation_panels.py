from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from fgtune.analysis.inputs import read_study
from fgtune.analysis.summary import summarise
from fgtune.reporting import relation_panels
from fgtune.reporting.few_arms import by_distance
from fgtune.reporting.html import write_up
from fgtune.reporting.paper.figures import paper_figures
from fgtune.reporting.relation_panels import drawn_relations, relation_figures


def test_of_many_arms_the_baseline_and_the_farthest_have_relations(synthetic, kf_accuracy, tmp_path, monkeypatch):
    data = read_study(synthetic.SyntheticStudy(accuracy=kf_accuracy).write(tmp_path))
    summary = summarise(data)
    every = relation_figures(*drawn_relations(data, summary), primary="accuracy")
    assert [figure.arms for figure in every.figures] == [(arm.name,) for arm in data.arms]
    assert every.left_out == 0
    assert {panel.arm for panel in drawn_relations(data, summary, ["baseline"])[0]} == {"baseline"}
    monkeypatch.setattr(relation_panels, "_MOST_ARMS", 2)
    few = relation_figures(*drawn_relations(data, summary), primary="accuracy")
    farthest = max(summary.contrasts, key=lambda item: abs(item.contrast.estimate.mean)).arm
    assert {figure.arms for figure in few.figures} == {("baseline",), (farthest,)}
    assert few.left_out == len(data.arms) - 2
    assert few.which == "the baseline and those whose means are farthest from it"
    monkeypatch.setattr(relation_panels, "_MOST_ARMS", 3)
    without = replace(summary, contrasts=summary.contrasts[:1])
    panels, _, which = drawn_relations(data, without)
    assert {panel.arm for panel in panels} == {arm.name for arm in data.arms[:3]}
    assert which == "the baseline, those whose means are farthest from it and the first others of the plan"


@pytest.mark.slow
def test_where_no_arm_has_a_difference_the_first_of_the_plan_are_drawn(synthetic, tmp_path):
    arms = [{"name": f"arm{rank:02}", "set": {"optimizer.lr": 0.1 / (rank + 1)}} for rank in range(27)]
    study = {
        "study": "early", "question": "q", "seeds": 1, "design": {"kind": "comparison", "arms": arms},
        "trial": {"data": {"kind": "digits"}, "classes": {"num_fine": 10}, "epochs": 3},
    }  # fmt: skip
    missing = synthetic.Faults(missing={("arm00", 0)})
    folder = synthetic.SyntheticStudy(text=json.dumps(study), faults=missing).write(tmp_path)
    data, summary = read_study(folder), summarise(folder)
    panels, left_out, which = drawn_relations(data, summary)
    names = [f"arm{rank:02}" for rank in range(27)]
    assert [panel.arm for panel in panels] == names[1:25]
    assert (left_out, which) == (2, "the first of the plan")
    assert by_distance(names, summary) == names
    page = write_up(folder)[0].read_text(encoding="utf-8")
    assert "Of so many arms, the first of the plan are drawn; 2 other arms are not." in page
    captions = {figure.name: figure.caption for figure in paper_figures(data, summary)}
    assert captions["curves-0"].endswith("12 of 26 arms: the first of the plan.")
    assert captions["relations-0"].endswith("Drawn are the first of the plan; 2 other arms have no such figure.")


@pytest.mark.slow
def test_the_page_and_the_paper_say_what_a_cell_of_many_classes_stands_for(synthetic, tmp_path, monkeypatch):
    data = read_study(synthetic.SyntheticStudy().write(tmp_path))
    summary = summarise(data)

    def texts():
        notes = [figure.note for figure in relation_figures(*drawn_relations(data, summary), primary="a").figures]
        papers = paper_figures(data, summary)
        return notes + [figure.caption for figure in papers if figure.name.startswith("relations")]

    assert len(texts()) == 2 * len(data.arms)
    assert not any("a cell on the left" in text for text in texts())
    monkeypatch.setattr("fgtune.analysis.relations_data.MOST_SHARES", 4)
    cells = [re.search("a cell on the left stands for [0-9] x [0-9] classes", text).group() for text in texts()]
    assert cells[: len(data.arms)] == cells[len(data.arms) :]
    assert {cell[-13:] for cell in cells} == {"3 x 3 classes", "4 x 3 classes"}
