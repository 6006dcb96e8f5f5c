from __future__ import annotations

from fgtune.analysis.inputs import read_study
from fgtune.analysis.summary import summarise
from fgtune.reporting import relation_panels
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
