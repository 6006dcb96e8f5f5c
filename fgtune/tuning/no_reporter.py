"""Keeps Ray Tune's own progress tables away from notebooks."""

from __future__ import annotations

from typing import Any

from ray.tune import ProgressReporter


class NoReporter(ProgressReporter):  # type: ignore[misc]
    """Shows nothing: in a notebook, Tune's own would show an empty table and clear what fgtune has shown."""

    def should_report(self, trials: list[Any], done: bool = False) -> bool:
        """Never."""
        return False

    def report(self, trials: list[Any], done: bool, *sys_info: str) -> None:
        """Do nothing."""
