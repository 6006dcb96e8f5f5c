from __future__ import annotations

import json
import socket

import pytest
from support import hostile_folder

from fgtune.app.cli import main
from fgtune.engine.cell_storage import CellStorage, _Record, check_storage, kept_elsewhere
from fgtune.engine.opening import open_study
from fgtune.errors import StudyFolderError
from fgtune.files import write_atomically
from fgtune.results.folder import StudyFolder
from fgtune.results.options import RunOptions
from fgtune.results.provenance import collect_provenance
from fgtune.results.storage import ObjectStorage


@pytest.fixture
def open_storage(tmp_path):
    """Open the storage of a study in ``tmp_path``; what it says goes to ``said``."""

    def make(address=None, **options):
        return CellStorage(folder, "small", address, said.append, **options)

    folder, said = StudyFolder(tmp_path / "small"), []
    make.folder, make.said = folder, said
    return make


def put(storage, name, content=b"1"):
    storage.write(name, lambda path: write_atomically(path, content))


def test_without_an_address_everything_stays_in_the_study_folder(open_storage):
    storage = open_storage()
    put(storage.checkpoints, "a.pt")
    put(storage.checkpoints, "a.3.pt")
    put(storage.encoders, "e.pt")
    storage.conclude({"a"}, complete=False)
    assert storage.checkpoints.names() == ["a.3.pt"], "a fork may still start from it"
    storage.conclude({"a"}, complete=True)
    assert storage.checkpoints.names() == []
    assert (open_storage.folder.encoders_dir / "e.pt").is_file()
    assert not open_storage.folder.storage_file.exists()


def test_at_the_end_nothing_is_left_in_the_bucket_and_encoders_are_in_the_study_folder(open_storage, bucket):
    storage = open_storage(bucket.uri("runs"))
    record = json.loads(open_storage.folder.storage_file.read_text())
    assert record["folder"].startswith("small-")
    for name in ("a.pt", "b.pt", "a.3.pt"):
        put(storage.checkpoints, name)
    put(storage.encoders, "e.pt", b"encoder")
    own = f"runs/{record['folder']}"
    assert set(bucket.objects) == {
        f"{own}/checkpoints/a.pt",
        f"{own}/checkpoints/b.pt",
        f"{own}/checkpoints/a.3.pt",
        f"{own}/pretrained/e.pt",
    }
    storage.forget("a")
    assert storage.checkpoints.names() == ["a.3.pt", "b.pt"]
    storage.conclude({"a"}, complete=False)
    assert storage.checkpoints.names() == ["a.3.pt", "b.pt"]
    storage.conclude({"a", "b"}, complete=True)
    assert bucket.objects == {}
    assert (open_storage.folder.encoders_dir / "e.pt").read_bytes() == b"encoder"
    assert not open_storage.folder.storage_file.exists()
    assert open_storage.said == []


def test_the_next_call_finds_what_the_last_one_kept_and_another_study_does_not(open_storage, bucket, tmp_path):
    put(open_storage(bucket.uri()).checkpoints, "a.pt")
    assert open_storage(bucket.uri()).checkpoints.names() == ["a.pt"]
    other = CellStorage(StudyFolder(tmp_path / "other" / "small"), "small", bucket.uri(), print)
    assert other.checkpoints.names() == []
    other.conclude((), complete=True)
    assert open_storage(bucket.uri()).checkpoints.names() == ["a.pt"]


def test_checkpoints_follow_the_study_to_another_place_and_home(open_storage, bucket, tmp_path):
    put(open_storage().checkpoints, "a.pt", b"from home")
    for address in (bucket.uri("first"), str(tmp_path / "nfs"), bucket.uri("second"), None):
        storage = open_storage(address)
        with storage.checkpoints.reading("a.pt") as path:
            assert path.read_bytes() == b"from home"
    assert bucket.objects == {}
    assert [text.partition(" from ")[0] for text in open_storage.said] == ["1 checkpoint taken over"] * 4
    storage.conclude({"a"}, complete=True)
    assert not open_storage.folder.storage_file.exists()


