"""The thread that starts Ray and ends it, so that the main thread stays free for signals while Ray starts."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import ray

from fgtune.signals import SIGNALS, take_back_handlers

POLL_S = 0.02
ABANDONED_S = 1.5
"""How long to look for further processes of a session whose start is given up; a thread looks on after that."""
END_S = 20.0
"""How long the orderly end of a session may take before its processes are killed."""


class SessionThread:
    """A Ray session that one thread starts and ends; local if there is no address.

    Ray's processes are killed by the kernel when the *thread* ends that started them, so it stays until the session
    ends. It blocks the signals that ask to stop, and Ray's processes inherit that: what a terminal, ``timeout`` or a
    batch system sends to all processes of a job reaches the driver alone, and no trial dies of it.

    Args:
        address: Of a cluster; None starts a session on this machine.
    """

    def __init__(self, address: str | None) -> None:
        self._address = address
        self._before = set(ray_processes())
        self._ready, self._end = threading.Event(), threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="ray session", daemon=True)

    def open(self) -> None:
        """Start Ray, or join the cluster; whatever Ray raises is raised here.

        Raises:
            Interrupted: A signal asked to stop meanwhile; nothing of Ray is left.
        """
        self._thread.start()
        try:
            while not self._ready.wait(POLL_S):
                take_back_handlers()
        except BaseException:
            self._abandon()
            raise
        finally:
            take_back_handlers()
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """End Ray; what does not end in order is killed."""
        self._end.set()
        self._thread.join(END_S)
        self.kill()

    def kill(self) -> None:
        """End all processes of the session now."""
        processes = list(set(ray_processes()) - self._before)
        for process in processes:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(processes, timeout=1)

    def _abandon(self) -> None:
        """End what Ray has started, and what it still starts until it notices."""
        self._end.set()
        until = time.monotonic() + ABANDONED_S
        while self._thread.is_alive() and time.monotonic() < until:
            self.kill()
            time.sleep(POLL_S)
        threading.Thread(target=self._mop_up, daemon=True).start()

    def _mop_up(self) -> None:
        while self._thread.is_alive():
            self.kill()
            time.sleep(POLL_S)

    def _run(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        local: dict[str, Any] = {"include_dashboard": False} if self._address is None else {}
        try:
            ray.init(address=self._address or "local", log_to_driver=False, logging_level=logging.ERROR, **local)
        except BaseException as error:  # raised again in the main thread
            self._error = error
            self._ready.set()
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
        """Once Ray has ended the first of its processes, end the others: it would wait a second for each."""
        started = list(set(ray_processes()) - self._before)
        while all(map(_is_alive, started)) and not over.wait(POLL_S):
            pass
        self.kill()


def ray_processes() -> list[psutil.Process]:
    """All processes of Ray that descend from this one; what else this one has started is left alone."""
    home, found = str(Path(ray.__file__).parent), []
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.Error):
                if home in " ".join(child.cmdline()):
                    found += [*child.children(recursive=True), child]
    return found


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
