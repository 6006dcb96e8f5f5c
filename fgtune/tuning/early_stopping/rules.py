"""Rules that stop running trials: deterministic in the observed scores, so that replaying these restores their state.

A score is a metric signed so that larger is better; an undefined one is the worst. Trials are compared within their
block: those with the same seed share split, initial weights and data order. In a search with several seeds a rule sees
whole trials, all in one block, each by the mean over the same seeds (``seeds.WholeTrials``).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from fgtune.config.arms.records import Fork
from fgtune.config.schema.tuning import AshaConfig, HyperbandConfig, MedianConfig, PlateauConfig, StoppingConfig
from fgtune.streams import derive_seed


@dataclass(frozen=True)
class Candidate:
    """A trial as a rule sees it.

    Attributes:
        cell_id: Its cell.
        block: Its seed.
        key: Digest of its config; the same for all seeds of an arm.
        epochs: Length of its full training.
        fork_epoch: Epochs that its donor had trained; 0 for a trial that starts from scratch.
        seeds: Number of cells that its trial is judged by; 1 for a cell that is judged alone.
    """

    cell_id: str
    block: int
    key: str
    epochs: int
    fork_epoch: int = 0
    seeds: int = 1


@dataclass(frozen=True)
class Decision:
    """A rule's decision on a trial at an epoch.

    Attributes:
        stop: Whether to stop it.
        reason: A few words with numbers; empty if it continues.
        fork: Where the fork that replaces it starts from; None if nothing replaces it.
    """

    stop: bool
    reason: str = ""
    fork: Fork | None = None


class StoppingRule(Protocol):
    """Observes every trial's epochs in order; the same sequence gives the same decisions.

    Attributes:
        reads_every_epoch: Whether a score at an epoch without a decision counts too.
    """

    reads_every_epoch: bool

    def decides_at(self, candidate: Candidate, epoch: int) -> bool:
        """Whether the trial may be stopped at this epoch and so has to wait for the decision."""
        ...

    def observe(self, candidate: Candidate, epoch: int, score: float) -> Decision | None:
        """Record a score and decide; None if the rule does not use it."""
        ...


Brackets = Callable[[int], Sequence[tuple[float, float]]]
"""The brackets for a trial of this many epochs: first rung (epochs; beyond the last it stops nothing) and share of the
trials, unnormalised."""


def grace_brackets(_epochs: int, grace: int, reduction: float, count: int) -> Sequence[tuple[float, float]]:
    """Brackets that start at ``grace``, ``grace * reduction``, ..., at equal cost each.

    The later a bracket starts, the longer its trials run and the fewer it gets.
    """
    return [(grace * reduction**s, reduction**-s) for s in range(count)]


def hyperband_brackets(epochs: int, reduction: float) -> Sequence[tuple[float, float]]:
    """HyperBand's brackets: from many trials judged after one epoch to few that are never stopped (Li et al. 2018).

    Bracket s has ``(s_max + 1) / (s + 1) * reduction**s`` trials with a first rung at ``R / reduction**s``.
    """
    most = int(math.log(max(1, epochs)) / math.log(reduction) + 1e-9)
    return [(epochs / reduction**s, math.ceil((most + 1) / (s + 1) * reduction**s)) for s in range(most, -1, -1)]


class SuccessiveHalving:
    """Asynchronous successive halving with one or more brackets (Li et al. 2020, the stopping variant).

    At rung k, after ``first * reduction**k`` epochs, a trial continues if it is among the best ``1 / reduction`` of
    those that reached the rung so far, itself included; the best one always continues.

    Args:
        reduction: Larger than 1.
        brackets: Gives the brackets for a trial's full length.
    """

    reads_every_epoch = False

    def __init__(self, reduction: float, brackets: Brackets) -> None:
        self._reduction, self._brackets = reduction, brackets
        self._rungs: dict[tuple[int, float, int], dict[str, float]] = {}

    def decides_at(self, candidate: Candidate, epoch: int) -> bool:
        """At the rungs of its bracket."""
        return epoch in self.rungs(candidate)

    def rungs(self, candidate: Candidate) -> list[int]:
        """Epochs of the rungs in the trial's bracket, all before its end."""
        rungs, rung = set[int](), self.first_rung(candidate)
        while rung < candidate.epochs:
            rungs.add(int(rung))
            rung *= self._reduction
        return sorted(rungs)

    def first_rung(self, candidate: Candidate) -> float:
        """The first rung of the trial's bracket, which depends only on its config."""
        brackets = self._brackets(candidate.epochs)
        drawn = derive_seed(0, "bracket", candidate.key) / 2**63 * math.fsum(share for _, share in brackets)
        for first, share in brackets:
            drawn -= share
            if drawn < 0:
                return first
        return brackets[-1][0]

    def observe(self, candidate: Candidate, epoch: int, score: float) -> Decision | None:
        """Decide at the highest rung reached, once."""
        passed = [rung for rung in self.rungs(candidate) if rung <= epoch]
        if not passed:
            return None
        rung = self._rungs.setdefault((candidate.block, self.first_rung(candidate), passed[-1]), {})
        if candidate.cell_id in rung:
            return None
        rung[candidate.cell_id] = score
        better = sum(other > score for other in rung.values())
        allowed = max(1, int(len(rung) / self._reduction))
        if better < allowed:
            return Decision(False)
        return Decision(True, f"rank {better + 1} of {len(rung)} at rung {passed[-1]}, {allowed} may go on")


