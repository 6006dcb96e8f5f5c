"""Seeds added to a study folder: what stays, what is refused, and that a change cut short can be made again."""

from __future__ import annotations

import fcntl
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from fgtune.errors import StudyFolderError
from fgtune.results import folder as folder_module
from fgtune.results.extension import more_seeds
from fgtune.results.folder import StudyFolder
from fgtune.results.options import RunOptions

OPTIONS = RunOptions(Path("small.yaml"), ("seeds=4",))


@pytest.fixture
def folder(tmp_path, make, provenance) -> StudyFolder:
    made = StudyFolder(tmp_path / "reports" / "small")
    loaded, plan = make()
    made.create_or_check(plan, loaded, {**provenance, "study": "small"})
    return made


def tree(folder: StudyFolder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.root.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    ("seeds", "wanted", "given"),
    [(2, 5, 5), ((4, 5, 6), 5, [4, 5, 6, 7, 8]), ((9, 0), 3, [9, 0, 10]), ([1], 1, [1])],
)
def test_further_seeds_follow_those_that_are_there(seeds, wanted, given):
    assert more_seeds(seeds, wanted) == given


def test_an_extended_folder_keeps_its_cells_and_knows_its_former_hash(folder, make):
    before, rows = make()[1], folder.read_plan()
    _, plan = make("seeds=4")
    folder.extend(plan, OPTIONS)
    assert folder.check(plan) is True
    assert folder.read_study() == plan.study
    assert folder.read_plan()[: len(rows)] == rows
    assert len(folder.read_plan()) == 2 * len(rows)
    assert folder.former_hashes() == (before.study_hash,)
    (entry,) = folder.read_provenance()["extended"]
    assert entry["from"] == {"study_hash": before.study_hash, "seeds": [0, 1]}
    assert entry["to"] == {"study_hash": plan.study_hash, "seeds": [0, 1, 2, 3]}


def test_the_study_as_it_was_is_told_what_happened_and_how_to_go_on(folder, make):
    loaded, plan = make()
    folder.extend(make("seeds=4")[1], OPTIONS)
    before = tree(folder)
    with pytest.raises(StudyFolderError) as caught:
        folder.create_or_check(plan, loaded, {})
    text = str(caught.value)
    assert "was extended from 2 to 4 seeds" in text
    assert "every finished cell is kept" in text
    assert f"Fix: go on with: {OPTIONS.command()}" in text
    assert tree(folder) == before


def test_a_study_extended_twice_is_known_by_all_its_hashes(folder, make):
    plans = [make()[1], make("seeds=3")[1], make("seeds=4")[1]]
    folder.extend(plans[1], OPTIONS)
    folder.extend(plans[2], OPTIONS)
    assert folder.former_hashes() == (plans[0].study_hash, plans[1].study_hash)
    for plan, had in ((plans[0], 2), (plans[1], 3)):
        with pytest.raises(StudyFolderError, match=f"from {had} to 4 seeds"):
            folder.check(plan)
    assert folder.check(plans[2]) is True


@pytest.mark.parametrize(
    ("overrides", "fingerprint", "rule"),
    [
        (("seeds=4", "trial.epochs=3"), "f00d", "only seeds may be added"),
        (("seeds=[1, 2, 3]",), "f00d", "only seeds may be added"),
        (("seeds=4",), "beef", "the data have changed since the study was started"),
    ],
    ids=["another setting", "a seed less", "other data"],
)
def test_anything_but_further_seeds_is_refused_and_changes_nothing(folder, make, overrides, fingerprint, rule):
    before = tree(folder)
    with pytest.raises(StudyFolderError, match=rule):
        folder.extend(make(*overrides, fingerprint=fingerprint)[1], OPTIONS)
    assert tree(folder) == before


def test_cells_that_this_version_does_not_plan_are_refused(folder, make):
    folder.plan_file.write_text(folder.plan_file.read_text() + "0123456789ab,gone,0,4,learned,flow,false\n")
    with pytest.raises(StudyFolderError, match="plans other cells for the same study"):
        folder.extend(make("seeds=4")[1], OPTIONS)


@pytest.mark.parametrize("written", [0, 1, 2])
def test_an_extension_cut_short_leaves_a_study_that_can_be_extended(folder, make, monkeypatch, written):
    former, plan = make()[1], make("seeds=4")[1]
    write, done = folder_module.write_atomically, []

    def killed(path, content):
        if len(done) == written:
            raise KeyboardInterrupt
        done.append(path)
        write(path, content)

    monkeypatch.setattr(folder_module, "write_atomically", killed)
    with pytest.raises(KeyboardInterrupt):
        folder.extend(plan, OPTIONS)
    monkeypatch.undo()
    assert folder.check(former if written == 0 else plan) is True
    folder.extend(plan, OPTIONS)
    assert folder.check(plan) is True
    assert folder.read_study() == plan.study
    assert len(folder.read_plan()) == len(plan.cells)
    assert len(folder.read_provenance()["extended"]) == 1


def test_a_folder_without_a_study_has_no_former_hashes(tmp_path):
    assert StudyFolder(tmp_path).former_hashes() == ()


def test_the_process_that_holds_a_folder_is_told(folder):
    assert folder.holder() is None
    with folder.lock():
        assert folder.holder().pid == os.getpid()
    assert folder.holder() is None


def test_a_run_is_not_refused_because_someone_asks_who_holds_the_folder(folder):
    with folder.lock():
        pass
    with folder.lock_file.open() as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        release = threading.Timer(0.07, fcntl.flock, (asking, fcntl.LOCK_UN))
        release.start()
        with folder.lock():
            assert folder.holder().pid == os.getpid()
        release.join()


def test_a_password_in_the_command_is_not_stored(folder, make):
    folder.extend(make("seeds=4")[1], replace(OPTIONS, tracking_uri="postgresql://me:secret@host/db"))
    text = folder.provenance_file.read_text()
    assert "postgresql://me:***@host/db" in text
    assert "secret" not in text
