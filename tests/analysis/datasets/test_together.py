"""Comparisons over several data sets: folders with planted differences."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from fgtune.analysis.datasets.judging import DatasetEffect, PooledRules, judge_pooled, shaped
from fgtune.analysis.datasets.pooling import pool
from fgtune.analysis.datasets.together import summarise_datasets
from fgtune.analysis.formatting import metric_info
from fgtune.analysis.inputs import read_study
from fgtune.analysis.summary import summarise
from fgtune.analysis.verdicts.judgement import Verdict
from fgtune.analysis.verdicts.look_tests import spent_shares
from fgtune.analysis.verdicts.looks import sequential_p
from fgtune.analysis.verdicts.shape import Shape
from fgtune.analysis.verdicts.statistics import paired_contrast
from fgtune.config.schema.study import RelativeMargin
from fgtune.reporting.html import write_up
from fgtune.results.records import CellState
from fgtune.streams import numpy_stream

PRIMARY = "test/clustering_accuracy"
SETS = [f"set{rank}" for rank in range(6)]


@pytest.fixture
def folder_of(synthetic, tmp_path, ledger_alone):
    def write(effects, sets=SETS, seeds=3, lost=(), noise=0.01, name="many"):
        """A study whose arms differ from ``base`` by ``effects``; ``lost`` are (arm, seed) that fail."""
        arms = ["base", *effects]
        study = {
            "study": name, "question": "Which?", "seeds": seeds,
            "design": {
                "kind": "comparison",
                "arms": [{"name": arm, "set": {"epochs": 3 + rank}} for rank, arm in enumerate(arms)],
                "datasets": {each: {"kind": "digits", "limit": 500 + rank} for rank, each in enumerate(sets)},
            },
            "metrics": {"primary": PRIMARY, "also": []},
            "trial": {"data": {"kind": "digits"}, "classes": {"num_fine": 10}},
        }  # fmt: skip
        folder = synthetic.SyntheticStudy(text=json.dumps(study)).write(tmp_path / name)
        for line in folder.ledger.read():
            arm, _, dataset = line.arm.partition("@")
            rng = numpy_stream(line.seed, arm, dataset)
            value = 0.5 + 0.05 * sets.index(dataset) + effects.get(arm, 0.0) + noise * rng.normal()
            state = CellState.FAIL if (line.arm, line.seed) in lost else CellState.COMPLETE
            metrics = {PRIMARY: value} if state is CellState.COMPLETE else {}
            folder.ledger.append(replace(line, metrics=metrics, state=state))
        return folder

    return write


def test_a_small_difference_on_six_of_six_data_sets_is_found_over_them_together(folder_of):
    """On each of them three seeds with this noise leave most undecided."""
    summary = summarise(folder_of({"better": 0.03, "same": 0.0}))
    alone = [item.judgement.verdict for item in summary.contrasts if item.arm.startswith("better")]
    assert alone.count(Verdict.UNDECIDED) >= 4
    found = {item.arm: item for item in summary.datasets.contrasts}
    assert found["better"].verdict is Verdict.HELPS
    assert found["same"].verdict is not Verdict.HELPS
    assert summary.answer.startswith("Over the 6 data sets together, against base: better helps (+0.0")
    assert found["better"].improved.value > 0.8
    assert found["better"].gain.low > 0.0


def test_the_pooled_difference_is_the_mean_over_data_sets(folder_of):
    folder = folder_of({"better": 0.03}, seeds=2)
    summary = summarise(folder)
    (found,) = summary.datasets.contrasts
    means = [item.contrast.estimate.mean for item in summary.contrasts]
    assert found.pooled.estimate.mean == pytest.approx(np.mean(means))
    assert [effect.dataset for effect in found.effects] == SETS
    shares = spent_shares(read_study(folder))
    assert found.p_adjusted == pytest.approx(sequential_p([found.pooled.p], [2], shares))
    assert found.p_adjusted > found.pooled.p  # part of alpha is kept for seeds that are added later
    assert summary.datasets.ranks is None  # two arms


def test_two_data_sets_give_no_pooled_interval_and_say_so(folder_of):
    summary = summarise(folder_of({"better": 0.2}, sets=["one", "two"]))
    (found,) = summary.datasets.contrasts
    assert found.verdict is Verdict.UNDECIDED
    assert math.isnan(found.pooled.estimate.low)
    assert summary.answer.startswith("2 data sets give no answer over data sets together: 3 would. On one, ")


def test_lost_cells_that_could_undo_a_difference_leave_it_undecided(folder_of):
    lost = {("better@set1", 0), ("base@set4", 2)}
    summary = summarise(folder_of({"better": 0.05}, lost=lost))
    (found,) = summary.datasets.contrasts
    assert found.p_adjusted < 0.05
    assert (found.verdict, found.reason) == (Verdict.UNDECIDED, "lost cells could undo the answer")
    assert [effect.lost for effect in found.effects] == [0, 1, 0, 0, 1, 0]
    assert found.effects[1].low < found.effects[1].contrast.estimate.mean < found.effects[1].high
    assert any("2 pairs of cells are wanting" in text for text in summary.warnings)


def test_an_arm_that_crashed_on_a_whole_data_set_is_judged_with_it(folder_of):
    lost = {("better@set1", seed) for seed in range(3)}
    summary = summarise(folder_of({"better": 0.05}, lost=lost))
    (found,) = summary.datasets.contrasts
    assert found.pooled.estimate.n == 5
    assert found.verdict is Verdict.UNDECIDED
    assert any("judged over fewer: better" in text for text in summary.warnings)


def test_a_large_difference_survives_the_loss_of_a_cell(folder_of):
    summary = summarise(folder_of({"worse": -0.45}, lost={("worse@set1", 0)}))
    (found,) = summary.datasets.contrasts
    assert found.verdict is Verdict.HURTS


@pytest.mark.slow
def test_the_page_has_a_forest_for_each_arm_and_the_ranks(folder_of):
    folder = folder_of({"better": 0.1, "worse": -0.1}, sets=SETS[:4], seeds=2)
    page = write_up(folder)[0].read_text(encoding="utf-8")
    assert "Over the data sets together" in page
    for key in ("datasets-0", "datasets-1", "datasets-ranks"):
        assert f'id="{key}"' in page
    assert "Mean ranks over 4 data sets: better 1.00; base 2.00; worse 3.00" in page
    plain = summarise(folder).to_plain()
    assert [item["verdict"] for item in plain["datasets"]["contrasts"]] == ["helps", "hurts"]
    assert plain["datasets"]["ranks"]["arms"] == ["better", "base", "worse"]
    assert json.dumps(plain, allow_nan=False)


def test_many_arms_are_grouped_in_the_answer(folder_of):
    effects = {f"arm{rank}": 0.1 * (rank % 2) for rank in range(7)}
    answer = summarise(folder_of(effects, sets=SETS[:3], seeds=1)).answer
    assert answer.startswith("Over the 3 data sets together, of 7 arms, ")


def test_one_data_set_has_no_section_over_data_sets(folder_of):
    summary = summarise(folder_of({"better": 0.1}, sets=["one"]))
    assert summary.datasets is None
    assert summary.answer.startswith("On one, ")


def test_lost_cells_whose_worst_value_turns_the_difference_round_leave_it_undecided(folder_of):
    """A third of every data set is lost: filled with zeros the arm would be far below, which is no proof of "helps"."""
    lost = {(f"better@{name}", 1) for name in SETS}
    (found,) = summarise(folder_of({"better": 0.05}, lost=lost)).datasets.contrasts
    assert found.pooled.p < 0.05
    assert found.verdict is Verdict.UNDECIDED


def test_few_pairs_cannot_rule_out_collapses_and_say_how_many_could(folder_of):
    (found,) = summarise(folder_of({"better": 0.05})).datasets.contrasts
    assert found.p_adjusted < 0.05
    assert found.verdict is Verdict.UNDECIDED
    assert found.reason.startswith("18 pairs on all data sets cannot rule out that 10 % of seeds collapse")
    assert found.reason.endswith("; 29 could")


def test_a_relative_margin_is_the_mean_of_those_on_the_data_sets(folder_of):
    folder = folder_of({"better": 0.0}, sets=SETS[:3], seeds=2)
    data = read_study(folder)
    metrics = data.study.metrics.model_copy(update={"equivalence_margin": RelativeMargin(relative=0.1)})
    changed = replace(data, study=data.study.model_copy(update={"metrics": metrics}))
    (found,) = summarise_datasets(changed).contrasts
    means = [np.mean(list(data.values(f"base@{name}", PRIMARY).values())) for name in SETS[:3]]
    assert found.margin == pytest.approx(0.1 * np.mean(means))


def test_collapsed_seeds_leave_an_answer_undecided_that_one_more_would_undo():
    """The shapes of two data sets: on one a seed of another arm has collapsed."""
    seeds = [0.05, 0.06, 0.055, 0.052, 0.058]
    effects = [_effect(name, [value + 0.002 * rank for value in seeds]) for rank, name in enumerate("abcdef")]
    pooled = pool([effect.contrast.estimate.mean for effect in effects], [], 0.95)
    rules = PooledRules(metric_info(PRIMARY), 0.05, 2, cells=60)
    assert judge_pooled(effects, pooled, (0.001, math.nan), None, rules) == (Verdict.HELPS, "reliably better")
    shapes = {"a": Shape(0.0005, 10, 1, 0.8, (("other", 3, -0.8),)), "b": Shape(0.6, 10, 1, 0.01, ())}
    verdict, reason = judge_pooled(effects, pooled, (0.001, math.nan), None, shaped(rules, shapes))
    assert verdict is Verdict.UNDECIDED
    assert "seed 3 of other on a (−0.800), and one more here would undo this" in reason
    normal = shaped(rules, {name: Shape(0.4, 10, 1, 0.8, ()) for name in "ab"})
    assert judge_pooled(effects, pooled, (0.001, math.nan), None, normal)[0] is Verdict.HELPS


def _effect(name, differences):
    contrast = paired_contrast(
        {seed: 0.6 + value for seed, value in enumerate(differences)}, dict.fromkeys(range(len(differences)), 0.6)
    )
    mean = contrast.estimate.mean
    return DatasetEffect(name, f"arm@{name}", contrast, 0, mean, mean)


def test_a_look_before_seeds_were_added_is_paid_for(folder_of):
    folder = folder_of({"better": 0.03, "same": 0.0}, seeds=4)
    once = summarise(folder).datasets.contrasts[0]
    record = folder.read_provenance()
    record["looks"] = [{"at": "2026-01-02T03:04:05+00:00", "seeds": [0, 1]}]
    folder.provenance_file.write_text(json.dumps(record), encoding="utf-8")
    twice = summarise(folder).datasets.contrasts[0]
    assert twice.pooled == once.pooled
    assert twice.p_adjusted != once.p_adjusted
