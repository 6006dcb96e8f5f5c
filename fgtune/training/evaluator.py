"""The evaluator, which alone holds the fine labels and turns predictions into metrics.

Training passes predictions to it and receives numbers, never labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from fgtune.arrays import AnyArray, Float32Array, IntArray
from fgtune.config.schema.evaluation import EvaluationConfig, reported_among
from fgtune.data.base import EvaluationView
from fgtune.metrics.attention import attention_share
from fgtune.metrics.calibration import are_shares, information, mean_known, reliability, share_error, stability
from fgtune.metrics.clustering import Table, contingency
from fgtune.metrics.coarse import (
    coarse_accuracy,
    coarse_counts,
    coarse_probabilities,
    coarse_top,
    set_accuracy,
    set_f1,
)
from fgtune.metrics.evaluate import evaluate_counts, evaluate_within
from fgtune.metrics.fixed_space import FixedJudge
from fgtune.metrics.label_free import (
    effective_classes,
    mean_confidence,
    neighbor_agreement,
    num_used_classes,
    silhouette,
)
from fgtune.metrics.retrieval import recalls
from fgtune.metrics.spread import feature_entropy
from fgtune.results.records import (
    SPLIT_BITS,
    AttentionRecord,
    PortraitRecord,
    PredictionsRecord,
    RelationsRecord,
    compact,
)
from fgtune.streams import drawn_rows, numpy_stream
from fgtune.training.final_metrics import few_shot, probe_classes, probe_values
from fgtune.training.portraits import Painter
from fgtune.training.predictions import Predictions
from fgtune.training.prepared import FixedSample

_SPREAD_SAMPLES = 5000
"""Samples whose features' spread is measured: enough for 100 cells."""
_TINY = np.float32(1e-38)
"""Keeps the logarithm of a probability finite."""


