"""Studies side by side: what is paired with what, against differences taken by hand, and what may not be compared."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from fgtune.analysis.across.comparing import compare_data
from fgtune.analysis.inputs import read_study
from fgtune.errors import StudyFolderError
from fgtune.results.extension import RESULTS

PRIMARY = "test/clustering_accuracy"


def compare(folders, arm=None):
    return compare_data([read_study(folder) for folder in folders], arm)


def values(folder, arm):
    return {each.seed: each.metrics[PRIMARY] for each in folder.ledger.read() if each.arm == arm and each.metrics}


def test_the_best_arms_are_paired_seed_by_seed(write):
    one = write("one", accuracy={"baseline": 0.95})
    two = write("two", accuracy={"num_fine_ratio=1.2": 0.99, "baseline": 0.5})
    comparison = compare([one, two])
    assert [study.chosen.arm for study in comparison.studies] == ["baseline", "num_fine_ratio=1.2"]
    (difference,) = comparison.differences
    first, second = values(one, "baseline"), values(two, "num_fine_ratio=1.2")
    gaps = np.array([second[seed] - first[seed] for seed in range(5)])
    interval = stats.ttest_1samp(gaps, 0).confidence_interval(0.95)
    assert difference.contrast.differences == pytest.approx(gaps.tolist())
    assert difference.contrast.estimate.mean == pytest.approx(gaps.mean())
    assert (difference.contrast.estimate.low, difference.contrast.estimate.high) == pytest.approx(tuple(interval))
    assert difference.reasons == ()
    assert any("chosen by these very numbers" in note for note in difference.notes)
    assert comparison.studies[0].criterion == PRIMARY


def test_a_named_arm_stands_for_every_study(write):
    one, two = write("one"), write("two", accuracy={"num_fine_ratio=1.2": 0.4})
    comparison = compare([one, two], arm="num_fine_ratio=1.2")
    first, second = values(one, "num_fine_ratio=1.2"), values(two, "num_fine_ratio=1.2")
    mean = np.mean([second[seed] - first[seed] for seed in range(5)])
    assert comparison.differences[0].contrast.estimate.mean == pytest.approx(mean)


def test_an_arm_that_a_study_lacks_is_named_with_those_it_has(write):
    with pytest.raises(StudyFolderError, match=r"has no arm of this name, got 'falcon'\. Fix: its arms are baseline, "):
        compare([write("one"), write("two")], arm="falcon")


@pytest.mark.parametrize(
    ("changes", "fingerprint", "reason"),
    [
        ([], "beef", "other data: digits here, digits in one"),
        ([("{kind: digits}", "{kind: digits, split: {train: 0.5, test: 0.4}}")], "f00d", "other splits"),
        ([("epochs: 60", "epochs: 30")], "f00d", "other epochs: 30 here, 60 in one"),
        ([("primary: test/clustering_accuracy", "primary: test/ari"), ("[test/ari, ", "[")], "f00d", "other metrics"),
        ([("seeds: 5", "seeds: [7, 8]")], "f00d", "no seed has a value in both"),
    ],
    ids=["data", "splits", "epochs", "metric", "seeds"],
)
def test_studies_that_may_not_be_compared_are_told_with_the_reason(write, changes, fingerprint, reason):
    comparison = compare([write("one"), write("two", *changes, fingerprint=fingerprint)])
    (difference,) = comparison.differences
    assert difference.contrast is None
    assert reason in "; ".join(difference.reasons)
    assert {row["study"] for row in comparison.rows()} == {"one", "two"}


def test_several_reasons_are_told_together(write):
    comparison = compare([write("one"), write("two", ("epochs: 60", "epochs: 30"), fingerprint="beef")])
    assert [reason.split(":")[0] for reason in comparison.differences[0].reasons] == ["other data", "other epochs"]


def test_data_of_unknown_origin_are_not_taken_for_the_same(write):
    one, two = write("one"), write("two")
    record = {key: value for key, value in two.read_provenance().items() if key != "data"}
    two.provenance_file.write_text(json.dumps(record))
    assert "fingerprint of the data of two is not in" in compare([one, two]).differences[0].reasons[0]
    two.provenance_file.unlink()
    assert "fingerprint of the data of two is not in" in compare([one, two]).differences[0].reasons[0]


def test_seeds_that_one_study_lacks_are_left_out_and_counted(write, synthetic):
    faults = synthetic.Faults(failed={("baseline", 1): "killed"}, missing={("baseline", 4)})
    comparison = compare([write("one"), write("two", faults=faults)], arm="baseline")
    assert comparison.differences[0].contrast.seeds == (0, 2, 3)
    assert "2 seeds left out, which only one of the two has" in comparison.differences[0].notes


def test_a_study_without_results_is_told(write, synthetic):
    arms = ["baseline", "num_fine_ratio=1.2"]
    empty = synthetic.Faults(missing={(arm, seed) for arm in arms for seed in range(5)})
    comparison = compare([write("one"), write("two", faults=empty)])
    assert comparison.differences[0].reasons == (f"two has no finished cell with {PRIMARY}",)


def test_different_code_is_noted(write):
    comparison = compare([write("one"), write("two", code="2")], arm="baseline")
    assert "made by different code (fgtune 2 here, fgtune 1 in one)" in comparison.differences[0].notes


def test_arms_of_one_configuration_are_told(write):
    one, two = write("one"), write("two", ("digits}", "digits}\n  batch_size: 64"))
    assert compare([one, two], arm="baseline").differences[0].notes == ()
    twin = compare([one, write("twin")], arm="baseline")
    assert twin.differences[0].notes == (
        "both arms have the same configuration: they can differ by machine and code alone",
    )


def test_an_arm_with_fewer_seeds_is_not_the_best(write, synthetic):
    faults = synthetic.Faults(failed={("num_fine_ratio=1.2", 0): "killed"})
    accuracy = {"num_fine_ratio=1.2": 0.99, "baseline": 0.5}
    one, two = write("one", accuracy=accuracy, faults=faults), write("two", accuracy=accuracy)
    chosen = [study.chosen.arm for study in compare([one, two]).studies]
    assert chosen == ["baseline", "num_fine_ratio=1.2"]


def test_the_best_point_of_a_search_is_the_one_it_searched_for(write, synthetic_search, tmp_path):
    search = synthetic_search.SyntheticSearch(trials=5).write(tmp_path / "search")
    comparison = compare([write("one"), search])
    means = {}
    for each in search.ledger.read():
        means.setdefault(each.arm, []).append(each.metrics["val/silhouette"])
    best = max(means, key=lambda arm: np.mean(means[arm]))
    assert (comparison.studies[1].criterion, comparison.studies[1].chosen.arm) == ("val/silhouette", best)


def test_rows_hold_every_arm_and_the_differences_of_the_compared_ones(write):
    one, two = write("one"), write("two", accuracy={"baseline": 0.99})
    rows = compare([one, two]).rows()
    assert [(row["study"], row["arm"]) for row in rows[:2]] == [("one", "baseline"), ("one", "num_fine_ratio=1.2")]
    assert len(rows) == 4
    compared = [row for row in rows if row["pairs"]]
    assert [(row["study"], row["arm"]) for row in compared] == [("two", "baseline")]
    mine = values(two, "baseline")
    assert compared[0]["mean"] == pytest.approx(np.mean(list(mine.values())))
    assert (compared[0]["n"], compared[0]["num_fine"]) == (5, "10")


def test_studies_of_one_name_are_told_apart_by_their_folders(synthetic, tmp_path):
    folders = [synthetic.SyntheticStudy().write(tmp_path / side) for side in ("left", "right")]
    assert [study.name for study in compare(folders).studies] == [str(folder.root) for folder in folders]


def test_the_best_arms_are_compared_on_seeds_that_did_not_choose_them(write):
    one, two = write("one"), write("two", ("[1.0, 1.2]", "[0.8, 1.0, 1.5]"))
    (difference,) = compare([one, two]).differences
    found = difference.held_out
    tables = []
    for folder in (one, two):
        arms = dict.fromkeys(each.arm for each in folder.ledger.read())
        tables.append(np.array([[values(folder, arm)[seed] for seed in range(5)] for arm in arms]))
    gaps = []
    for seed in range(5):
        first, second = (table[np.delete(table, seed, axis=1).mean(axis=1).argmax(), seed] for table in tables)
        gaps.append(second - first)
    assert found.mean == pytest.approx(np.mean(gaps))
    assert found.se == pytest.approx(np.std(gaps, ddof=1) * np.sqrt(1 / 5 + 1 / 4))
    assert compare([one, two], arm="baseline").differences[0].held_out is None


BASE = ("trial:\n", "trial:\n  objective: {preset: base}\n")


def of_an_earlier_version(folder):
    record = folder.read_provenance()
    folder.provenance_file.write_text(json.dumps({key: value for key, value in record.items() if key != RESULTS}))
    return folder


def test_clusters_that_were_found_otherwise_are_not_compared(write):
    old, new = of_an_earlier_version(write("old", BASE)), write("new", BASE)
    for folders in ((old, new), (new, old)):
        (difference,) = compare(folders).differences
        assert difference.contrast is None
        assert difference.reasons == ("other clusters: old was run by an earlier version, which found them otherwise",)
    assert compare([old, of_an_earlier_version(write("too", BASE))]).differences[0].reasons == ()


def test_beside_a_method_with_a_fine_head_they_are_compared_with_a_note(write):
    old, new = of_an_earlier_version(write("old", BASE)), of_an_earlier_version(write("new"))
    assert any("old was run by an earlier version" in note for note in compare([old, new]).differences[0].notes)
    other = write("other", BASE)
    assert not any("earlier version" in note for note in compare([other, new]).differences[0].notes)
