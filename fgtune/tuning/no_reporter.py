"""In place of Ray Tune's own progress: no tables in notebooks, and no trial is kept in mind to the end."""

from __future__ import annotations

from typing import Any

from ray.tune import ProgressReporter
from ray.tune.progress_reporter import TrialProgressCallback


class NoReporter(ProgressReporter):  # type: ignore[misc]
    """Shows nothing: in a notebook, Tune's own would show an empty table and clear what fgtune has shown."""

    def should_report(self, trials: list[Any], done: bool = False) -> bool:
        """Never."""
        return False

    def report(self, trials: list[Any], done: bool, *sys_info: str) -> None:
        """Do nothing."""


class NoTrialProgress(TrialProgressCallback):  # type: ignore[misc]
    """Prints nothing: Tune's own, which it adds where there is none, prints nothing either and keeps every trial."""

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Do nothing."""

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Do nothing."""

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Do nothing."""
