"""Expectations of a study file, held against its verdicts."""

from __future__ import annotations

import json

import pytest

from fgtune.analysis.inputs import read_study
from fgtune.analysis.summary import summarise
from fgtune.analysis.verdict_records import verdicts_of
from fgtune.config.arms.expand import expand
from fgtune.config.arms.records import DataShape
from fgtune.config.reading.load import load_study
from fgtune.errors import ConfigError
from fgtune.reporting.html import render

EXPECT = """expect:
  - {arm: num_fine_ratio=0.8, verdict: hurts}
  - {arm: num_fine_ratio=1.2, verdict: [helps, equivalent]}
  - {arm: num_fine_ratio=1.5, verdict: helps}
"""
ACCURACY = {"baseline": 0.8, "num_fine_ratio=0.8": 0.6, "num_fine_ratio=1.2": 0.8, "num_fine_ratio=1.5": 0.5}


def _shape(_config):
    return DataShape((2,), 10, "content")


def _expand(synthetic, tmp_path, expect):
    path = tmp_path / "study.yaml"
    path.write_text(expect + synthetic.KF_STUDY)
    return expand(load_study(path), _shape)


def test_each_expectation_is_held_against_the_verdict_of_its_arm(synthetic, tmp_path):
    study = synthetic.SyntheticStudy(text=EXPECT + synthetic.KF_STUDY, accuracy=ACCURACY, noise=0.02)
    data = read_study(study.write(tmp_path))
    summary = summarise(data)
    verdicts = {each.arm: each.judgement.verdict for each in summary.contrasts}
    assert verdicts == {"num_fine_ratio=0.8": "hurts", "num_fine_ratio=1.2": "undecided", "num_fine_ratio=1.5": "hurts"}
    found = {each.arm: (each.outcome, each.sentence) for each in summary.expected}
    assert found == {
        "num_fine_ratio=0.8": ("held", "num_fine_ratio=0.8: hurts expected, hurts found"),
        "num_fine_ratio=1.2": ("undecided", "num_fine_ratio=1.2: helps or equivalent expected, no verdict yet"),
        "num_fine_ratio=1.5": ("not held", "num_fine_ratio=1.5: helps expected, hurts found"),
    }
    written = json.loads(verdicts_of(data, summary).to_bytes())["expected"]
    assert [(each["arm"], each["outcome"]) for each in written] == [(arm, held) for arm, (held, _) in found.items()]
    page = render(data, summary).decode()
    for outcome, sentence in found.values():
        on_page = sentence.replace("num_fine_ratio=", "K_F/K_F* ")  # as readers know the arm
        assert f">{outcome}</span> {on_page}" in page


def test_a_study_without_expectations_says_nothing_of_them(synthetic, tmp_path):
    data = read_study(synthetic.SyntheticStudy().write(tmp_path))
    assert summarise(data).expected == ()
    assert json.loads(verdicts_of(data, summarise(data)).to_bytes())["expected"] == []


@pytest.mark.parametrize(
    ("expect", "words"),
    [
        ("expect: [{arm: num_fine_ratio=0.9, verdict: hurts}]\n", ["must be an arm of the plan", "num_fine_ratio=0.8"]),
        ("expect: [{arm: baseline, verdict: hurts}]\n", ["must not be the baseline", "num_fine_ratio=1.5"]),
        ("expect: [{arm: num_fine_ratio=0.8, verdict: wins}]\n", ["expect", "wins", "helps"]),
        (
            "expect: [{arm: num_fine_ratio=0.8, verdict: hurts}, {arm: num_fine_ratio=0.8, verdict: helps}]\n",
            ["expected twice"],
        ),
    ],
)
def test_an_expectation_that_cannot_be_judged_is_refused(synthetic, tmp_path, expect, words):
    with pytest.raises(ConfigError) as caught:
        _expand(synthetic, tmp_path, expect)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_search_plans_no_comparison_to_expect_anything_of(synthetic, synthetic_search, tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("expect: [{arm: trial-0001, verdict: helps}]\n" + synthetic_search.SyntheticSearch().text)
    with pytest.raises(ConfigError, match="needs arms that are compared with a baseline"):
        expand(load_study(path), _shape)
