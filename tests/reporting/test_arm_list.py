from __future__ import annotations

from fgtune.analysis.inputs import read_study
from fgtune.analysis.summary import summarise
from fgtune.reporting.arm_list import arm_list
from fgtune.reporting.theme import arm_styles


def _arms(data):
    return arm_list(data, summarise(data), arm_styles(data.arms))


def test_arms_to_choose_from_are_all_arms_with_their_verdicts(synthetic, tmp_path):
    study = read_study(synthetic.SyntheticStudy().write(tmp_path))
    arms = _arms(study)
    assert [arm["name"] for arm in arms] == [arm.name for arm in study.arms]
    assert [arm["name"] for arm in arms if arm.get("baseline")] == ["baseline"]
    verdicts = {item.arm: item.judgement.verdict.value for item in summarise(study).contrasts}
    assert {arm["name"]: arm["verdict"] for arm in arms if not arm.get("baseline")} == verdicts
    assert not any("group" in arm for arm in arms)  # one factor is no grouping


def test_arms_are_grouped_by_the_factor_that_they_vary(synthetic, tmp_path):
    factors = "factors: {classes.num_fine_ratio: [0.8, 1.0, 1.2], optimizer.lr: [0.01, 0.1, 1.0]}"
    text = synthetic.KF_STUDY.replace("factors: {classes.num_fine_ratio: [0.8, 1.0, 1.2, 1.5]}", factors)
    text = text.replace("baseline: {classes.num_fine_ratio: 1.0}", "baseline: {optimizer.lr: 0.1}")
    arms = _arms(read_study(synthetic.SyntheticStudy(text=text.replace("seeds: 5", "seeds: 2")).write(tmp_path)))
    assert {arm["name"]: arm["group"] for arm in arms if not arm.get("baseline")} == {
        "num_fine_ratio=0.8": "K_F/K_F*",
        "num_fine_ratio=1.2": "K_F/K_F*",
        "lr=0.01": "lr",
        "lr=1.0": "lr",
    }


def test_points_of_a_search_go_by_their_names_and_the_best_have_ranks(synthetic_search, tmp_path):
    data = read_study(synthetic_search.SyntheticSearch(trials=3, curves=False).write(tmp_path))
    arms = arm_list(data, summarise(data), arm_styles(data.arms), ["trial-0002", "trial-0000"])
    assert [arm["label"] for arm in arms] == ["baseline", "trial-0000", "trial-0001", "trial-0002"]
    assert [arm.get("rank") for arm in arms] == [None, 2, None, 1]
    assert "lr" in arms[1]["hint"]
    assert not any("color" in arm for arm in arms)
