"""Malformed and malicious files: exit code 2, one error, nothing written, no code run, in bounded time and memory."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from support import hostile

from fgtune.app.cli import main

MOST_LINES, MOST_CHARACTERS = 51, 250_000


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An empty working directory with the valid study."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(hostile.STUDY, encoding="utf-8")
    return tmp_path


def refused(folder: Path, capsys, *arguments: str) -> str:
    """What a call that is refused says; nothing is written meanwhile."""
    before = {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    assert lines
    assert all(line.startswith("error: ") for line in lines)
    assert len(lines) <= MOST_LINES
    assert len(said.err) <= MOST_CHARACTERS
    assert not any(ord(sign) < 32 for line in lines for sign in line)
    assert {path: path.lstat().st_mtime_ns for path in folder.rglob("*")} == before
    return said.err


WIDE = {"message of a megabyte", "key of a megabyte", "5000 wrong keys", "comment of a megabyte"}
"""Take a second each."""


@pytest.mark.parametrize(
    "text", [pytest.param(text, id=name, marks=[pytest.mark.slow] * (name in WIDE)) for name, text in hostile.texts()]
)
def test_a_file_that_is_no_study_is_refused(folder, capsys, text):
    (folder / "bad.yaml").write_bytes(text)
    refused(folder, capsys, "validate", "bad.yaml")


@pytest.mark.long
@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in hostile.floods().items()])
def test_a_flood_of_small_things_is_refused(folder, capsys, text):
    (folder / "bad.yaml").write_text(text, encoding="utf-8")
    refused(folder, capsys, "validate", "bad.yaml")


@pytest.mark.parametrize("options", [pytest.param(options, id=name) for name, options in hostile.values()])
def test_an_option_that_means_nothing_is_refused(folder, capsys, options):
    if any("\x00" in option for option in options):
        pytest.skip("no command line can hold it")
    refused(folder, capsys, "validate", "s.yaml", *[part for option in options for part in ("--set", option)])


@pytest.mark.parametrize("options", [pytest.param(options, id=name) for name, options in hostile.sizes()])
def test_a_size_that_the_machine_cannot_hold_is_refused_before_it_is_allocated(folder, capsys, monkeypatch, options):
    monkeypatch.setattr("fgtune.memory.machine_memory", lambda: 64 << 30)
    monkeypatch.setattr("fgtune.training.size_checks.machine_memory", lambda: 64 << 30)
    refused(folder, capsys, "validate", "s.yaml", *[part for option in options for part in ("--set", option)])


@pytest.mark.parametrize("verb", ["validate", "plan", "run"])
def test_what_is_no_regular_file_is_refused_before_it_is_read(folder, capsys, verb):
    os.mkfifo(folder / "pipe.yaml")
    (folder / "loop.yaml").symlink_to("loop.yaml")
    (folder / "zero.yaml").symlink_to("/dev/zero")
    for name in ("pipe.yaml", "loop.yaml", "zero.yaml", "/dev/zero", "/dev/full", ".", "x" * 5000, "a/" * 3000 + "b"):
        refused(folder, capsys, verb, name)
    assert stat.S_ISFIFO((folder / "pipe.yaml").stat().st_mode)


def search_of(space: str) -> str:
    """A study that searches a space in a file."""
    design = f"design: {{kind: search, metric: val/silhouette, trials: 2, space: {space}}}"
    return hostile.STUDY.replace("design: {kind: sensitivity, factors: {optimizer.lr: [0.05, 0.1]}}", design)


def test_spaces_that_include_without_end_are_refused(folder, capsys):
    (folder / "search.yaml").write_text(search_of("c0.yaml"), encoding="utf-8")
    for n in range(1200):
        (folder / f"c{n}.yaml").write_text(f"include: [c{n + 1}.yaml]\n", encoding="utf-8")
    assert "at most 20 deep" in refused(folder, capsys, "validate", "search.yaml")


def test_spaces_that_include_more_and_more_are_refused(folder, capsys):
    (folder / "search.yaml").write_text(search_of("f0.yaml"), encoding="utf-8")
    for n in range(18):
        (folder / f"f{n}.yaml").write_text(f"include: {[f'f{n + 1}.yaml'] * 3}\n", encoding="utf-8")
    (folder / "f18.yaml").write_text("parameters: {}\n", encoding="utf-8")
    assert "at most 200 files" in refused(folder, capsys, "validate", "search.yaml")


def test_secrets_of_addresses_are_masked_in_every_error(folder, capsys):
    for uri in (
        "postgresql://me:hunter2@nowhere.invalid/db",
        "https://nowhere.invalid/?token=hunter2",
        "https://hunter2@nowhere.invalid/",
        "https://nowhere.invalid/#access_token=hunter2&x=1",
    ):
        (folder / "bad.yaml").write_text(f"'{uri}': '{uri}'\nseeds: '{uri}'\n", encoding="utf-8")
        assert "hunter2" not in refused(folder, capsys, "validate", "bad.yaml")
