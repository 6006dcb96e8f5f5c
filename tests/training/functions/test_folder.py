"""The folder of a user's function comes back as it was, and an archive from elsewhere writes nothing outside it."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import asdict

import pytest

from fgtune.results.records import EpochMetrics
from fgtune.training.functions.folder import WorkFolder

HISTORY = (EpochMetrics(1, 1, {"score": 0.5}, 0.1), EpochMetrics(2, 2, {"score": 0.6}, 0.1))


@pytest.fixture(params=["with filters", "before Python 3.11.4"])
def python(request, monkeypatch):
    """Python with and without filters for archives."""
    if request.param != "with filters":
        monkeypatch.delattr(tarfile, "data_filter", raising=False)


@pytest.mark.usefixtures("python")
def test_files_folders_and_links_come_back_with_the_epochs(tmp_path):
    folder = WorkFolder(tmp_path / "work")
    (folder.path / "deep").mkdir()
    (folder.path / "deep" / "epoch_2.pt").write_bytes(b"state")
    (folder.path / "last").symlink_to("deep/epoch_2.pt")
    folder.save(tmp_path / "cell.pt", HISTORY)
    other = WorkFolder(tmp_path / "other")
    assert other.restore(tmp_path / "cell.pt") == HISTORY
    assert (other.path / "last").read_bytes() == b"state"
    assert (other.path / "last").is_symlink()
    assert not other.has_changed()


def link(name: str, target: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    return entry


def pipe(name: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type = tarfile.FIFOTYPE
    return entry


@pytest.mark.usefixtures("python")
@pytest.mark.parametrize(
    "entry",
    [
        tarfile.TarInfo("files/../../outside"),
        link("files/a", "../../outside"),
        link("files/a", "/etc"),
        pipe("files/a"),
    ],
    ids=["a path", "a link", "an absolute link", "a pipe"],
)
def test_an_archive_that_reaches_outside_restores_nothing(tmp_path, entry):
    text = json.dumps([asdict(each) for each in HISTORY]).encode()
    head = tarfile.TarInfo("history.json")
    head.size = len(text)
    with tarfile.open(tmp_path / "cell.pt", "w") as archive:
        archive.addfile(head, io.BytesIO(text))
        archive.addfile(entry)
    folder = WorkFolder(tmp_path / "deep" / "work")
    assert folder.restore(tmp_path / "cell.pt") == ()
    assert list(folder.path.iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} == {"cell.pt", "deep"}
