from __future__ import annotations

import errno
import os
from types import SimpleNamespace

import pytest

from fgtune.app.cli import main
from fgtune.engine import storage
from fgtune.engine.opening import open_study
from fgtune.engine.storage import StorageError, bytes_needed, check_space, disk_faults
from fgtune.errors import StudyFolderError
from fgtune.memory import bytes_text
from fgtune.results.folder import StudyFolder
from fgtune.results.object_stores import BucketError


@pytest.fixture
def free(monkeypatch):
    """A disk with so many bytes left."""

    def leave(bytes_left: float) -> None:
        monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=bytes_left))

    return leave


def test_what_a_study_needs_grows_with_its_cells_its_samples_and_its_model(small_study):
    def needed(*overrides: str) -> float:
        opened = open_study(small_study, overrides)
        return bytes_needed(opened.plan, opened.plan.cells, opened.datasets)

    least = needed()
    assert 5e6 < least < 20e6
    assert needed("seeds=200") > least + 396 * storage._CELL
    assert needed("trial.data.num_samples=30000") == pytest.approx(least + 4 * 29700 * storage._SAMPLE)
    wide = needed("trial.model.backbone.hidden=[3000,3000]", "execution.max_concurrent=1")
    assert wide - least > 2 * 3 * 4 * 3000 * 3000, "a checkpoint of student, teacher and moments, and its successor"
    elsewhere = needed("trial.model.backbone.hidden=[3000,3000]", "execution.storage=s3://bucket/runs")
    assert elsewhere <= least, "checkpoints in a bucket take no room here"
    assert bytes_needed(open_study(small_study).plan, [], {}) == 0.0


def test_population_based_training_keeps_a_state_for_every_milestone(small_study):
    big = ("trial.model.backbone.hidden=[1000,1000]", "execution.max_concurrent=1", "trial.epochs=20")
    opened = open_study(small_study, big)
    pbt = {"kind": "pbt", "metric": "val/silhouette", "interval_epochs": 5}
    study = opened.plan.study.model_copy(update={"scheduler": storage.PbtConfig(**pbt)})
    plan = SimpleNamespace(study=study)
    grown = bytes_needed(plan, opened.plan.cells, opened.datasets)
    plain = bytes_needed(opened.plan, opened.plan.cells, opened.datasets)
    assert grown - plain == pytest.approx(4 * 4 * 3 * 4 * (6 * 1000 + 1000 * 1000))


def test_both_numbers_are_told_where_there_is_too_little_room(tmp_path, free):
    free(3.1e6)
    rule = r"the disk has 3\.1 MB left, and this study will need about 16 MB\. Fix: make room, or choose another disk"
    with pytest.raises(StudyFolderError, match=rule):
        check_space(StudyFolder(tmp_path), 16e6)
    check_space(StudyFolder(tmp_path), 3e6)


@pytest.mark.parametrize(
    ("number", "text"), [(512, "512 B"), (37_400, "37 kB"), (9.44e6, "9.4 MB"), (2.5e15, "2500 TB")]
)
def test_sizes_are_said_as_a_person_would(number, text):
    assert bytes_text(number) == text


def test_a_full_disk_is_one_error_with_the_line_that_continues(tmp_path):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    rule = r"cannot be written \(No space left on device\); the disk .* left\..*then continue with: run it again$"
    with pytest.raises(StorageError, match=rule), disk_faults(StudyFolder(tmp_path), "run it again"):
        raise full
    with pytest.raises(ConnectionError), disk_faults(StudyFolder(tmp_path), "run it again"):
        raise ConnectionError(errno.ECONNREFUSED, "refused")


@pytest.mark.parametrize("out", ["file", "file/below", "/dev/null"])
def test_an_out_that_is_no_folder_is_refused_before_anything_is_made(small_study, tmp_path, monkeypatch, capsys, out):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    before = sorted(tmp_path.iterdir())
    assert main(["run", str(small_study), "--out", out]) == 2
    assert "must be a folder. Fix: choose another with --out" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


def test_a_study_without_room_leaves_neither_folder_nor_store(small_study, tmp_path, monkeypatch, capsys, free):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    free(1e6)
    assert main(["run", str(small_study)]) == 2
    assert "the disk has 1.0 MB left" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_that_another_process_holds_is_refused_before_a_store_is_made(
    small_study, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    with StudyFolder(tmp_path / "reports" / "small").lock():
        assert main(["run", str(small_study)]) == 2
    assert f"is being written by process {os.getpid()} of " in capsys.readouterr().err
    assert not (tmp_path / "mlflow.db").exists()
    assert not (tmp_path / "reports").exists(), "and who held it began no study"


def test_a_bucket_that_is_gone_is_one_error_with_the_line_that_continues(tmp_path):
    gone = BucketError("cannot be reached at http://127.0.0.1:9", "check the network")
    rule = r"^execution\.storage: cannot be reached .*saved in .* Fix: check the network, then continue with: again$"
    with pytest.raises(StorageError, match=rule), disk_faults(StudyFolder(tmp_path), "again"):
        raise gone
