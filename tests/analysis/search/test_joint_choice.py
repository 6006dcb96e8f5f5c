"""Agreement and the shared judge together: what they choose, and every reason for which they refuse."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from fgtune.analysis.checks.record import Status
from fgtune.analysis.inputs import read_study
from fgtune.analysis.level_panels import choice_panels
from fgtune.analysis.search.joint_choice import alike, best_together, joint_choices, joint_sentences
from fgtune.analysis.search.selection import label_free_choices
from fgtune.analysis.summary import summarise
from fgtune.analysis.trials import BASELINE, BEST
from fgtune.config.schema.base import data_key
from fgtune.errors import StudyFolderError
from fgtune.reporting.html import write_up
from fgtune.results.records import LabelsRecord, PredictionsRecord

TRUE = np.arange(240) % 6
SHARES = {"a": 0.5, "b": 0.05, "c": 0.3, "d": 0.4, "e": 0.8, "f": 0.6}
"""Samples that an arm confuses; arm a is the baseline."""
JUDGED = {"a": 0.2, "b": 0.5, "c": 0.4, "d": 0.3, "e": 0.0, "f": 0.1}


@pytest.fixture
def folder_of(synthetic, tmp_path):
    def write(shares=SHARES, judged=JUDGED, seeds=5, primary="test/clustering_accuracy", datasets=None):
        arms = [{"name": name, "set": {"epochs": 5 + rank}} for rank, name in enumerate(shares)]
        study = {
            "study": "joint", "question": "Which?", "design": {"kind": "comparison", "arms": arms}, "seeds": seeds,
            "metrics": {"primary": primary, "also": ["val/fixed_silhouette"]},
            "trial": {"data": {"kind": "digits"}, "classes": {"num_fine": 6}},
        }  # fmt: skip
        if datasets is not None:
            study["design"]["datasets"] = datasets
        folder = synthetic.SyntheticStudy(text=json.dumps(study)).write(tmp_path)
        rng = np.random.default_rng(0)
        for result in folder.ledger.read():
            arm = result.arm.partition("@")[0]
            own = {"val/fixed_silhouette": judged[arm] + 0.01 * result.seed, primary: 0.9 - shares[arm]}
            folder.ledger.append(replace(result, metrics={**result.metrics, **own}))
            moved = np.where(rng.random(240) < shares[arm], 3 * (TRUE // 3) + rng.integers(0, 3, 240), TRUE)
            record = PredictionsRecord(moved.astype(np.int8), np.full(240, 7, dtype=np.int8))
            folder.write_predictions(result.cell_id, record)
            folder.write_labels(data_key(result.config["data"]), LabelsRecord.of((TRUE // 3)[:, None], (2,)))
        return folder

    return write


def only(folder):
    (found,) = joint_choices(read_study(folder))
    return found


def test_what_both_rank_first_is_chosen_with_its_lead_over_the_baseline(folder_of):
    folder = folder_of()
    found, data = only(folder), read_study(folder)
    assert (found.best, found.arm, found.baseline, found.n, found.refusal) == ("b", "b", "a", 6, "")
    assert found.rho == pytest.approx(1.0)
    assert found.p == pytest.approx(1 / 720)
    lead = data.agreements.of("b").mean - data.agreements.of("a").mean
    assert found.lead.estimate.mean == pytest.approx(lead)
    assert found.lead.estimate.low > 0
    assert "agreement of seeds and fixed silhouette (val) together choose b" in found.sentence(0.95)
    page = write_up(folder)[0].read_text(encoding="utf-8")
    assert "together choose b" in page
    assert "Clustering accuracy (test) against agreement" in page


def test_the_figure_of_a_criterion_has_its_star_at_the_best_arm_and_the_baseline_where_it_is(folder_of):
    data = read_study(folder_of())
    choices = label_free_choices(data)
    panels = choice_panels(data, choices, {"agreement"})
    assert panels
    for (_, panel), choice in zip(panels, [each for each in choices if each.criterion == "agreement"], strict=True):
        kinds = {point.arm: point.kind for point in panel.points}
        baseline = next(arm.name for arm in data.arms if arm.is_baseline)
        assert kinds.pop(baseline) == BASELINE
        assert {arm for arm, kind in kinds.items() if kind == BEST} == {choice.best_arm} - {baseline}
    assert choice_panels(data, choices, set()) == ()


def test_it_refuses_where_the_two_rank_arms_differently(folder_of):
    found = only(folder_of(judged=dict(zip(JUDGED, (0.3, 0.1, 0.5, 0.2, 0.4, 0.25), strict=True))))
    assert found.arm == "a"
    assert "do not rank arms alike (rank correlation" in found.refusal
    assert found.sentence(0.95).startswith("nothing is shown to choose better than the baseline: ")


def test_it_refuses_a_lead_within_its_interval(folder_of):
    found = only(folder_of(shares={**SHARES, "a": 0.06}, judged={**JUDGED, "a": 0.45}))
    assert (found.best, found.arm) == ("b", "a")
    assert "its seeds do not agree clearly more than the baseline's" in found.refusal


@pytest.mark.slow
def test_over_data_sets_the_page_says_once_where_nothing_chooses_better(folder_of):
    folder = folder_of(seeds=2, datasets={"digits": {"kind": "digits"}, "made": {"kind": "hierarchy"}})
    page = write_up(folder)[0].read_text(encoding="utf-8")
    assert page.lower().count("nothing is shown to choose better") == 1
    why = "agreement has no interval from 2 seeds; three are the least, five are better"
    assert f"Nothing is shown to choose better than the baseline on digits and made: {why}." in page


def test_reasons_that_differ_are_told_with_their_data_sets(folder_of):
    chosen = only(folder_of())
    one, two = (replace(chosen, dataset=name, refusal="reason A") for name in ("digits", "wine"))
    other, kept = replace(chosen, dataset="iris", refusal="reason B"), replace(chosen, dataset="text")
    assert joint_sentences([one, kept, two, other], 0.95) == (
        kept.sentence(0.95),
        "nothing is shown to choose better than the baseline on digits, wine and iris: on digits and wine, reason A; "
        "on iris, reason B.",
    )
    assert joint_sentences([one, kept], 0.95) == (one.sentence(0.95), kept.sentence(0.95))


def test_it_refuses_without_an_interval(folder_of):
    found = only(folder_of(seeds=2))
    assert found.arm == "a"
    assert "agreement has no interval from 2 seeds" in found.refusal


def test_the_baseline_may_be_the_best_itself(folder_of):
    found = only(folder_of(shares={**SHARES, "a": 0.0}, judged={**JUDGED, "a": 0.9}))
    assert (found.best, found.arm, found.refusal) == ("a", "a", "")
    assert "together choose the baseline itself" in found.sentence(0.95)


@pytest.mark.slow
def test_it_is_there_without_fine_labels_and_needs_five_arms(folder_of):
    folder = folder_of(primary="test/silhouette")
    assert summarise(folder).choices == ()
    assert summarise(folder).joint_choices[0].arm == "b"
    assert "together choose b" in write_up(folder)[0].read_text(encoding="utf-8")


def test_fewer_than_five_arms_make_no_choice(folder_of):
    assert joint_choices(read_study(folder_of(shares={name: SHARES[name] for name in "abcd"}))) == ()


@pytest.mark.parametrize("n", [5, 6, 12])
def test_the_rank_correlation_is_scipys_and_exact_for_few_arms(n):
    rng = np.random.default_rng(n)
    one = rng.normal(size=n)
    two = one + rng.normal(size=n)
    rho, p = alike(one, two)
    assert rho == pytest.approx(stats.spearmanr(one, two).statistic)
    if n > 7:
        assert p == pytest.approx(stats.spearmanr(one, two, alternative="greater").pvalue)
        return
    every = [stats.spearmanr(one, two[list(order)]).statistic for order in itertools.permutations(range(n))][:5040]
    assert p == pytest.approx(np.mean(np.array(every) >= rho - 1e-9))


def test_a_check_names_arms_whose_seeds_agree_for_another_reason(folder_of):
    folder = folder_of(shares={**SHARES, "b": 0.0})
    (check,) = [each for each in summarise(folder).checks if each.name == "Agreement between seeds"]
    assert check.status is Status.WARN
    assert "All seeds of b find exactly the same classes" in check.sentence
    for result in folder.ledger.read():
        model = {**result.config["model"], "weights": {"path": "w.pt"} if result.arm == "c" else None}
        folder.ledger.append(replace(result, config={**result.config, "model": model}))
    (check,) = [each for each in summarise(folder).checks if each.name == "Agreement between seeds"]
    assert "the seeds of c start from the same weights: they agree more for that reason" in check.sentence


def changed(folder, arm, **sections):
    """The folder with settings of an arm's cells replaced, section by section."""
    for result in folder.ledger.read():
        if result.arm == arm:
            own = {name: {**result.config[name], **values} for name, values in sections.items()}
            folder.ledger.append(replace(result, config={**result.config, **own}))
    return folder


