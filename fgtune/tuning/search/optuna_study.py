"""The talk with Optuna: a study in memory that is asked for points and told how they ended.

Every question is answered, so that no trial of the study stays running, and every answer is in Optuna's own words:
a failure is FAIL, an early stop PRUNED, a point that the space forbids FAIL or, for the sampler that learns from it, an
infeasible one.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from fgtune.config.schema.sampling import TpeConfig
from fgtune.config.schema.search import SearchDesign
from fgtune.config.spaces.operations import EvaluationError
from fgtune.config.spaces.space import InfeasibleError, Point, SearchSpace
from fgtune.results.records import CellState
from fgtune.tuning.search.samplers import distribution_of, label_of, make_sampler, value_of

_STATES = {
    CellState.COMPLETE: TrialState.COMPLETE,
    CellState.PRUNED: TrialState.PRUNED,
    CellState.FAIL: TrialState.FAIL,
}


class Dialogue:
    """One search's talk with Optuna.

    Args:
        design: Sampler and its seed.
        space: What is searched.
        modes: ``maximize`` or ``minimize``, one an objective.

    Raises:
        ConfigError: The sampler needs a package that is not installed.
    """

    def __init__(self, design: SearchDesign, space: SearchSpace, modes: Sequence[Any]) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._design, self._space = design, space
        self._single = len(modes) == 1
        self._study = optuna.create_study(directions=modes)
        self._distributions = {path: distribution_of(each) for path, each in space.parameters.items()}
        self._questions = 0
        self._complete = 0
        self._renew_sampler()

    @property
    def questions(self) -> int:
        """Number of questions asked."""
        return self._questions

    @property
    def trials(self) -> list[FrozenTrial]:
        """Everything that Optuna's study holds, in the order of its beginning."""
        return self._study.get_trials(deepcopy=False)

    def ask(self, given: Mapping[str, Any] | None = None) -> tuple[optuna.Trial, Point] | None:
        """Ask for a point; None for one whose conditions cannot be evaluated.

        Args:
            given: Values that the point must have; the sampler fills in the others.
        """
        if given is not None:
            parameters = self._space.parameters
            self._study.enqueue_trial({path: label_of(parameters[path], value) for path, value in given.items()})
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

    def tell(
        self, trial: optuna.Trial, state: CellState, values: Sequence[float], intermediate: Mapping[int, float]
    ) -> FrozenTrial:
        """Say how a point ended; a pruned one of a single objective is judged by its last intermediate value."""
        for epoch, value in self._reportable(intermediate).items():
            trial.report(value, epoch)
        complete = state is CellState.COMPLETE
        self._complete += complete
        return self._study.tell(trial, list(values) if complete else None, state=_STATES[state])

    def add(
        self,
        point: Mapping[str, Any],
        state: CellState,
        values: Sequence[float],
        intermediate: Mapping[int, float],
        user_attrs: Mapping[str, Any],
        notes: Mapping[str, Any],
    ) -> FrozenTrial:
        """Add a point that ended before; ``notes`` are what the sampler noted on it then."""
        reported = self._reportable(intermediate)
        if state is CellState.PRUNED and reported:
            values = [reported[max(reported)]]
        self._complete += state is CellState.COMPLETE
        parameters = self._space.parameters
        made = create_trial(
            state=_STATES[state],
            values=list(values) or None,
            params={path: label_of(parameters[path], value) for path, value in point.items()},
            distributions={path: self._distributions[path] for path in point},
            intermediate_values=reported,
            user_attrs=dict(user_attrs),
            system_attrs=dict(notes),
        )
        self._study.add_trial(made)
        return made

    def _reportable(self, intermediate: Mapping[int, float]) -> dict[int, float]:
        """Optuna keeps intermediate values of a single objective only."""
        if not self._single:
            return {}
        return {epoch: value for epoch, value in sorted(intermediate.items()) if math.isfinite(value)}
