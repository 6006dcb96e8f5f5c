"""A running search: which cell comes next, what is known about each point, and when it is over; independent of Ray.

Optuna proposes and the ledger decides: Optuna's in-memory study is built from the ledger at every start, by asking once
more for each point that the ledger has; infeasible points are never handed out, known points are answered without
running, and the search ends when its budget of trials or its space is used up.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import optuna

from fgtune.config.arms.plan import Plan
from fgtune.config.arms.records import Cell
from fgtune.config.arms.search import trial_number
from fgtune.errors import ConfigError
from fgtune.results.records import CellResult, CellState, joint_state
from fgtune.tuning.cell_queue import Budget, CellQueue
from fgtune.tuning.search.history import Curve, baseline_trial, mean_curve
from fgtune.tuning.search.objectives import ArmMeasure, mean_values, objectives_of, unmeasured
from fgtune.tuning.search.optuna_study import OptunaStudy
from fgtune.tuning.search.proposals import NEVER_LEARN, Proposal, Proposals
from fgtune.tuning.search.suggestions import KnownPoints, KnownTrial, PointResult, Suggestion


class Search(CellQueue):
    """Hands out the baseline's cells, then those of one suggestion after another; used from one thread.

    Args:
        plan: The plan of a search.
        finished: Results so far, the baseline's included; by cell id.
        announce: Called with every suggestion before its first cell is handed out.
        curve: The objective by epoch of a finished cell.
        measure: The value of a metric of an arm, from its finished cells.
        storage: The file that mirrors Optuna's study for optuna-dashboard; None for no mirror.
        warn: Called when the mirror cannot be written (once) and when the search ends early; neither stops the study.
        max_running: Largest number of cells running at once; None for no limit.
        budget: How many cells may still be started; None for no limit.

    Raises:
        ConfigError: The sampler needs a package that is not installed.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        finished: Mapping[str, CellResult] | None = None,
        announce: Callable[[Suggestion], None] = lambda _: None,
        curve: Curve = lambda _: {},
        measure: ArmMeasure = unmeasured,
        storage: Path | None = None,
        warn: Callable[[str], None] = warnings.warn,
        max_running: int | None = None,
        budget: Budget | None = None,
    ) -> None:
        if plan.search is None:
            raise TypeError(f"{plan.study.study} is no search")
        self._results = dict(finished or {})
        baseline = [cell for cell in plan.cells if cell.arm == plan.baseline.name]
        super().__init__([cell for cell in baseline if cell.cell_id not in self._results], max_running, budget)
        self._plan, self._search, self._space = plan, plan.search, plan.search.space
        self._announce, self._curve, self._measure, self._warn = announce, curve, measure, warn
        self._objectives = objectives_of(plan.search.design, plan.study.trial.book)
        self._optuna = OptunaStudy(
            plan.search.design, self._space, self._objectives, storage=storage, name=plan.study.study, warn=warn
        )
        self._points = KnownPoints(self._space)
        self._points[self._space.base] = None  # the baseline, which is no suggestion: running until its results are in
        self._open: dict[int, tuple[optuna.Trial | None, Suggestion]] = {}  # a fork has no Optuna trial
        self._ended: dict[int, CellState] = {}
        self._unfinished: list[KnownTrial] = []
        # Forks run beside the suggestions: they use none of the budget and answer no ask.
        self._forks: set[int] = set()
        self._has_forks = plan.study.scheduler.forks
        self._proposals = Proposals(plan.search, self._optuna, self._points)
        self._asks_again = True  # until an answer is another one than that of the call that is continued
        self._was_asked = self._is_exhausted = False

    @property
    def is_done(self) -> bool:
        """Whether no further point will be asked for, no cell is waiting, and no running one may yet be replaced."""
        return self._is_exhausted and super().is_done and not (self._has_forks and self._running)

    @property
    def issued(self) -> int:
        """Number of suggestions handed out, including earlier calls."""
        return len((self._ended.keys() | self._open.keys() | self._unfinished_numbers) - self._forks)

    @property
    def next_number(self) -> int:
        """The number of the next new suggestion."""
        return max(self._ended.keys() | self._open.keys() | self._forks | self._unfinished_numbers, default=-1) + 1

    @property
    def running(self) -> tuple[Suggestion, ...]:
        """Suggestions that were handed out and have not ended."""
        waiting = self._unfinished_numbers
        return tuple(suggestion for number, (_, suggestion) in self._open.items() if number not in waiting)

    @property
    def _unfinished_numbers(self) -> set[int]:
        """Numbers of suggestions of earlier calls that are still to be handed out again."""
        return {trial.number for trial in self._unfinished if trial.number is not None}

    @property
    def reused(self) -> int:
        """Number of proposals answered from known results."""
        return self._proposals.reused

    @property
    def rejected(self) -> int:
        """Number of infeasible proposals."""
        return self._proposals.rejected

    # Cells

    def _next(self) -> Cell | None:
        """The next cell; asks for another point when all cells of the last one are handed out."""
        while not self._waiting and not self._is_exhausted:
            try:
                suggestion = self.suggest()
            except ConfigError as error:
                self._warn(f"the search ends here: {error}")
                suggestion = None
            if suggestion is None:
                self._is_exhausted = True
            else:
                self._announce(suggestion)
                self._waiting.extend(cell for cell in suggestion.cells if cell.cell_id not in self._results)
                self._record_if_complete(suggestion)
        return super()._next()

    def on_result(self, result: CellResult) -> None:
        """Record a result; Optuna learns of a point once all its seeds have finished."""
        super().on_result(result)
        self._results[result.cell_id] = result
        number = trial_number(result.arm)
        if number is not None and number in self._open:
            self._record_if_complete(self._open[number][1])
        elif result.arm == self._plan.baseline.name:
            known = baseline_trial(self._plan, list(self._results.values()), self._measure)
            if known is not None and known.state is not None:
                self.learn(known)

    def _record_if_complete(self, suggestion: Suggestion) -> None:
        results = [self._results[cell.cell_id] for cell in suggestion.cells if cell.cell_id in self._results]
        if len(results) == len(suggestion.cells):
            state = joint_state(results)
            values = mean_values(self._objectives, results, self._measure) if state is CellState.COMPLETE else None
            curve = mean_curve([self._curve(result.cell_id) for result in results])
            self.record(suggestion.number, state, values, curve)

    def add_fork(self, fork: Suggestion) -> None:
        """Add a fork, to run before any other cell; one that is known or in the ledger is ignored."""
        cell = fork.cells[0]
        if cell.cell_id in self._results or fork.number in self._open:
            return
        self._announce(fork)
        self._forks.add(fork.number)
        self._open[fork.number] = (None, fork)
        self._waiting.appendleft(cell)

    # What is known

    def restore(self, known: Iterable[KnownTrial]) -> None:
        """Record known trials, in the order in which they ended; unfinished ones will be handed out again first.

        Raises:
            RuntimeError: A point was already asked for.
        """
        if self._was_asked:
            raise RuntimeError("restore comes before the first ask")
        passed = 0
        for trial in self._in_order_of_asks(known):
            if trial.fork is not None and trial.number is not None:
                self._forks.add(trial.number)
            elif trial.state is None:
                self._unfinished.append(trial)
            was_asked = self._ask_again(trial)
            passed += not was_asked and trial.fork is None and trial.number is not None
            if trial.state is not None and not was_asked:
                self.learn(trial)
        self._proposals.pass_over(passed)

    def _in_order_of_asks(self, known: Iterable[KnownTrial]) -> list[KnownTrial]:
        """Known trials as they are asked for again: a sampler that does not learn is asked in order of their numbers.

        For one that learns they stay in the order in which they ended, in which it was told of them.
        """
        trials = list(known)
        if self._search.design.sampler.kind in NEVER_LEARN:
            trials.sort(key=lambda trial: -1 if trial.number is None else trial.number)
        return trials

    def _ask_again(self, known: KnownTrial) -> bool:
        """Ask for a suggestion as the call that made it did, and tell how it ended; whether it came out again.

        It does where trials ran one at a time, and with a sampler that does not learn. Where it does not, in a search
        with several at once or one that an earlier version began, this and all that follow are learned as they are.
        """
        if not self._asks_again or known.number is None or known.fork is not None:
            return False
        proposal = self._proposals.again(known.number, self._space.config(dict(known.point)))
        if proposal is None:
            self._asks_again = False
            return False
        self._issue(proposal, known.number)
        if known.state is not None:
            self.record(known.number, known.state, known.values, known.intermediate)
        return True

    def learn(self, known: KnownTrial) -> None:
        """Record a finished point that this call did not ask Optuna for, such as the baseline."""
        if known.state is None:
            raise ValueError(f"{known.arm} did not end yet")
        result = self._counted(known.state, known.values, known.intermediate)
        if known.number is not None:
            self._ended[known.number] = result.state
        if known.fork is None:  # a fork's value is not that of a full trial at its point
            config = self._space.config(dict(known.point))
            if self._points.get(config) is not None:
                return
            self._points[config] = result
        self._optuna.add(known, result)

    def record(
        self,
        number: int,
        state: CellState,
        values: Sequence[float] | None = None,
        intermediate: Mapping[int, float] | None = None,
    ) -> CellState:
        """Record how a suggestion ended.

        Args:
            number: The suggestion's number.
            state: COMPLETE with values; PRUNED if it was stopped early; FAIL otherwise.
            values: One per objective; a non-finite one makes the trial a failure.
            intermediate: The objective by epoch, in a search with one objective; a pruned trial is judged by it.

        Returns:
            The state that counts; for a suggestion that had already ended, its earlier one.

        Raises:
            ValueError: The number was never handed out, or the number of values is wrong.
        """
        if number in self._ended:
            return self._ended[number]
        if number not in self._open:
            raise ValueError(f"suggestion {number} was never handed out")
        trial, suggestion = self._open[number]
        result = self._counted(state, tuple(values or ()), intermediate or {})
        self._ended[number] = result.state
        del self._open[number]
        if trial is not None:
            self._points[suggestion.config] = result
            self._optuna.tell(trial, result)
        else:
            ids, fork = tuple(cell.cell_id for cell in suggestion.cells), suggestion.cells[0].fork
            known = KnownTrial(suggestion.arm.name, number, suggestion.point, result.state, cell_ids=ids, fork=fork)
            self._optuna.add(known, result)
        return result.state

    def _counted(self, state: CellState, values: tuple[float, ...], intermediate: Mapping[int, float]) -> PointResult:
        """The result that counts: only a complete trial has values, and all of them are finite."""
        if state is not CellState.COMPLETE:
            return PointResult(state, (), intermediate)
        if len(values) != len(self._objectives):
            raise ValueError(f"a complete trial needs {len(self._objectives)} values, got {len(values)}")
        if not all(map(math.isfinite, values)):
            return PointResult(CellState.FAIL, (), intermediate)
        return PointResult(state, values, intermediate)

    # Suggestions

    def suggest(self) -> Suggestion | None:
        """The next point to run; None when the budget is used up or every point of the space is known or running.

        Raises:
            ConfigError: No new feasible point was found in an infinite space.
        """
        if not self._was_asked:
            self._was_asked = True
            self._optuna.open_mirror()
        if self._unfinished:
            return self._repeat(self._unfinished.pop(0))
        budget = self._search.design.trials
        if (budget is not None and self.issued >= budget) or self._points.is_exhausted:
            return None
        number = self.next_number
        proposal = self._proposals.new(number)
        return None if proposal is None else self._issue(proposal, number)

    def _repeat(self, known: KnownTrial) -> Suggestion:
        """Hand out an unfinished suggestion of an earlier call again."""
        if known.number is None:
            raise ValueError(f"{known.arm} is no suggestion")
        if known.number in self._open:  # it came out again when the search was restored
            return self._open[known.number][1]
        proposal = self._proposals.fixed(known.number, dict(known.point))
        if proposal is None:  # unreachable: its conditions could be evaluated when it was first handed out
            raise RuntimeError(f"{known.arm} cannot be handed out again")
        return self._issue(proposal, known.number)

    def _issue(self, proposal: Proposal, number: int) -> Suggestion:
        arm = self._search.arm(number, proposal.point, proposal.config)
        resolved = self._space.resolve(proposal.config)
        cells = tuple(Cell(arm.name, seed, resolved, arm.levels) for seed in self._plan.study.seed_list)
        suggestion = Suggestion(number, proposal.point, arm, cells)
        self._optuna.accept(proposal.trial, suggestion)
        self._points[resolved] = None
        self._open[number] = (proposal.trial, suggestion)
        return suggestion