def agreeing(folder):
    (check,) = [each for each in summarise(folder).checks if each.name == "Agreement between seeds"]
    return check


FIXED = {"model": {"backbone": {"kind": "identity"}}}
HEADLESS = {"lambda_coarse": 0.0, "lambda_nn": 0.0, "lambda_conf": 0.0, "lambda_reg": 0.0}


@pytest.mark.parametrize(
    ("sections", "reason", "step"),
    [
        (
            {"model": {"pretrain": {"kind": "scarf", "seed": 0}}},
            "The seeds of c share one pretrained encoder",
            "choose by",
        ),
        (
            {"warm_start": {"fraction": 0.2}},
            "The seeds of c start from clusters of the inputs",
            "fixed_silhouette, too",
        ),
        ({**FIXED, "objective": HEADLESS}, "The seeds of c cluster the same inputs", "fixed_silhouette, too"),
    ],
)
def test_the_check_names_what_else_makes_seeds_agree(folder_of, sections, reason, step):
    check = agreeing(changed(folder_of(), "c", **sections))
    assert check.status is Status.WARN
    assert check.sentence.startswith(reason)
    assert step in check.next_step


@pytest.mark.parametrize(
    "sections",
    [
        {"model": {"pretrain": {"kind": "scarf", "seed": None}}},
        {"warm_start": {"fraction": 0.2, "features": "initial"}},
        {"warm_start": {"fraction": 0.2}, "objective": HEADLESS},
        {"objective": HEADLESS},
        FIXED,
    ],
)
def test_what_differs_by_seed_is_no_such_reason(folder_of, sections):
    assert agreeing(changed(folder_of(), "c", **sections)).status is Status.PASS


