"""Optuna's side of a search: a study in memory that is asked for points and learns how they ended, and its mirror.

Every question is answered, so that no trial of the study stays running, and every answer is in Optuna's own states:
a failure is FAIL, an early stop PRUNED, a point that the space forbids FAIL or, for the sampler that learns from it,
PRUNED with a violated constraint.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from fgtune.config.schema.search import SearchDesign
from fgtune.config.schema.tuning import TpeConfig
from fgtune.config.spaces.expression import EvaluationError
from fgtune.config.spaces.space import InfeasibleError, Point, SearchSpace
from fgtune.results.records import CellState
from fgtune.tuning.search.objectives import Objective
from fgtune.tuning.search.optuna_mirror import ARM, CELL_ID, NUMBER, Mirror
from fgtune.tuning.search.samplers import distribution_of, label_of, make_sampler, value_of
from fgtune.tuning.search.suggestions import KnownTrial, PointResult, Suggestion

_STATES = {
    CellState.COMPLETE: TrialState.COMPLETE,
    CellState.PRUNED: TrialState.PRUNED,
    CellState.FAIL: TrialState.FAIL,
}


class OptunaStudy:
    """The Optuna study of one search.

    Args:
        design: Sampler and its seed.
        space: What is searched.
        objectives: What is optimised.
        storage: The file of the mirror; None for none.
        name: Of the study within the mirror.
        warn: Called once when the mirror can no longer be written.

    Raises:
        ConfigError: The sampler needs a package that is not installed.
    """

    def __init__(
        self,
        design: SearchDesign,
        space: SearchSpace,
        objectives: Sequence[Objective],
        *,
        storage: Path | None,
        name: str,
        warn: Callable[[str], None],
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._design, self._space = design, space
        self._mirror = None if storage is None else Mirror(storage, name, objectives, warn)
        self._notes = {} if self._mirror is None else self._mirror.attributes()  # what samplers noted on trials, by arm
        self._study = optuna.create_study(directions=[each.mode for each in objectives])
        self._distributions = {path: distribution_of(each) for path, each in space.parameters.items()}
        self._has_one_objective = len(objectives) == 1
        self._questions = self._complete = 0
        self._renew_sampler()

    @property
    def questions(self) -> int:
        """Number of questions asked."""
        return self._questions

    @property
    def trials(self) -> list[FrozenTrial]:
        """Everything that Optuna's study holds, in the order in which it came in."""
        return self._study.get_trials(deepcopy=False)

    def open_mirror(self) -> None:
        """Make the mirror hold what was added so far; from now on it follows."""
        if self._mirror is not None:
            self._mirror.open(self.trials)

    def ask(self, fixed: Mapping[str, Any] | None = None) -> tuple[optuna.Trial, Point] | None:
        """Ask for a point; None for one whose conditions cannot be evaluated.

        Args:
            fixed: Values that the point must have; the sampler fills in the others.
        """
        if fixed is not None:
            self._study.enqueue_trial(self._labels(fixed))
        self._renew_sampler()
        self._questions += 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of samplers that fall back on another for some parameters
            trial = self._study.ask()
            try:
                return trial, self._space.walk(lambda path, domain: value_of(domain, self._suggest(trial, path)))
            except EvaluationError as error:
                self.reject(trial, InfeasibleError(str(error)))
                return None

    def _renew_sampler(self) -> None:
        fixed = {} if self._space.conditions else self._distributions
        self._study.sampler = make_sampler(self._design.sampler, fixed, self._design.design_seed, self._questions)

    def _suggest(self, trial: optuna.Trial, path: str) -> Any:
        each = self._distributions[path]
        if isinstance(each, CategoricalDistribution):
            return trial.suggest_categorical(path, each.choices)
        if isinstance(each, IntDistribution):
            return trial.suggest_int(path, each.low, each.high, log=each.log)
        if isinstance(each, FloatDistribution):
            return trial.suggest_float(path, each.low, each.high, step=each.step, log=each.log)
        raise TypeError(f"no way to suggest {type(each).__name__}")

    def _labels(self, point: Mapping[str, Any]) -> dict[str, Any]:
        return {path: label_of(self._space.parameters[path], value) for path, value in point.items()}

    def reject(self, trial: optuna.Trial, error: InfeasibleError) -> None:
        """Say that a point is forbidden.

        TPE learns from points that break a constraint; while it still draws at random they would only use that time up.
        """
        sampler = self._design.sampler
        if isinstance(sampler, TpeConfig) and self._complete >= sampler.startup_trials:
            trial.set_constraint("config" if error.constraint is None else f"constraint-{error.constraint}", 1.0)
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, state=TrialState.FAIL)

    def accept(self, trial: optuna.Trial, suggestion: Suggestion) -> None:
        """Say that a point runs, and as what."""
        trial.set_user_attr(ARM, suggestion.arm.name)
        trial.set_user_attr(NUMBER, suggestion.number)
        trial.set_user_attr(CELL_ID, ",".join(cell.cell_id for cell in suggestion.cells))

    def tell(self, trial: optuna.Trial, result: PointResult) -> None:
        """Say how a point ended; a pruned one of a single objective is judged by its last intermediate value."""
        for epoch, value in self._reportable(result.intermediate).items():
            trial.report(value, epoch)
        self._complete += result.state is CellState.COMPLETE
        values = list(result.values) if result.state is CellState.COMPLETE else None
        frozen = self._study.tell(trial, values, state=_STATES[result.state])
        if self._mirror is not None and ARM in frozen.user_attrs:  # not one that was answered from what is known
            self._mirror.add(frozen)

    def add(self, known: KnownTrial, result: PointResult) -> None:
        """Add a point that was not asked for here, with how it ended."""
        values, reported = result.values, self._reportable(result.intermediate)
        if result.state is CellState.PRUNED and reported:
            values = (reported[max(reported)],)
        self._complete += result.state is CellState.COMPLETE
        made = create_trial(
            state=_STATES[result.state],
            values=list(values) or None,
            params=self._labels(known.point),
            distributions={path: self._distributions[path] for path in known.point},
            intermediate_values=reported,
            user_attrs={ARM: known.arm, NUMBER: known.number, CELL_ID: ",".join(known.cell_ids)},
            system_attrs=dict(self._notes.get(known.arm, {})),
        )
        self._study.add_trial(made)
        if self._mirror is not None:
            self._mirror.add(made)

    def _reportable(self, intermediate: Mapping[int, float]) -> dict[int, float]:
        """Optuna keeps intermediate values of a single objective only."""
        if not self._has_one_objective:
            return {}
        return {epoch: value for epoch, value in sorted(intermediate.items()) if math.isfinite(value)}
