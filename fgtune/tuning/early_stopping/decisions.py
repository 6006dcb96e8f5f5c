"""Early stopping of running trials; every decision is kept in a file, so that a restart resumes from the same state.

``stopping.jsonl`` in the study folder has one line per observation, written before anything acts on it. A trial that
trains an epoch again after a crash gets the same decision again.

In a search with several seeds a trial is judged as a whole (``seeds``). Its cells wait for each other wherever the rule
may stop it, so that all of them stop after the same epoch whatever ran when. A cell that waits has a checkpoint and
gives its place away; it goes on from there once the decision is made. Nobody waits for a cell that has failed, and its
trial, which has no value, is judged no more until the cell is run again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fgtune.config.arms.records import Cell, Fork
from fgtune.config.arms.search import trial_number
from fgtune.config.schema.tuning import StoppingConfig
from fgtune.results.records import CellResult, EpochMetrics
from fgtune.tuning.cell_queue import CellQueue
from fgtune.tuning.early_stopping.population import ForkPool
from fgtune.tuning.early_stopping.replay import decision_lines
from fgtune.tuning.early_stopping.rules import Candidate, Decision, stopping_rule
from fgtune.tuning.early_stopping.seeds import SeedProgress, Standing, WholeTrials
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
        seeds: The seeds of every trial, where trials are judged as a whole; empty where each cell is judged alone. A
            file that was started one way is continued that way.
        ended: Results of earlier calls that are kept; nobody waits for these cells.
        queue: Learns which cells wait, and which go on again.
        keep: Calls what writes a decision, again where the disk is full; None calls it once.
    """

    def __init__(
        self,
        config: StoppingConfig,
        objective: Objective,
        path: Path,
        forks: ForkPool | None = None,
        exempt: Collection[str] = (),
        seeds: Sequence[int] = (),
        ended: Iterable[CellResult] = (),
        queue: CellQueue | None = None,
        keep: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        self._keep = keep or (lambda write: write())
        self._config, self._objective, self._pool, self._queue = config, objective, forks, queue
        self._exempt, self._exempt_cells = frozenset(exempt), set[str]()
        self._trials = WholeTrials(stopping_rule(config) if forks is None else forks.rule())
        self._progress = SeedProgress(tuple(seeds), {(result.config_hash, result.seed) for result in ended})
        self._stopped: dict[str, tuple[int, Decision]] = {}
        self._to_record: list[str] = []
        self.judges_whole_trials = len(seeds) > 1 and forks is None
        """Whether the cells of a trial are judged together, and wait for each other."""
        self._every: dict[str, int] = {}
        self._waits: dict[str, list[int]] = {}
        self._judged: dict[str, frozenset[int]] = {}
        self._forks: dict[str, Suggestion] = {}
        self._decisions: dict[tuple[str, int], Decision] = {}
        self._candidates: dict[str, Candidate] = {}
        self._reasons: dict[str, str] = {}
        self._lines = decision_lines(path)
        for candidate, epoch, score, line in self._lines.read():
            decision = self._trials.observe(candidate, epoch, score)
            reason = decision.reason if decision is not None else ""
            restored = self._decisions[candidate.cell_id, epoch] = self._restored(candidate, line, reason)
            self._progress.note(candidate, epoch)
            self.judges_whole_trials &= candidate.seeds > 1
            if restored.stop and candidate.seeds > 1:
                self._stopped[candidate.key] = epoch, restored
        if queue is not None:
            queue.may_return = self.judges_whole_trials

    @property
    def makes_forks(self) -> bool:
        """Whether forks replace stopped trials, so that states have to be kept for them."""
        return self._pool is not None

    def register(self, cell: Cell) -> list[int]:
        """Register a cell that is about to run.

        Returns:
            Epochs after which it has to wait for a decision, ascending.
        """
        self._progress.waiting.pop(cell.cell_id, None)
        if self.makes_forks and trial_number(cell.arm) is None:
            return []  # the baseline is not in the population; it is there for comparison
        config = cell.config
        fork_epoch = 0 if cell.fork is None else cell.fork.epoch
        seeds = len(self._progress.seeds) if self.judges_whole_trials else 1
        candidate = Candidate(cell.cell_id, cell.seed, cell.config_hash, config.planned_epochs, fork_epoch, seeds)
        self._candidates[cell.cell_id] = candidate
        every = self._every[cell.cell_id] = config.measured_every
        asked = [epoch for epoch in range(1, config.planned_epochs) if self._trials.decides_at(candidate, epoch)]
        measured = {math.ceil(epoch / every) * every for epoch in asked}  # the metric comes with the next evaluation
        waits = sorted(epoch for epoch in measured if epoch < config.planned_epochs)
        self._judged[cell.cell_id] = frozenset(waits)
        if cell.arm in self._exempt:
            self._exempt_cells.add(cell.cell_id)
            waits = []
        self._waits[cell.cell_id] = waits
        return waits

    def judge(self, cell_id: str, epochs: Sequence[EpochMetrics]) -> Standing:
        """What a running cell does next, judged by the epochs that it finished since the last call."""
        standing = self._judge(cell_id, epochs)
        if standing is Standing.WAIT and self._queue is not None:
            candidate, epoch = self._candidates[cell_id], self._progress.waiting[cell_id]
            missing = self._progress.missing(candidate, self._trials.arrived(candidate, epoch))
            near = all(self._progress.is_near(place, epoch) for place in missing)
            ids = {(each.key, each.block): each.cell_id for each in self._candidates.values()} if near else {}
            self._queue.hold(cell_id, {ids.get(place, "") for place in missing})
        return standing

    def should_stop(self, cell_id: str, epochs: Sequence[EpochMetrics]) -> bool:
        """Whether to stop a cell, judged by the epochs that it finished since the last call."""
        return self.judge(cell_id, epochs) is Standing.STOP

    def is_waiting(self, cell_id: str) -> bool:
        """Whether a cell waits for the other seeds of its trial."""
        return cell_id in self._progress.waiting

    def take_stopped(self) -> list[str]:
        """Cells that waited, and whose trial was stopped since the last call; in the order in which they came."""
        cells, self._to_record = self._to_record, []
        return cells

    def observe_end(self, cell_id: str, epochs: Sequence[EpochMetrics]) -> None:
        """Take note of the epochs with which a cell has ended: it is stopped no more, others compete with them.

        Without them it would depend on the pace of a cell that waits nowhere, such as the baseline, whether it counts.
        """
        self._exempt_cells.add(cell_id)
        self._judge(cell_id, epochs)
        self.observe_failure(cell_id)

    def observe_failure(self, cell_id: str) -> None:
        """Take note that a cell comes no further: the other seeds of its trial wait for it no more."""
        candidate = self._candidates.get(cell_id)
        if candidate is not None:
            self._progress.ended.add((candidate.key, candidate.block))
            self._call_on(candidate)

    def _judge(self, cell_id: str, epochs: Sequence[EpochMetrics]) -> Standing:
        """Observe the scores of a cell's epochs and keep the decision on each, until one of them holds the cell up."""
        candidate = self._candidates.get(cell_id)
        if candidate is None:
            return Standing.GO_ON
        for entry in epochs:
            self._progress.note(candidate, entry.epoch)
            value = entry.metrics.get(self._objective.name)
            if value is None and entry.epoch % self._every[cell_id] == 0:
                value = math.nan  # measured but undefined: the worst score
            if value is None or entry.epoch >= candidate.epochs:
                continue
            if self.makes_forks and entry.epoch not in self._waits[cell_id]:
                continue  # no state is kept that a fork could start from
            if candidate.seeds > 1 and not (self._trials.reads_every_epoch or entry.epoch in self._judged[cell_id]):
                continue
            decision = self._decide(candidate, entry.epoch, value)
            standing = self._standing(candidate, entry.epoch, decision)
            if standing is Standing.WAIT:
                self._progress.waiting[cell_id] = entry.epoch
            if standing is not Standing.GO_ON:
                return standing
        return Standing.GO_ON

    def _standing(self, candidate: Candidate, epoch: int, decision: Decision | None) -> Standing:
        """What a cell does after an epoch at which it was judged."""
        cell_id = candidate.cell_id
        if candidate.seeds == 1:
            if decision is None or not decision.stop:
                return Standing.GO_ON
            self._reasons[cell_id] = self._explained(cell_id, epoch, decision)
            return Standing.STOP
        if cell_id in self._exempt_cells:
            return Standing.GO_ON
        stopped, verdict = self._stopped.get(candidate.key, (math.inf, Decision(False)))
        if epoch >= stopped:
            self._reasons[cell_id] = f"{self._explained(cell_id, epoch, verdict)} (mean of {candidate.seeds} seeds)"
            return Standing.STOP
        missing = self._progress.missing(candidate, self._trials.arrived(candidate, epoch))
        waits = bool(missing) and epoch in self._waits[cell_id]
        can_come = all(self._progress.may_come(place, epoch) for place in missing)
        return Standing.WAIT if waits and can_come else Standing.GO_ON

    def _call_on(self, candidate: Candidate) -> None:
        """Have those seeds of a trial go on, or stopped, that no longer have to wait."""
        for cell_id, epoch in list(self._progress.waiting.items()):
            other = self._candidates[cell_id]
            if other.key != candidate.key:
                continue
            standing = self._standing(other, epoch, None)
            if standing is Standing.WAIT:
                continue
            del self._progress.waiting[cell_id]
            if standing is Standing.STOP:
                self._to_record.append(cell_id)
            elif self._queue is not None:
                self._queue.release(cell_id)

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
        decision = self._trials.observe(candidate, epoch, score)
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
        if candidate.seeds > 1:
            if decision.stop:
                self._stopped[candidate.key] = epoch, decision
            self._call_on(candidate)
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
        if candidate.seeds > 1:
            line["seeds"] = candidate.seeds
        if fork is not None and decision.fork is not None:
            origin = {"donor": decision.fork.donor, "epoch": decision.fork.epoch}
            line["fork"] = {"number": fork.number, "point": dict(fork.point), **origin}
        self._keep(lambda: self._lines.append(line))
