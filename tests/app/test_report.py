from __future__ import annotations

import re
import shutil

import pytest

from fgtune.app.cli import main
from fgtune.app.report import watch_report
from fgtune.reporting.html import write_up
from fgtune.results.folder import StudyFolder

_REFRESH = re.compile(r'<meta http-equiv="refresh" content="(\d+)">')
_LAST = ("baseline", 1)


@pytest.fixture
def running(synthetic, tmp_path):
    """A study of which one cell is left, and that cell's result."""
    text = synthetic.KF_STUDY.replace("seeds: 5", "seeds: 2").replace("[0.8, 1.0, 1.2, 1.5]", "[1.0, 1.2]")
    whole = synthetic.SyntheticStudy(text=text).write(tmp_path / "whole")
    part = synthetic.SyntheticStudy(text=text, faults=synthetic.Faults(missing={_LAST})).write(tmp_path / "part")
    return part, next(each for each in whole.ledger.read() if (each.arm, each.seed) == _LAST)


def test_a_watched_report_refreshes_itself_until_the_last_cell_has_ended(running):
    folder, last = running
    pages, said = [], []

    def sleep(seconds: float) -> None:
        pages.append((seconds, _REFRESH.findall(folder.report_file.read_text(encoding="utf-8"))))
        assert len(pages) < 3
        if len(pages) == 2:
            folder.ledger.append(last)

    watch_report(folder.root, 5, said.append, sleep)
    assert pages == [(5, ["5"]), (5, ["5"])]
    assert [line.split(", ", 1)[1] for line in said] == [
        "3 of 4 cells ended",  # once, although it was looked at twice
        "4 of 4 cells ended",
        "no longer refreshed",
    ]
    page = folder.report_file.read_bytes()
    assert not _REFRESH.search(page.decode())
    assert write_up(folder)[0].read_bytes() == page


def test_the_command_chooses_whose_classes_the_page_shows(real_folder, tmp_path, capsys):
    shutil.copytree(real_folder, tmp_path / "study")
    folder = StudyFolder(tmp_path / "study")
    shown = "arm and seed as chosen with"
    assert shown not in folder.report_file.read_text(encoding="utf-8")
    assert main(["report", str(folder.root), "--portraits", "num_fine_ratio=1.5:0"]) == 0
    assert shown in folder.report_file.read_text(encoding="utf-8")
    assert main(["verify", str(folder.root)]) == 0
    assert main(["report", str(folder.root), "--portraits", "nobody"]) == 2
    assert "--portraits: names no cell that keeps a portrait, got 'nobody'" in capsys.readouterr().err


@pytest.mark.slow
def test_an_interrupted_watch_leaves_a_page_that_rests(running):
    folder, _ = running

    def sleep(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch_report(folder.root, 5, lambda _: None, sleep)
    assert not _REFRESH.search(folder.report_file.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_a_watch_ends_with_the_process_that_ran_the_study(running):
    folder, _ = running
    lock, looks = folder.lock(), []
    lock.__enter__()

    def sleep(_: float) -> None:
        looks.append(1)
        assert len(looks) == 1
        lock.__exit__(None, None, None)

    watch_report(folder.root, 5, lambda _: None, sleep)
    assert looks == [1]


def test_watching_what_is_no_study_is_an_error(tmp_path, capsys):
    assert main(["report", str(tmp_path), "--watch"]) == 2
    assert "error: " in capsys.readouterr().err
