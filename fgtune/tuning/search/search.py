"""A running search: which cell comes next, what is known about each point, and when it is over; independent of Ray.

Optuna proposes and the ledger decides: Optuna's in-memory study is built from the ledger at every start; infeasible
points are never handed out, known points are answered without running, and the search ends when its budget of trials or
its space is used up.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import optuna

from fgtune.config.arms.plan import Plan
from fgtune.config.arms.records import Cell
from fgtune.config.arms.search import trial_number
from fgtune.config.schema.trial import BaseTrialConfig
from fgtune.config.spaces.space import InfeasibleError, Point
from fgtune.errors import ConfigError
from fgtune.results.records import CellResult, CellState, joint_state
from fgtune.streams import numpy_stream
from fgtune.tuning.cell_queue import Budget, CellQueue
from fgtune.tuning.search.history import Curve, baseline_trial, mean_curve
from fgtune.tuning.search.objectives import ArmMeasure, mean_values, objectives_of, unmeasured
from fgtune.tuning.search.optuna_study import OptunaStudy
from fgtune.tuning.search.suggestions import MAX_DRAWS, KnownPoints, KnownTrial, PointResult, Suggestion

MAX_TRIES = {"gp": 20}
DEFAULT_TRIES = 100
"""Asks for one new feasible point; fewer for a sampler that takes half a second per ask."""
MAX_REPEATS = 8
"""Known points in a row after which a sampler that learns counts as converged."""


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

    Attributes:
        reused: Number of proposals answered from known results.
        rejected: Number of infeasible proposals.

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
        self._start_points: list[Point] | None = None
        self._is_exhausted = False
        self.reused = self.rejected = 0

    @property
    def is_done(self) -> bool:
        """Whether no further point will be asked for, no cell is waiting, and no running one may yet be replaced."""
        return self._is_exhausted and super().is_done and not (self._has_forks and self._running)

    @property
    def issued(self) -> int:
        """Number of suggestions handed out, including earlier calls."""
        return len((self._ended.keys() | self._open.keys()) - self._forks) + len(self._unfinished)

    @property
    def next_number(self) -> int:
        """The number of the next new suggestion."""
        unfinished = [trial.number for trial in self._unfinished if trial.number is not None]
        return max([*self._ended, *self._open, *self._forks, *unfinished], default=-1) + 1

    @property
    def running(self) -> tuple[Suggestion, ...]:
        """Suggestions that were handed out and have not ended."""
        return tuple(suggestion for _, suggestion in self._open.values())

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
        if self._start_points is not None:
            raise RuntimeError("restore comes before the first ask")
        for trial in known:
            if trial.fork is not None and trial.number is not None:
                self._forks.add(trial.number)
            if trial.state is not None:
                self.learn(trial)
            elif trial.fork is None:
                self._unfinished.append(trial)

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
        if self._start_points is None:
            self._optuna.open_mirror()
            self._start_points = self._remaining_start_points()
        if self._unfinished:
            return self._repeat(self._unfinished.pop(0))
        budget = self._search.design.trials
        if (budget is not None and self.issued >= budget) or self._points.is_exhausted:
            return None
        for _ in self._tries():
            suggestion = self._try(self._start_points.pop(0) if self._start_points else None)
            if suggestion is not None:
                return suggestion
        return self._try_unseen()

    def _remaining_start_points(self) -> list[Point]:
        """Start points beyond the suggestions handed out; any that were rejected among them are rejected once more."""
        parameters, left = self._space.parameters, self._search.design.start[self.issued :]
        return [{path: parameters[path].canonical(value) for path, value in fixed.items()} for fixed in left]

    def _tries(self) -> Iterator[None]:
        """Once for every ask that one new point may take."""
        sampler, reused = self._search.design.sampler.kind, self.reused
        # In a continued search, a sampler that does not learn proposes all known points again.
        repeats = len(self._points) if sampler in {"random", "qmc", "brute_force"} else MAX_REPEATS
        for _ in range(MAX_TRIES.get(sampler, DEFAULT_TRIES) + repeats):
            if self.reused - reused > repeats:
                return
            yield

    def _repeat(self, known: KnownTrial) -> Suggestion:
        """Hand out an unfinished suggestion of an earlier call again."""
        asked = self._optuna.ask(known.point)
        if asked is None:  # unreachable: its conditions could be evaluated when it was first handed out
            raise RuntimeError(f"{known.arm} cannot be handed out again")
        trial, point = asked
        return self._issue(trial, point, self._space.config(point), known.number)

    def _try(self, fixed: Point | None = None) -> Suggestion | None:
        """Ask the sampler once; None for an infeasible or known point, which Optuna learns immediately."""
        asked = self._optuna.ask(fixed)
        if asked is None:
            self.rejected += 1
            return None
        trial, point = asked
        try:
            config = self._space.config(point)
        except InfeasibleError as error:
            self.rejected += 1
            self._optuna.reject(trial, error)
            return None
        if config not in self._points:
            return self._issue(trial, point, config)
        self.reused += 1
        # While the same point is still running, this proposal can only be reported as a failure.
        self._optuna.tell(trial, self._points.get(config) or PointResult(CellState.FAIL))
        return None

    def _issue(
        self, trial: optuna.Trial, point: Point, config: BaseTrialConfig, number: int | None = None
    ) -> Suggestion:
        number = self.next_number if number is None else number
        arm, resolved = self._search.arm(number, point, config), self._space.resolve(config)
        cells = tuple(Cell(arm.name, seed, resolved, arm.levels) for seed in self._plan.study.seed_list)
        suggestion = Suggestion(number, point, arm, cells)
        self._optuna.accept(trial, suggestion)
        self._points[resolved] = None
        self._open[number] = (trial, suggestion)
        return suggestion

    def _try_unseen(self) -> Suggestion | None:
        """A new feasible point drawn at random, for samplers that propose only known or infeasible ones."""
        rng = numpy_stream(self._search.design.design_seed, "unseen", self._optuna.questions)
        for point in self._points.new_points(rng):
            suggestion = self._try(point)
            if suggestion is not None:
                return suggestion
        if self._space.max_size is not None:
            return None
        rule = f"leaves no new point: the sampler and {MAX_DRAWS} random points gave none that its constraints allow"
        raise ConfigError(rule, path="design.space", fix="loosen the constraints, or widen the domains")
