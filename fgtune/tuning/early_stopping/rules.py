"""Rules that stop running trials: pure functions of the observed scores, so that replaying these restores their state.

A score is a metric turned so that larger is better; one that is not a number is the worst there is. Trials are compared
within their block: those of one seed share split, initial weights and data order, so like is compared with like.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from fgtune.config.arms.records import Fork
from fgtune.config.schema.tuning import AshaConfig, HyperbandConfig, MedianConfig, PlateauConfig, StoppingConfig
from fgtune.streams import derive_seed


@dataclass(frozen=True)
class Candidate:
    """A trial as a rule sees it.

    Attributes:
        cell_id: Names it.
        block: Its seed.
        key: Digest of its config; all seeds of an arm have the same.
        epochs: Length of its full training.
        fork_epoch: Epochs that another trial had trained before it forked off; 0 for one that starts from scratch.
    """

    cell_id: str
    block: int
    key: str
    epochs: int
    fork_epoch: int = 0


@dataclass(frozen=True)
class Decision:
    """What a rule says of a trial at an epoch.

    Attributes:
        stop: Whether to stop it.
        reason: In a few words with numbers; empty where it goes on.
        fork: What a copy that takes its place starts from; None where nothing does.
    """

    stop: bool
    reason: str = ""
    fork: Fork | None = None


class StoppingRule(Protocol):
    """Observes every trial's epochs in order; the same sequence gives the same decisions."""

    def decides_at(self, candidate: Candidate, epoch: int) -> bool:
        """Whether the trial may be stopped at this epoch, so that it has to wait for the decision."""
        ...

    def observe(self, candidate: Candidate, epoch: int, score: float) -> Decision | None:
        """Take up a score and decide; None where the rule has no use for it."""
        ...


class SuccessiveHalving:
    """Asynchronous successive halving, in one bracket or several (Li et al. 2020, the rule that stops).

    At rung k, after ``first * reduction**k`` epochs, a trial goes on if it is among the best ``1 / reduction`` of those
    that reached the rung before it, itself included; the best one always goes on.

    Args:
        reduction: Larger than 1.
        brackets: First rung (epochs) of each bracket and its share of the trials, by a trial's full length.
    """

    def __init__(self, reduction: float, brackets: Brackets) -> None:
        self._reduction, self._brackets = reduction, brackets
        self._rungs: dict[tuple[int, float, int], dict[str, float]] = {}

    def decides_at(self, candidate: Candidate, epoch: int) -> bool:
        """At the epochs of the rungs of its bracket."""
        return epoch in self.rungs(candidate)

    def rungs(self, candidate: Candidate) -> list[int]:
        """Epochs of the rungs in the trial's bracket, all before its end."""
        rungs, place = [], self.first_rung(candidate)
        while place < candidate.epochs:
            rungs.append(int(place))
            place *= self._reduction
        return sorted(set(rungs))

    def first_rung(self, candidate: Candidate) -> float:
        """Where the first rung of the trial's bracket lies; the bracket depends on its config alone."""
        brackets = self._brackets.of(candidate.epochs)
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


class Brackets(Protocol):
    """The brackets of a trial of so many epochs: first rung and share of each."""

    def of(self, epochs: int) -> Sequence[tuple[float, float]]:
        """First rung (epochs; one at or past the end stops nothing) and share of the trials."""
        ...


@dataclass(frozen=True)
class GraceBrackets:
    """Brackets that start at ``grace``, ``grace * reduction``, ...: the later, the more trials reach their end."""

    grace: int
    reduction: float
    count: int

    def of(self, epochs: int) -> Sequence[tuple[float, float]]:  # noqa: ARG002 (the same for all lengths)
        """Equal cost a bracket: a bracket that lets trials run longer gets fewer of them."""
        return [(self.grace * self.reduction**s, self.reduction**-s) for s in range(self.count)]


@dataclass(frozen=True)
class HyperbandBrackets:
    """HyperBand's own: from many trials judged after one epoch to few that are never stopped (Li et al. 2018)."""

    reduction: float

    def of(self, epochs: int) -> Sequence[tuple[float, float]]:
        """Bracket s has ``(s_max + 1) / (s + 1) * reduction**s`` trials with a first rung at ``R / reduction**s``."""
        most = int(math.log(max(1, epochs)) / math.log(self.reduction) + 1e-9)
        return [
            (epochs / self.reduction**s, math.ceil((most + 1) / (s + 1) * self.reduction**s))
            for s in range(most, -1, -1)
        ]


class MedianRule:
    """Stop a trial whose best score so far is below the median of the others' running means (Golovin et al. 2017).

    Args:
        grace: Epochs before any decision.
        min_trials: Others that must have come as far.
    """

    def __init__(self, grace: int, min_trials: int) -> None:
        self._grace, self._min_trials = grace, min_trials
        self._scores: dict[int, dict[str, dict[int, float]]] = {}

    def decides_at(self, candidate: Candidate, epoch: int) -> bool:
        """At every epoch from the grace period to the last but one."""
        return self._grace <= epoch < candidate.epochs

    def observe(self, candidate: Candidate, epoch: int, score: float) -> Decision | None:
        """Compare with the other trials of the block that have come as far."""
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
    """Mean of the scores up to an epoch; None for a trial that has not come as far."""
    if max(scores) < epoch:
        return None
    seen = [score for place, score in scores.items() if place <= epoch]
    if not seen:
        return None
    return -math.inf if -math.inf in seen else statistics.fmean(seen)


class PlateauRule:
    """Stop a trial whose score has not moved: standard deviation of the last scores within a tolerance.

    Args:
        grace: Epochs before any decision.
        patience: Scores that are looked back on.
        tolerance: Largest standard deviation (population) of a plateau, in the metric's unit.
    """

    def __init__(self, grace: int, patience: int, tolerance: float) -> None:
        self._grace, self._patience, self._tolerance = grace, patience, tolerance
        self._scores: dict[str, dict[int, float]] = {}

    def decides_at(self, candidate: Candidate, epoch: int) -> bool:
        """At every epoch from the grace period to the last but one."""
        return self._grace <= epoch < candidate.epochs

    def observe(self, candidate: Candidate, epoch: int, score: float) -> Decision | None:
        """Decide by the trial's own last scores."""
        own = self._scores.setdefault(candidate.cell_id, {})
        if epoch in own:
            return None
        own[epoch] = score
        last = list(own.values())[-self._patience :]
        if not self.decides_at(candidate, epoch) or len(last) < self._patience:
            return Decision(False)
        finite = [each for each in last if math.isfinite(each)]
        if finite and len(finite) < len(last):
            return Decision(False)
        deviation = statistics.pstdev(finite) if finite else 0.0
        if deviation > self._tolerance:
            return Decision(False)
        return Decision(True, f"its last {self._patience} scores spread by {deviation:.2g}")


def stopping_rule(config: StoppingConfig) -> StoppingRule:
    """The rule that a study file asks for.

    Raises:
        TypeError: For population based training, whose rule is ``population.TruncationSelection``.
    """
    match config:
        case AshaConfig():
            brackets = GraceBrackets(config.grace_epochs, config.reduction, config.brackets)
            return SuccessiveHalving(config.reduction, brackets)
        case HyperbandConfig():
            return SuccessiveHalving(config.reduction, HyperbandBrackets(config.reduction))
        case MedianConfig():
            return MedianRule(config.grace_epochs, config.min_trials)
        case PlateauConfig():
            return PlateauRule(config.grace_epochs, config.patience_epochs, config.tolerance)
    raise TypeError(f"{config.kind} is no stopping rule")