def test_what_cannot_be_read_or_cleaned_is_said_once_and_stops_nothing(open_storage, bucket):
    put(open_storage(bucket.uri("p")).checkpoints, "a.pt")
    bucket.ask_for_keys(True)
    try:
        storage = open_storage(bucket.uri("p"))
        storage.forget("a")
        storage.forget("b")
        assert len(open_storage.said) == 1
        assert "cannot be cleaned up (refuses the credentials of this machine" in open_storage.said[0]
        home = open_storage()
        assert home.checkpoints.names() == []
        assert "are not taken over (refuses the credentials" in open_storage.said[1]
    finally:
        bucket.ask_for_keys(False)
    home.conclude({"a"}, complete=True)
    assert bucket.objects == {}


@pytest.mark.parametrize("content", ["", "{", '{"storage": 3}', '{"storage": "http://x", "folder": "y"}', "[]"])
def test_a_damaged_record_counts_as_none(open_storage, bucket, content):
    open_storage.folder.root.mkdir()
    open_storage.folder.storage_file.write_text(content)
    assert open_storage(bucket.uri()).checkpoints.names() == []


@pytest.mark.parametrize("name", hostile_folder.FOLDER["storage.json"])
def test_a_record_that_means_harm_counts_as_none(tmp_path, name):
    hostile_folder.FOLDER["storage.json"][name](tmp_path / "storage.json", b"")
    found = _Record.read(tmp_path / "storage.json")
    assert found is None or name == "elsewhere"


def test_a_call_that_trains_nothing_moves_nothing_and_cleans_up_when_all_is_done(open_storage, bucket):
    put(open_storage(bucket.uri("p")).checkpoints, "a.pt")
    for address in (None, bucket.uri("q")):
        open_storage(address, is_idle=True).conclude((), complete=False)
        assert len(bucket.objects) == 1
    assert kept_elsewhere(open_storage.folder).startswith(f"s3://{bucket.name}/p/small-")
    open_storage(is_idle=True).conclude((), complete=True)
    assert bucket.objects == {}
    assert kept_elsewhere(open_storage.folder) is None


def test_on_a_cluster_the_folders_are_there_before_other_machines_look_for_them(open_storage):
    storage = open_storage(may_be_missing=True)
    assert storage.checkpoints.here() is storage.checkpoints
    assert open_storage.folder.encoders_dir.is_dir()
    storage.conclude((), complete=True)
    assert not open_storage.folder.encoders_dir.exists()


@pytest.mark.parametrize("name", ["precious", "../precious", ".", "", "a/precious-01234567", 7])
def test_a_record_from_elsewhere_makes_no_folder_of_the_users_disappear(open_storage, tmp_path, name):
    precious = tmp_path / "storage" / "precious"
    precious.mkdir(parents=True)
    (precious / "checkpoints").mkdir()
    (precious / "checkpoints" / "model.pt").write_bytes(b"1")
    record = {"storage": str(tmp_path / "storage"), "folder": name}
    write_atomically(open_storage.folder.storage_file, json.dumps(record).encode())
    for idle in (True, False):
        open_storage(is_idle=idle).conclude(set(), complete=True)
    assert (precious / "checkpoints" / "model.pt").read_bytes() == b"1"


