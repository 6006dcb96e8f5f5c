"""Waiting for room on a full disk: what is finished is kept in memory and written once it can be."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from fgtune.text import duration

LONGEST_S = 600.0
"""Seconds that a finished result waits for room before the run ends."""
_AGAIN_S = 1.0
_FULL = {errno.ENOSPC, errno.EDQUOT}

_T = TypeVar("_T")


class Patience:
    """Repeats what a full disk refuses until there is room, for a while.

    Args:
        say: Receives a line when the wait begins and when it ends.
        is_over: Whether the user, or a budget, has asked to stop: then nothing is waited for.
        longest_s: Seconds that one write waits at most.
        sleep: Waits for so many seconds.
    """

    def __init__(
        self,
        say: Callable[[str], object],
        is_over: Callable[[], bool] = lambda: False,
        longest_s: float = LONGEST_S,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._say, self._is_over, self._longest_s, self._sleep = say, is_over, longest_s, sleep

    def __call__(self, write: Callable[[], _T], what: str, place: Path) -> _T:
        """What ``write`` returns, which is called again while the disk is full; it must leave nothing half-done.

        Args:
            write: Writes something.
            what: What it writes, in words: ``the result of baseline, seed 3``.
            place: The folder that is written into.

        Raises:
            OSError: It failed for another reason, or there was no room in time, or the run was asked to stop.
        """
        waited = 0.0
        while True:
            try:
                written = write()
            except OSError as error:
                if error.errno not in _FULL or waited >= self._longest_s or self._is_over():
                    raise
                if not waited:
                    self._say(
                        f"the disk of {place} is full: {what} is kept, and is written once there is room "
                        f"(within {duration(self._longest_s)}; Ctrl-C ends the run instead)"
                    )
                self._sleep(_AGAIN_S)
                waited += _AGAIN_S
            else:
                if waited:
                    self._say(f"there is room again: {what} is written")
                return written