class MedianRule:
    """Stop a trial whose best score so far is below the median of the others' running means (Golovin et al. 2017).

    Args:
        grace: Epochs before any decision.
        min_trials: Number of other trials that must have reached the epoch.
    """

    reads_every_epoch = True

    def __init__(self, grace: int, min_trials: int) -> None:
        self._grace, self._min_trials = grace, min_trials
        self._scores: dict[int, dict[str, dict[int, float]]] = {}

    def decides_at(self, candidate: Candidate, epoch: int) -> bool:
        """At every epoch from the grace period to the last but one."""
        return self._grace <= epoch < candidate.epochs

    def observe(self, candidate: Candidate, epoch: int, score: float) -> Decision | None:
        """Compare with the other trials of the block that reached the epoch."""
        block = self._scores.setdefault(candidate.block, {})
        own = block.setdefault(candidate.cell_id, {})
        if epoch in own:
            return None
        own[epoch] = score
        others = [_mean_until(scores, epoch) for cell_id, scores in block.items() if cell_id != candidate.cell_id]
        reached = [mean for mean in others if mean is not None]
        if not self.decides_at(candidate, epoch) or len(reached) < self._min_trials:
            return Decision(False)
        best, median = max(own.values()), statistics.median(reached)
        if best >= median:
            return Decision(False)
        return Decision(True, f"its best is below the median of {len(reached)} others")


def _mean_until(scores: Mapping[int, float], epoch: int) -> float | None:
    """Mean of the scores up to an epoch; None for a trial that has not reached it."""
    if max(scores) < epoch:
        return None
    seen = [score for measured, score in scores.items() if measured <= epoch]
    if not seen:
        return None
    return -math.inf if -math.inf in seen else statistics.fmean(seen)


class PlateauRule:
    """Stop a trial on a plateau: the standard deviation of its last scores is within a tolerance.

    Args:
        grace: Epochs before any decision.
        patience: Number of last scores considered.
        tolerance: Largest standard deviation (population) of a plateau, in the metric's unit.
    """

    reads_every_epoch = True

    def __init__(self, grace: int, patience: int, tolerance: float) -> None:
        self._grace, self._patience, self._tolerance = grace, patience, tolerance
        self._scores: dict[str, dict[int, float]] = {}

    def decides_at(self, candidate: Candidate, epoch: int) -> bool:
        """At every epoch from the grace period to the last but one."""
        return self._grace <= epoch < candidate.epochs

    def observe(self, candidate: Candidate, epoch: int, score: float) -> Decision | None:
        """Decide by the trial's last scores."""
        own = self._scores.setdefault(candidate.cell_id, {})
        if epoch in own:
            return None
        own[epoch] = score
        last = list(own.values())[-self._patience :]
        if not self.decides_at(candidate, epoch) or len(last) < self._patience:
            return Decision(False)
        finite = [value for value in last if math.isfinite(value)]
        if finite and len(finite) < len(last):
            return Decision(False)
        deviation = statistics.pstdev(finite) if finite else 0.0
        if deviation > self._tolerance:
            return Decision(False)
        return Decision(True, f"its last {self._patience} scores spread by {deviation:.2g}")


def stopping_rule(config: StoppingConfig) -> StoppingRule:
    """The stopping rule of a study file.

    Raises:
        TypeError: For population based training, whose rule is ``population.TruncationSelection``.
    """
    match config:
        case AshaConfig():
            brackets = partial(
                grace_brackets, grace=config.grace_epochs, reduction=config.reduction, count=config.brackets
            )
            return SuccessiveHalving(config.reduction, brackets)
        case HyperbandConfig():
            return SuccessiveHalving(config.reduction, partial(hyperband_brackets, reduction=config.reduction))
        case MedianConfig():
            return MedianRule(config.grace_epochs, config.min_trials)
        case PlateauConfig():
            return PlateauRule(config.grace_epochs, config.patience_epochs, config.tolerance)
    raise TypeError(f"{config.kind} is no stopping rule")
