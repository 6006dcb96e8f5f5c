"""Optuna's side of a search: an in-memory study used through ask and tell, and its mirror.

Every ask is followed by a tell, so no Optuna trial stays running, and the states are Optuna's: a failure is FAIL, an
early stop PRUNED, an infeasible point FAIL or, for a sampler that learns from it, PRUNED with a violated constraint.
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


class OptunaStudy:
    """The Optuna study of one search.

    Args:
        design: Sampler and seed.
        space: The search space.
        objectives: What is optimised.
        storage: The mirror's file; None for no mirror.
        name: Name of the study in the mirror.
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
        self._system_attributes = {} if self._mirror is None else self._mirror.attributes()
        self._study = optuna.create_study(directions=[objective.mode for objective in objectives])
        self._distributions = {path: distribution_of(domain) for path, domain in space.parameters.items()}
        self._has_one_objective = len(objectives) == 1
        self._complete = 0
        self._renew_sampler(0, 0)  # whose package may be missing

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials of Optuna's study, in the order in which they were added."""
        return self._study.get_trials(deepcopy=False)

    def open_mirror(self) -> None:
        """Bring the mirror up to date; from now on it is kept so."""
        if self._mirror is not None:
            self._mirror.open([trial for trial in self.trials if trial.state.is_finished() and ARM in trial.user_attrs])

    def ask(
        self, number: int, attempt: int, fixed: Mapping[str, Any] | None = None
    ) -> tuple[optuna.Trial, Point] | None:
        """Ask for a point; None if its conditions cannot be evaluated.

        Args:
            number: Number of the suggestion that the point may become.
            attempt: Asks for that suggestion before this one.
            fixed: Values that the point must have; the sampler fills in the rest.
        """
        if fixed is not None:
            self._study.enqueue_trial(self._labels(fixed))
        self._renew_sampler(number, attempt)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # from samplers that fall back on another one for some parameters
            trial = self._study.ask()
            try:
                return trial, self._space.walk(lambda path, domain: value_of(domain, self._suggest(trial, path)))
            except EvaluationError as error:
                self.reject(trial, InfeasibleError(str(error)))
                return None

    def _renew_sampler(self, number: int, attempt: int) -> None:
        fixed, design = {} if self._space.conditions else self._distributions, self._design
        self._study.sampler = make_sampler(design.sampler, fixed, design.design_seed, number, attempt)

    def _suggest(self, trial: optuna.Trial, path: str) -> Any:
        match self._distributions[path]:
            case CategoricalDistribution(choices=choices):
                return trial.suggest_categorical(path, choices)
            case IntDistribution(low=low, high=high, log=log):
                return trial.suggest_int(path, low, high, log=log)
            case FloatDistribution(low=low, high=high, step=step, log=log):
                return trial.suggest_float(path, low, high, step=step, log=log)
        raise TypeError(f"no way to suggest a value for {path}")

    def _labels(self, point: Mapping[str, Any]) -> dict[str, Any]:
        return {path: label_of(self._space.parameters[path], value) for path, value in point.items()}

    def reject(self, trial: optuna.Trial, error: InfeasibleError) -> None:
        """Report to Optuna that a point is infeasible.

        TPE learns from violated constraints; in its random start-up phase they would only count as start-up trials.
        """
        sampler = self._design.sampler
        if isinstance(sampler, TpeConfig) and self._complete >= sampler.startup_trials:
            trial.set_constraint("config" if error.constraint is None else f"constraint-{error.constraint}", 1.0)
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, state=TrialState.FAIL)

    def accept(self, trial: optuna.Trial, suggestion: Suggestion) -> None:
        """Note on Optuna's trial which suggestion it became."""
        trial.set_user_attr(ARM, suggestion.arm.name)
        trial.set_user_attr(NUMBER, suggestion.number)
        trial.set_user_attr(CELL_ID, ",".join(cell.cell_id for cell in suggestion.cells))

    def tell(self, trial: optuna.Trial, result: PointResult) -> None:
        """Report how a point ended; a pruned one with a single objective counts by its last intermediate value."""
        for epoch, value in self._reportable(result.intermediate).items():
            trial.report(value, epoch)
        self._complete += result.state is CellState.COMPLETE
        values = list(result.values) if result.state is CellState.COMPLETE else None
        frozen = self._study.tell(trial, values, state=TrialState[result.state.value])
        if self._mirror is not None and ARM in frozen.user_attrs:  # not one answered from a known result
            self._mirror.add(frozen)

    def add(self, known: KnownTrial, result: PointResult) -> None:
        """Add a point that Optuna was not asked for, with its result."""
        values, reported = result.values, self._reportable(result.intermediate)
        if result.state is CellState.PRUNED and reported:
            values = (reported[max(reported)],)
        self._complete += result.state is CellState.COMPLETE
        frozen = create_trial(
            state=TrialState[result.state.value],
            values=list(values) or None,
            params=self._labels(known.point),
            distributions={path: self._distributions[path] for path in known.point},
            intermediate_values=reported,
            user_attrs={ARM: known.arm, NUMBER: known.number, CELL_ID: ",".join(known.cell_ids)},
            system_attrs=dict(self._system_attributes.get(known.arm, {})),
        )
        self._study.add_trial(frozen)
        if self._mirror is not None:
            self._mirror.add(frozen)

    def _reportable(self, intermediate: Mapping[int, float]) -> dict[int, float]:
        """The finite values, if Optuna takes any: only a study with a single objective has intermediate values."""
        if not self._has_one_objective:
            return {}
        return {epoch: value for epoch, value in sorted(intermediate.items()) if math.isfinite(value)}
