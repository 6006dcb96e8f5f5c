"""Metrics measured once, at the end of a trial: probes of the features, continuous targets, few-shot episodes.

Only the evaluator calls these functions, with fine labels that training never sees.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from fgtune.arrays import Float32Array, IntArray
from fgtune.config.schema.evaluation import EvaluationConfig, FewShotConfig
from fgtune.metrics.calibration import are_shares, share_error
from fgtune.metrics.episodes import UNKNOWN, episodes, mean_interval
from fgtune.metrics.probes import accuracy, fit_linear, knn_predict
from fgtune.metrics.regression import fit_ridge, mean_squared_error, r_squared, rank_mse
from fgtune.streams import numpy_stream

_VALIDATION = re.compile(r"val/fewshot_[1-9]\d*")


def probe_classes(
    config: EvaluationConfig,
    train_features: Float32Array | None,
    fine: Mapping[str, IntArray],
    held_out: Mapping[str, Float32Array],
) -> dict[str, dict[str, float]]:
    """``knn_fine`` and ``linear_fine``, if the config asks for them.

    Args:
        config: Which probes.
        train_features: (n, d); None is allowed if no probe is asked for.
        fine: (n,) fine classes of the training split and of every split in ``held_out``.
        held_out: (m, d) features of each split to evaluate on.

    Returns:
        For each split, values by metric.
    """
    values: dict[str, dict[str, float]] = {split: {} for split in held_out}
    if train_features is None or len(train_features) == 0:
        return values
    if "knn" in config.probes:
        for split, features in held_out.items():
            preds = knn_predict(train_features, fine["train"], features, config.knn_neighbors)
            values[split]["knn_fine"] = accuracy(preds, fine[split])
    if "linear" in config.probes:
        probe = fit_linear(train_features, fine["train"])
        for split, features in held_out.items():
            values[split]["linear_fine"] = accuracy(probe.predict(features), fine[split])
    return values


def probe_values(
    config: EvaluationConfig,
    train_features: Float32Array,
    targets: Mapping[str, Float32Array],
    held_out: Mapping[str, Float32Array],
) -> dict[str, dict[str, float]]:
    """``ridge_r2`` and ``ridge_mse``, of a single target column ``rank_mse``, of shares ``gradient_mse``, as asked for.

    ``rank_mse`` orders samples by a single feature (in either order, since its sign is arbitrary), or if there are
    several by the predictions of the ridge probe.

    Args:
        config: Which probes.
        train_features: (n, d).
        targets: (n, columns) of the training split and of every split in ``held_out``.
        held_out: (m, d) features of each split to evaluate on.

    Returns:
        For each split, values by metric; none if there are fewer than two training samples.
    """
    values: dict[str, dict[str, float]] = {split: {} for split in held_out}
    if len(train_features) < 2 or not held_out:
        return values
    if "gradient" in config.probes and are_shares(targets["train"]):
        from fgtune.training.transfer import fit_shares  # torch, which the other metrics do without

        by_gradient = fit_shares(train_features, targets["train"])
        for split, features in held_out.items():
            values[split]["gradient_mse"] = share_error(by_gradient.predict(features), targets[split])
    if "ridge" not in config.probes:
        return values
    probe = fit_ridge(train_features, targets["train"])
    for split, features in held_out.items():
        preds, target = probe.predict(features), targets[split]
        values[split] |= {"ridge_r2": r_squared(preds, target), "ridge_mse": mean_squared_error(preds, target)}
        if target.shape[1] == 1:
            is_single = features.shape[1] == 1
            scores = features[:, 0] if is_single else preds[:, 0]
            values[split]["rank_mse"] = rank_mse(scores, target[:, 0], either_order=is_single)
    return values


def at_best_validation(history: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """``<split>/fewshot_<shots>_best``: the value of the epoch at which that of the validation split is best.

    Args:
        history: Metrics by epoch, in order; epochs without validation episodes are passed over.

    Example:
        >>> epochs = [{"val/fewshot_1": 0.5, "test/fewshot_1": 0.4}, {"val/fewshot_1": 0.4, "test/fewshot_1": 0.6}]
        >>> at_best_validation(epochs)
        {'test/fewshot_1_best': 0.4}
    """
    found = {}
    names = {name for metrics in history for name in metrics if _VALIDATION.fullmatch(name)}
    for name in sorted(names, key=lambda each: int(each.rpartition("_")[2])):
        best = max((metrics for metrics in history if name in metrics), key=lambda metrics: metrics[name])
        for split in ("train", "test"):
            value = best.get(f"{split}/{name.partition('/')[2]}")
            if value is not None:
                found[f"{split}/{name.partition('/')[2]}_best"] = value
    return found


def few_shot(
    config: FewShotConfig, features: Float32Array, fine: IntArray, train_fine: IntArray, seed: int, split: str
) -> dict[str, float]:
    """``fewshot_<shots>`` with ``_low`` and ``_high``, for every number of shots.

    Args:
        config: Ways, shots, queries, number of episodes.
        features: (n, d) of the split.
        fine: (n,) their fine classes.
        train_fine: Fine classes of the training split; excluded if the config asks for novel classes.
        seed: Seed of the block: all its arms have the same episodes.
        split: Names the random stream.

    Returns:
        Values by metric; nan if no episode can be drawn.
    """
    labels = np.where(np.isin(fine, train_fine), UNKNOWN, fine) if config.classes == "novel" else fine
    values = {}
    for shots in config.shots:
        rng = numpy_stream(seed, "few_shot", split, shots)
        found = episodes(features, labels, config.ways, shots, config.queries, config.episodes, rng)
        name = f"fewshot_{shots}"
        values[name], values[f"{name}_low"], values[f"{name}_high"] = mean_interval(found)
    return values
