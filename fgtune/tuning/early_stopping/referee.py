"""Judges running trials and remembers every verdict in a file, so that a restart goes on from the same state.

``stopping.jsonl`` in the study folder has one line an observation, written before anyone acts on it. A trial that
trains an epoch again after a crash is told the verdict of the first time.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fgtune.config.arms.records import Cell, Fork
from fgtune.config.arms.search import trial_number
from fgtune.config.schema.scheduling import StoppingConfig
from fgtune.files import JsonLines
from fgtune.results.records import EpochMetrics
from fgtune.tuning.early_stopping.population import Nursery
from fgtune.tuning.early_stopping.rules import Candidate, Judge, Verdict, judge_of
from fgtune.tuning.search.objectives import Objective
from fgtune.tuning.search.suggestion import Suggestion


class Umpire:
    """The scheduler of a study at work; used from one thread.

    Args:
        config: Of the scheduler.
        objective: What trials are judged by.
        path: The file of verdicts, which need not exist yet.
        judge: The rule; None for that of ``config``.
        nursery: Makes copies that take a stopped trial's place; None where nothing does.
        spared: Arms that are never stopped, the baseline above all: others are compared with it. They are judged like
            any other trial, so that the others have them to compete with.
    """

    def __init__(
        self,
        config: StoppingConfig,
        objective: Objective,
        path: Path,
        judge: Judge | None = None,
        nursery: Nursery | None = None,
        spared: Collection[str] = (),
    ) -> None:
        self._spared, self._spared_cells = frozenset(spared), set[str]()
        self._every: dict[str, int] = {}
        self._config, self._objective, self._nursery = config, objective, nursery
        self._judge = judge or judge_of(config)
        self._waits: dict[str, list[int]] = {}
        self._forks: dict[str, Suggestion] = {}
        self._verdicts: dict[tuple[str, int], Verdict] = {}
        self._candidates: dict[str, Candidate] = {}
        self._reasons: dict[str, str] = {}
        fix = "restore the file from a copy, or delete the line: its verdict is then found again"
        self._lines = JsonLines(path, _observation, rule="this line is no verdict", fix=fix)
        for candidate, epoch, score, line in self._lines.read():
            verdict = self._judge.observe(candidate, epoch, score)
            reason = verdict.reason if verdict is not None else ""
            self._verdicts[candidate.cell_id, epoch] = self._remembered(candidate, line, reason)

    @property
    def forks(self) -> bool:
        """Whether a copy takes the place of a stopped trial, so that states have to be kept for it."""
        return self._nursery is not None

    def admit(self, cell: Cell) -> list[int]:
        """Take up a cell that is about to run.

        Returns:
            Epochs at which it has to wait for a verdict, first to last.
        """
        if self._nursery is not None and trial_number(cell.arm) is None:
            return []  # the baseline is no member of the population: it is there to compare with
        config = cell.config
        begins = 0 if cell.fork is None else cell.fork.epoch
        candidate = Candidate(cell.cell_id, cell.seed, cell.config_hash, config.epochs, begins)
        self._candidates[cell.cell_id] = candidate
        every = self._every[cell.cell_id] = config.evaluation.every_epochs
        asked = [epoch for epoch in range(1, config.epochs) if self._judge.decides_at(candidate, epoch)]
        measured = {math.ceil(epoch / every) * every for epoch in asked}  # the metric is there at the next evaluation
        self._waits[cell.cell_id] = sorted(epoch for epoch in measured if epoch < config.epochs)
        if cell.arm in self._spared:
            self._spared_cells.add(cell.cell_id)
            self._waits[cell.cell_id] = []
        return self._waits[cell.cell_id]

    def hear(self, cell_id: str, epochs: Sequence[EpochMetrics]) -> bool:
        """Judge a cell by the epochs that it has finished since the last call; True to stop it."""
        candidate = self._candidates.get(cell_id)
        if candidate is None:
            return False
        for entry in epochs:
            value = entry.metrics.get(self._objective.name)
            if value is None and entry.epoch % self._every[cell_id] == 0:
                value = math.nan  # measured and undefined: as bad as can be
            if value is None or entry.epoch >= candidate.epochs:
                continue
            if self.forks and entry.epoch not in self._waits[cell_id]:
                continue  # no state is kept that a copy could begin with
            verdict = self._verdict(candidate, entry.epoch, value)
            if verdict is not None and verdict.stop:
                self._reasons[cell_id] = self._told(cell_id, entry.epoch, verdict)
                return True
        return False

    def _told(self, cell_id: str, epoch: int, verdict: Verdict) -> str:
        """Why a cell is stopped, in a sentence."""
        said = f": {verdict.reason}" if verdict.reason else ""
        if self._nursery is None or verdict.fork is None:
            return f"stopped after epoch {epoch} by {self._config.kind}{said}"
        donor = self._nursery.arm_of(verdict.fork.donor)
        rank = f" ({verdict.reason})" if verdict.reason else ""
        return f"replaced after epoch {epoch} by a copy of {donor}: {self._forks[cell_id].arm.name}{rank}"

    def reason(self, cell_id: str) -> str | None:
        """Why a cell was stopped; None for one that was not."""
        return self._reasons.get(cell_id)

    def _verdict(self, candidate: Candidate, epoch: int, value: float) -> Verdict | None:
        known = self._verdicts.get((candidate.cell_id, epoch))
        if known is not None:
            return known
        sign = 1.0 if self._objective.mode == "maximize" else -1.0
        score = sign * value if math.isfinite(value) else -math.inf
        verdict = self._judge.observe(candidate, epoch, score)
        if verdict is None:
            return None
        if candidate.cell_id in self._spared_cells:
            verdict = Verdict(False)
        fork = None
        if verdict.stop and verdict.fork is not None and self._nursery is not None:
            fork = self._nursery.make(candidate, verdict.fork)
            if fork is None:  # nothing near the donor's settings is allowed and new: the trial keeps its place
                verdict = Verdict(False)
        self._verdicts[candidate.cell_id, epoch] = verdict
        self._write(candidate, epoch, score, verdict, fork)
        if fork is not None and self._nursery is not None:
            self._forks[candidate.cell_id] = fork
            self._nursery.deliver(fork)
        return verdict

    def _remembered(self, candidate: Candidate, line: dict[str, Any], reason: str) -> Verdict:
        """The verdict of an earlier call, and with it the copy that took the trial's place."""
        verdict, stored = Verdict(line["stop"], reason), line.get("fork")
        if stored is None or self._nursery is None:
            return verdict
        origin = Fork(stored["donor"], stored["epoch"])
        fork = self._nursery.again(stored["number"], stored["point"], candidate.block, origin)
        self._nursery.remember(fork)
        self._forks[candidate.cell_id] = fork
        return replace(verdict, fork=origin)

    def _write(
        self, candidate: Candidate, epoch: int, score: float, verdict: Verdict, fork: Suggestion | None = None
    ) -> None:
        line: dict[str, Any] = {
            "cell_id": candidate.cell_id,
            "seed": candidate.block,
            "config_hash": candidate.key,
            "epochs": candidate.epochs,
            "epoch": epoch,
            "score": score if math.isfinite(score) else None,
            "stop": verdict.stop,
        }
        if candidate.begins:
            line["begins"] = candidate.begins
        if fork is not None and verdict.fork is not None:
            origin = {"donor": verdict.fork.donor, "epoch": verdict.fork.epoch}
            line["fork"] = {"number": fork.number, "point": dict(fork.point), **origin}
        self._lines.append(line)


def _observation(line: dict[str, Any]) -> tuple[Candidate, int, float, dict[str, Any]]:
    """An earlier observation: whom it is of, after which epoch, its score, and the whole line."""
    candidate = Candidate(line["cell_id"], line["seed"], line["config_hash"], line["epochs"], line.get("begins", 0))
    score = -math.inf if line["score"] is None else float(line["score"])
    return candidate, int(line["epoch"]), score, line