class Evaluator:
    """Computes metrics of predictions on the splits of the config.

    Args:
        view: Inputs, splits and all labels.
        config: Splits to evaluate and what to measure on them.
        num_fine: K_F.
        neighbors: For each split, (n, k) positions within it, -1 padded; for neighbour agreement.
        seed: Seed of the silhouette's sample, few-shot episodes and attention maps.
        fixed: For each split, a sample in the space that all trials on the data share.
        painter: Draws what the learned classes look like; None where that is not kept.
        once: Metrics that were known before training, by name with split prefix.
    """

    def __init__(
        self,
        view: EvaluationView,
        config: EvaluationConfig,
        num_fine: int,
        neighbors: Mapping[str, IntArray],
        seed: int,
        fixed: Mapping[str, FixedSample] | None = None,
        painter: Painter | None = None,
        once: Mapping[str, float] | None = None,
    ) -> None:
        self._once = dict(once or {})
        self.splits: tuple[str, ...] = config.splits
        self._view, self._config, self._num_fine = view, config, num_fine
        self._neighbors, self._seed, self._painter = neighbors, seed, painter
        self._shares = view.fine_values if view.fine_values is not None and are_shares(view.fine_values) else None
        self._judges = {
            split: FixedJudge(sample.positions, sample.points, view.coarse[self.rows(split)[sample.positions]])
            for split, sample in (fixed or {}).items()
            if split in self.splits
        }

    @property
    def reported_split(self) -> str:
        """The split that results are reported on: ``test``, or else the last one evaluated."""
        return reported_among(self.splits)

    def rows(self, split: str) -> IntArray:
        """Rows of a split."""
        rows: IntArray = getattr(self._view.splits, split)
        return rows

    def neighbors_of(self, split: str) -> IntArray | None:
        """(n, k) neighbours within a split, found without fine labels; None if none were prepared."""
        return self._neighbors.get(split)

    def measure(self, split: str, predictions: Predictions, fine_to_coarse: IntArray) -> dict[str, float]:
        """All per-epoch metrics of one split as ``<split>/<metric>``, without undefined ones.

        Args:
            split: ``train``, ``val`` or ``test``.
            predictions: On ``rows(split)``, in that order.
            fine_to_coarse: (sources, num_fine) learned relations.
        """
        coarse = self._view.coarse[self.rows(split)]
        fine = predictions.fine
        rng = numpy_stream(self._seed, "silhouette", split)
        values = {
            "coarse_accuracy": coarse_accuracy(fine, fine_to_coarse, coarse),
            **self._of_coarse_classes(split, self._coarse_probs(predictions, fine_to_coarse), coarse),
            "feature_entropy": feature_entropy(predictions.features[self._some(split)]),
            "mean_confidence": mean_confidence(predictions.probs),
            "effective_classes": effective_classes(predictions.probs),
            "num_fine": float(self._num_fine),
            "num_used_classes": num_used_classes(fine),
            "silhouette": silhouette(predictions.features, fine, self._config.silhouette_samples, rng),
        }
        if self._view.label_sets:
            values["coarse_set_accuracy"] = set_accuracy(fine, fine_to_coarse, coarse)
            values["coarse_set_f1"] = set_f1(fine, fine_to_coarse, coarse)
        if split in self._neighbors:
            values["neighbor_agreement"] = neighbor_agreement(fine, self._neighbors[split])
        if split in self._judges:
            values["fixed_silhouette"] = self._judges[split].silhouette(fine)
            values["fixed_calinski_harabasz"] = self._judges[split].calinski_harabasz(fine)
        values |= self._recall(split, predictions.features)
        true, truth = self._view.fine, self._view.true_fine_to_coarse
        if true is not None and truth is not None:
            counted = [
                Table.counted(classes, true[self.rows(split)], self._num_fine, truth.shape[1])
                for classes in (fine, predictions.within(fine_to_coarse, coarse))
            ]
            values |= evaluate_counts(counted[0], fine_to_coarse, truth) | evaluate_within(counted[1])
        return _named(split, values)

    @property
    def final_splits(self) -> tuple[str, ...]:
        """Splits whose predictions ``measure_final`` needs; empty if it has nothing to measure."""
        return self._splits_for(self._has_probes, self._has_episodes)

    @property
    def splits_by_epoch(self) -> tuple[str, ...]:
        """Splits whose features ``measure_by_epoch`` needs at every evaluation before the last; empty for none."""
        return self._splits_for(self._probes_by_epoch, self.episodes_by_epoch)

    @property
    def _has_probes(self) -> bool:
        view, probes = self._view, {*self._config.probes}
        of_classes = view.fine is not None and not probes.isdisjoint({"knn", "linear"})
        return of_classes or (view.fine_values is not None and not probes.isdisjoint({"ridge", "gradient"}))

    @property
    def _probes_by_epoch(self) -> bool:
        return self._has_probes and self._config.probes_by_epoch

    @property
    def _has_episodes(self) -> bool:
        return self._config.few_shot is not None and self._view.fine is not None

    def _splits_for(self, probes: bool, episodes: bool) -> tuple[str, ...]:
        """What probes, which are fitted on the training split, and episodes need."""
        if not probes and not episodes:
            return ()
        return tuple(dict.fromkeys((*(("train",) if probes else ()), *self.splits)))

    def measure_final(self, predictions: Mapping[str, Predictions]) -> dict[str, float]:
        """Metrics that are reported at the end alone: of labels, probes, continuous targets, few-shot episodes.

        Probes are fitted on the training split and are not evaluated on a split that shares samples with it, as all
        splits do in a transductive study.

        Args:
            predictions: For each of ``final_splits``, on ``rows(split)``, in that order.

        Returns:
            Values as ``<split>/<metric>``, without those that are undefined or lack their fine targets.
        """
        if not self.final_splits:
            return dict(self._once)
        features = {split: predictions[split].features for split in self.final_splits}
        return self._once | self._measured(features, self._has_probes, self._has_episodes)

    def measure_by_epoch(self, features: Mapping[str, Float32Array]) -> dict[str, float]:
        """What the config asks for at every evaluation of probes and few-shot episodes.

        Args:
            features: For each of ``splits_by_epoch``, of ``rows(split)``, in that order.

        Returns:
            Values as ``<split>/<metric>``, as ``measure_final`` has them.
        """
        return self._measured(features, self._probes_by_epoch, self.episodes_by_epoch)

    def _measured(self, features: Mapping[str, Float32Array], probes: bool, episodes: bool) -> dict[str, float]:
        train = self.rows("train")
        metrics: dict[str, float] = {}
        if episodes:
            metrics |= self._episodes({split: features[split] for split in self.splits})
        if not probes:
            return metrics
        held_out = {split: features[split] for split in self.splits if not np.intersect1d(train, self.rows(split)).size}
        view, config = self._view, self._config
        if view.fine is not None:
            fine = {split: view.fine[self.rows(split)] for split in {"train", *features}}
            for split, values in probe_classes(config, features.get("train"), fine, held_out).items():
                metrics |= _named(split, values)
        if view.fine_values is not None and {"ridge", "gradient"} & {*config.probes}:
            targets = {split: view.fine_values[self.rows(split)] for split in features}
            for split, values in probe_values(config, features["train"], targets, held_out).items():
                metrics |= _named(split, values)
        return metrics

    @property
    def episodes_by_epoch(self) -> bool:
        """Whether few-shot episodes are run at every evaluation, not only at the last."""
        few_shots = self._config.few_shot
        return few_shots is not None and few_shots.by_epoch and self._has_episodes

    def _episodes(self, features: Mapping[str, Float32Array]) -> dict[str, float]:
        fine, config = self._view.fine, self._config.few_shot
        if fine is None or config is None:
            return {}
        metrics: dict[str, float] = {}
        for split, own in features.items():
            values = few_shot(config, own, fine[self.rows(split)], fine[self.rows("train")], self._seed, split)
            metrics |= _named(split, values)
        return metrics

    @property
    def attention_rows(self) -> IntArray:
        """Sorted rows of the reported split whose attention maps are stored: drawn without labels, alike in a block."""
        rows = self.rows(self.reported_split)
        count = min(self._config.attention_samples, len(rows))
        drawn: IntArray = np.sort(numpy_stream(self._seed, "attention").permutation(rows)[:count])
        return drawn

    def measure_attention(self, attention: AttentionRecord) -> dict[str, float]:
        """The share of attention in each known region, relative to the region's share of the area."""
        values = {}
        for name, masks in (self._view.regions or {}).items():
            inside = masks[attention.rows]
            area = inside.mean(axis=(1, 2))
            values[f"attention_{name}"] = float(np.mean(attention_share(attention.maps, inside) / area))
        return _named(self.reported_split, values)

    def record(self, split: str, predictions: Predictions, fine_to_coarse: IntArray) -> RelationsRecord:
        """Relations, and counts of the predictions on ``rows(split)``."""
        view, rows = self._view, self.rows(split)
        coarse = view.coarse[rows]
        labels = coarse_counts(predictions.fine, coarse, self._num_fine, view.num_coarse)
        if view.fine is None or view.true_fine_to_coarse is None:
            return RelationsRecord(fine_to_coarse, labels)
        fine_counts, within_counts = (
            contingency(fine, view.fine[rows], self._num_fine, view.true_fine_to_coarse.shape[1])
            for fine in (predictions.fine, predictions.within(fine_to_coarse, coarse))
        )
        return RelationsRecord(fine_to_coarse, labels, view.true_fine_to_coarse, fine_counts, within_counts)

    def portrait(self, split: str, predictions: Predictions, fine_to_coarse: IntArray) -> PortraitRecord | None:
        """What the learned classes look like on ``rows(split)``; None where that is not kept."""
        if self._painter is None:
            return None
        scores = predictions.log_probs
        scores = np.log(predictions.probs + _TINY) if scores is None else scores
        rows, probs = self.rows(split), self._coarse_probs(predictions, fine_to_coarse)[0]
        bins = reliability(probs, self._view.coarse[rows, 0])
        return replace(
            self._painter(rows, scores, predictions.features, fine_to_coarse, self._seed),
            reliability=np.array([bins.counts, bins.confidence, bins.accuracy], dtype=np.float32),
        )

    def predictions_record(
        self, parts: Callable[[IntArray], Iterable[tuple[IntArray, Predictions]]], fine_to_coarse: IntArray
    ) -> PredictionsRecord:
        """The predictions of a finished trial, sample by sample of the data set.

        Args:
            parts: Predictions on given rows of the data set, in parts: the rows of each, and the predictions on them.
            fine_to_coarse: (sources, num_fine) learned relations.
        """
        coarse = self._view.coarse
        fine, within = (np.full(len(coarse), -1, dtype=np.int64) for _ in range(2))
        splits = np.zeros(len(coarse), dtype=np.int8)
        for split, bit in SPLIT_BITS.items():
            rows = self.rows(split)
            for part, predictions in parts(rows):
                fine[part] = predictions.fine
                within[part] = predictions.within(fine_to_coarse, coarse[part])
            splits[rows] |= bit
        restricted = None if np.array_equal(fine, within) else compact(within, self._num_fine)
        return PredictionsRecord(compact(fine, self._num_fine), splits, restricted)

    def _coarse_probs(self, predictions: Predictions, fine_to_coarse: IntArray) -> Sequence[AnyArray]:
        """For each source, probabilities of the coarse head, or, without one, summed fine probabilities."""
        if predictions.coarse_probs is not None:
            return predictions.coarse_probs
        sources = zip(fine_to_coarse, self._view.num_coarse, strict=True)
        return [coarse_probabilities(predictions.probs, parents, number) for parents, number in sources]

    def _of_coarse_classes(self, split: str, probs: Sequence[AnyArray], coarse: IntArray) -> dict[str, float]:
        """What coarse probabilities are worth: accuracy, calibration, information, stability, error against shares."""
        found = [reliability(each, labels) for each, labels in zip(probs, coarse.T, strict=True)]
        values = {
            **{f"coarse_top{k}": coarse_top(probs, coarse, k) for k in (1, 5)},
            "coarse_ece": mean_known([each.expected_error for each in found]),
            "coarse_mce": mean_known([each.largest_error for each in found]),
            "coarse_information": mean_known([information(each) for each in probs]),
            "coarse_stability": mean_known([stability(each) for each in probs]),
        }
        shares = self._shares
        if shares is not None and len(probs) == 1 and shares.shape[1] == probs[0].shape[1]:
            values["raw_mse"] = share_error(probs[0], shares[self.rows(split)])
        return values

    def _some(self, split: str) -> IntArray:
        """Positions of at most so many samples of a split as the spread of features is found on."""
        return drawn_rows(len(self.rows(split)), _SPREAD_SAMPLES, self._seed, "feature_entropy", split)

    def _recall(self, split: str, features: Float32Array) -> dict[str, float]:
        """Recall@k of coarse labels, averaged over sources that label at least two samples, and of fine classes."""
        ks = self._config.recall
        if not ks:
            return {}
        view, rows = self._view, self.rows(split)
        labels = view.coarse[rows] if view.fine is None else np.column_stack([view.coarse[rows], view.fine[rows]])
        table = recalls(features, labels, ks)
        values: dict[str, float] = {}
        sources = len(view.num_coarse)
        for k, row in zip(ks, table, strict=True):
            values[f"recall_coarse_{k}"] = mean_known(row[:sources].tolist())
            if view.fine is not None:
                values[f"recall_fine_{k}"] = float(row[sources])
        return values


def _named(split: str, values: Mapping[str, float]) -> dict[str, float]:
    """``values`` as ``<split>/<metric>``, without undefined ones."""
    return {f"{split}/{name}": value for name, value in values.items() if np.isfinite(value)}
