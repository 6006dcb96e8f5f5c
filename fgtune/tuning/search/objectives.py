"""What a search optimises: each objective's direction, and its value in a result. Imports neither Ray nor Optuna."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fgtune.analysis.agreement import arm_value
from fgtune.catalog import ARM_METRICS, CATALOGUE, MetricBook, natural_mode
from fgtune.config.schema.designs import Design
from fgtune.config.schema.study import Study
from fgtune.config.schema.tuning import Mode
from fgtune.results.cell_files import CellFiles
from fgtune.results.records import CellResult, SolverUse


@dataclass(frozen=True)
class Objective:
    """One quantity that a search optimises: its name and direction."""

    name: str
    mode: Mode

    def value(self, metrics: Mapping[str, float], seconds: float, solver: SolverUse | None) -> float:
        """Its value for a trial that ended; nan if the trial does not have it.

        Args:
            metrics: Metrics of the last epoch.
            seconds: Wall seconds in the trainer.
            solver: Use of the relations solver; None if nothing was solved.
        """
        if self.name == "cost/seconds":
            return seconds
        if self.name == "cost/solver_seconds":
            return 0.0 if solver is None else solver.seconds
        return metrics.get(self.name, math.nan)

    def score(self, value: float) -> float:
        """A value signed so that larger is better; one that is not finite is the worst."""
        sign = 1.0 if self.mode == "maximize" else -1.0
        return sign * value if math.isfinite(value) else -math.inf

    def of_result(self, result: CellResult) -> float:
        """Its value in a result of the ledger."""
        return self.value(result.metrics, result.seconds, result.solver)


def objectives_of(design: Design, book: MetricBook = CATALOGUE) -> tuple[Objective, ...]:
    """The objectives of a search with their modes filled in; ``check_metrics`` has checked the study.

    Args:
        design: The design.
        book: The metrics of the study's trial.
    """
    return tuple(Objective(name, mode or natural_mode(name, book)) for name, mode in design.criteria)


def ranking_of(study: Study) -> tuple[Objective, ...]:
    """What the arms of a study are ranked by: the objectives of a search, the primary metric of any other design."""
    book = study.trial.book
    return tuple(Objective(name, mode or natural_mode(name, book)) for name, mode in study.ranking)


def stopping_objective(study: Study) -> Objective | None:
    """What early stopping judges running trials by; None if it is off."""
    scheduler = study.stopping
    if scheduler is None:
        return None
    objectives = objectives_of(study.design, study.trial.book)
    if scheduler.metric is not None:
        modes = {objective.name: objective.mode for objective in reversed(objectives)}
        mode = scheduler.mode or modes.get(scheduler.metric) or natural_mode(scheduler.metric, study.trial.book)
        return Objective(scheduler.metric, mode)
    first = objectives[0]  # validation has refused a scheduler without a metric outside a search
    return Objective(first.name, scheduler.mode or first.mode)


ArmMeasure = Callable[[str, Sequence[CellResult]], float]
"""Maps a metric of ``ARM_METRICS`` and the complete cells of an arm to its value, from their stored predictions."""


def unmeasured(metric: str, results: Sequence[CellResult]) -> float:
    """The ``ArmMeasure`` where there is no study folder: nan."""
    del metric, results
    return math.nan


def measure_in(folder: CellFiles) -> ArmMeasure:
    """The ``ArmMeasure`` of a study folder."""
    return lambda metric, results: arm_value(folder, metric, results)


def mean_values(
    objectives: Sequence[Objective], results: Sequence[CellResult], measure: ArmMeasure = unmeasured
) -> list[float]:
    """Each objective's mean over the cells (seeds) of one arm, or its value for the whole arm; nan if a cell lacks it.

    Args:
        objectives: What is optimised.
        results: The cells of an arm.
        measure: For metrics of an arm.
    """
    return [
        measure(objective.name, results)
        if objective.name in ARM_METRICS
        else math.fsum(map(objective.of_result, results)) / len(results)
        for objective in objectives
    ]
