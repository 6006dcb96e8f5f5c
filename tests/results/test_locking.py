from __future__ import annotations

import errno
import os
import platform
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from fgtune.errors import StudyFolderError
from fgtune.results import locking
from fgtune.results.locking import Holder, lock_holder, locked, record_file

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


@pytest.fixture
def without_locks(monkeypatch):
    """A file system that has no locks."""

    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)


def held_elsewhere(lock, touched: float = 0.0, **changed) -> Holder:
    """The record that another process has left, touched so many seconds ago."""
    record = replace(locking._ourselves(), **changed)
    path = record_file(lock)
    path.write_bytes(locking._PARSER.dump_json(record))
    os.utime(path, (time.time() - touched,) * 2)
    lock.touch()
    return record


def test_who_asks_leaves_no_file_and_no_trace(lock):
    assert lock_holder(lock) is None
    assert not lock.exists()
    with locked(lock):
        holder = lock_holder(lock)
        assert (holder.pid, holder.host) == (os.getpid(), platform.node())
        assert 0 <= holder.age < 10
        assert lock.read_text() == f"{os.getpid()}\n"
    assert lock_holder(lock) is None
    assert sorted(path.name for path in lock.parent.iterdir()) == [".lock"]


def test_a_holder_in_the_same_process_is_another_holder(lock):
    with locked(lock):
        rule = (
            rf"is being written by process {os.getpid()} of \w+ on {re.escape(platform.node())}, "
            r"since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC \(\d.\d s\)\. Fix: wait for it"
        )
        with pytest.raises(StudyFolderError, match=rule), locked(lock):
            pass
        assert lock_holder(lock).pid == os.getpid()


def test_a_killed_holder_blocks_nobody(lock):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"held\n"
        assert lock_holder(lock).pid == process.pid
        process.kill()
        process.wait(timeout=60)
    assert record_file(lock).exists()
    assert lock_holder(lock) is None
    with locked(lock):
        assert lock_holder(lock).pid == os.getpid()


def test_asking_never_keeps_a_run_from_starting(lock):
    lock.touch()
    done = threading.Event()

    def ask():
        while not done.wait(0.002):
            holder = lock_holder(lock)
            assert holder is None or holder.pid in {0, os.getpid()}

    asker = threading.Thread(target=ask)
    asker.start()
    try:
        for _ in range(20):
            with locked(lock):
                pass
    finally:
        done.set()
        asker.join()


def test_an_earlier_version_holds_the_lock_with_its_number_alone(lock):
    import fcntl

    lock.write_text("4321\n")
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert str(lock_holder(lock)) == "process 4321"
        with pytest.raises(StudyFolderError, match="is being written by process 4321"), locked(lock):
            pass


def test_who_waits_is_told_for_whom_once_and_goes_on_when_the_lock_is_free(lock):
    said = []
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"held\n"
        threading.Timer(1.5, process.stdin.close).start()
        with locked(lock, wait=True, say=said.append):
            assert lock_holder(lock).pid == os.getpid()
        process.wait(timeout=60)
    (line,) = said
    assert f"is being written by process {process.pid} of " in line


@pytest.mark.usefixtures("without_locks")
def test_without_locks_the_process_that_left_the_record_decides(lock):
    with locked(lock):
        assert lock_holder(lock).pid == os.getpid()
        with pytest.raises(StudyFolderError, match=f"is being written by process {os.getpid()} of "), locked(lock):
            pass
    assert lock_holder(lock) is None
    held_elsewhere(lock, started=1.0)  # another process had our number before
    assert lock_holder(lock) is None
    with locked(lock):
        assert lock_holder(lock).started > 1.0


def test_a_record_of_another_machine_counts_while_it_is_touched(lock):
    record = held_elsewhere(lock, touched=locking.STALE_AFTER_S - 20, host="node7", user="ann", pid=77)
    assert lock_holder(lock) == record
    with pytest.raises(StudyFolderError, match="is being written by process 77 of ann on node7, since"), locked(lock):
        pass
    held_elsewhere(lock, touched=locking.STALE_AFTER_S + 5, host="node7", user="ann", pid=77)
    assert lock_holder(lock) is None
    with locked(lock):
        assert lock_holder(lock).pid == os.getpid()


def test_the_record_is_touched_while_the_lock_is_held(lock, monkeypatch):
    monkeypatch.setattr(locking, "TOUCHED_EVERY_S", 0.05)
    with locked(lock):
        os.utime(record_file(lock), (0, 0))
        until = time.monotonic() + 10
        while record_file(lock).stat().st_mtime == 0 and time.monotonic() < until:
            time.sleep(0.02)
        assert time.time() - record_file(lock).stat().st_mtime < 10


def test_who_has_lost_the_lock_to_another_machine_stops(lock, monkeypatch):
    """A machine that slept for long finds somebody else at work when it wakes."""
    monkeypatch.setattr(locking, "TOUCHED_EVERY_S", 0.05)
    former = signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it

    def lose():
        with locked(lock):
            held_elsewhere(lock, host="node7", pid=77)
            time.sleep(10)

    try:
        with pytest.raises(KeyboardInterrupt):
            lose()
    finally:
        signal.signal(signal.SIGINT, former)
    record = lock_holder(lock)
    assert (record.host, record.pid) == ("node7", 77)
    assert locking._read(record_file(lock)) == record, "the record of the other one stays"


@pytest.mark.usefixtures("without_locks")
def test_of_many_that_start_at_once_one_gets_the_lock(lock):
    held_elsewhere(lock, started=1.0)  # all of them find the record of a process that is gone
    start, settled, taken, refused = threading.Barrier(8), threading.Event(), [], []

    def run():
        start.wait()
        try:
            with locked(lock):
                taken.append(1)
                settled.wait(5)
        except StudyFolderError:
            refused.append(1)
            if len(refused) == 7:
                settled.set()

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(taken), len(refused)) == (1, 7)
