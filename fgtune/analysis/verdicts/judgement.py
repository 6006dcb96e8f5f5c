"""The records of a verdict: the case that is judged, the rules, lost cells, and the judgement with its grounds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from fgtune.analysis.verdicts.robust import Summary, SummaryKind
from fgtune.analysis.verdicts.shape import UNKNOWN, Shape
from fgtune.analysis.verdicts.statistics import PairedContrast
from fgtune.catalog.spec import Direction
from fgtune.text import first_of

Doubt = Literal["", "stopped", "lost", "shape", "unseen"]
"""Why an answer of the tests does not stand; empty where it does."""
NAMED = 3
"""Seeds or cells that a sentence names."""


class Verdict(StrEnum):
    """What a planned contrast says about an arm."""

    HELPS = "helps"
    HURTS = "hurts"
    EQUIVALENT = "equivalent"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class LostCells:
    """The seeds at which an arm (or its baseline) ended without a usable value, by what happened.

    Attributes:
        failed: Crashed.
        undefined: Complete, but the metric is not finite.
        stopped: Stopped early by a scheduler.
    """

    failed: tuple[int, ...] = ()
    undefined: tuple[int, ...] = ()
    stopped: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.seeds)

    @property
    def seeds(self) -> tuple[int, ...]:
        """All of them in order; a seed at which several arms lost their cells in different ways is there once."""
        return tuple(sorted({*self.failed, *self.undefined, *self.stopped}))

    def words(self) -> str:
        """Each kind with its seeds: ``failed on seeds 3, 7``."""
        kinds = [("failed", self.failed), ("gave no finite value", self.undefined), ("was stopped early", self.stopped)]
        return " and ".join(f"{what} on {_seeds(seeds)}" for what, seeds in kinds if seeds)


@dataclass(frozen=True)
class Rules:
    """What all contrasts of a study are judged by.

    Attributes:
        direction: Which way the metric is better. With ``none`` the answer is equivalent or undecided.
        alpha: Family-wise level.
        contrasts: Number of contrasts that are corrected together, >= 1.
        kind: The summary that decides.
        low: Lower end of the metric's range, possibly -inf.
        high: Its upper end.
        grain: Smallest step of the metric, if it counts samples of a test set; else 0.
        collapse_rate: Share of seeds whose collapse must not have been missed; 0 to take it that none collapse.
        first_share: Share of alpha that the first look at a study spends.
    """

    direction: Direction
    alpha: float
    contrasts: int = 1
    kind: SummaryKind = "mean"
    low: float = -math.inf
    high: float = math.inf
    grain: float = 0.0
    collapse_rate: float = 0.1
    first_share: float = 1.0

    @property
    def level(self) -> float:
        """Level of one contrast in Holm's first step."""
        return self.alpha / self.contrasts

    @property
    def sign(self) -> float:
        """-1 where smaller is better, else 1."""
        return -1.0 if self.direction == "minimize" else 1.0

    @property
    def least_sd(self) -> float:
        """Standard deviation that rounding to the grain gives the difference of two values."""
        return self.grain / math.sqrt(6.0)


@dataclass(frozen=True)
class LastLook:
    """What all pairs of a contrast give as if nobody had looked before, and the look that its answer comes from.

    Attributes:
        different: P-value of a difference, which pays for no look; corrected as ``Case.p_adjusted`` is.
        equivalent: The same of equivalence.
        pairs: Pairs at the look that the p-value of a difference comes from, and that of equivalence.
    """

    different: float
    equivalent: float
    pairs: tuple[int, int]


@dataclass(frozen=True)
class Case:
    """One contrast with all that bears on its verdict.

    Attributes:
        contrast: The paired differences.
        summary: The summary that decides.
        margin: A smaller difference is unimportant, > 0; None where none is stated, so that nothing is equivalent.
        p_adjusted: Holm-adjusted p of the summary.
        p_equivalent: Holm-adjusted p of the equivalence tests.
        arm_mean: Mean of the arm over the pairs.
        lost: Lost cells of the arm.
        baseline_lost: Lost cells of the baseline.
        lowest: Smallest possible difference of each pair, lost cells at their ends; empty where none were lost.
        highest: Largest possible difference of each pair.
        shape: The shape of the table of arms by seeds.
        same_run: Whether arm and baseline agree in every metric of every pair, to the last bit.
        names: The arm's and the baseline's name in ``shape``.
        who: What a sentence calls the arm that lost cells.
        last_look: What all pairs give by themselves; None with a single look.
    """

    contrast: PairedContrast
    summary: Summary
    margin: float | None
    p_adjusted: float
    p_equivalent: float
    arm_mean: float = math.nan
    lost: LostCells = field(default_factory=LostCells)
    baseline_lost: LostCells = field(default_factory=LostCells)
    lowest: tuple[float, ...] = ()
    highest: tuple[float, ...] = ()
    shape: Shape = UNKNOWN
    same_run: bool = False
    names: tuple[str, str] = ("", "")
    who: str = "it"
    last_look: LastLook | None = None


@dataclass(frozen=True)
class Judgement:
    """A verdict and its grounds.

    Attributes:
        verdict: The answer.
        reason: Why, in a clause that is understood without the table.
        p_adjusted: Holm-adjusted p; nan if nothing could be tested.
        p_equivalent: Holm-adjusted p of the equivalence tests; nan without a margin, variation, or three pairs.
        margin: The margin; None if the study states none.
        tost_low: Lower end of the (1 - 2 alpha) interval of the mean difference, uncorrected; nan if n < 2.
        tost_high: Its upper end.
        lost: Lost cells of the arm.
        baseline_lost: Lost cells of the baseline.
        doubt: Why an answer of the tests does not stand: ``stopped``, ``lost``, ``shape``, ``unseen``; else empty.
        tests_say: The answer of the tests alone.
        earlier: Pairs at the earlier look that gave the answer, where all pairs by themselves do not; else 0.
    """

    verdict: Verdict
    reason: str
    p_adjusted: float
    p_equivalent: float
    margin: float | None
    tost_low: float
    tost_high: float
    lost: LostCells = field(default_factory=LostCells)
    baseline_lost: LostCells = field(default_factory=LostCells)
    doubt: Doubt = ""
    tests_say: Verdict = Verdict.UNDECIDED
    earlier: int = 0

    @property
    def lost_any(self) -> bool:
        """Whether the arm or its baseline lost cells."""
        return len(self.lost) > 0 or len(self.baseline_lost) > 0

    @property
    def stopped(self) -> int:
        """Pairs lost to early stopping."""
        return stopped_pairs(self.lost, self.baseline_lost)


def earlier_words(earlier: int, pairs: int) -> str:
    """What follows an answer that ``earlier`` pairs gave and all ``pairs`` do not."""
    return f", as {earlier} pairs showed before; all {pairs} by themselves do not"


def stopped_pairs(lost: LostCells, baseline_lost: LostCells) -> int:
    """Number of seeds at which an arm or its baseline was stopped early."""
    return len({*lost.stopped, *baseline_lost.stopped})


def _seeds(seeds: tuple[int, ...]) -> str:
    return f"{'seed' if len(seeds) == 1 else 'seeds'} {first_of([str(seed) for seed in seeds], NAMED)}"
