"""The records that make up a summary (an arm, a contrast, lost cells, the use of a solver); plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fgtune.analysis.inputs import Counts
from fgtune.analysis.verdicts.judgement import Judgement, Verdict
from fgtune.analysis.verdicts.power import SeedAdvice
from fgtune.analysis.verdicts.robust import Summary, SummaryKind
from fgtune.analysis.verdicts.statistics import Estimate, PairedContrast


@dataclass(frozen=True)
class ArmSummary:
    """An arm over its seeds.

    Attributes:
        arm: Name in the plan.
        label: Name for readers.
        levels: Value of every factor.
        num_fine: The values of K_F in its finished cells; usually one.
        estimates: Mean and interval of each shown metric, over COMPLETE cells with a finite value.
        seconds: Trainer seconds per cell, over all cells that ended.
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
    """An arm against the baseline on one metric.

    Attributes:
        planned: Whether the study file planned it; if not, it is exploratory: uncorrected and without a verdict.
        contrast: Paired differences, interval, tests.
        summary: The summary that decides, as the study file chooses.
        others: The other summaries of the same differences, which do not decide; none of an exploratory contrast.
        judgement: Verdict and grounds; None if exploratory.
        advice: Pairs that would find a difference of the margin (or, without one, of the size measured); None where the
            verdict is decided or in doubt, too few pairs show how much the differences vary, a summary other than the
            mean judges, or there is neither a margin nor a mean difference to find.
        detectable: Smallest mean difference that these pairs detect with 80 % power; nan if n < 2.
        sentence: The result as a sentence.
    """

    arm: str
    label: str
    metric: str
    planned: bool
    contrast: PairedContrast
    summary: Summary
    others: tuple[Summary, ...]
    judgement: Judgement | None
    advice: SeedAdvice | None
    detectable: float
    sentence: str

    def summarised(self, kind: SummaryKind) -> Summary:
        """A summary of the differences by its kind."""
        return next(found for found in (self.summary, *self.others) if found.kind == kind)

    @property
    def is_decided(self) -> bool:
        """Whether it is planned and its verdict is not undecided."""
        return self.judgement is not None and self.judgement.verdict is not Verdict.UNDECIDED


@dataclass(frozen=True)
class Look:
    """A look at the results of a study, after which seeds may have been added.

    Attributes:
        seeds: Number of seeds of the arms that had the most.
        spent: Share of alpha that this look and those before it may spend together.
        level: Two-sided level at which a look with this many pairs tests a single contrast.
        verdicts: Label and verdict of each contrast that this look decided and none before did.
        open: Labels of the contrasts that were still undecided.
    """

    seeds: int
    spent: float
    level: float
    verdicts: tuple[tuple[str, Verdict], ...]
    open: tuple[str, ...]


@dataclass(frozen=True)
class Bounds:
    """How an arm's lost cells (failed, pruned, undefined) could have changed the primary metric.

    Attributes:
        lost: Seeds without a value.
        mean_low: Mean of the arm if every lost value were the lowest possible; -inf for an unbounded metric.
        mean_high: The same with the highest possible value.
        difference_low: Smallest possible mean difference to the baseline, whose cells may be lost too; nan for the
            baseline itself.
        difference_high: Largest possible mean difference.
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
    """A cell that ended without being COMPLETE, or whose result is undefined."""

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
        epoch: Their last epoch.
        arms: Their arms, in the order of the plan.
        cells: Number of cells.
        cause: Why the first of them was stopped.
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
        solves: Number of solves.
        seconds: Wall seconds of all solves.
        seconds_per_solve: Their ratio; nan without a solve.
        share: Solver seconds over trainer seconds of the same cells.
        statuses: Number of solves by status.
        max_gap: Largest relative gap of any solve.
        resolves: Number of solves during training, from predictions.
        changes: How many of those changed the relations.
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
    resolves: int
    changes: int
