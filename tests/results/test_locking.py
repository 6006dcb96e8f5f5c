from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading

import pytest

from fgtune.errors import StudyFolderError
from fgtune.results.locking import lock_holder, locked

HOLDER = """
import sys
from pathlib import Path
from fgtune.results.locking import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def lock(tmp_path):
    return tmp_path / ".lock"


def test_who_asks_leaves_no_file_and_no_trace(lock):
    assert lock_holder(lock) is None
    assert not lock.exists()
    with locked(lock):
        assert lock_holder(lock) == str(os.getpid())
        assert lock.read_text() == f"{os.getpid()}\n"
    assert lock_holder(lock) is None


def test_a_holder_in_the_same_process_is_another_holder(lock):
    with locked(lock):
        rule = rf"is being written by another process \(pid {os.getpid()}\)"
        with pytest.raises(StudyFolderError, match=rule), locked(lock):
            pass
        assert lock_holder(lock) == str(os.getpid())


def test_a_killed_holder_blocks_nobody(lock):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"held\n"
        assert lock_holder(lock) == str(process.pid)
        process.kill()
        process.wait(timeout=60)
    assert lock_holder(lock) is None
    with locked(lock):
        assert lock_holder(lock) == str(os.getpid())


def test_asking_never_keeps_a_run_from_starting(lock):
    lock.touch()
    done = threading.Event()

    def ask():
        while not done.wait(0.002):
            assert lock_holder(lock) in {None, "unknown", str(os.getpid())}

    asker = threading.Thread(target=ask)
    asker.start()
    try:
        for _ in range(20):
            with locked(lock):
                pass
    finally:
        done.set()
        asker.join()


def test_a_file_system_without_locks_is_an_error_that_says_what_to_do(lock, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)
    with (
        pytest.raises(StudyFolderError, match=r"cannot be locked \(.*\)\. Fix: choose a local disk with --out"),
        locked(lock),
    ):
        pass
    assert lock_holder(lock) is None
