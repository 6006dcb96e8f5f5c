"""From a resolved config and prepared data to a trainer; the one place that hands fine labels to the evaluator."""

from __future__ import annotations

from fgtune.config.schema.trial import TrialConfig
from fgtune.data.base import EvaluationView, TrainingView
from fgtune.errors import TrialError
from fgtune.training.estimation.estimators import with_num_fine
from fgtune.training.evaluator import Evaluator
from fgtune.training.prepared import PreparedSplit
from fgtune.training.trainer import Trainer


def build_trainer(
    config: TrialConfig,
    training: TrainingView,
    evaluation: EvaluationView,
    prepared: PreparedSplit,
    seed: int,
    threads: int = 1,
) -> Trainer:
    """The trainer of one cell.

    Args:
        config: Resolved trial config; where it says ``estimate``, K_F is estimated first, without fine labels.
        training: What training may see.
        evaluation: What only the evaluator holds. Two settings read oracle information from it, by name:
            ``relations.mode: oracle`` the true relations, a term that reads fine labels (``lambda_fine``) the labels.
        prepared: The preparation both views come from; it holds the neighbours within the evaluated splits.
        seed: The block.
        threads: Threads of a neighbour search during training.
    """
    config, num_fine = with_num_fine(config, training, seed)
    oracle = config.objective.oracle_weights
    if oracle and evaluation.fine is None:
        raise TrialError(f"objective.{oracle[0]} reads fine labels, and the data have none")
    evaluator = Evaluator(
        evaluation,
        config.evaluation.splits,
        num_fine,
        prepared.evaluation_neighbors,
        config.evaluation.silhouette_samples,
        seed,
        config.evaluation,
    )
    fine = evaluation.fine[training.train] if oracle and evaluation.fine is not None else None
    truth = evaluation.true_fine_to_coarse if config.relations.mode == "oracle" else None
    return Trainer(config, training, evaluator, seed, truth=truth, fine=fine, threads=threads)
