"""The options of a call: as a command line, as stored data read back, and the folder in which they were typed."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from fgtune.results.options import LastCall, RunOptions, last_call

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


def stored(record: dict[str, object]) -> LastCall:
    """What is read back of a provenance that went through its file."""
    return last_call(json.loads(json.dumps(record)))


def test_the_options_of_a_run_are_read_back_as_they_were():
    found = stored(OPTIONS.record())
    assert found.options == OPTIONS
    assert found.command == tuple(shlex.split(OPTIONS.command()))
    assert found.line == replace(OPTIONS, only=()).command()


def test_every_option_that_is_left_out_has_its_default():
    assert stored(RunOptions(Path("s.yaml")).record()).options == RunOptions(Path("s.yaml"))
    assert stored({"command": [], "options": {"study": "s.yaml"}}).options == RunOptions(Path("s.yaml"))


@pytest.mark.parametrize(
    ("uri", "stored_as"),
    [
        ("postgresql://me:s3@cret@db:5432/x", "postgresql://me:***@db:5432/x"),
        ("redis://:s3cret@db", "redis://:***@db"),
        ("http://host:5000/a@b", "http://host:5000/a@b"),
        ("http://a:p@x,http://b:q@y", "http://a:***@x,http://b:***@y"),
    ],
)
def test_a_password_is_masked_as_a_whole(uri, stored_as):
    assert RunOptions(Path("s.yaml"), tracking_uri=uri).record()["options"]["tracking_uri"] == stored_as


def test_the_command_line_says_what_the_options_do():
    assert shlex.split(OPTIONS.command())[3:] == [
        "studies/a b.yaml",
        *("--set", "trial.epochs=3", "--set", "seeds=[1, 2]", "--smoke", "--plugins", "mine", "--plugins"),
        *("theirs.parts", "--out", "runs/here", "--only", "arm=falcon*", "--address", "auto"),
        *("--tracking-uri", "http://host:5000"),
    ]
    assert RunOptions(Path("s.yaml")).command() == "python -m fgtune.run s.yaml"


def test_a_record_of_an_earlier_version_has_its_command_alone():
    found = stored({"command": ["fgtune", "run", "s.yaml", "--only", "seed=3", "--set", "seeds=3"]})
    assert (found.options, found.line) == (None, "fgtune run s.yaml --set seeds=3")


@pytest.mark.parametrize("options", [None, [], {"smoke": True}, {"study": 3}, {"study": "s.yaml", "later": 1}])
def test_options_of_another_form_are_none(options):
    assert stored({"command": ["a"], "options": options}).options is None


def test_the_folder_of_the_command_follows_from_where_the_study_lies(tmp_path):
    root = tmp_path / "runs" / "here" / "small"
    root.mkdir(parents=True)
    assert OPTIONS.directory(root) == tmp_path
    assert replace(OPTIONS, out=Path("here")).directory(root) == tmp_path / "runs"
    assert replace(OPTIONS, out=Path("./here/")).directory(root) == tmp_path / "runs"


@pytest.mark.parametrize("out", ["/somewhere", "../here", "reports"])
def test_a_moved_folder_or_another_path_tells_no_folder(tmp_path, out):
    root = tmp_path / "runs" / "here" / "small"
    root.mkdir(parents=True)
    assert replace(OPTIONS, out=Path(out)).directory(root) is None


def test_the_latest_command_counts():
    first = {"started_at": "2026-01-01T00:00:00+00:00", "command": ["a"]}
    later = {"started_at": "2026-01-03T00:00:00+00:00", "command": ["b"]}
    entry = {"at": "2026-01-02T00:00:00+00:00", "command": ["c"]}
    assert last_call(first).command == ("a",)
    assert last_call({**first, "extended": [entry]}).command == ("c",)
    assert last_call({**first, "continued": [later], "extended": [entry]}).command == ("b",)
    assert last_call({**first, "extended": [entry | {"at": first["started_at"]}]}).command == ("c",)
    assert last_call({}).command == ()


def test_a_call_is_known_as_ones_own_unless_anything_that_it_reaches_was_changed():
    uri = "postgresql://me:s3cret@db/x"
    record = replace(OPTIONS, tracking_uri=uri).record("s3://b/p", "postgresql://me:***@db/x")
    assert stored(record).is_own
    assert stored(record).storage == "s3://b/p"
    for change in (
        {"storage": "s3://other"},
        {"tracking": "http://other"},
        {"options": {**record["options"], "plugins": ["evil"]}},
        {"options": {**record["options"], "address": "ray://evil:1"}},
        {"signature": None},
    ):
        assert not stored(record | change).is_own
    del record["signature"]
    assert not stored(record).is_own
