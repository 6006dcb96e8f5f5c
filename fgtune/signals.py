"""How a process answers when it is asked to stop: the first signal stops it in order, a second one at once.

Ctrl-C (SIGINT), SIGTERM (batch systems, containers, spot machines), SIGHUP (a closed terminal) and SIGUSR1 (what SLURM
sends before the time is up) mean the same. What was ignored when the process started (``nohup``, ``&`` in a script)
stays ignored. A thread reads the signals from a pipe that the interpreter writes to, so that the word is said, and a
second signal obeyed, while the main thread is deep in a library, and another library's handler swallows none.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, name))
SAME_S = 1.0
"""Signals within this time of the first one are one request: GNU ``timeout`` sends two, so do shells that hang up."""
STOPPED_AT_ONCE = 128
"""What the number of the second signal is added to for the exit code, as shells do."""


class Interrupted(KeyboardInterrupt):
    """Raised in the main thread by the first signal, where nothing stops by itself."""


class _Requests:
    """The signals of this process, and what is to be done about them."""

    def __init__(self) -> None:
        self.first: int | None = None
        self._since = 0.0
        self.deferred: list[Callable[[], None]] = []
        self.at_once: list[Callable[[], None]] = []
        self._previous: dict[int, Any] = {}
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._old_fd = -1
        self._was_answered = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="signals", daemon=True)

    def open(self) -> None:
        """Install the handlers."""
        self._old_fd = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        wanted = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        self._previous = {number: signal.signal(number, self._handle) for number in wanted}
        self._thread.start()

    def install(self) -> None:
        """Install them again, after a library has replaced them."""
        for number in self._previous:
            signal.signal(number, self._handle)

    def close(self) -> None:
        """Give back what was there before."""
        for number, handler in self._previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        signal.set_wakeup_fd(self._old_fd)
        self._writer.close()  # the thread reads the end, and ends
        self._thread.join(timeout=5)
        self._reader.close()

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        """In the main thread, as soon as it comes back to Python."""
        self._note(number)
        was_answered, self._was_answered = self._was_answered, True
        if self.deferred:
            self.deferred[-1]()
        elif not was_answered:
            raise Interrupted(signal.Signals(number).name)

    def _note(self, number: int) -> None:
        """Remember the first request."""
        with self._lock:
            if self.first is None:
                self.first, self._since = number, time.monotonic()

    def _watch(self) -> None:
        """In a thread of its own, at once; every byte is the number of a signal."""
        was_told = False
        while numbers := self._reader.recv(64):
            for number in numbers:
                if number not in self._previous:
                    continue
                self._note(number)
                name = signal.Signals(number).name
                if not was_told:
                    was_told = True
                    _let_go_of_dead_outputs()
                    _tell(f"{name}: stopping in order, which takes some seconds; once more stops at once")
                    for act in self.deferred[-1:]:  # also where a library has replaced the handler
                        act()
                elif time.monotonic() - self._since >= SAME_S:
                    _tell(f"{name}: stopped at once; what is finished is saved, and the same command goes on")
                    self.leave(STOPPED_AT_ONCE + number)

    def leave(self, code: int) -> None:
        """End the process now."""
        for act in self.at_once:
            with contextlib.suppress(Exception):
                act()
        os._exit(code)


_current: _Requests | None = None


@contextlib.contextmanager
def answering_signals() -> Iterator[None]:
    """While open, signals that ask to stop are answered; inside another such block, or a side thread, nothing is new.

    Raises:
        Interrupted: In the main thread, at the first signal, unless it is ``deferring``.
    """
    global _current
    if _current is not None or threading.current_thread() is not threading.main_thread():
        yield
        return
    _current = requests = _Requests()
    requests.open()
    try:
        yield
    finally:
        _current = None
        requests.close()


@contextlib.contextmanager
def deferring(act: Callable[[], None]) -> Iterator[None]:
    """While open, the first signal calls ``act``, perhaps twice and from another thread, and nothing is raised.

    A request from before the block is passed on at its beginning.
    """
    requests = _current
    if requests is None:
        yield
        return
    requests.deferred.append(act)
    try:
        if requests.first is not None:
            act()
        yield
    finally:
        requests.deferred.remove(act)


@contextlib.contextmanager
def before_leaving(act: Callable[[], None]) -> Iterator[None]:
    """While open, ``act`` is called, in any thread, if a second signal ends the process at once."""
    requests = _current
    if requests is None:
        yield
        return
    requests.at_once.append(act)
    try:
        yield
    finally:
        requests.at_once.remove(act)


def asked_to_stop() -> str | None:
    """The signal that has asked this process to stop, by name; None if none has."""
    return None if _current is None or _current.first is None else signal.Signals(_current.first).name


def take_back_handlers() -> None:
    """Install the handlers again, after a library may have replaced them; does nothing in a side thread.

    Ray puts a handler in C++ there, which prints a stack and sets an alarm that aborts the process three seconds later.
    """
    if _current is None or threading.current_thread() is not threading.main_thread():
        return
    if _current.first is not None:
        signal.alarm(0)
    _current.install()


def leave_within(seconds: float, code: int) -> None:
    """End the process with ``code`` after some seconds, if it has not ended by then."""

    def leave() -> None:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        os._exit(code)

    timer = threading.Timer(seconds, leave)
    timer.daemon = True
    timer.start()


def leave(text: str, code: int) -> None:
    """Say why on standard error, and end the process at once, from any thread, after what is due ``before_leaving``."""
    _tell(text)
    if _current is not None:
        _current.leave(code)
    os._exit(code)


def _let_go_of_dead_outputs() -> None:
    """Point outputs that nobody reads any more (a closed terminal, an ended pipe) at nothing: writes succeed."""
    for number in (1, 2):
        with contextlib.suppress(OSError):
            poll = select.poll()
            poll.register(number, select.POLLERR | select.POLLHUP)
            if any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0)):
                nothing = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nothing, number)
                os.close(nothing)


def _tell(text: str) -> None:
    """Print to standard error, whatever state it is in."""
    with contextlib.suppress(Exception):
        print(text, file=sys.stderr, flush=True)
