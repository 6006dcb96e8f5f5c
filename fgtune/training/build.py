"""Builds a trainer from a resolved config and prepared data; the only code that hands fine labels to the evaluator."""

from __future__ import annotations

from fgtune.config.schema.trial import TrialConfig
from fgtune.data.base import EvaluationView, TrainingView
from fgtune.errors import TrialError
from fgtune.results.storage import Storage
from fgtune.training.cleaning import cleaned, share_of_wrong
from fgtune.training.estimation.estimators import with_num_fine
from fgtune.training.evaluator import Evaluator
from fgtune.training.portraits import Painter
from fgtune.training.prepared import PreparedSplit
from fgtune.training.trainer import Trainer


def build_trainer(
    config: TrialConfig,
    training: TrainingView,
    evaluation: EvaluationView,
    prepared: PreparedSplit,
    seed: int,
    threads: int = 1,
    encoders: Storage | None = None,
    painter: Painter | None = None,
) -> Trainer:
    """The trainer of one cell.

    Args:
        config: Resolved trial config; with ``cleaning``, coarse labels are first cleaned, and with
            ``classes.num_fine: estimate``, K_F is then estimated, both without fine labels.
        training: What training may see.
        evaluation: What only the evaluator holds. Two settings explicitly read oracle information from it:
            ``relations.mode: oracle`` the true relations, and a term on fine labels (``lambda_fine``) the labels.
        prepared: The preparation of both views; it holds the neighbours within the evaluated splits.
        seed: The block.
        threads: Threads of a neighbour search during training.
        encoders: Where pretrained backbones are kept, read and added to; without, a cell with ``model.pretrain`` trains
            its own, which is the same bit for bit.
        painter: Draws what the learned classes look like at the end; None where that is not kept.
    """
    seeds = config.streams.seeds(seed)
    initial = None
    if config.model.pretrain is not None:
        from fgtune.training.pretraining.store import pretrained  # here: most cells do without it

        initial = pretrained(config, training, seeds.weights, encoders)
    once: dict[str, float] = {}
    right = None if evaluation.true_coarse is None else evaluation.true_coarse[training.train]
    if config.cleaning is not None:
        idle = Evaluator(evaluation, config.evaluation, max(training.num_coarse), {}, seeds.split)
        found = cleaned(config, config.cleaning, training, idle, seed, threads, initial)
        once, training = found.metrics(right), found.view
    elif right is not None:
        once = share_of_wrong(training.train_coarse, right)
    config, num_fine = with_num_fine(config, training, seeds.weights)
    oracle = config.objective.oracle_weights
    if oracle and evaluation.fine is None:
        raise TrialError(f"objective.{oracle[0]} reads fine labels, and the data have none")
    evaluator = Evaluator(
        evaluation,
        config.evaluation,
        num_fine,
        prepared.evaluation_neighbors,
        seeds.split,
        prepared.fixed,
        painter,
        once,
    )
    fine = evaluation.fine[training.train] if oracle and evaluation.fine is not None else None
    truth = evaluation.true_fine_to_coarse if config.relations.mode == "oracle" else None
    return Trainer(config, training, evaluator, seed, truth=truth, fine=fine, threads=threads, initial=initial)
