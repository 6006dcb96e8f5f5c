"""Each of the changes listed in docs/verify.md is found by ``verify``, in the file and for the reason that is meant."""

from __future__ import annotations

import contextlib
import re
import shutil
from pathlib import Path

import pytest
from support.changes import CHANGES, Change

from fgtune.analysis.table import write_tables
from fgtune.app import verify as verb
from fgtune.app.verification.findings import DAMAGE
from fgtune.app.verify import verify
from fgtune.results.folder import StudyFolder

DOCS = Path(__file__).parents[2] / "docs" / "verify.md"


@pytest.fixture
def folder(real_folder, tmp_path) -> Path:
    return Path(shutil.copytree(real_folder, tmp_path / "real"))


def test_an_untouched_folder_agrees(folder):
    outcome = verify(folder)
    assert outcome.problems == []
    assert outcome.notes == []
    assert set(outcome.counts) >= {"study", "plan", "ledger", "curves", "relations", "tables", "report", "data"}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name.replace(" ", "-"))
def test_a_change_is_found(folder, monkeypatch, change: Change):
    if not change.by_report:  # the report would show nearly all of them: what is meant to find it does so alone
        checks = tuple((group, check) for group, check in verb.CHECKS if group != "report")
        monkeypatch.setattr(verb, "CHECKS", checks)
    change.make(folder)
    if change.survives:  # harder to find than with tables that show it, too
        with contextlib.suppress(DAMAGE):
            write_tables(StudyFolder(folder))
    assert_found(change, folder)


SURVIVING = [change for change in CHANGES if change.survives]


@pytest.mark.slow
@pytest.mark.parametrize("change", SURVIVING, ids=lambda change: change.name.replace(" ", "-"))
def test_it_is_found_beside_the_tables_of_before(folder, change: Change):
    change.make(folder)
    assert_found(change, folder)


def assert_found(change: Change, folder: Path) -> None:
    problems = verify(folder).problems
    assert any(re.search(change.found, problem) for problem in problems), "\n".join(problems)


def test_the_documentation_lists_the_changes_and_which_are_found_in_a_new_report():
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \| [^|]+ \| (yes|no) \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert [(int(number), name, survives) for number, name, survives in rows] == [
        (number, change.name, "yes" if change.survives else "no") for number, change in enumerate(CHANGES, start=1)
    ]
