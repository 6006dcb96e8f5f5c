"""How Ray Tune asks for cells and for verdicts: a searcher in front of the feed, a scheduler in front of the umpire.

Ray's own Optuna searcher reports early stops as complete and leaves trials whose value is not a number running for
ever; here the ledger is written first and Optuna is told from it. Tune saves searchers and schedulers to its own files,
which fgtune does not use: both live in the driver alone and save nothing.
"""

from __future__ import annotations

from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from fgtune.config.arms.records import Cell
from fgtune.tuning.early_stopping.referee import Umpire
from fgtune.tuning.job import JOB, cell_id_of, job_of
from fgtune.tuning.search.feed import CellFeed


class FeedSearcher(Searcher):  # type: ignore[misc]
    """Gives Tune the cells of a feed.

    Args:
        feed: Where cells come from.
        umpire: Takes up each cell that begins; None where nothing is stopped early.
    """

    def __init__(self, feed: CellFeed, umpire: Umpire | None = None) -> None:
        super().__init__(metric=None, mode=None)
        self._feed, self._umpire = feed, umpire

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # noqa: ARG002 (Tune's signature)
        """The next cell as a Tune config; None to be asked again later."""
        cell = self._feed.take()
        if cell is not None:
            return {JOB: self._job(cell)}
        return str(Searcher.FINISHED) if self._feed.is_over else None

    def _job(self, cell: Cell) -> dict[str, Any]:
        if self._umpire is None:
            return job_of(cell) | {"waits_at": [], "keeps_states": False}
        return job_of(cell) | {"waits_at": self._umpire.admit(cell), "keeps_states": self._umpire.forks}

    def set_search_properties(self, *_args: Any, **_spec: Any) -> bool:
        """Nothing of Tune's own search settings is used."""
        return True

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The ledger says how a trial ended, and the feed hears it from there."""

    def save(self, checkpoint_path: str) -> None:
        """Save nothing."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing."""

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __deepcopy__(self, memo: dict[int, Any]) -> FeedSearcher:
        return self


class UmpireScheduler(FIFOScheduler):  # type: ignore[misc]
    """Runs cells in their order and stops those that the umpire stops."""

    def __init__(self, umpire: Umpire) -> None:
        super().__init__()
        self._umpire = umpire

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:  # noqa: ARG002
        """Whether the trial goes on."""
        stop = self._umpire.hear(cell_id_of(trial), [*(result.get("restored") or ()), *(result.get("epochs") or ())])
        return str(TrialScheduler.STOP if stop else TrialScheduler.CONTINUE)

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __deepcopy__(self, memo: dict[int, Any]) -> UmpireScheduler:
        return self
