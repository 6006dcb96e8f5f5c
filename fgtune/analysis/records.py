"""The records that make up a summary: an arm, a contrast, lost cells, the use of a solver; plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fgtune.analysis.inputs import Counts
from fgtune.analysis.statistics import Estimate, PairedContrast
from fgtune.analysis.verdicts import Judgement


@dataclass(frozen=True)
class ArmSummary:
    """One arm over its seeds.

    Attributes:
        arm: Name in the plan.
        label: Name for readers.
        levels: Value of every factor.
        num_fine: The values of K_F in its finished cells; usually one.
        estimates: Mean and interval of each shown metric, over COMPLETE cells with a finite value.
        seconds: Trainer seconds a cell, over all cells that ended.
    """

    arm: str
    label: str
    is_baseline: bool
    levels: Mapping[str, Any]
    num_fine: tuple[int, ...]
    counts: Counts
    estimates: Mapping[str, Estimate]
    seconds: Estimate


@dataclass(frozen=True)
class ContrastSummary:
    """One arm against the baseline on one metric.

    Attributes:
        planned: Whether the study file planned it; if not it is exploratory: uncorrected and without a verdict.
        contrast: Paired differences, interval, tests.
        bootstrap: Studentised bootstrap interval of the mean difference, a check on the t interval.
        judgement: Verdict and grounds; None when exploratory.
        sentence: The result in words with numbers.
    """

    arm: str
    label: str
    metric: str
    planned: bool
    contrast: PairedContrast
    bootstrap: Estimate
    judgement: Judgement | None
    sentence: str


@dataclass(frozen=True)
class Bounds:
    """What an arm's lost cells (failed, pruned, not a number) could have changed on the primary metric.

    Attributes:
        lost: Seeds without a value.
        mean_low: Mean of the arm if every lost value were the lowest possible; -inf where the metric has no bound.
        mean_high: The same with the highest possible.
        difference_low: Mean difference to the baseline in the case worst for a positive difference, lost baseline
            cells included; nan for the baseline itself.
        difference_high: The opposite case.
    """

    arm: str
    label: str
    metric: str
    lost: tuple[int, ...]
    mean_low: float
    mean_high: float
    difference_low: float
    difference_high: float


@dataclass(frozen=True)
class FailureRow:
    """A cell that ended without being COMPLETE, or whose result is not a number."""

    cell_id: str
    arm: str
    label: str
    seed: int
    state: str
    attempts: int
    epochs: int
    seconds: float
    cause: str


@dataclass(frozen=True)
class PrunedGroup:
    """Cells that were stopped early at the same epoch.

    Attributes:
        epoch: Their last one.
        arms: Their arms, in the order of the plan.
        cells: How many cells.
        cause: What the first of them was stopped for.
    """

    epoch: int
    arms: tuple[str, ...]
    cells: int
    cause: str


@dataclass(frozen=True)
class SolverRow:
    """How one solver performed in one arm, over all cells that ended.

    Attributes:
        cells: Number of cells that used it.
        solves: All solves together.
        seconds: Wall seconds of all solves.
        seconds_per_solve: Their quotient; nan without a solve.
        share: Solver seconds in the trainer seconds of the same cells.
        statuses: Number of solves by status.
        max_gap: Largest relative gap of any solve.
    """

    arm: str
    label: str
    solver: str
    cells: int
    solves: int
    seconds: float
    seconds_per_solve: float
    share: float
    statuses: Mapping[str, int]
    max_gap: float
