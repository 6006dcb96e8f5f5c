"""Trials of several seeds as a whole: judged by the mean over all their seeds at one epoch, never by one of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from fgtune.tuning.early_stopping.rules import Candidate, Decision, StoppingRule


class Standing(Enum):
    """What a cell does after an epoch."""

    GO_ON = "go on"
    WAIT = "wait"
    """It gives its place away until the other seeds of its trial have come as far."""
    STOP = "stop"


def mean_score(scores: Mapping[int, float]) -> float:
    """The mean over seeds, to the last bit the same in whatever order they came; the worst if any of them is."""
    values = list(scores.values())
    return math.fsum(values) / len(values) if all(map(math.isfinite, values)) else -math.inf


class WholeTrials:
    """Passes the score of a trial on to a rule once every seed of the trial has come to the epoch.

    The rule then sees one candidate a trial. What it decides depends on the order in which trials became complete at an
    epoch, but not on the order in which the seeds of a trial came there. A candidate that is judged alone passes
    unchanged.

    Args:
        rule: The rule of the study.
    """

    def __init__(self, rule: StoppingRule) -> None:
        self._rule = rule
        self.reads_every_epoch = rule.reads_every_epoch
        self._scores: dict[tuple[str, int], dict[int, dict[int, float]]] = {}

    def decides_at(self, candidate: Candidate, epoch: int) -> bool:
        """Whether the rule may stop the trial at this epoch."""
        return self._rule.decides_at(self._whole(candidate), epoch)

    def observe(self, candidate: Candidate, epoch: int, score: float) -> Decision | None:
        """The rule's decision on the whole trial; to go on where seeds are missing or there is nothing to decide."""
        if candidate.seeds == 1:
            return self._rule.observe(candidate, epoch, score)
        scores = self._at(candidate, epoch)
        scores.setdefault(candidate.block, score)
        if len(scores) < candidate.seeds:
            return Decision(False)
        return self._rule.observe(self._whole(candidate), epoch, mean_score(scores)) or Decision(False)

    def arrived(self, candidate: Candidate, epoch: int) -> frozenset[int]:
        """Seeds of the trial whose score at the epoch is known."""
        return frozenset(self._scores.get((candidate.key, candidate.seeds), {}).get(epoch, ()))

    def _at(self, candidate: Candidate, epoch: int) -> dict[int, float]:
        return self._scores.setdefault((candidate.key, candidate.seeds), {}).setdefault(epoch, {})

    @staticmethod
    def _whole(candidate: Candidate) -> Candidate:
        """The trial of a cell; its block has all trials of as many seeds, and no single cell."""
        if candidate.seeds == 1:
            return candidate
        return Candidate(candidate.key, -candidate.seeds, candidate.key, candidate.epochs, seeds=candidate.seeds)


@dataclass
class SeedProgress:
    """How far each seed of each trial has come, so that nobody waits for one that will not come.

    Attributes:
        seeds: The study's seeds.
        ended: Trial (digest of its config) and seed of every cell that runs no more, of earlier calls too.
        reached: Last epoch known of a cell, likewise.
        waiting: Epoch at which a cell waits, by cell id.
    """

    seeds: tuple[int, ...]
    ended: set[tuple[str, int]] = field(default_factory=set)
    reached: dict[tuple[str, int], int] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)

    def note(self, candidate: Candidate, epoch: int) -> None:
        """A cell has come to an epoch."""
        place = candidate.key, candidate.block
        self.reached[place] = max(epoch, self.reached.get(place, 0))

    def missing(self, candidate: Candidate, arrived: Iterable[int]) -> list[tuple[str, int]]:
        """The other cells of the trial that have not come to an epoch at which the seeds ``arrived`` are known."""
        known = {candidate.block, *arrived}
        return [(candidate.key, seed) for seed in self.seeds if seed not in known]

    def may_come(self, place: tuple[str, int], epoch: int) -> bool:
        """Whether a cell without a score at an epoch may still get one: it has neither ended nor passed the epoch."""
        return place not in self.ended and self.reached.get(place, 0) < epoch

    def is_near(self, place: tuple[str, int], epoch: int) -> bool:
        """Whether a cell is at least half way to an epoch, so that a place kept free for its trial is not free long."""
        return 2 * self.reached.get(place, 0) >= epoch
