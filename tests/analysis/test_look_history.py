"""The looks of a study folder: which seeds each had, what they cost, and what a later seed must not change."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from support.synthetic import KF_STUDY, Faults, SyntheticStudy

from fgtune.analysis.inputs import read_study
from fgtune.analysis.summary import summarise
from fgtune.analysis.verdicts.judgement import Verdict
from fgtune.analysis.verdicts.look_tests import LookTests, sequential_p_values, spent_shares
from fgtune.analysis.verdicts.looks import nominal_levels, sequential_p, t_information
from fgtune.reporting.html import write_up
from fgtune.results.extension import recorded_looks

ACCURACY = {"baseline": 0.9, "num_fine_ratio=0.8": 0.6, "num_fine_ratio=1.2": 0.885, "num_fine_ratio=1.5": 0.7}


pytestmark = pytest.mark.usefixtures("without_curves")


def made(root, seeds=10, looks=(), text=KF_STUDY, **study):
    """A study with this many seeds, whose folder records looks at fewer."""
    text = text.replace("seeds: 5", f"seeds: {seeds}")
    folder = SyntheticStudy(text=text, accuracy=ACCURACY, noise=0.03, **study).write(root)
    record = folder.read_provenance()
    if looks:
        record["looks"] = [{"at": "2026-01-02T03:04:05+00:00", "seeds": list(range(n))} for n in looks]
    folder.provenance_file.write_text(json.dumps(record), encoding="utf-8")
    return folder


def test_a_study_without_a_record_is_one_look(tmp_path):
    data = read_study(made(tmp_path))
    assert data.looks == (frozenset(range(10)),)
    assert spent_shares(data) == (pytest.approx(0.8),)
    summary = summarise(data)
    assert (summary.looks_text, len(summary.looks)) == ("", 1)
    assert summary.looks[0].level == pytest.approx(0.04)
    assert not any("Seeds were added" in warning for warning in summary.warnings)


def test_looks_are_those_of_the_record_and_an_earlier_versions_extensions_count(tmp_path):
    assert [len(look) for look in read_study(made(tmp_path, looks=(5, 7))).looks] == [5, 7, 10]
    extended = [{"from": {"seeds": [0, 1]}, "to": {"seeds": [0, 1, 2]}}, {"from": {"seeds": [0, 1, 2]}, "to": {}}]
    assert recorded_looks({"extended": extended}) == ((0, 1), (0, 1, 2))
    assert recorded_looks({"extended": extended, "looks": [{"seeds": [0, 1]}]}) == ((0, 1),)
    assert recorded_looks({}) == ()


def test_a_look_at_all_planned_seeds_is_the_last_one_and_no_other(tmp_path):
    assert [len(look) for look in read_study(made(tmp_path, looks=(5, 10))).looks] == [5, 10]


def test_the_page_says_when_seeds_were_added_and_what_that_costs(tmp_path):
    summary = summarise(made(tmp_path, looks=(5,)))
    level = nominal_levels([t_information(5), t_information(10)], (0.8, 0.96), 0.05)[1]
    assert summary.looks_text == (
        "Seeds were added after a look at n = 5. All looks share alpha = 0.05: this one tests a single contrast at "
        f"p <= {level:.2g} instead of 0.05."
    )
    (check,) = (check for check in summary.checks if check.name == "Looks at the results")
    assert check.status == "WARN"
    assert check.sentence.startswith("Seeds were added after a look at n = 5, without a plan")
    first, second = summary.looks
    assert (first.seeds, first.spent, second.seeds) == (5, pytest.approx(0.8), 10)
    assert first.level == pytest.approx(0.04)
    decided = {label for label, _ in (*first.verdicts, *second.verdicts)}
    assert decided | set(second.open) == {contrast.label for contrast in summary.contrasts}
    assert set(second.open) == {contrast.label for contrast in summary.contrasts if not contrast.is_decided}


def test_a_cell_added_later_does_not_change_an_earlier_look(tmp_path):
    short = summarise(made(tmp_path / "short", seeds=5))
    long = summarise(made(tmp_path / "long", seeds=10, looks=(5,)))
    assert long.looks[0] == short.looks[0]
    at_five = read_study(made(tmp_path / "again", seeds=10, looks=(5,))).at_look(0)
    assert at_five.values("baseline", "test/ari") == read_study(made(tmp_path / "five", 5)).values(
        "baseline", "test/ari"
    )


def test_without_alpha_kept_further_seeds_decide_nothing_new(tmp_path):
    text = KF_STUDY.replace("also: [test/ari, test/ged]", "also: [test/ari], alpha_kept: 0.0")
    first = summarise(made(tmp_path / "first", 5, text=text))
    summary = summarise(made(tmp_path / "then", 10, (5,), text=text))
    assert summary.looks_text.endswith("may confirm or undo what its tests found, and find nothing new.")
    assert summary.looks[1].level == 0.0
    found = {contrast.arm for contrast in first.contrasts if contrast.judgement.tests_say is not Verdict.UNDECIDED}
    assert {contrast.arm for contrast in summary.contrasts if contrast.is_decided} <= found != set()


def test_adaptive_seeds_look_after_every_block_and_tell_what_they_saved(tmp_path):
    text = KF_STUDY.replace("seeds: 5", "seeds: {min: 3, max: 9}")
    clear = {"baseline": 0.95, "num_fine_ratio=0.8": 0.1, "num_fine_ratio=1.2": 0.12, "num_fine_ratio=1.5": 0.15}
    folder = SyntheticStudy(text=text, accuracy=clear, noise=0.001).write(tmp_path)
    summary = summarise(folder)
    assert spent_shares(read_study(folder)) == (pytest.approx(math.log(1 + (math.e - 1) / 3)),)
    assert summary.looks[-1].open == ()
    assert summary.saved_cells == 4 * 6
    text = "24 cells (66.7 %) of the 36 cells that 9 seeds of every arm would take were not needed"
    assert text in summary.looks_text


def test_a_look_that_later_pairs_contradict_is_not_taken_over():
    shares, nothing = (0.8, 0.96), math.nan
    turned = [LookTests(3, 0.1, 0.002, nothing), LookTests(6, -0.15, 0.2, nothing)]
    assert sequential_p_values(turned, shares)[0] == sequential_p([1.0, 0.2], [3, 6], shares)
    same = [LookTests(3, 0.1, 0.002, nothing), LookTests(6, 0.05, 0.2, nothing)]
    assert sequential_p_values(same, shares)[0] == pytest.approx(0.002 / 0.8)
    outside = [LookTests(3, 0.1, nothing, 0.001), LookTests(6, 0.5, nothing, 0.9)]
    assert sequential_p_values(outside, shares)[1] == sequential_p([1.0, 0.9], [3, 6], shares)
    inside = [LookTests(3, 0.1, nothing, 0.001), LookTests(6, 0.5, nothing, 0.4)]
    assert sequential_p_values(inside, shares)[1] == pytest.approx(0.001 / 0.8)
    assert math.isnan(sequential_p_values([LookTests(1, 0.1, nothing, nothing)], (0.8,))[0])


def test_lost_cells_leave_a_look_with_the_pairs_it_had(tmp_path):
    faults = Faults(failed={("num_fine_ratio=1.5", seed): "out of memory" for seed in range(5)})
    summary = summarise(made(tmp_path, looks=(5,), faults=faults))
    assert summary.contrast_of("num_fine_ratio=1.5").contrast.n == 5
    assert [look.seeds for look in summary.looks] == [5, 10]


@pytest.mark.slow
def test_the_page_has_a_table_of_looks_only_where_seeds_were_added(tmp_path):
    def page(folder):
        return write_up(folder)[0].read_text(encoding="utf-8")

    assert '<h2 id="looks">' not in page(made(tmp_path / "one"))
    shown = page(made(tmp_path / "two", looks=(5,)))
    section = shown[shown.index('<h2 id="looks">') :].partition("</section>")[0].replace("\N{NO-BREAK SPACE}", " ")
    assert "Seeds were added after a look at n = 5." in section
    assert section.count("<tr>") == 1 + 2
    assert "80 %" in section
    assert "96 %" in section


BASELINE = (0.50, 0.55, 0.49, 0.57, 0.58)
GAINS = {  # of three pairs that agree to a thousandth, two more take nearly all away
    "num_fine_ratio=0.8": (-0.200, -0.204, -0.196, -0.201, -0.203),
    "num_fine_ratio=1.2": (0.0190, 0.0200, 0.0195, -0.0200, 0.0000),
    "num_fine_ratio=1.5": (-0.100, -0.104, -0.098, -0.101, -0.103),
}


@pytest.mark.parametrize(
    ("rate", "first", "last"), [(0.2, Verdict.UNDECIDED, Verdict.UNDECIDED), (0.0, Verdict.HELPS, Verdict.HELPS)]
)
def test_what_an_earlier_look_held_back_is_not_claimed_later_unless_all_pairs_show_it(tmp_path, rate, first, last):
    text = KF_STUDY.replace("also: [", f"collapse_rate: {rate}, also: [")
    folder = made(tmp_path, seeds=5, looks=(3,), text=text)
    for result in folder.ledger.read():
        value = BASELINE[result.seed] + GAINS.get(result.arm, (0.0,) * 5)[result.seed]
        folder.ledger.append(replace(result, metrics={**result.metrics, "test/clustering_accuracy": value}))
    data = read_study(folder)
    then, now = (
        next(each.judgement for each in summarise(study).contrasts if each.arm == "num_fine_ratio=1.2")
        for study in (data.at_look(0), data)
    )
    assert (then.verdict, now.verdict, now.earlier) == (first, last, 3)
    held = "what 3 pairs showed was held back then, and all 5 by themselves do not show it"
    assert now.reason == (held if rate else "reliably better, as 3 pairs showed before; all 5 by themselves do not")
    assert bool(now.doubt) == bool(rate)
