"""Who proposes the trials of a search: Optuna, asked and told, between the space's rules and the ledger's truth.

Nothing here knows of Ray. Optuna sees a study in memory that is made from the ledger at every start; points that the
space forbids never come out, points that are known are answered without running, and every question that Optuna was
asked is also answered, so that no trial of it stays running.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from fgtune.config.operations import EvaluationError
from fgtune.config.plan import Arm, Cell
from fgtune.config.search import TpeConfig
from fgtune.config.search_arms import SearchPlan
from fgtune.config.space import InfeasibleError, Point
from fgtune.config.trial import TrialConfig
from fgtune.errors import ConfigError
from fgtune.results.records import CellState
from fgtune.streams import numpy_stream
from fgtune.tuning.mirror import ARM, CELL_ID, NUMBER, Mirror
from fgtune.tuning.objectives import Objective
from fgtune.tuning.samplers import distribution_of, label_of, make_sampler, value_of

MAX_TRIES = 100
"""Questions to the sampler for one new feasible point, besides one for every point that is known."""
MAX_DRAWS = 4000
"""Random points that are looked at for a new feasible one when the sampler finds none; a space with no more points
than this is gone through."""

_STATES = {
    CellState.COMPLETE: TrialState.COMPLETE,
    CellState.PRUNED: TrialState.PRUNED,
    CellState.FAIL: TrialState.FAIL,
}


@dataclass(frozen=True)
class Suggestion:
    """A point to run.

    Attributes:
        number: Counts the points of a search; the arm is named after it.
        point: Values of the active parameters.
        arm: As the plan would have it.
        cells: What to run: one cell a seed, configs resolved.
    """

    number: int
    point: Mapping[str, Any]
    arm: Arm
    cells: tuple[Cell, ...]

    @property
    def config(self) -> TrialConfig:
        """The resolved trial config."""
        return self.cells[0].config


@dataclass(frozen=True)
class KnownTrial:
    """A point of which something is known from before: from the ledger, the baseline, or an earlier study.

    Attributes:
        arm: ``trial-0007``, ``baseline``, or a name that says which study it is of.
        number: Of the suggestion; None for one that is none of this search's.
        point: Values of the active parameters.
        state: How it ended; None for a suggestion that did not end yet, which is then handed out again.
        values: One an objective, where it is COMPLETE.
        intermediate: The objective by epoch, of a search with one.
        cell_ids: Its cells.
    """

    arm: str
    number: int | None
    point: Point
    state: CellState | None
    values: tuple[float, ...] = ()
    intermediate: Mapping[int, float] = field(default_factory=dict)
    cell_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Answer:
    """How a point ended; no state while it runs."""

    state: CellState | None
    values: tuple[float, ...] = ()
    intermediate: Mapping[int, float] = field(default_factory=dict)


class Proposer:
    """Proposes points one after the other.

    Args:
        plan: Space, sampler, budget and starting points.
        objectives: What is optimised.
        seeds: Seeds of the study; a suggestion has a cell for each.
        storage: The mirror's file; None for no mirror.
        name: Of the study within the mirror.
        warn: Told, at most once, when the mirror can no longer be written.

    Attributes:
        reused: Number of proposals that were answered from what is known.
        rejected: Number of proposals that the space forbids.
    """

    def __init__(
        self,
        plan: SearchPlan,
        objectives: Sequence[Objective],
        seeds: Sequence[int],
        *,
        storage: Path | None = None,
        name: str = "search",
        warn: Callable[[str], None] = warnings.warn,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._plan, self._space, self._seeds = plan, plan.space, tuple(seeds)
        self._objectives = tuple(objectives)
        modes = [each.mode for each in objectives]
        self._study = optuna.create_study(directions=modes)
        self._mirror = None
        if storage is not None:
            self._mirror = Mirror(storage, name, modes, [each.name for each in objectives], warn)
        conditional = bool(self._space.conditions)
        self._distributions = {path: distribution_of(each) for path, each in self._space.parameters.items()}
        self._fixed_space = {} if conditional else self._distributions
        make_sampler(plan.design.sampler, self._fixed_space, 0, 0)  # tells of a missing package at once
        self._questions = 0
        self._answers: dict[str, _Answer] = {}  # by config hash
        self._open: dict[int, tuple[optuna.Trial, Suggestion]] = {}
        self._told: dict[int, CellState] = {}
        self._waiting: list[KnownTrial] = []
        self._points: dict[str, Point] | None = None
        self._started = False
        self.reused = self.rejected = 0

    # Before the first question

    def restore(self, known: Iterable[KnownTrial]) -> None:
        """Take up what is known, in the order in which it ended; unfinished suggestions are handed out again first."""
        if self._started:
            raise RuntimeError("restore comes before the first ask")
        notes = {} if self._mirror is None else self._mirror.attributes()
        for trial in known:
            if trial.state is None:
                self._waiting.append(trial)
                continue
            state, values = self._judged(trial.state, trial.values)
            config = self._space.resolve(self._space.config(trial.point))
            key = self._key(config)
            if trial.number is not None:
                self._told[trial.number] = state
            if self._answers.get(key, _Answer(None)).state is None:
                self._answers[key] = _Answer(state, values, trial.intermediate)
                self._study.add_trial(self._frozen(trial, state, values, notes.get(trial.arm, {})))

    def _start(self) -> None:
        self._started = True
        for given in self._plan.design.start[len(self._told) + len(self._waiting) :]:
            self._enqueue({path: self._space.parameters[path].own(value) for path, value in given.items()})
        if self._mirror is not None:
            finished = [each for each in self._study.get_trials(deepcopy=False) if each.state.is_finished()]
            self._mirror.open(finished)

    # Ask

    @property
    def issued(self) -> int:
        """Number of suggestions handed out, those of earlier calls included."""
        return len(self._told) + len(self._open) + len(self._waiting)

    @property
    def running(self) -> tuple[Suggestion, ...]:
        """Suggestions that were handed out and not told of yet."""
        return tuple(suggestion for _, suggestion in self._open.values())

    def ask(self) -> Suggestion | None:
        """The next point to run; None when the budget is used up or every point of the space is known or under way.

        Raises:
            ConfigError: No new feasible point was found, though the space has no end of points.
        """
        if not self._started:
            self._start()
        if self._waiting:
            return self._again(self._waiting.pop(0))
        budget = self._plan.design.trials
        if (budget is not None and self.issued >= budget) or self._is_exhausted():
            return None
        for _ in range(MAX_TRIES + len(self._answers)):
            suggestion = self._try()
            if suggestion is not None:
                return suggestion
        return self._unseen()

    def _again(self, known: KnownTrial) -> Suggestion:
        """An unfinished suggestion of an earlier call."""
        self._enqueue(known.point)
        trial, point = self._question()
        config = self._space.config(point)
        return self._issue(trial, point, config, known.number)

    def _try(self) -> Suggestion | None:
        """Ask the sampler once; None for a point that is forbidden or known, which is answered at once."""
        trial, point = self._question()
        try:
            config = self._space.config(point)
        except InfeasibleError as error:
            self._reject(trial, error)
            return None
        answer = self._answers.get(self._key(self._space.resolve(config)))
        if answer is None:
            return self._issue(trial, point, config)
        self.reused += 1
        state = answer.state or CellState.FAIL  # the same point is under way: nothing can be said of it yet
        self._tell(trial, state, answer.values, answer.intermediate)
        return None

    def _question(self) -> tuple[optuna.Trial, Point]:
        sampler = self._plan.design.sampler
        self._study.sampler = make_sampler(sampler, self._fixed_space, self._plan.design.design_seed, self._questions)
        self._questions += 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of samplers that fall back on another for some parameters
            trial = self._study.ask()
            try:
                return trial, self._space.walk(lambda path, domain: value_of(domain, self._suggest(trial, path)))
            except BaseException:
                self._study.tell(trial, state=TrialState.FAIL)
                raise

    def _suggest(self, trial: optuna.Trial, path: str) -> Any:
        each = self._distributions[path]
        if isinstance(each, optuna.distributions.CategoricalDistribution):
            return trial.suggest_categorical(path, each.choices)
        if isinstance(each, optuna.distributions.IntDistribution):
            return trial.suggest_int(path, each.low, each.high, log=each.log)
        if isinstance(each, optuna.distributions.FloatDistribution):
            return trial.suggest_float(path, each.low, each.high, step=each.step, log=each.log)
        raise TypeError(f"no way to suggest {type(each).__name__}")

    def _issue(self, trial: optuna.Trial, point: Point, config: TrialConfig, number: int | None = None) -> Suggestion:
        if number is None:
            number = max([*self._told, *self._open, *(each.number or 0 for each in self._waiting), -1]) + 1
        arm, resolved = self._plan.arm(number, point, config), self._space.resolve(config)
        cells = tuple(Cell(arm.name, seed, resolved, arm.levels) for seed in self._seeds)
        trial.set_user_attr(ARM, arm.name)
        trial.set_user_attr(NUMBER, number)
        trial.set_user_attr(CELL_ID, ",".join(cell.cell_id for cell in cells))
        self._answers[self._key(resolved)] = _Answer(None)
        suggestion = Suggestion(number, point, arm, cells)
        self._open[number] = (trial, suggestion)
        return suggestion

    def _reject(self, trial: optuna.Trial, error: InfeasibleError) -> None:
        """Tell the sampler that a point is forbidden, in the words that it understands."""
        self.rejected += 1
        sampler = self._plan.design.sampler
        finished = sum(state is CellState.COMPLETE for state in self._told.values())
        if isinstance(sampler, TpeConfig) and finished >= sampler.startup_trials:
            trial.set_constraint(str(error.constraint if error.constraint is not None else "config"), 1.0)
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, state=TrialState.FAIL)

    # Finding what the sampler does not

    def _is_exhausted(self) -> bool:
        """Whether a space that can be gone through has no point left."""
        size = self._space.max_size
        if size is None or size > MAX_DRAWS:
            return False
        if self._points is None:
            self._points = self._all_points()
        return self._points.keys() <= self._answers.keys()

    def _all_points(self) -> dict[str, Point]:
        """Every feasible point by config hash."""
        found: dict[str, Point] = {}
        for point in self._space.points():
            try:
                found.setdefault(self._key(self._space.resolve(self._space.config(point))), point)
            except InfeasibleError:
                continue
        return found

    def _unseen(self) -> Suggestion | None:
        """A new feasible point drawn at random, for samplers that keep to what is known or forbidden."""
        rng = numpy_stream(self._plan.design.design_seed, "unseen", self._questions)
        points: Iterable[Point] = (self._space.draw(rng) for _ in range(MAX_DRAWS))
        if self._points is not None:
            left = [point for key, point in self._points.items() if key not in self._answers]
            points = [left[int(rank)] for rank in rng.permutation(len(left))]
        for point in points:
            try:
                key = self._key(self._space.resolve(self._space.config(point)))
            except (InfeasibleError, EvaluationError):
                continue
            if key not in self._answers:
                self._enqueue(point)
                return self._try()
        if self._space.max_size is not None:
            return None
        rule = f"leaves no new point: the sampler and {MAX_DRAWS} random points gave none that its constraints allow"
        raise ConfigError(rule, path="design.space", fix="loosen the constraints, or widen the domains")

    def _enqueue(self, point: Mapping[str, Any]) -> None:
        self._study.enqueue_trial({path: label_of(self._space.parameters[path], each) for path, each in point.items()})

    # Tell

    def tell(
        self,
        number: int,
        state: CellState,
        values: Sequence[float] | None = None,
        intermediate: Mapping[int, float] | None = None,
    ) -> CellState:
        """Say how a suggestion ended.

        Args:
            number: Of the suggestion.
            state: COMPLETE with values; PRUNED when it was stopped early; FAIL otherwise.
            values: One an objective; any that is not finite makes the trial a failure.
            intermediate: The objective by epoch, of a search with one; what a pruned trial is judged by.

        Returns:
            The state that counts; of a suggestion told before, the one told then.

        Raises:
            ValueError: The number was never handed out, or there are too few or too many values.
        """
        if number in self._told:
            return self._told[number]
        if number not in self._open:
            raise ValueError(f"suggestion {number} was never handed out")
        final, kept = self._judged(state, tuple(values or ()))
        trial, suggestion = self._open.pop(number)
        self._told[number] = final
        self._answers[self._key(suggestion.config)] = _Answer(final, kept, dict(intermediate or {}))
        frozen = self._tell(trial, final, kept, intermediate or {})
        if self._mirror is not None:
            self._mirror.add(frozen)
        return final

    def _judged(self, state: CellState, values: tuple[float, ...]) -> tuple[CellState, tuple[float, ...]]:
        """State and values as they count: only complete trials have values, and all of them are finite."""
        if state is not CellState.COMPLETE:
            return state, ()
        if len(values) != len(self._objectives):
            raise ValueError(f"a complete trial needs {len(self._objectives)} values, got {len(values)}")
        if not all(math.isfinite(value) for value in values):
            return CellState.FAIL, ()
        return state, values

    def _tell(
        self, trial: optuna.Trial, state: CellState, values: Sequence[float], intermediate: Mapping[int, float]
    ) -> FrozenTrial:
        for epoch, value in self._reportable(intermediate).items():
            trial.report(value, epoch)
        complete = state is CellState.COMPLETE
        return self._study.tell(trial, list(values) if complete else None, state=_STATES[state])

    def _reportable(self, intermediate: Mapping[int, float]) -> dict[int, float]:
        """Optuna keeps intermediate values of a single objective only."""
        if len(self._objectives) > 1:
            return {}
        return {epoch: value for epoch, value in sorted(intermediate.items()) if math.isfinite(value)}

    def _frozen(
        self, known: KnownTrial, state: CellState, values: Sequence[float], notes: Mapping[str, Any]
    ) -> FrozenTrial:
        """A finished trial for Optuna's study."""
        reported = self._reportable(known.intermediate)
        if state is CellState.PRUNED and reported:
            values = [reported[max(reported)]]
        parameters = self._space.parameters
        return create_trial(
            state=_STATES[state],
            values=list(values) or None,
            params={path: label_of(parameters[path], value) for path, value in known.point.items()},
            distributions={path: self._distributions[path] for path in known.point},
            intermediate_values=reported,
            user_attrs={ARM: known.arm, NUMBER: known.number, CELL_ID: ",".join(known.cell_ids)},
            system_attrs=dict(notes),
        )

    @staticmethod
    def _key(resolved: TrialConfig) -> str:
        return Cell("", 0, resolved, {}).config_hash
