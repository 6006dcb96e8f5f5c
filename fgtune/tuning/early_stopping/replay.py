"""The file of decisions of early stopping: its lines, and what the rule says to them when they are read again."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgtune.config.schema.tuning import PbtConfig, StoppingConfig
from fgtune.files import JsonLines
from fgtune.tuning.early_stopping.population import truncation_rule
from fgtune.tuning.early_stopping.rules import Candidate, Decision, StoppingRule, stopping_rule
from fgtune.tuning.early_stopping.seeds import WholeTrials


@dataclass(frozen=True)
class StoredDecision:
    """A line of the file of decisions, and what the rule says to the scores up to it.

    Attributes:
        candidate: The trial.
        epoch: When it was judged.
        score: Its score, signed so that larger is better.
        stop: Whether the line says to stop it.
        rule: The decision of the rule; None if it makes none at this epoch.
        cells: The cells that the decision is on: those of the whole trial that have come to the epoch, this one last.
    """

    candidate: Candidate
    epoch: int
    score: float
    stop: bool
    rule: Decision | None
    cells: tuple[str, ...]


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
        truncation_rule(config, design_seed) if isinstance(config, PbtConfig) else WholeTrials(stopping_rule(config))
    )
    together: dict[tuple[str, int], list[str]] = {}
    for candidate, epoch, score, line in decision_lines(path).read():
        cells = together.setdefault((candidate.key, epoch), []) if candidate.seeds > 1 else []
        cells.append(candidate.cell_id)
        decision = rule.observe(candidate, epoch, score)
        yield StoredDecision(candidate, epoch, score, line["stop"], decision, tuple(cells))


def decision_lines(path: Path) -> JsonLines[tuple[Candidate, int, float, dict[str, Any]]]:
    """The file's lines: trial, epoch, score, and the line itself."""
    fix = "restore the file from a copy, or delete the line: its decision is then made again"
    return JsonLines(path, _observation, rule="this line is no decision", fix=fix)


def _observation(line: dict[str, Any]) -> tuple[Candidate, int, float, dict[str, Any]]:
    """An earlier observation: its trial, epoch and score, and the whole line."""
    candidate = Candidate(
        line["cell_id"],
        line["seed"],
        line["config_hash"],
        line["epochs"],
        line.get("begins", 0),
        line.get("seeds", 1),
    )
    score = -math.inf if line["score"] is None else float(line["score"])
    return candidate, int(line["epoch"]), score, line
