"""Early stopping of running trials; every decision is kept in a file, so that a restart resumes from the same state.

``stopping.jsonl`` in the study folder has one line per observation, written before anything acts on it. A trial that
trains an epoch again after a crash gets the same decision again.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fgtune.config.arms.records import Cell, Fork
from fgtune.config.arms.search import trial_number
from fgtune.config.schema.tuning import PbtConfig, StoppingConfig
from fgtune.files import JsonLines
from fgtune.results.records import EpochMetrics
from fgtune.tuning.early_stopping.population import ForkPool, truncation_rule
from fgtune.tuning.early_stopping.rules import Candidate, Decision, StoppingRule, stopping_rule
from fgtune.tuning.search.objectives import Objective
from fgtune.tuning.search.suggestions import Suggestion


class EarlyStopping:
    """Decides which running trials of a study continue; used from one thread.

    Args:
        config: The scheduler's config.
        objective: What trials are judged by.
        path: The file of decisions, which need not exist yet.
        forks: Makes the forks that replace stopped trials; None if nothing replaces them.
        exempt: Arms that are never stopped, such as the baseline that others are compared with. Their scores still
            count for the others.
    """

    def __init__(
        self,
        config: StoppingConfig,
        objective: Objective,
        path: Path,
        forks: ForkPool | None = None,
        exempt: Collection[str] = (),
    ) -> None:
        self._config, self._objective, self._pool = config, objective, forks
        self._exempt, self._exempt_cells = frozenset(exempt), set[str]()
        self._rule: StoppingRule = stopping_rule(config) if forks is None else forks.rule()
        self._every: dict[str, int] = {}
        self._waits: dict[str, list[int]] = {}
        self._forks: dict[str, Suggestion] = {}
        self._decisions: dict[tuple[str, int], Decision] = {}
        self._candidates: dict[str, Candidate] = {}
        self._reasons: dict[str, str] = {}
        self._lines = _decision_lines(path)
        for candidate, epoch, score, line in self._lines.read():
            decision = self._rule.observe(candidate, epoch, score)
            reason = decision.reason if decision is not None else ""
            self._decisions[candidate.cell_id, epoch] = self._restored(candidate, line, reason)

    @property
    def makes_forks(self) -> bool:
        """Whether forks replace stopped trials, so that states have to be kept for them."""
        return self._pool is not None

    def register(self, cell: Cell) -> list[int]:
        """Register a cell that is about to run.

        Returns:
            Epochs after which it has to wait for a decision, ascending.
        """
        if self.makes_forks and trial_number(cell.arm) is None:
            return []  # the baseline is not in the population; it is there for comparison
        config = cell.config
        fork_epoch = 0 if cell.fork is None else cell.fork.epoch
        candidate = Candidate(cell.cell_id, cell.seed, cell.config_hash, config.planned_epochs, fork_epoch)
        self._candidates[cell.cell_id] = candidate
        every = self._every[cell.cell_id] = config.measured_every
        asked = [epoch for epoch in range(1, config.planned_epochs) if self._rule.decides_at(candidate, epoch)]
        measured = {math.ceil(epoch / every) * every for epoch in asked}  # the metric comes with the next evaluation
        self._waits[cell.cell_id] = sorted(epoch for epoch in measured if epoch < config.planned_epochs)
        if cell.arm in self._exempt:
            self._exempt_cells.add(cell.cell_id)
            self._waits[cell.cell_id] = []
        return self._waits[cell.cell_id]

    def should_stop(self, cell_id: str, epochs: Sequence[EpochMetrics]) -> bool:
        """Whether to stop a cell, judged by the epochs that it finished since the last call."""
        return self._judge(cell_id, epochs)

    def observe_end(self, cell_id: str, epochs: Sequence[EpochMetrics]) -> None:
        """Take note of the epochs with which a cell has ended: it is stopped no more, others compete with them.

        Without them it would depend on the pace of a cell that waits nowhere, such as the baseline, whether it counts.
        """
        self._exempt_cells.add(cell_id)
        self._judge(cell_id, epochs)

    def _judge(self, cell_id: str, epochs: Sequence[EpochMetrics]) -> bool:
        """Observe the scores of a cell's epochs and keep the decision on each; True once one of them stops the cell."""
        candidate = self._candidates.get(cell_id)
        if candidate is None:
            return False
        for entry in epochs:
            value = entry.metrics.get(self._objective.name)
            if value is None and entry.epoch % self._every[cell_id] == 0:
                value = math.nan  # measured but undefined: the worst score
            if value is None or entry.epoch >= candidate.epochs:
                continue
            if self.makes_forks and entry.epoch not in self._waits[cell_id]:
                continue  # no state is kept that a fork could start from
            decision = self._decide(candidate, entry.epoch, value)
            if decision is not None and decision.stop:
                self._reasons[cell_id] = self._explained(cell_id, entry.epoch, decision)
                return True
        return False

    def _explained(self, cell_id: str, epoch: int, decision: Decision) -> str:
        """Why a cell is stopped, in a sentence."""
        if self._pool is None or decision.fork is None:
            why = f": {decision.reason}" if decision.reason else ""
            return f"stopped after epoch {epoch} by {self._config.kind}{why}"
        donor = self._pool.arm_of(decision.fork.donor)
        rank = f" ({decision.reason})" if decision.reason else ""
        return f"replaced after epoch {epoch} by a copy of {donor}: {self._forks[cell_id].arm.name}{rank}"

    def reason(self, cell_id: str) -> str | None:
        """Why a cell was stopped; None for one that was not."""
        return self._reasons.get(cell_id)

    def _decide(self, candidate: Candidate, epoch: int, value: float) -> Decision | None:
        known = self._decisions.get((candidate.cell_id, epoch))
        if known is not None:
            return known
        score = self._objective.score(value)
        decision = self._rule.observe(candidate, epoch, score)
        if decision is None:
            return None
        if candidate.cell_id in self._exempt_cells:
            decision = Decision(False)
        fork = None
        if decision.stop and decision.fork is not None and self._pool is not None:
            fork = self._pool.make(candidate, decision.fork)
            if fork is None:  # no new feasible point near the donor's: the trial keeps its place
                decision = Decision(False)
        self._decisions[candidate.cell_id, epoch] = decision
        self._write(candidate, epoch, score, decision, fork)
        if fork is not None and self._pool is not None:
            self._forks[candidate.cell_id] = fork
            self._pool.run(fork)
        return decision

    def _restored(self, candidate: Candidate, line: dict[str, Any], reason: str) -> Decision:
        """The decision of an earlier call; restores the fork that replaced the trial."""
        decision, stored = Decision(line["stop"], reason), line.get("fork")
        if stored is None or self._pool is None:
            return decision
        origin = Fork(stored["donor"], stored["epoch"])
        self._forks[candidate.cell_id] = self._pool.restore(stored["number"], stored["point"], candidate.block, origin)
        return replace(decision, fork=origin)

    def _write(
        self, candidate: Candidate, epoch: int, score: float, decision: Decision, fork: Suggestion | None = None
    ) -> None:
        line: dict[str, Any] = {
            "cell_id": candidate.cell_id,
            "seed": candidate.block,
            "config_hash": candidate.key,
            "epochs": candidate.epochs,
            "epoch": epoch,
            "score": score if math.isfinite(score) else None,
            "stop": decision.stop,
        }
        if candidate.fork_epoch:
            line["begins"] = candidate.fork_epoch
        if fork is not None and decision.fork is not None:
            origin = {"donor": decision.fork.donor, "epoch": decision.fork.epoch}
            line["fork"] = {"number": fork.number, "point": dict(fork.point), **origin}
        self._lines.append(line)


