"""The page and the files of a study of variance."""

from __future__ import annotations

import json

import pytest

from fgtune.analysis.inputs import read_study
from fgtune.analysis.summary import summarise
from fgtune.analysis.verdict_records import verdicts_of
from fgtune.reporting.html import write_up

STUDY = {
    "study": "spread", "question": "What does the spread consist of?", "seeds": 6, "design": {"kind": "variance"},
    "metrics": {"primary": "test/clustering_accuracy", "also": ["test/ari"]},
    "trial": {"data": {"kind": "digits"}, "classes": {"num_fine": 10}, "epochs": 3},
}  # fmt: skip


@pytest.fixture
def folder_of(synthetic, tmp_path):
    def write(**options):
        return synthetic.SyntheticStudy(text=json.dumps(STUDY), **options).write(tmp_path)

    return write


def test_shares_are_in_the_answer_the_figure_the_table_and_the_json(folder_of):
    folder = folder_of()
    summary = summarise(folder)
    assert summary.contrasts == summary.choices == summary.joint_choices == ()
    assert summary.answer.startswith("Over 6 seeds, clustering accuracy (test) has a standard deviation of ")
    assert summary.variance.open == "not told apart"
    page = write_up(folder)[0].read_text(encoding="utf-8")
    assert 'id="variance-shares-data"' in page
    assert "What the spread consists of, in numbers" in page
    for name in ("split", "weights", "order", "repeat", "the rest"):
        assert f'<th scope="row">{name}</th>' in page
    assert page.count(">not compared</td>") == 4
    plain = summary.to_plain()["variance"]
    stored = json.loads(folder.verdicts_file.read_text(encoding="utf-8"))
    assert stored["contrasts"] == []
    found = stored["variance"]
    assert [each["stream"] for each in found["streams"]] == ["split", "weights", "order"]
    for mine, theirs in zip(found["streams"], plain["streams"], strict=True):
        assert (mine["share"], mine["spread"], mine["f"]) == (theirs["share"], theirs["spread"], theirs["f"])
    assert (found["open"], found["next_step"]) == ("not told apart", plain["advice"])


def test_lost_cells_leave_it_open_and_say_what_to_do(synthetic, folder_of):
    folder = folder_of(faults=synthetic.Faults(failed={("order", 2): "crashed"}))
    summary = summarise(folder)
    assert (summary.variance.named, summary.variance.open) == ("", "lost cells")
    assert summary.answer.endswith("Run the lost cells again with --retry-failed.")
    assert verdicts_of(read_study(folder), summary).variance.streams[2].spread.lost == 1
    assert [row.arm for row in summary.failures] == ["order"]


def test_a_study_without_cells_yet_has_a_page(synthetic, folder_of):
    cells = {(arm, seed) for arm in ("all", "split", "weights", "order", "repeat") for seed in range(6)}
    folder = folder_of(faults=synthetic.Faults(missing=cells))
    assert summarise(folder).answer.startswith("No answer yet")
    assert "No answer yet" in write_up(folder)[0].read_text(encoding="utf-8")