def test_one_pretraining_on_other_samples_for_each_seed_is_no_such_reason(folder_of):
    folder = changed(folder_of(), "c", model={"pretrain": {"kind": "scarf", "seed": 0}})
    for result in folder.ledger.read():
        record = folder.read_predictions(result.cell_id)
        splits = np.roll(np.repeat([1, 4], 120), result.seed).astype(np.int8)
        folder.write_predictions(result.cell_id, replace(record, splits=splits))
    assert agreeing(folder).status is Status.PASS


def judged_on(folder, *splits):
    for result in folder.ledger.read():
        own = {name: value for name, value in result.metrics.items() if not name.endswith("/fixed_silhouette")}
        value = result.metrics["val/fixed_silhouette"]
        own |= {f"{split}/fixed_silhouette": value for split in splits}
        folder.ledger.append(replace(result, metrics=own))
    return folder


@pytest.mark.slow
def test_the_judge_is_of_the_test_split_only_where_there_is_no_other_and_a_check_then_says_so(folder_of):
    folder = judged_on(folder_of(), "train", "test")
    assert only(folder).judge == "train/fixed_silhouette"
    (check,) = [each for each in summarise(folder).checks if each.name == "What choices read"]
    assert check.status is Status.PASS
    assert "no labels but coarse ones, of all samples" in check.sentence
    folder = judged_on(folder_of(), "test")
    assert only(folder).judge == "test/fixed_silhouette"
    (check,) = [each for each in summarise(folder).checks if each.name == "What choices read"]
    assert check.status is Status.WARN
    assert check.sentence.startswith("The joint choice of an arm reads fixed silhouette (test)")


def test_a_damaged_file_of_predictions_is_an_error_that_names_it(folder_of):
    folder = folder_of()
    path = next(iter(sorted(folder.predictions_dir.iterdir())))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(StudyFolderError, match=r"is damaged \(BadZipFile: .*fgtune verify") as caught:
        summarise(folder)
    assert caught.value.where == str(path)


def test_a_check_passes_where_no_such_reason_is_seen(folder_of):
    (check,) = [each for each in summarise(folder_of()).checks if each.name == "Agreement between seeds"]
    assert check.status is Status.PASS


def test_ties_in_mean_rank_go_to_agreement():
    assert best_together(np.array([0.1, 0.9, 0.5]), np.array([0.1, 0.5, 0.9])) == 1
    assert alike(np.ones(6), np.arange(6.0))[1] == 1.0