@dataclass(frozen=True)
class StoredDecision:
    """A line of the file of decisions, and what the rule says to the scores up to it.

    Attributes:
        candidate: The trial.
        epoch: When it was judged.
        score: Its score, signed so that larger is better.
        stop: Whether the line says to stop it.
        rule: The decision of the rule; None if it makes none at this epoch.
    """

    candidate: Candidate
    epoch: int
    score: float
    stop: bool
    rule: Decision | None


def replayed(config: StoppingConfig, path: Path, design_seed: int) -> Iterator[StoredDecision]:
    """Every line of a file of decisions, beside what the rule decides from the scores in it.

    A stored line may let a trial go on that the rule stops: the baseline, one that had ended already, and in population
    based training one without a feasible successor.

    Args:
        config: The scheduler's config.
        path: The file.
        design_seed: Seed of the search, by which population based training draws donors.

    Raises:
        StudyFolderError: A line is no decision.
    """
    rule: StoppingRule = (
        truncation_rule(config, design_seed) if isinstance(config, PbtConfig) else stopping_rule(config)
    )
    for candidate, epoch, score, line in _decision_lines(path).read():
        yield StoredDecision(candidate, epoch, score, line["stop"], rule.observe(candidate, epoch, score))


def _decision_lines(path: Path) -> JsonLines[tuple[Candidate, int, float, dict[str, Any]]]:
    fix = "restore the file from a copy, or delete the line: its decision is then made again"
    return JsonLines(path, _observation, rule="this line is no decision", fix=fix)


def _observation(line: dict[str, Any]) -> tuple[Candidate, int, float, dict[str, Any]]:
    """An earlier observation: its trial, epoch and score, and the whole line."""
    candidate = Candidate(line["cell_id"], line["seed"], line["config_hash"], line["epochs"], line.get("begins", 0))
    score = -math.inf if line["score"] is None else float(line["score"])
    return candidate, int(line["epoch"]), score, line
