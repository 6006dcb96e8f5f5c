"""Portraits of a folder are checked: as they were written, of cells that there are, and not lost."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

import fgtune.app.verify as verb
from fgtune.app.verify import verify
from fgtune.results.evidence import PORTRAIT
from fgtune.results.folder import StudyFolder


@pytest.fixture
def folder(real_folder, tmp_path, monkeypatch) -> StudyFolder:
    monkeypatch.setattr(verb, "CHECKS", tuple(each for each in verb.CHECKS if each[0] == "portraits"))
    return StudyFolder(shutil.copytree(real_folder, tmp_path / "real"))


def first(folder: StudyFolder) -> str:
    return sorted(folder.portraits_dir.iterdir())[0].stem


def test_every_cell_of_the_first_seed_has_one_that_agrees(folder):
    stated = {each.cell_id for each in folder.ledger.read() if PORTRAIT in (each.evidence or {})}
    assert {path.stem for path in folder.portraits_dir.iterdir()} == stated
    outcome = verify(folder.root)
    assert outcome.problems == []
    assert outcome.counts["portraits"] > len(stated)


def test_a_changed_one_a_lost_one_a_strange_one_and_junk_are_named(folder):
    cell = first(folder)
    record = folder.read_portrait(cell)
    folder.write_portrait(cell, replace(record, sizes=record.sizes + 1))
    (problem,) = verify(folder.root).problems
    assert "does not have the digest in the ledger" in problem
    path = folder.portraits_dir / f"{cell}.npz"
    path.rename(folder.portraits_dir / "0123456789ab.npz")
    assert [each.split(":")[0] for each in verify(folder.root).problems] == [
        "portraits/0123456789ab.npz",
        f"portraits/{cell}.npz",
    ]
    (folder.portraits_dir / "0123456789ab.npz").unlink()
    path.write_bytes(b"PK\x03\x04" + b"\0" * 60)
    assert any("cannot be read as a portrait" in each for each in verify(folder.root).problems)