def test_one_place_under_two_names_is_left_as_it_is(open_storage, bucket, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").symlink_to(tmp_path / "a")
    for first, second in (
        (str(tmp_path / "a"), str(tmp_path / "b")),
        (bucket.uri("p"), bucket.uri("p") + "&region=us-east-1"),
    ):
        put(open_storage(first).checkpoints, "a.pt", b"kept")
        with open_storage(second).checkpoints.reading("a.pt") as path:
            assert path.read_bytes() == b"kept"
        open_storage().conclude({"a"}, complete=True)


def test_a_move_that_is_cut_off_is_ended_by_the_next_call(open_storage, bucket, monkeypatch):
    for name in ("a.pt", "b.pt", "c.pt"):
        put(open_storage().checkpoints, name, name.encode())
    real, written = ObjectStorage.write, []

    def cut_off(self, name, save):
        written.append(name)
        if len(written) == 2:
            raise KeyboardInterrupt
        real(self, name, save)

    with monkeypatch.context() as patch:
        patch.setattr(ObjectStorage, "write", cut_off)
        with pytest.raises(KeyboardInterrupt):
            open_storage(bucket.uri("p"))
    storage = open_storage(bucket.uri("p"))
    assert storage.checkpoints.names() == ["a.pt", "b.pt", "c.pt"]
    for name in storage.checkpoints.names():
        with storage.checkpoints.reading(name) as path:
            assert path.read_bytes() == name.encode()
    storage.conclude({"a", "b", "c"}, complete=True)
    assert bucket.objects == {}


def test_backbones_follow_the_study_too_and_are_home_at_the_end(open_storage, bucket):
    put(open_storage().encoders, "old.pt", b"old")
    put(open_storage(bucket.uri("first")).encoders, "e.pt", b"encoder")
    storage = open_storage(bucket.uri("second"))
    assert storage.encoders.names() == ["e.pt", "old.pt"]
    storage.conclude((), complete=True)
    assert bucket.objects == {}
    home = open_storage.folder.encoders_dir
    assert {path.name: path.read_bytes() for path in home.glob("*.pt")} == {"e.pt": b"encoder", "old.pt": b"old"}


def as_from_elsewhere(path):
    """Let a record be one that somebody else has signed."""
    record = json.loads(path.read_text())
    assert record.pop("signature")
    path.write_text(json.dumps(record | {"signature": "0" * 64}))


def test_a_record_from_elsewhere_is_not_followed_unless_the_call_names_the_same_place(open_storage, bucket):
    put(open_storage(bucket.uri("p")).checkpoints, "a.pt")
    as_from_elsewhere(open_storage.folder.storage_file)
    before = bucket.objects
    for address, idle in ((None, False), (None, True), (bucket.uri("q"), False), (bucket.uri("q"), True)):
        with pytest.raises(StudyFolderError, match="was not written by you on this machine, got") as caught:
            open_storage(address, is_idle=idle)
        assert f"go on with --storage '{bucket.uri('p')}'; otherwise delete " in caught.value.fix
        assert bucket.objects == before
    assert kept_elsewhere(open_storage.folder).startswith(f"s3://{bucket.name}/p/small-"), "`fgtune status` says it"
    assert open_storage(bucket.uri("p")).checkpoints.names() == ["a.pt"]
    check_storage(open_storage.folder, None)  # confirmed: the record is this user's own now
    assert open_storage().checkpoints.names() == ["a.pt"]


def test_a_record_that_was_deleted_is_forgotten(open_storage, bucket):
    put(open_storage(bucket.uri("p")).checkpoints, "a.pt")
    as_from_elsewhere(open_storage.folder.storage_file)
    open_storage.folder.storage_file.unlink()
    assert open_storage().checkpoints.names() == []


@pytest.fixture
def server_of_others():
    """The address of a server that notices whoever connects."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.2)
        yield listening


def test_a_study_folder_from_elsewhere_takes_no_call_to_a_server_that_it_names(
    small_study, tmp_path, capsys, server_of_others
):
    opened, folder = open_study(small_study), StudyFolder(tmp_path / "small")
    folder.create_or_check(opened.plan, opened.loaded, collect_provenance(opened.plan, RunOptions(small_study)))
    place = f"s3://b/p?scheme=http&endpoint_override=127.0.0.1:{server_of_others.getsockname()[1]}"
    folder.storage_file.write_text(json.dumps({"storage": place, "folder": "small-01234567"}))
    before = sorted(path.name for path in folder.root.iterdir())
    assert main(["run", str(small_study), "--out", str(tmp_path), "--tracking-uri", "none"]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"error: {folder.storage_file}: says that checkpoints of unfinished cells lie there")
    assert told.count("\n") == 1
    assert sorted(path.name for path in folder.root.iterdir()) == before
    with pytest.raises(TimeoutError):
        server_of_others.accept()
