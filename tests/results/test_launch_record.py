"""The command in a study's provenance, read back: its parts, and the folder in which it was typed."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from fgtune.engine.run import RunOptions
from fgtune.errors import StudyFolderError
from fgtune.results.folder import StudyFolder
from fgtune.results.launch_record import last_command, read_started

OPTIONS = RunOptions(
    Path("studies/a b.yaml"),
    ("trial.epochs=3", "seeds=[1, 2]"),
    smoke=True,
    out=Path("runs/here"),
    tracking_uri="http://host:5000",
    plugins=("mine", "theirs.parts"),
    only=("arm=falcon*",),
    address="auto",
)


@pytest.fixture
def folder(tmp_path) -> StudyFolder:
    made = StudyFolder(tmp_path / "runs" / "here" / "small")
    made.root.mkdir(parents=True)
    for path in (made.resolved_file, made.plan_file):
        path.touch()
    return made


def started(folder, command, **record):
    folder.provenance_file.write_text(json.dumps({"command": command, **record}))
    return read_started(folder)


def test_the_command_of_a_run_is_read_back_to_what_was_asked(folder):
    found = started(folder, shlex.split(OPTIONS.command()))
    assert (found.study, found.overrides, found.smoke, found.out) == (
        OPTIONS.study,
        OPTIONS.overrides,
        True,
        OPTIONS.out,
    )
    assert (found.tracking_uri, found.plugins, found.address) == ("http://host:5000", OPTIONS.plugins, "auto")
    assert found.line == replace(OPTIONS, only=()).command()


def test_options_that_say_nothing_of_the_study_are_passed_over(folder):
    found = started(folder, ["fgtune", "run", "s.yaml", "--budget-cells", "4", "--retry-failed", "--set", "seeds=3"])
    assert (found.study, found.overrides, found.smoke) == (Path("s.yaml"), ("seeds=3",), False)
    assert found.out == Path("reports")


@pytest.mark.parametrize("command", [[], ["fgtune", "run"], ["fgtune", "run", "s.yaml", "--set"]])
def test_a_record_without_a_command_is_told(folder, command):
    with pytest.raises(StudyFolderError, match="names no command that runs the study"):
        started(folder, command)


def test_the_folder_of_the_command_follows_from_where_the_study_lies(folder, tmp_path):
    assert started(folder, shlex.split(OPTIONS.command())).directory(folder.root) == tmp_path
    assert started(folder, ["fgtune", "run", "s.yaml", "--out", "here"]).directory(folder.root) == tmp_path / "runs"
    assert started(folder, ["fgtune", "run", "s.yaml", "--out", "./here/"]).directory(folder.root) == tmp_path / "runs"


@pytest.mark.parametrize("out", ["/somewhere", "../here", "reports"])
def test_a_moved_folder_or_another_path_tells_no_folder(folder, out):
    assert started(folder, ["fgtune", "run", "s.yaml", "--out", out]).directory(folder.root) is None


def test_the_latest_command_counts():
    first = {"started_at": "2026-01-01T00:00:00+00:00", "command": ["a"]}
    later = {"started_at": "2026-01-03T00:00:00+00:00", "command": ["b"]}
    entry = {"at": "2026-01-02T00:00:00+00:00", "command": ["c"]}
    assert last_command(first) == ["a"]
    assert last_command({**first, "extended": [entry]}) == ["c"]
    assert last_command({**first, "continued": [later], "extended": [entry]}) == ["b"]
    assert last_command({**first, "extended": [entry | {"at": first["started_at"]}]}) == ["c"]
    assert last_command({}) == []
