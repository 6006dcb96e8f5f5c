from __future__ import annotations

import errno
import os
import pickle
import re
import stat
import subprocess
import sys
import time

import pytest
from support.buckets import KEYS

from fgtune.errors import ConfigError
from fgtune.files import write_atomically
from fgtune.results.object_stores import BucketError
from fgtune.results.storage import FolderStorage, Nowhere, ObjectStorage, storage_at
from fgtune.results.storage_check import marked
from fgtune.visible import MASK


def put(storage, name: str, content: bytes) -> None:
    storage.write(name, lambda path: write_atomically(path, content))


def get(storage, name: str) -> bytes | None:
    with storage.reading(name) as path:
        return None if path is None else path.read_bytes()


@pytest.fixture(params=["folder", "bucket", "google_bucket"])
def storage(request, tmp_path):
    if request.param == "folder":
        (tmp_path / "shared" / "checkpoints").mkdir(parents=True)
        return storage_at(str(tmp_path / "shared")).below("checkpoints")
    return storage_at(request.getfixturevalue(request.param).uri("a b/runs")).below("checkpoints")


@pytest.mark.slow_except("bucket")
def test_files_are_kept_replaced_listed_and_removed_one_by_one_or_all(storage):
    assert storage.names() == []
    assert get(storage, "x.pt") is None
    large = os.urandom(12_000_000)  # more than one part of an upload
    put(storage, "x.pt", b"old")
    put(storage, "x.pt", large)
    put(storage, "y.1.pt", b"state")
    put(storage.below("deeper"), "z.pt", b"deep")
    assert storage.names() == ["x.pt", "y.1.pt"]
    assert get(storage, "x.pt") == large
    storage.remove(["x.pt", "never there"])
    assert storage.names() == ["y.1.pt"]
    storage.clear()
    assert storage.names() == []
    assert get(storage.below("deeper"), "z.pt") is None
    storage.clear()


def test_a_worker_gets_the_same_place(storage):
    put(storage, "x.pt", b"here")
    assert get(pickle.loads(pickle.dumps(storage)).here(), "x.pt") == b"here"  # noqa: S301 (own bytes)


@pytest.fixture(params=["bucket", "google_bucket"])
def any_bucket(request):
    return request.getfixturevalue(request.param)


def test_what_fails_while_it_is_saved_leaves_the_old_file(any_bucket):
    storage = storage_at(any_bucket.uri("p"))
    put(storage, "x.pt", b"old")

    def fail(path):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        storage.write("x.pt", fail)
    assert any_bucket.objects == {"p/x.pt": b"old"}


def test_a_machine_that_does_not_see_a_folder_keeps_nothing_where_that_is_allowed(tmp_path):
    missing = FolderStorage(tmp_path / "study", may_be_missing=True)
    here = missing.here()
    put(here, "x.pt", b"1")
    assert isinstance(here, Nowhere)
    assert (here.names(), get(here, "x.pt"), (tmp_path / "study").exists()) == ([], None, False)
    assert not here.work_folder("x.work").is_relative_to(tmp_path / "study")
    (tmp_path / "study").mkdir()
    assert missing.here() is missing
    assert isinstance(FolderStorage(tmp_path / "other").here(), FolderStorage)


@pytest.mark.slow
def test_a_mark_shows_that_another_process_sees_the_same_place_and_is_gone_afterwards(any_bucket, tmp_path):
    for text in (any_bucket.uri("runs"), str(tmp_path / "new" / "shared")):
        with marked(text) as mark:
            code = f"import pickle; print(pickle.loads({pickle.dumps(mark)!r}).fault())"
            told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
            assert told.strip() == "None"
        assert mark.fault() == "is not the same place as on the driver's machine"
    assert any_bucket.objects == {}
    assert list((tmp_path / "new" / "shared").iterdir()) == []


def test_marks_that_killed_calls_left_are_removed_by_a_later_one_and_no_others(any_bucket, tmp_path):
    now, names = int(time.time()), []
    for text in (any_bucket.uri("runs"), str(tmp_path)):
        names = [f".fgtune-check-{now - age:x}-01234567" for age in (7200, 60)] + [".fgtune-check-mine", "old.pt"]
        for name in names:
            put(storage_at(text), name, b"1")
        with marked(text) as mark:
            assert mark.fault() is None
    assert sorted(any_bucket.objects) == sorted(f"runs/{name}" for name in names[1:])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names[1:])


def test_endpoint_region_and_keys_come_from_the_environment(bucket, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", bucket.endpoint)
    put(storage_at(f"s3://{bucket.name}/p"), "x.pt", b"1")
    assert list(bucket.objects) == ["p/x.pt"]


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as caught, marked(text):
        pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_bucket_that_is_not_there_is_named(any_bucket):
    text = refused(any_bucket.uri().replace(any_bucket.name, "nobody"))
    assert re.match(r"execution\.storage: there is no bucket 'nobody', got '(s3|gs)://nobody\?", text)


def test_keys_that_are_wrong_are_told_and_never_shown(bucket):
    bucket.ask_for_keys(True)
    try:
        text = refused(bucket.uri("p"))
        assert "refuses the credentials of this machine, got" in text
        assert not any(value in text for value in KEYS.values())
    finally:
        bucket.ask_for_keys(False)


def test_a_server_that_is_not_there_is_named_within_seconds(bucket):
    started = time.monotonic()
    text = refused("s3://b/p?scheme=http&endpoint_override=127.0.0.1:9")
    assert "cannot be reached at http://127.0.0.1:9 (" in text
    assert "AWS_ENDPOINT_URL" in text
    assert time.monotonic() - started < 20


def test_a_text_of_the_client_is_shown_without_the_secrets_of_the_environment(monkeypatch):
    from fgtune.config.schema.storage import parse_storage
    from fgtune.results.object_stores import faults_of

    monkeypatch.setenv("AWS_SESSION_TOKEN", "very-secret")
    with pytest.raises(BucketError) as caught, faults_of(parse_storage("s3://b")):
        raise OSError("AWS Error UNKNOWN for token very-secret at http://u:pass@host/x\nmore")
    assert caught.value.strerror == f"cannot be used (AWS Error UNKNOWN for token {MASK} at http://u:{MASK}@host/x)"
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301 (own bytes)


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_folder_that_cannot_be_one_is_refused(tmp_path, name):
    (tmp_path / "file").write_text("mine")
    assert "must be a folder, a file is in its place" in refused(str(tmp_path / name))


def test_scratch_files_of_a_machine_are_for_their_owner_alone(bucket):
    storage = storage_at(bucket.uri("p"))
    assert isinstance(storage, ObjectStorage)
    with storage.locked("x.pt"):
        folder = storage.work_folder("y").parent
        assert stat.S_IMODE(folder.stat().st_mode) & 0o077 == 0
