"""Judges running trials and remembers every verdict in a file, so that a restart goes on from the same state.

``stopping.jsonl`` in the study folder has one line an observation, written before anyone acts on it. A trial that
trains an epoch again after a crash is told the verdict of the first time.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fgtune.config.plan import Cell
from fgtune.config.scheduling import StoppingConfig
from fgtune.results.records import EpochMetrics
from fgtune.tuning.judges import Candidate, Judge, Verdict, judge_of
from fgtune.tuning.objectives import Objective


class Umpire:
    """The scheduler of a study at work; used from one thread.

    Args:
        config: Of the scheduler.
        objective: What trials are judged by.
        path: The file of verdicts, which need not exist yet.
    """

    def __init__(self, config: StoppingConfig, objective: Objective, path: Path) -> None:
        self._config, self._objective, self._path = config, objective, path
        self._judge: Judge = judge_of(config)
        self._verdicts: dict[tuple[str, int], Verdict] = {}
        self._candidates: dict[str, Candidate] = {}
        self._reasons: dict[str, str] = {}
        for candidate, epoch, score, stop in self._read():
            verdict = self._judge.observe(candidate, epoch, score)
            reason = verdict.reason if verdict is not None else ""
            self._verdicts[candidate.cell_id, epoch] = Verdict(stop, reason)

    def admit(self, cell: Cell) -> list[int]:
        """Take up a cell that is about to run.

        Returns:
            Epochs at which it has to wait for a verdict, first to last.
        """
        config = cell.config
        candidate = Candidate(cell.cell_id, cell.seed, cell.config_hash, config.epochs)
        self._candidates[cell.cell_id] = candidate
        every = config.evaluation.every_epochs
        asked = [epoch for epoch in range(1, config.epochs) if self._judge.decides_at(candidate, epoch)]
        measured = {math.ceil(epoch / every) * every for epoch in asked}  # the metric is there at the next evaluation
        return sorted(epoch for epoch in measured if epoch < config.epochs)

    def hear(self, cell_id: str, epochs: Sequence[EpochMetrics]) -> bool:
        """Judge a cell by the epochs that it has finished since the last call; True to stop it."""
        candidate = self._candidates[cell_id]
        for entry in epochs:
            value = entry.metrics.get(self._objective.name)
            if value is None or entry.epoch >= candidate.epochs:
                continue
            verdict = self._verdict(candidate, entry.epoch, value)
            if verdict is not None and verdict.stop:
                said = f": {verdict.reason}" if verdict.reason else ""
                self._reasons[cell_id] = f"stopped after epoch {entry.epoch} by {self._config.kind}{said}"
                return True
        return False

    def reason(self, cell_id: str) -> str | None:
        """Why a cell was stopped; None for one that was not."""
        return self._reasons.get(cell_id)

    def _verdict(self, candidate: Candidate, epoch: int, value: float) -> Verdict | None:
        known = self._verdicts.get((candidate.cell_id, epoch))
        if known is not None:
            return known
        score = -math.inf if math.isnan(value) else value if self._objective.mode == "maximize" else -value
        verdict = self._judge.observe(candidate, epoch, score)
        if verdict is not None:
            self._verdicts[candidate.cell_id, epoch] = verdict
            self._write(candidate, epoch, score, verdict)
        return verdict

    def _write(self, candidate: Candidate, epoch: int, score: float, verdict: Verdict) -> None:
        line = {
            "cell_id": candidate.cell_id,
            "seed": candidate.block,
            "config_hash": candidate.key,
            "epochs": candidate.epochs,
            "epoch": epoch,
            "score": score if math.isfinite(score) else None,
            "stop": verdict.stop,
        }
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _read(self) -> Iterator[tuple[Candidate, int, float, bool]]:
        """Earlier observations in their order; a line torn by a crash was acted on by nobody and is skipped."""
        if not self._path.exists():
            return
        content = self._path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            self._path.write_bytes(whole)
        for text in whole.splitlines():
            line: dict[str, Any] = json.loads(text)
            candidate = Candidate(line["cell_id"], line["seed"], line["config_hash"], line["epochs"])
            yield candidate, line["epoch"], -math.inf if line["score"] is None else line["score"], line["stop"]
