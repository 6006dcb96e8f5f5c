"""What a search optimises: which way each objective is better, its value in a result, and which ones it may use.

Imports neither Ray nor Optuna.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fgtune.catalog import METRICS, spec_of
from fgtune.config.arms.judged_metrics import judged_metrics
from fgtune.config.reading.load import LoadedStudy
from fgtune.config.schema.designs import Design
from fgtune.config.schema.paths import dotted
from fgtune.config.schema.sampling import Mode
from fgtune.config.schema.study import Study
from fgtune.errors import ConfigError, MultiConfigError
from fgtune.results.records import CellResult, SolverUse

COST = "cost/"
"""Prefix of objectives that are seconds: ``cost/seconds`` in the trainer, ``cost/solver_seconds`` in the solver."""


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
    """The objectives of a search, modes filled in; the study has been checked by ``check_judged_metrics``."""
    return tuple(Objective(name, mode or natural_mode(name)) for name, mode in design.criteria)


def ranking_of(study: Study) -> tuple[Objective, ...]:
    """What the arms of a study are ranked by: the objectives of a search, the primary metric of any other design."""
    return tuple(Objective(name, mode or natural_mode(name)) for name, mode in study.ranking)


def stopping_objective(study: Study) -> Objective | None:
    """What running trials are judged by; None where none is stopped early."""
    scheduler = study.own_scheduler
    if scheduler.kind == "none":
        return None
    if scheduler.metric is not None:
        same = next((each.mode for each in objectives_of(study.design) if each.name == scheduler.metric), None)
        return Objective(scheduler.metric, scheduler.mode or same or natural_mode(scheduler.metric))
    only = objectives_of(study.design)[0]  # a scheduler without a metric belongs to a search, or was refused
    return Objective(only.name, scheduler.mode or only.mode)


def natural_mode(name: str) -> Mode:
    """Which way an objective is better by itself.

    Raises:
        ConfigError: An unknown metric, or one without a better way.
    """
    if name.startswith(COST):
        return "minimize"
    direction = spec_of(name).direction
    if direction == "none":
        rule, fix = "has no better or worse of its own", "say `mode: maximize` or `mode: minimize`"
        raise ConfigError(rule, value=name, fix=fix)
    return direction


def mean_values(objectives: Sequence[Objective], results: Sequence[CellResult]) -> list[float]:
    """The value of each objective, mean over the cells (seeds) of one arm; nan where any cell lacks it."""
    return [math.fsum(each.of_result(result) for result in results) / len(results) for each in objectives]


def check_judged_metrics(loaded: LoadedStudy) -> None:
    """Raise unless everything that trials are judged by is known, has a direction, and may be looked at.

    Selection and early stopping look at label-free metrics of the validation or training split, unless the study says
    ``oracle: true``.

    Raises:
        ConfigError: Something is not; ``MultiConfigError`` when several things are not.
    """
    design, scheduler = loaded.study.design, loaded.study.own_scheduler
    modes = dict(design.criteria)
    errors: list[ConfigError] = []
    for path, name in judged_metrics(loaded.study).items():
        running = path[0] == "scheduler"
        mode = scheduler.mode if running else modes[name]
        found = _errors(name, mode, oracle=design.allows_oracle, running=running, enumerated=design.plans_cells)
        errors += [each.located(loaded.origins.where(path), dotted(path)) for each in found]
    MultiConfigError.raise_all(errors)


def _errors(name: str, mode: Mode | None, *, oracle: bool, running: bool, enumerated: bool) -> Iterator[ConfigError]:
    """What is wrong with judging by a metric; ``running`` trials are judged epoch by epoch."""
    if name.startswith(COST):
        return
    try:
        spec = spec_of(name)
        if mode is None:
            natural_mode(name)
    except ConfigError as error:
        yield error
        return
    if running and spec.final:
        rule = "is measured after the last epoch only, too late to stop a trial"
        yield ConfigError(rule, value=name, fix="name one that is measured every epoch")
    remedy = "" if enumerated else ", or say `oracle: true`"
    if spec.oracle and not oracle:
        free = [f"val/{each}" for each, known in METRICS.items() if not known.oracle and known.direction != "none"]
        fix = f"choose among {', '.join(free)}{remedy}"
        yield ConfigError("reads fine labels, which selection must not", value=name, fix=fix)
    elif name.startswith("test/") and not oracle:
        rule = "is of the test split, which selection must not look at"
        yield ConfigError(rule, value=name, fix=f"use val/{spec.name}{remedy}")
