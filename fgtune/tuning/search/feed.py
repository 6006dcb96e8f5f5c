"""What is run next: a list of cells, or a search that decides as results come in. Knows nothing of Ray."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from fgtune.config.arms.records import Cell
from fgtune.errors import ConfigError
from fgtune.results.records import CellResult, CellState, joint_state
from fgtune.tuning.budget import Budget
from fgtune.tuning.search.history import mean_curve
from fgtune.tuning.search.objectives import Objective, mean_values
from fgtune.tuning.search.proposer import Proposer
from fgtune.tuning.search.suggestion import KnownTrial, Suggestion


class CellFeed(Protocol):
    """Hands out cells one by one; used from the driver's thread alone."""

    @property
    def is_over(self) -> bool:
        """Whether no cell will ever come again."""
        ...

    def take(self) -> Cell | None:
        """The next cell to start; None where there is none now."""
        ...

    def ended(self, result: CellResult) -> None:
        """A cell that was handed out is in the ledger."""
        ...


class ListFeed:
    """Cells that are known beforehand, in their order."""

    def __init__(self, cells: Iterable[Cell]) -> None:
        self._cells = deque(cells)

    @property
    def is_over(self) -> bool:
        """Whether all were handed out."""
        return not self._cells

    def take(self) -> Cell | None:
        """The next one."""
        return self._cells.popleft() if self._cells else None

    def ended(self, result: CellResult) -> None:
        """Nothing follows from a result."""


class LimitedFeed:
    """Another feed, with at most so many cells under way, and at most so many in all.

    Args:
        feed: Where cells come from.
        at_once: Cells under way; None for any number.
        budget: Says how many cells may be started, and is told of each; None for any number.
    """

    def __init__(self, feed: CellFeed, at_once: int | None = None, budget: Budget | None = None) -> None:
        self._feed, self._at_once, self._budget = feed, at_once, budget
        self._running: set[str] = set()
        self.is_spent = False

    @property
    def is_over(self) -> bool:
        """Whether no cell will come again; ``is_spent`` tells whether that is for the number alone."""
        return self.is_spent or self._feed.is_over

    @property
    def is_done(self) -> bool:
        """Whether there was nothing left to hand out."""
        return self._feed.is_over

    def take(self) -> Cell | None:
        """The next cell, if there is room for it."""
        if self._at_once is not None and len(self._running) >= self._at_once:
            return None
        if self._budget is not None and self._budget.cells == 0:
            self.is_spent = not self._feed.is_over
            return None
        cell = self._feed.take()
        if cell is not None:
            self._running.add(cell.cell_id)
            if self._budget is not None and self._budget.cells is not None:
                self._budget.cells -= 1
        return cell

    def ended(self, result: CellResult) -> None:
        """Make room for another one."""
        self._running.discard(result.cell_id)
        self._feed.ended(result)


class SearchFeed:
    """The baseline's cells, then those of one suggestion after the other.

    Args:
        proposer: Restored, not asked yet.
        objectives: What is optimised.
        baseline: Cells of the baseline that are left to run.
        finished: Results that are there already, the baseline's included; by cell id.
        announce: Called with every suggestion before its first cell is handed out.
        baseline_trial: The baseline as the proposer may learn from it, given its results.
        curve: The objective by epoch of a finished cell.
        warn: Told when the search cannot go on.
        forks: Of a population, the replacements of earlier calls; None where trials are not replaced.
    """

    def __init__(
        self,
        proposer: Proposer,
        objectives: Sequence[Objective],
        *,
        baseline: Iterable[Cell],
        finished: Mapping[str, CellResult],
        announce: Callable[[Suggestion], None],
        baseline_trial: Callable[[Sequence[CellResult]], KnownTrial | None],
        curve: Callable[[str], Mapping[int, float]],
        warn: Callable[[str], None],
        forks: Iterable[Suggestion] | None = None,
    ) -> None:
        self._proposer, self._objectives = proposer, objectives
        self._announce, self._baseline_trial, self._curve, self._warn = announce, baseline_trial, curve, warn
        self._queue = deque(baseline)
        self._results = dict(finished)
        self._open: dict[str, Suggestion] = {}
        self._baseline = {cell.cell_id for cell in self._queue}
        self._is_done = False
        self._replaces = forks is not None
        self._under_way: set[str] = set()
        for fork in forks or ():
            self.adopt(fork)

    @property
    def is_over(self) -> bool:
        """Whether the search has no further point to ask for, nothing waits to be started, and nothing is replaced."""
        return self._is_done and not self._queue and not (self._replaces and self._under_way)

    @property
    def next_number(self) -> int:
        """The number of the next new suggestion."""
        return self._proposer.next_number

    def adopt(self, fork: Suggestion) -> None:
        """Take up a fork, to be run before any other cell; one that is in the ledger already is left alone."""
        cell = fork.cells[0]
        if cell.cell_id in self._results:
            return
        self._announce(fork)
        self._proposer.adopt(fork)
        self._open[cell.cell_id] = fork
        self._queue.appendleft(cell)

    def take(self) -> Cell | None:
        """The next cell; asks for another point when those of the last are all handed out."""
        while not self._queue and not self._is_done:
            try:
                suggestion = self._proposer.ask()
            except ConfigError as error:
                self._warn(f"the search ends here: {error}")
                suggestion = None
            if suggestion is None:
                self._is_done = True
            else:
                self._begin(suggestion)
        if not self._queue:
            return None
        cell = self._queue.popleft()
        self._under_way.add(cell.cell_id)
        return cell

    def _begin(self, suggestion: Suggestion) -> None:
        self._announce(suggestion)
        left = [cell for cell in suggestion.cells if cell.cell_id not in self._results]
        for cell in suggestion.cells:
            self._open[cell.cell_id] = suggestion
        self._queue.extend(left)
        if not left:
            self._settle(suggestion)

    def ended(self, result: CellResult) -> None:
        """Take up a result; tell the proposer once all seeds of its point are in."""
        self._results[result.cell_id] = result
        self._under_way.discard(result.cell_id)
        suggestion = self._open.get(result.cell_id)
        if suggestion is not None:
            self._settle(suggestion)
        elif result.cell_id in self._baseline:
            self._learn_baseline()

    def _settle(self, suggestion: Suggestion) -> None:
        results = [self._results[cell.cell_id] for cell in suggestion.cells if cell.cell_id in self._results]
        if len(results) < len(suggestion.cells):
            return
        for cell in suggestion.cells:
            self._open.pop(cell.cell_id, None)
        state = joint_state(results)
        values = mean_values(self._objectives, results) if state is CellState.COMPLETE else None
        intermediate = mean_curve([self._curve(each.cell_id) for each in results])
        self._proposer.tell(suggestion.number, state, values, intermediate)

    def _learn_baseline(self) -> None:
        known = self._baseline_trial(list(self._results.values()))
        if known is not None and known.state is not None:
            self._proposer.learn(known)
