"""The section of the page about parts of an ablation together."""

from __future__ import annotations

import json

import pytest

from fgtune.analysis.summary import summarise
from fgtune.reporting.html import write_up

PARTS = ("coarse", "nn", "conf")
STUDY = {
    "study": "together", "question": "Which parts need each other?", "seeds": 10,
    "design": {
        "kind": "ablation", "schemes": ["factorial"], "over": ["nn", "conf"],
        "components": {name: {"off": {f"objective.lambda_{name}": 0.0}} for name in PARTS},
    },
    "metrics": {"primary": "test/clustering_accuracy"},
    "trial": {"data": {"kind": "digits"}, "classes": {"num_fine": 10}, "epochs": 3},
}  # fmt: skip
SYNERGY = {"full": 0.9, "no_nn": 0.8, "no_conf": 0.8, "none": 0.8}


@pytest.fixture
def folder_of(synthetic, tmp_path):
    def write(accuracy, interactions="planned", **options):
        study = STUDY | {"design": STUDY["design"] | {"interactions": interactions}}
        return synthetic.SyntheticStudy(text=json.dumps(study), accuracy=accuracy, noise=0.004, **options).write(
            tmp_path
        )

    return write


def test_planned_synergy_is_in_the_answer_the_list_the_figures_and_the_json(folder_of):
    folder = folder_of(SYNERGY)
    summary = summarise(folder)
    assert summary.answer.endswith(
        "Parts together: nn in synergy with the others; conf in synergy with the others; nn+conf shows synergy."
    )
    page = write_up(folder)[0].read_text(encoding="utf-8")
    assert '<span class="chip named">synergy</span> nn: gains' in page
    assert 'id="parts-effects-data"' in page
    assert 'id="parts-shares-data"' in page
    assert "Exploratory: the study file did not plan it" not in page
    plain = summary.to_plain()["parts"]
    assert [(row["parts"], row["name"]) for row in plain["pairs"]] == [(["nn", "conf"], "synergy")]
    assert sum(row["contrast"]["estimate"]["mean"] for row in plain["shares"]) == pytest.approx(
        plain["total"]["estimate"]["mean"]
    )


@pytest.mark.slow
def test_what_was_not_planned_is_marked_and_not_in_the_answer(folder_of):
    folder = folder_of(SYNERGY, interactions="exploratory")
    summary = summarise(folder)
    assert "together" not in summary.answer.lower()
    assert all("exploratory, in synergy" in each.sentence for each in summary.parts.parts)
    assert "Exploratory: the study file did not plan it" in write_up(folder)[0].read_text(encoding="utf-8")


def test_a_study_that_has_not_run_says_that_nothing_can_be_told_yet(folder_of, synthetic):
    missing = {(arm, seed) for arm in SYNERGY for seed in range(10)}
    folder = folder_of(SYNERGY, faults=synthetic.Faults(missing=missing))
    summary = summarise(folder)
    assert {each.sentence.partition(": ")[2] for each in summary.parts.effects} == {
        "no seed has a value in all of its arms yet."
    }
    assert summary.parts.sentence == "No seed has a value in all 4 combinations yet, so the total is not split."
    assert "parts-effects-data" not in write_up(folder)[0].read_text(encoding="utf-8")


def test_an_arm_whose_every_cell_crashed_is_named_as_the_reason(folder_of, synthetic):
    failed = {("none", seed): "TrialError: loss is not finite" for seed in range(10)}
    summary = summarise(folder_of(SYNERGY, faults=synthetic.Faults(failed=failed)))
    assert "failed on seeds 0, 1, 2 and 7 more" in summary.parts.pairs[0].sentence
    assert summary.parts.pairs[0].name == "undecided"
