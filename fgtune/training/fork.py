"""A trainer that goes on from another cell's training, under settings of its own (population based training)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fgtune.errors import TrialError
from fgtune.results.records import TrialOutcome
from fgtune.training.trainer import Trainer


def begin_from(trainer: Trainer, state: dict[str, Any]) -> None:
    """Give a fresh trainer what another one had learned: weights, moments of the optimiser, relations, epochs done.

    Its settings stay its own: a state also holds the donor's learning rate, momentum and weight decay, which are left
    out, and the donor's use of the relations solver, which is not this cell's.

    Args:
        trainer: Of a cell with the same networks and the same terms in its objective.
        state: From the donor's ``state_dict``.

    Raises:
        TrialError: The state does not fit the trainer.
    """
    own = trainer.optimizer.state_dict()["param_groups"]
    unused = {"solves": 0, "seconds": 0.0, "statuses": {}, "max_gap": 0.0}
    mixed = state | {
        "optimizer": state["optimizer"] | {"param_groups": own},
        "relations": state["relations"] | unused,
    }
    try:
        trainer.load_state_dict(mixed)
    except (RuntimeError, KeyError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise TrialError(f"cannot go on from the donor's state: {reason}") from error


def own_part(outcome: TrialOutcome, begins: int) -> TrialOutcome:
    """The outcome of a cell that began after ``begins`` epochs of another one, without those epochs."""
    history = outcome.history[begins:]
    return replace(outcome, history=history, seconds=sum(entry.seconds for entry in history))
