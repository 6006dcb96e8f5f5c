"""Who proposes the trials of a search: Optuna, asked and told, between the space's rules and the ledger's truth.

Nothing here knows of Ray. Optuna sees a study in memory that is made from the ledger at every start; points that the
space forbids never come out, points that are known are answered without running, and the study ends when its budget or
its space does.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna

from fgtune.config.arms.records import Cell
from fgtune.config.arms.search import SearchPlan
from fgtune.config.schema.trial import TrialConfig
from fgtune.config.spaces.space import InfeasibleError, Point
from fgtune.errors import ConfigError
from fgtune.results.records import CellState
from fgtune.streams import numpy_stream
from fgtune.tuning.search.mirror import ARM, CELL_ID, NUMBER, Mirror
from fgtune.tuning.search.objectives import Objective
from fgtune.tuning.search.optuna_study import Dialogue
from fgtune.tuning.search.points import drawn, key_of, keyed
from fgtune.tuning.search.suggestion import KnownTrial, Suggestion

MAX_TRIES = {"gp": 20}
DEFAULT_TRIES = 100
"""Questions to the sampler for one new feasible point; fewer for one that takes half a second for each."""
MAX_REPEATS = 8
"""Known points in a row after which a sampler that learns is taken to have settled on them."""
MAX_DRAWS = 4000
"""Random points looked at for a new one when the sampler finds none; a space of no more points is gone through."""


@dataclass(frozen=True)
class _Answer:
    """How a point ended; no state while it runs."""

    state: CellState | None
    values: tuple[float, ...] = ()
    intermediate: Mapping[int, float] = field(default_factory=dict)


class Proposer:
    """Proposes points one after the other; used from one thread.

    Args:
        plan: Space, sampler, budget and starting points.
        objectives: What is optimised.
        seeds: Seeds of the study; a suggestion has a cell for each.
        storage: The file of the mirror for optuna-dashboard; None for none.
        name: Of the study within the mirror.
        warn: Told, at most once, when the mirror can no longer be written.

    Attributes:
        reused: Number of proposals that were answered from what is known.
        rejected: Number of proposals that the space forbids.

    Raises:
        ConfigError: The sampler needs a package that is not installed.
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
        modes = [each.mode for each in objectives]
        self._plan, self._space, self._seeds = plan, plan.space, tuple(seeds)
        self._arity = len(objectives)
        self._optuna = Dialogue(plan.design, plan.space, modes)
        names = [each.name for each in objectives]
        self._mirror = None if storage is None else Mirror(storage, name, modes, names, warn)
        self._notes: Mapping[str, Mapping[str, Any]] = {} if self._mirror is None else self._mirror.attributes()
        # By config hash. The baseline is run apart from the suggestions: under way until `learn` tells how it ended.
        self._answers = {key_of(plan.space.resolve(plan.space.base)): _Answer(None)}
        self._open: dict[int, tuple[optuna.Trial, Suggestion]] = {}
        self._told: dict[int, CellState] = {}
        self._unfinished: list[KnownTrial] = []
        # Forks are run beside the suggestions: they use up none of the budget, and answer no question of the sampler.
        self._forks: dict[int, Suggestion | None] = {}
        self._start_points: list[Point] | None = None
        self._points: dict[str, Point] | None = None
        self.reused = self.rejected = 0

    @property
    def issued(self) -> int:
        """Number of suggestions handed out, those of earlier calls included."""
        return len(self._told.keys() - self._forks.keys()) + len(self._open) + len(self._unfinished)

    @property
    def next_number(self) -> int:
        """The number of the next new suggestion."""
        waiting = [each.number for each in self._unfinished if each.number is not None]
        return max([*self._told, *self._open, *self._forks, *waiting], default=-1) + 1

    @property
    def running(self) -> tuple[Suggestion, ...]:
        """Suggestions that were handed out and not told of yet."""
        return tuple(suggestion for _, suggestion in self._open.values())

    # What is known

    def restore(self, known: Iterable[KnownTrial]) -> None:
        """Take up what is known, in the order in which it ended; unfinished suggestions are handed out again first.

        Raises:
            RuntimeError: A question was asked before.
        """
        if self._start_points is not None:
            raise RuntimeError("restore comes before the first ask")
        for trial in known:
            if trial.fork is not None and trial.number is not None:
                self._forks.setdefault(trial.number, None)
            if trial.state is None:
                self._unfinished += [trial] if trial.fork is None else []
            else:
                self.learn(trial)

    def learn(self, known: KnownTrial) -> None:
        """Take up one point that ended and was not handed out in this call: the baseline, say."""
        if known.state is None:
            raise ValueError(f"{known.arm} did not end yet")
        state, values = self._judged(known.state, known.values)
        key = key_of(self._space.resolve(self._space.config(dict(known.point))))
        if known.number is not None:
            self._told[known.number] = state
        if known.fork is None and self._answers.get(key, _Answer(None)).state is not None:
            return
        if known.fork is None:  # the value of a fork is not that of a whole trial at its point
            self._answers[key] = _Answer(state, values, known.intermediate)
        attrs = {ARM: known.arm, NUMBER: known.number, CELL_ID: ",".join(known.cell_ids)}
        notes = self._notes.get(known.arm, {})
        frozen = self._optuna.add(known.point, state, values, known.intermediate, attrs, notes)
        if self._mirror is not None and self._start_points is not None:
            self._mirror.add(frozen)

    def adopt(self, fork: Suggestion) -> None:
        """Take up a fork that is about to run, or to run again; ``tell`` says how it ended."""
        if fork.number not in self._told:
            self._forks[fork.number] = fork

    def _begin(self) -> list[Point]:
        """What is done once, before the first question: the starting points that are left, and the mirror."""
        if self._mirror is not None:
            self._mirror.open(self._optuna.trials)
        parameters = self._space.parameters
        # As many starting points as suggestions were handed out are used up, and maybe more that were rejected; those
        # are rejected again.
        left = self._plan.design.start[self.issued :]
        return [{path: parameters[path].own(value) for path, value in given.items()} for given in left]

    # Ask

    def ask(self) -> Suggestion | None:
        """The next point to run; None when the budget is used up or every point of the space is known or under way.

        Raises:
            ConfigError: No new feasible point was found, though the space has no end of points.
        """
        if self._start_points is None:
            self._start_points = self._begin()
        if self._unfinished:
            return self._again(self._unfinished.pop(0))
        budget = self._plan.design.trials
        if (budget is not None and self.issued >= budget) or self._is_exhausted():
            return None
        for _ in self._tries():
            suggestion = self._try(self._start_points.pop(0) if self._start_points else None)
            if suggestion is not None:
                return suggestion
        return self._unseen()

    def _tries(self) -> Iterator[None]:
        """Once for every question that one new point may take."""
        sampler, reused = self._plan.design.sampler.kind, self.reused
        # A continued search asks a sampler that does not learn the same questions again, so it repeats all it knows.
        repeats = len(self._answers) if sampler in {"random", "qmc", "brute_force"} else MAX_REPEATS
        for _ in range(MAX_TRIES.get(sampler, DEFAULT_TRIES) + repeats):
            if self.reused - reused > repeats:
                return
            yield

    def _again(self, known: KnownTrial) -> Suggestion:
        """An unfinished suggestion of an earlier call."""
        asked = self._optuna.ask(known.point)
        if asked is None:  # unreachable: its conditions were evaluated when it was first handed out
            raise RuntimeError(f"{known.arm} cannot be handed out again")
        trial, point = asked
        return self._issue(trial, point, self._space.config(point), known.number)

    def _try(self, given: Point | None = None) -> Suggestion | None:
        """Ask the sampler once; None for a point that is forbidden or known, which is answered at once."""
        asked = self._optuna.ask(given)
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
        answer = self._answers.get(key_of(self._space.resolve(config)))
        if answer is None:
            return self._issue(trial, point, config)
        self.reused += 1
        # While the same point is under way nothing can be said of this one but that it gave nothing.
        self._optuna.tell(trial, answer.state or CellState.FAIL, answer.values, answer.intermediate)
        return None

    def _issue(self, trial: optuna.Trial, point: Point, config: TrialConfig, number: int | None = None) -> Suggestion:
        if number is None:
            number = self.next_number
        arm, resolved = self._plan.arm(number, point, config), self._space.resolve(config)
        cells = tuple(Cell(arm.name, seed, resolved, arm.levels) for seed in self._seeds)
        trial.set_user_attr(ARM, arm.name)
        trial.set_user_attr(NUMBER, number)
        trial.set_user_attr(CELL_ID, ",".join(cell.cell_id for cell in cells))
        self._answers[key_of(resolved)] = _Answer(None)
        suggestion = Suggestion(number, point, arm, cells)
        self._open[number] = (trial, suggestion)
        return suggestion

    # Finding what the sampler does not

    def _is_exhausted(self) -> bool:
        """Whether a space that can be gone through has no point left."""
        size = self._space.max_size
        if size is None or size > MAX_DRAWS:
            return False
        if self._points is None:
            self._points = dict(keyed(self._space, self._space.points()))
        return self._points.keys() <= self._answers.keys()

    def _unseen(self) -> Suggestion | None:
        """A new feasible point drawn at random, for samplers that keep to what is known or forbidden."""
        rng = numpy_stream(self._plan.design.design_seed, "unseen", self._optuna.questions)
        if self._points is not None:
            listed = list(self._points.items())
            candidates: Iterable[tuple[str, Point]] = [listed[int(rank)] for rank in rng.permutation(len(listed))]
        else:
            candidates = keyed(self._space, drawn(self._space, rng, MAX_DRAWS))
        for key, point in candidates:
            suggestion = None if key in self._answers else self._try(point)
            if suggestion is not None:
                return suggestion
        if self._space.max_size is not None:
            return None
        rule = f"leaves no new point: the sampler and {MAX_DRAWS} random points gave none that its constraints allow"
        raise ConfigError(rule, path="design.space", fix="loosen the constraints, or widen the domains")

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
        fork = self._forks.get(number)
        if fork is not None:
            cells = tuple(cell.cell_id for cell in fork.cells)
            origin, shown = fork.cells[0].fork, dict(intermediate or {})
            self.learn(KnownTrial(fork.arm.name, number, fork.point, state, tuple(values or ()), shown, cells, origin))
            return self._told[number]
        if number not in self._open:
            raise ValueError(f"suggestion {number} was never handed out")
        final, kept = self._judged(state, tuple(values or ()))
        trial, suggestion = self._open.pop(number)
        self._told[number] = final
        self._answers[key_of(suggestion.config)] = _Answer(final, kept, dict(intermediate or {}))
        frozen = self._optuna.tell(trial, final, kept, intermediate or {})
        if self._mirror is not None:
            self._mirror.add(frozen)
        return final

    def _judged(self, state: CellState, values: tuple[float, ...]) -> tuple[CellState, tuple[float, ...]]:
        """State and values as they count: only complete trials have values, and all of them are finite."""
        if state is not CellState.COMPLETE:
            return state, ()
        if len(values) != self._arity:
            raise ValueError(f"a complete trial needs {self._arity} values, got {len(values)}")
        return (state, values) if all(math.isfinite(value) for value in values) else (CellState.FAIL, ())
