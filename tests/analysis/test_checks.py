"""Health checks: each is made to pass, to warn or to fail, and to be absent where it does not apply."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from fgtune.analysis.checks import health
from fgtune.analysis.checks.record import Status
from fgtune.analysis.summary import summarise
from fgtune.reporting.html import write_up

PRIMARY = "test/clustering_accuracy"


def _checks(folder) -> dict[str, tuple[str, str, str]]:
    found = summarise(folder).checks
    assert all(bool(check.next_step) != check.passed for check in found)
    assert all(check.sentence for check in found)
    return {check.name: (check.status.value, check.sentence, check.next_step) for check in found}


def _rewrite(folder, change) -> None:
    """Change every line of the ledger: ``change`` gets the line as plain data."""
    lines = folder.ledger.read()
    folder.ledger_file.unlink()
    for line in lines:
        plain = line.to_plain()
        change(plain)
        folder.ledger.append(type(line).from_plain(plain))


@pytest.fixture
def many_seeds(synthetic):
    return synthetic.KF_STUDY.replace("seeds: 5", "seeds: 12")


@pytest.fixture
def clean(synthetic, many_seeds, tmp_path):
    """A study in which nothing is wrong."""
    return synthetic.SyntheticStudy(text=many_seeds, accuracy=dict.fromkeys(["baseline"], 0.8)).write(tmp_path)


def test_a_study_in_which_nothing_is_wrong_passes_every_check_that_applies(clean):
    assert {name: status for name, (status, *_) in _checks(clean).items()} == {
        "Lost cells": "PASS",
        "Shape of the seeds": "PASS",
        "Number of seeds": "PASS",
        "Looks at the results": "PASS",
        "Room in the metric's range": "PASS",
        "Proofs of the solver": "PASS",
        "Training of equal length": "PASS",
        "Repeatability": "PASS",
    }


def test_before_anything_ran_there_is_little_to_check(synthetic, tmp_path):
    arms = ["baseline", *(f"num_fine_ratio={ratio}" for ratio in (0.8, 1.2, 1.5))]
    missing = {(arm, seed) for arm in arms for seed in range(5)}
    folder = synthetic.SyntheticStudy(faults=synthetic.Faults(missing=missing)).write(tmp_path)
    assert list(_checks(folder)) == ["Number of seeds"]


def test_lost_cells_warn_and_fail_where_they_undo_an_answer(synthetic, many_seeds, tmp_path):
    arm, accuracy = "num_fine_ratio=0.8", {"num_fine_ratio=0.8": 0.6}
    faults = synthetic.Faults(failed={(arm, 2): "out of memory"}, undefined={("baseline", 3)})
    folder = synthetic.SyntheticStudy(text=many_seeds, accuracy=accuracy, faults=faults).write(tmp_path / "few")
    status, sentence, step = _checks(folder)["Lost cells"]
    assert status == "WARN"
    assert "K_F/K_F* 0.8 failed on seed 2 (of 12 cells)" in sentence
    assert "gave no finite value on seed 3 (of 12 cells)" in sentence
    assert "--retry-failed" in step
    faults = synthetic.Faults(failed={(arm, seed): "out of memory" for seed in range(6)})
    folder = synthetic.SyntheticStudy(text=many_seeds, accuracy={arm: 0.85}, noise=0.001, faults=faults).write(tmp_path)
    contrast = summarise(folder).contrast_of(arm)
    assert contrast.judgement.doubt == "lost"
    status, sentence, _ = _checks(folder)["Lost cells"]
    assert status == "FAIL"
    assert sentence.endswith("Here this undoes what the tests say of K_F/K_F* 0.8.")


def test_pairs_that_were_stopped_fail(synthetic, many_seeds, tmp_path):
    faults = synthetic.Faults(pruned={("num_fine_ratio=0.8", 1), ("num_fine_ratio=1.5", 1)})
    found = _checks(synthetic.SyntheticStudy(text=many_seeds, faults=faults).write(tmp_path))
    status, sentence, step = found["Pairs stopped early"]
    assert (status, step) == ("FAIL", "Run the study without a scheduler for verdicts.")
    assert sentence.startswith("2 arms cannot be judged")
    assert found["Lost cells"][0] == "PASS"  # the same is not said twice


def test_a_collapsed_seed_fails_and_warns_where_the_median_decides(clean):
    def collapse(line):
        if (line["arm"], line["seed"]) == ("num_fine_ratio=1.2", 4):
            line["metrics"][PRIMARY] = 0.2

    _rewrite(clean, collapse)
    status, sentence, step = _checks(clean)["Shape of the seeds"]
    assert status == "FAIL"
    assert "collapsed: seed 4 of K_F/K_F* 1.2 (−0.6" in sentence
    assert "metrics.summary: median" in step
    text = clean.resolved_file.read_text().replace("summary: mean", "summary: median")
    clean.resolved_file.write_text(text)
    status, sentence, _ = _checks(clean)["Shape of the seeds"]
    assert status == "WARN"
    assert "Verdicts are by the median, which does not rest on these seeds" in sentence


def test_seeds_that_are_far_from_others_on_both_sides_are_all_named_and_not_called_collapsed(
    synthetic, many_seeds, tmp_path
):
    far = {("num_fine_ratio=1.2", 4): 0.3, ("num_fine_ratio=1.5", 7): 0.98}
    folder = synthetic.SyntheticStudy(text=many_seeds, accuracy={"num_fine_ratio=1.5": 0.4}).write(tmp_path)

    def move(line):
        line["metrics"][PRIMARY] = far.get((line["arm"], line["seed"]), line["metrics"][PRIMARY])

    _rewrite(folder, move)
    status, sentence, _ = _checks(folder)["Shape of the seeds"]
    assert status == "FAIL"
    assert sentence.startswith("The seeds do not look normal: far from all others: seed ")
    assert "seed 4 of K_F/K_F* 1.2 (−0." in sentence
    assert "seed 7 of K_F/K_F* 1.5 (+0." in sentence


@pytest.mark.parametrize(("seeds", "status"), [(1, "FAIL"), (5, "WARN"), (8, "WARN"), (10, "PASS")])
def test_too_few_seeds(synthetic, tmp_path, seeds, status):
    text = synthetic.KF_STUDY.replace("seeds: 5", f"seeds: {seeds}")
    found = _checks(synthetic.SyntheticStudy(text=text).write(tmp_path))["Number of seeds"]
    assert found[0] == status
    if seeds == 5:
        assert (
            "cannot go below p = 0.0625, so it can never reach the 0.04 of this look over 3 planned contrasts; 8 seeds"
            in found[1]
        )
        assert "`fgtune extend DIR --seeds 10`" in found[2]


def test_without_enough_seeds_for_a_sign_test_nothing_can_be_decided(synthetic, tmp_path):
    text = synthetic.KF_STUDY.replace("primary:", "summary: median, primary:")
    status, sentence, _ = _checks(synthetic.SyntheticStudy(text=text).write(tmp_path))["Number of seeds"]
    assert status == "FAIL"
    assert sentence.endswith("No contrast can be decided before.")


def test_values_at_the_end_of_the_range_warn(clean):
    def near_one(line):
        if line["arm"] == "num_fine_ratio=1.5":
            line["metrics"][PRIMARY] = 1.0 - 0.004 * (line["seed"] % 3)

    assert _checks(clean)["Room in the metric's range"][0] == "PASS"
    _rewrite(clean, near_one)
    status, sentence, _ = _checks(clean)["Room in the metric's range"]
    assert status == "WARN"
    assert sentence.startswith("K_F/K_F* 1.5 0.996 ± ")


def test_classes_that_are_hardly_used_warn(clean):
    def few(line):
        k = line["config"]["classes"]["num_fine"]
        line["metrics"] |= {"test/num_used_classes": float(k), "test/effective_classes": 0.9 * k}
        if (line["arm"], line["seed"]) == ("baseline", 0):
            line["metrics"]["test/num_used_classes"] = 4.0
        if (line["arm"], line["seed"]) == ("baseline", 1):
            line["metrics"]["test/effective_classes"] = 1.5

    assert "Classes in use" not in _checks(clean)
    _rewrite(clean, few)
    status, sentence, _ = _checks(clean)["Classes in use"]
    assert status == "WARN"
    assert sentence.startswith("2 of 48 complete cells use few of the fine classes: ")
    assert "seed 0 (4 of 10 used)" in sentence
    assert "seed 1 (1.5 of 10 in effect)" in sentence


def test_relations_that_never_change_in_training_warn(clean):
    def solves(line):
        line["solver"] = {"solver": "flow", "solves": 31, "seconds": 0.1, "statuses": {"optimal": 31}, "max_gap": 0.0}
        line["solver"] |= {"resolves": 30, "changes": 0 if line["arm"] == "baseline" else 2}

    assert "Relations that learn" not in _checks(clean)
    _rewrite(clean, solves)
    status, sentence, step = _checks(clean)["Relations that learn"]
    assert status == "WARN"
    assert sentence.startswith("The relations never changed in training in 1 arm (")
    assert "relations.sizes" in step
    _rewrite(clean, lambda line: line["solver"].update(changes=2))
    status, sentence, _ = _checks(clean)["Relations that learn"]
    assert (status, sentence) == ("PASS", "96 of 1440 solves during training changed the relations")


def test_solves_without_a_proof_warn(synthetic, tmp_path):
    status, sentence, step = _checks(synthetic.SyntheticStudy(text=synthetic.SOLVER_STUDY).write(tmp_path))[
        "Proofs of the solver"
    ]
    assert status == "WARN"
    assert sentence.startswith("2 of 900 solves of the relations ended without a proof of optimality")
    assert "time_limit_s" in step


def test_arms_that_trained_longer_than_others_warn_but_for_those_that_train_nothing(synthetic, tmp_path):
    folder = synthetic.SyntheticStudy(text=synthetic.SOLVER_STUDY).write(tmp_path)

    def longer(line):
        line["epochs"] = 80 if line["arm"] == "scip" else line["epochs"]

    def untrained(line):
        line["config"]["objective"]["preset"] = "untrained" if line["arm"] == "scip" else "falcon"

    _rewrite(folder, longer)
    status, sentence, _ = _checks(folder)["Training of equal length"]
    assert (status, sentence) == (
        "WARN",
        "Arms were trained for different numbers of epochs: scip 80, flow 40, cvxpy 40.",
    )
    _rewrite(folder, untrained)
    assert _checks(folder)["Training of equal length"][0] == "PASS"


def test_a_choice_at_the_end_of_its_range_warns(synthetic_search, tmp_path):
    folder = synthetic_search.SyntheticSearch(trials=8).write(tmp_path)
    assert _checks(folder)["Edges of the space"][0] == "PASS"
    chosen = summarise(folder).search.searched[0].arm
    plan = folder.plan_file.read_text().splitlines()
    place = plan[0].split(",").index("optimizer.lr")
    rows = [row.split(",") for row in plan]
    for row in rows:
        if row[1] == chosen:
            row[place] = "0.999"
    folder.plan_file.write_text("\n".join(",".join(row) for row in rows) + "\n")
    status, sentence, step = _checks(folder)["Edges of the space"]
    assert (status, sentence) == ("WARN", "What was chosen lies at an edge: lr at the upper end of its range (0.999).")
    assert step.startswith("Widen these ranges")


def test_a_trial_whose_classes_collapse_is_named_by_its_number(synthetic_search, tmp_path):
    folder = synthetic_search.SyntheticSearch(trials=6).write(tmp_path)
    chosen = summarise(folder).search.searched[0].arm
    _rewrite(
        folder, lambda line: line["metrics"].update({"test/num_used_classes": 3.0 if line["arm"] == chosen else 10.0})
    )
    status, sentence, _ = _checks(folder)["Classes in use"]
    assert status == "WARN"
    assert f": {chosen}, seed 0 (3 of " in sentence


def test_a_search_by_what_nobody_can_know_warns(synthetic_search, tmp_path):
    text = synthetic_search.SEARCH_STUDY.replace("metric: val/silhouette", "metric: test/ari\n  oracle: true")
    folder = synthetic_search.SyntheticSearch(text=text, trials=6).write(tmp_path)
    status, sentence, _ = _checks(folder)["What choices read"]
    assert status == "WARN"
    assert sentence.startswith("The search selects by ARI (test), which a user without fine labels")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"packages": {"numpy": "2.2.0", "torch": "2.6.0"}}, "versions changed between calls (numpy 2.1.0 and 2.2.0)"),
        ({"options": {"overrides": ["execution.cpus=4"]}}, "different numbers of threads"),
        ({"options": {"overrides": ["execution.gpus=1"]}}, "different GPUs (execution.gpus)"),
    ],
)
def test_what_may_keep_cells_from_repeating_warns(clean, change, words):
    record = clean.read_provenance()
    record["continued"] = [{key: record[key] for key in ("packages",)} | change]
    clean.provenance_file.write_text(json.dumps(record))
    status, sentence, step = _checks(clean)["Repeatability"]
    assert status == "WARN"
    assert words in sentence
    assert "--rerun" in step


def test_cells_from_several_machines_warn(clean):
    _rewrite(clean, lambda line: line.update(host="other" if line["seed"] == 3 else "example"))
    assert "they ran on 2 machines (example, other)" in _checks(clean)["Repeatability"][1]


def test_a_check_that_cannot_be_made_spoils_no_report(clean, monkeypatch):
    def broken_check(_material):
        raise RuntimeError("a bug")

    monkeypatch.setattr(health, "CHECKS", (broken_check, *health.CHECKS))
    status, sentence, _ = _checks(clean)["Broken check"]
    assert (status, sentence) == ("WARN", "This check could not be made (RuntimeError: a bug).")


def test_what_failed_comes_first_on_the_page_and_in_the_file_for_programs(synthetic, tmp_path):
    faults = synthetic.Faults(pruned={("num_fine_ratio=0.8", 1)}, failed={("num_fine_ratio=1.5", 2): "crashed"})
    folder = synthetic.SyntheticStudy(faults=faults).write(tmp_path)
    path, summary = write_up(folder)
    states = [check.status for check in summary.checks]
    assert states == sorted(states, key=[Status.FAIL, Status.WARN, Status.PASS].index)
    assert {*states} == {Status.FAIL, Status.WARN, Status.PASS}
    stored = json.loads(folder.verdicts_file.read_text())["checks"]
    assert stored == [json.loads(json.dumps(dataclasses.asdict(check))) for check in summary.checks]
    assert summary.to_plain()["checks"] == stored
    page = path.read_text(encoding="utf-8")
    assert page.index("Health checks") < page.index("Expected beforehand.")
    fine = states.count(Status.PASS)
    assert f"<details><summary>{fine} checks passed</summary>" in page
    assert page.count('<span class="chip warn">WARN</span>') == states.count(Status.WARN)


def test_normal_seeds_rarely_fail_and_collapsed_ones_often_do():
    """The shape check on tables of 4 arms and 12 seeds: planted truth, beside the longer ``benchmarks/verdicts.py``."""
    from fgtune.analysis.verdicts.shape import shape_of

    rng = np.random.default_rng(5)
    wrong = found = 0
    for _ in range(60):
        table = rng.normal(0.8, 0.02, (4, 12))
        values = {str(arm): dict(enumerate(row)) for arm, row in enumerate(table)}
        wrong += not shape_of(values, "0").normal
        table[rng.integers(1, 4), rng.integers(12)] = 0.3
        values = {str(arm): dict(enumerate(row)) for arm, row in enumerate(table)}
        found += not shape_of(values, "0").normal
    assert wrong <= 6  # 2 % of 60, and five standard errors
    assert found >= 55


def test_a_study_without_a_cell_yet_is_not_told_how_few_its_cells_are(synthetic, tmp_path):
    arms = ["baseline", "num_fine_ratio=0.8", "num_fine_ratio=1.2", "num_fine_ratio=1.5"]
    faults = synthetic.Faults(missing={(arm, seed) for arm in arms for seed in range(5)})
    (check,) = summarise(synthetic.SyntheticStudy(faults=faults).write(tmp_path)).checks
    assert check.name == "Number of seeds"
    assert "too few to see" not in check.sentence
    assert "--seeds 8" in check.next_step
