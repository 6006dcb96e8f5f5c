"""What passes between a search and those who run it: points to run, and what is known of points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fgtune.config.arms.records import Arm, Cell, Fork
from fgtune.config.schema.trial import TrialConfig
from fgtune.results.records import CellState


@dataclass(frozen=True)
class Suggestion:
    """A point to run.

    Attributes:
        number: Counts the points of a search; the arm is named after it.
        point: Values of the active parameters.
        arm: As the plan would have it.
        cells: What to run: one cell a seed, configs resolved.
    """

    number: int
    point: Mapping[str, Any]
    arm: Arm
    cells: tuple[Cell, ...]

    @property
    def config(self) -> TrialConfig:
        """The resolved trial config."""
        return self.cells[0].config


@dataclass(frozen=True)
class KnownTrial:
    """A point of which something is known from before: from the ledger, the baseline, or an earlier study.

    Attributes:
        arm: ``trial-0007``, ``baseline``, or a name that says which study it is of.
        number: Of the suggestion; None for a point that is none of this search's suggestions.
        point: Values of the active parameters.
        state: How it ended; None for a suggestion that did not end yet, which is then handed out again.
        values: One an objective, where it is COMPLETE.
        intermediate: The objective by epoch, of a search with one.
        cell_ids: Its cells.
        fork: Of a trial that went on from another one's training; its value is none of a whole trial at its point.
    """

    arm: str
    number: int | None
    point: Mapping[str, Any]
    state: CellState | None
    values: tuple[float, ...] = ()
    intermediate: Mapping[int, float] = field(default_factory=dict)
    cell_ids: tuple[str, ...] = ()
    fork: Fork | None = None
