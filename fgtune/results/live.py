"""What runs now: a small file that the driver keeps in the study folder, for ``fgtune status`` and for people."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from fgtune.errors import ConfigError
from fgtune.files import MOST_TEXT, read_bytes, write_atomically
from fgtune.text import duration

STALE_AFTER_S = 60.0
"""A file that has not been written for so long, although its process lives, shows a driver that is stuck."""


@dataclass(frozen=True)
class RunningTrial:
    """A running trial; times are seconds since 1970.

    Attributes:
        cell_id: Its cell.
        epoch: The last epoch that the driver knows of; 0 before the first.
        started: When its worker began, after a crash began again.
        heard: When its last epoch was heard of, or when it started.
        usual_s: Median seconds of an epoch; None before there is any.
        silent_after_s: Seconds without an epoch after which it counts as silent.
    """

    cell_id: str
    epoch: int
    started: float
    heard: float
    usual_s: float | None
    silent_after_s: float


@dataclass(frozen=True)
class Running:
    """What ran when the file was written.

    Attributes:
        written: When that was, in seconds since 1970.
        trials: The running trials.
    """

    written: float
    trials: tuple[RunningTrial, ...]


_PARSER = TypeAdapter(Running)


def write_running(path: Path, trials: Iterable[RunningTrial], written: float | None = None) -> None:
    """Replace the file, written now or at another time; a disk that takes nothing is left to what must be written."""
    with contextlib.suppress(OSError):
        content = Running(time.time() if written is None else written, tuple(trials))
        write_atomically(path, json.dumps(asdict(content)).encode())


def read_running(path: Path) -> Running | None:
    """What the file holds; None without one, or where it is no such file."""
    try:
        return _PARSER.validate_json(read_bytes(path, MOST_TEXT))
    except (ConfigError, ValidationError):
        return None


def log_fault(path: Path, text: str) -> None:
    """Add a line with its time to the log of what went wrong; a disk that takes nothing is no reason to stop."""
    line = f"{datetime.now(UTC).isoformat(timespec='seconds')} {' '.join(text.split())}\n"
    with contextlib.suppress(OSError), path.open("a", encoding="utf-8") as file:
        file.write(line)


def silence_text(seconds: float, epoch: int, usual: float | None) -> str:
    """``no epoch for 14 min since epoch 3, the median is 9.0 s``."""
    since = f"since epoch {epoch}" if epoch else "since it started"
    if usual is None:
        return f"no epoch for {duration(seconds)} {since}"
    median_text = "below 0.1 s" if usual < 0.05 else duration(usual)
    return f"no epoch for {duration(seconds)} {since}, the median is {median_text}"
