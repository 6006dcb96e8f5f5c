"""Ray's own lines: while a session is open they go to a file, since they are for Ray's developers."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from fgtune.signals import before_leaving

THREADS = "ray_"
"""How Ray names its threads in this process, which print what other processes of a session report."""


@contextlib.contextmanager
def ray_lines_to(path: Path | None) -> Iterator[None]:
    """While open, what Ray writes to standard error, or prints, is kept, and added to ``path`` at the end.

    ``sys.stderr`` still shows what others print there. ``path`` is left alone if its folder does not exist by then, or
    if there is nothing to add.

    Args:
        path: The file; None keeps nothing apart.
    """
    if path is None:
        yield
        return
    with tempfile.TemporaryFile() as kept, contextlib.ExitStack() as stack:
        original = os.dup(2)
        stack.callback(os.close, original)
        if _is_standard_error(sys.stderr):
            stack.enter_context(contextlib.redirect_stderr(_Split(original, kept.fileno())))
        stack.enter_context(_logger_to(kept.fileno()))
        stack.enter_context(_printed_to(kept.fileno()))
        stack.enter_context(before_leaving(lambda: _add(kept, path)))
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(original, 2)
            _add(kept, path)


class _Split(io.TextIOBase, TextIO):
    """Standard error: what Ray's threads print goes to another file."""

    encoding = "utf-8"

    def __init__(self, shown: int, kept: int) -> None:
        self._shown, self._kept = shown, kept

    def write(self, text: str) -> int:
        is_ray = threading.current_thread().name.startswith(THREADS)
        os.write(self._kept if is_ray else self._shown, text.encode("utf-8", "backslashreplace"))
        return len(text)

    def isatty(self) -> bool:
        return os.isatty(self._shown)


@contextlib.contextmanager
def _logger_to(file: int) -> Iterator[None]:
    """Send the records of Ray's loggers to a file descriptor."""
    logger = logging.getLogger("ray")
    with os.fdopen(os.dup(file), "w", encoding="utf-8", errors="backslashreplace") as text:
        handler, before, propagates = logging.StreamHandler(text), logger.handlers[:], logger.propagate
        logger.handlers[:], logger.propagate = [handler], False
        try:
            yield
        finally:
            logger.handlers[:], logger.propagate = before, propagates


@contextlib.contextmanager
def _printed_to(file: int) -> Iterator[None]:
    """Send to a file descriptor what Ray prints to standard output of errors that its other processes report."""
    import ray._private.worker as worker

    before = worker.print_to_stdstream

    def keep(data: Mapping[str, Any], *_: Any, **__: Any) -> None:
        text = "".join(f"({data.get('pid')}) {line}\n" for line in data.get("lines", ()))
        os.write(file, text.encode("utf-8", "backslashreplace"))

    worker.print_to_stdstream = keep
    try:
        yield
    finally:
        worker.print_to_stdstream = before


def _is_standard_error(stream: object) -> bool:
    """Whether a stream writes to the descriptor itself, and not to a notebook or a test."""
    try:
        return isinstance(stream, io.TextIOWrapper) and stream.fileno() == 2
    except (OSError, ValueError):
        return False


def _add(kept: BinaryIO, path: Path) -> None:
    kept.seek(0)
    text = kept.read()
    if text and path.parent.is_dir():
        with contextlib.suppress(OSError), path.open("ab") as file:
            file.write(text)
