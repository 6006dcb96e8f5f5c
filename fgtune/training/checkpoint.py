"""Checkpoints of a trial in training: written atomically, read back, and used to start a fork of a cell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from fgtune.errors import TrialError
from fgtune.results.archives import check_tensors
from fgtune.results.records import TrialOutcome
from fgtune.text import first_line
from fgtune.training.compute import save_state
from fgtune.training.trainer import Trainer


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors and plain data) to ``path`` atomically."""
    save_state(path, state)


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """The state in ``path``, on the CPU; None if there is none or it is unreadable, which is not an error."""
    try:
        check_tensors(path)
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception:  # torch raises errors of many types for a file that is damaged, or not of its making
        return None
    return state if isinstance(state, dict) else None


def start_from(trainer: Trainer, state: dict[str, Any]) -> None:
    """Start a new trainer from the state of another one: weights, optimiser moments, relations, epochs done.

    The trainer keeps its own learning rate, momentum and weight decay, which a state also holds, and does not count the
    donor's use of the relations solver.

    Args:
        trainer: Of a cell with the same networks and the same terms in its objective.
        state: The donor's ``state_dict``.

    Raises:
        TrialError: The state does not fit the trainer.
    """
    settings = trainer.optimizer.state_dict()["param_groups"]
    unused = {"solves": 0, "seconds": 0.0, "statuses": {}, "max_gap": 0.0, "resolves": 0, "changes": 0}
    mixed = state | {
        "optimizer": state["optimizer"] | {"param_groups": settings},
        "relations": state["relations"] | unused,
    }
    try:
        trainer.load_state_dict(mixed)
    except (RuntimeError, KeyError, ValueError) as error:
        reason = first_line(error)
        raise TrialError(f"cannot go on from the donor's state: {reason}") from error


def without_donor(outcome: TrialOutcome, epochs: int) -> TrialOutcome:
    """The outcome of a cell that started from a donor's state after ``epochs`` epochs, without the donor's epochs."""
    history = outcome.history[epochs:]
    return replace(outcome, history=history, seconds=sum(entry.seconds for entry in history))
