"""What a search optimises: which way each objective is better, and its value in a result.

Imports neither Ray nor Optuna.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fgtune.catalog import natural_mode
from fgtune.config.schema.designs import Design
from fgtune.config.schema.study import Study
from fgtune.config.schema.tuning import Mode
from fgtune.results.records import CellResult, SolverUse


@dataclass(frozen=True)
class Objective:
    """One thing that a search optimises: its name, and which way it is better."""

    name: str
    mode: Mode

    def value(self, metrics: Mapping[str, float], seconds: float, solver: SolverUse | None) -> float:
        """Its value for a trial that ended; nan where the trial does not have it.

        Args:
            metrics: Of the last epoch.
            seconds: Wall seconds in the trainer.
            solver: Use of the relations solver, None where nothing was solved.
        """
        if self.name == "cost/seconds":
            return seconds
        if self.name == "cost/solver_seconds":
            return 0.0 if solver is None else solver.seconds
        return metrics.get(self.name, math.nan)

    def of_result(self, result: CellResult) -> float:
        """Its value in a line of the ledger."""
        return self.value(result.metrics, result.seconds, result.solver)


def objectives_of(design: Design) -> tuple[Objective, ...]:
    """The objectives of a search, modes filled in; the study has been checked by ``check_metrics``."""
    return tuple(Objective(name, mode or natural_mode(name)) for name, mode in design.criteria)


def ranking_of(study: Study) -> tuple[Objective, ...]:
    """What the arms of a study are ranked by: the objectives of a search, the primary metric of any other design."""
    return tuple(Objective(name, mode or natural_mode(name)) for name, mode in study.ranking)


def stopping_objective(study: Study) -> Objective | None:
    """What running trials are judged by; None where none is stopped early."""
    scheduler = study.stopping
    if scheduler is None:
        return None
    if scheduler.metric is not None:
        same = next((each.mode for each in objectives_of(study.design) if each.name == scheduler.metric), None)
        return Objective(scheduler.metric, scheduler.mode or same or natural_mode(scheduler.metric))
    only = objectives_of(study.design)[0]  # a scheduler without a metric belongs to a search, or was refused
    return Objective(only.name, scheduler.mode or only.mode)


def mean_values(objectives: Sequence[Objective], results: Sequence[CellResult]) -> list[float]:
    """The value of each objective, mean over the cells (seeds) of one arm; nan where any cell lacks it."""
    return [math.fsum(each.of_result(result) for result in results) / len(results) for each in objectives]
