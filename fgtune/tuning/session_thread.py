"""The thread that starts Ray and ends it, so that the main thread stays free for signals while Ray starts."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
import ray

from fgtune.signals import SIGNALS, leave, take_back_handlers

POLL_S = 0.02
LOOK_S = 0.5
ABANDONED_S = 1.5
"""How long to look for further processes of a session whose start is given up; a thread looks on after that."""
START_S, JOIN_S = 90.0, 30.0
"""Within this time a session on this machine has to start, or a cluster to let this process join. Ray itself waits for
minutes where something else than Ray listens at an address."""
END_S = 15.0
"""How long the orderly end of a session may take before its processes are killed."""
HEAD_IS_GONE_AFTER = 5
"""Looks in a row that find nobody at the address of a cluster's head."""
STUCK_S = 15.0
"""How long the main thread may be deep in a call to a lost session, before the process ends."""
CORE = ("gcs_server", "raylet")
"""Processes without which a session is of no use."""


class StartError(Exception):
    """Ray did not start, for a reason that Ray itself would not give, or only after minutes."""


class SessionThread:
    """A Ray session that one thread starts and ends; local if there is no address.

    Ray's processes are killed by the kernel when the *thread* ends that started them, so it stays until the session
    ends. It blocks the signals that ask to stop, and Ray's processes inherit that: what a terminal, ``timeout`` or a
    batch system sends to all processes of a job reaches the driver alone, and no trial dies of it.

    Args:
        address: Of a cluster; None starts a session on this machine.
        code: Folders of packages that are sent to the nodes of a cluster.

    Attributes:
        fault: What has become of a session that was lost, in words; None while it is well.
    """

    current: SessionThread | None = None
    """The session that is open; None if there is none, or if it is not of our making."""
    latest: SessionThread | None = None
    """The last one that was opened."""
    last_words: Callable[[], object] | None = None
    """What is done, in another thread, before the process ends because a call to a lost session does not return."""

    def __init__(self, address: str | None, code: Sequence[str] = ()) -> None:
        self._address, self._code = address, list(code)
        self._before = set(ray_processes())
        self._known: dict[psutil.Process, str] = {}
        self._ready, self._end = threading.Event(), threading.Event()
        self._error: BaseException | None = None
        self.fault: str | None = None
        self._thread = threading.Thread(target=self._run, name="ray session", daemon=True)

    def open(self) -> None:
        """Start Ray, or join the cluster; whatever Ray raises is raised here.

        Raises:
            StartError: One of Ray's processes has ended, or it takes too long.
            Interrupted: A signal asked to stop meanwhile; nothing of Ray is left.
        """
        self._thread.start()
        limit = START_S if self._address is None else JOIN_S
        started = looked = time.monotonic()
        try:
            while not self._ready.wait(POLL_S):
                take_back_handlers()
                if (now := time.monotonic()) - looked >= LOOK_S:
                    looked = now
                    ended = self._look()
                    if ended is not None:
                        raise StartError(f"its process {ended} has ended while it started")
                    if now - started > limit:
                        raise StartError(f"it was not ready within {limit:g} seconds")
            if self._error is not None:
                raise self._error
        except BaseException:
            self._abandon()
            raise
        finally:
            take_back_handlers()
        SessionThread.current = SessionThread.latest = self
        threading.Thread(target=self._watch, name="ray watch", daemon=True).start()

    def close(self) -> None:
        """End Ray; what does not end in order is killed."""
        SessionThread.current = None
        self._end.set()
        self._thread.join(END_S)
        self.kill()

    @property
    def is_local(self) -> bool:
        """Whether its processes are on this machine and end with it."""
        return self._address is None

    @property
    def has_ended(self) -> bool:
        """Whether the session is over, so that another one may start in this process."""
        return not self._thread.is_alive()

    def kill(self) -> None:
        """End all processes of the session now."""
        self._remember()
        processes = [each for each in self._known if _is_alive(each)]
        for process in processes:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(processes, timeout=1)

    def _look(self) -> str | None:
        """Remember the processes there are; returns the name of one that Ray cannot do without and that has ended."""
        self._remember()
        for name in CORE:
            seen = [each for each, called in self._known.items() if called == name]
            if seen and not any(map(_is_alive, seen)):
                return name
        return None

    def _remember(self) -> None:
        """Learn of the processes there are, by name: one that has ended no longer has it."""
        for process in set(ray_processes()) - self._before - set(self._known):
            with contextlib.suppress(psutil.Error):
                self._known[process] = process.name()

    def look(self) -> None:
        """Notice now, if a session of this machine has lost a process that it cannot do without."""
        ended = self._look() if self.fault is None and self.is_local else None
        if ended is not None:
            self.fault = f"Ray's process {ended} has ended"

    def _watch(self) -> None:
        """Notice within seconds that the session is lost; Ray itself ends this process, but after a minute."""
        head, missed = None, 0
        if self._address is not None and "://" not in self._address:
            with contextlib.suppress(Exception):
                host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
                head = (host, int(port))
        while self.fault is None and not self._end.wait(LOOK_S):
            self.look()
            if head is not None:
                missed = 0 if _answers(head) else missed + 1
                if missed >= HEAD_IS_GONE_AFTER:
                    self.fault = f"nobody answers any more at {head[0]}:{head[1]}, the head of the Ray cluster"
        if self.fault is not None and not self._end.wait(STUCK_S):  # Ray would end this process after a minute
            self.kill()
            with contextlib.suppress(Exception):
                if SessionThread.last_words is not None:
                    SessionThread.last_words()
            leave(f"error: {self.fault}; what is finished is saved, and the same command goes on", 1)

    def _abandon(self) -> None:
        """End what Ray has started, and what it still starts until it notices."""
        self._end.set()
        until = time.monotonic() + ABANDONED_S
        while self._thread.is_alive() and time.monotonic() < until:
            self.kill()
            time.sleep(POLL_S)
        self.kill()
        threading.Thread(target=self._mop_up, daemon=True).start()

    def _mop_up(self) -> None:
        while self._thread.is_alive():
            self.kill()
            time.sleep(POLL_S)

    def _run(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        local: dict[str, Any] = {"include_dashboard": False}
        if self._address is not None:  # the code that is run here is what runs there
            local = {"runtime_env": {"py_modules": self._code}}
        try:
            ray.init(address=self._address or "local", log_to_driver=False, logging_level=logging.ERROR, **local)
        except BaseException as error:  # raised again in the main thread
            self._error = error
            self._ready.set()
            with contextlib.suppress(Exception):
                ray.shutdown()
            return
        self._ready.set()
        self._end.wait()
        over = threading.Event()
        hurry = threading.Thread(target=self._hurry, args=(over,), daemon=True)
        hurry.start()
        with contextlib.suppress(Exception):  # the session may have been lost; what is left is killed
            ray.shutdown()
        over.set()
        hurry.join()

    def _hurry(self, over: threading.Event) -> None:
        """Once Ray has ended the first of its processes, end the others: it would wait a second for each.

        A lost session has ended some before.
        """
        started = [each for each in set(ray_processes()) - self._before if _is_alive(each)]
        while all(map(_is_alive, started)) and not over.wait(POLL_S):
            pass
        self.kill()


def ray_processes() -> list[psutil.Process]:
    """All processes of Ray that descend from this one; what else this one has started is left alone."""
    home, this = str(Path(ray.__file__).parent), os.getpid()
    found: dict[int, psutil.Process] = {}
    with contextlib.suppress(psutil.Error):
        # One look at the process table; it has each parent before its children.
        below = psutil.Process().children(recursive=True)
        for each in below:
            with contextlib.suppress(psutil.Error):
                parent = each.ppid()
                # A zombie has no command line.
                is_top = parent == this and (home in " ".join(each.cmdline()) or each.name() in CORE)
                if is_top or parent in found:
                    found[each.pid] = each
    return [*reversed(found.values())]


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _answers(head: tuple[str, int]) -> bool:
    try:
        socket.create_connection(head, timeout=2).close()
    except OSError:
        return False
    return True
