"""Doubtful coarse labels of the training split, found by confident learning and changed or left out before training.

Northcutt, Jiang and Chuang (2021), "Confident learning", sections 3.1 and 3.2: thresholds by class, the confident
joint, and the samples off its diagonal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from fgtune.arrays import BoolArray, Float32Array, IntArray
from fgtune.config.schema.cleaning import CleaningConfig
from fgtune.config.schema.trial import TrialConfig
from fgtune.data.base import TrainingView
from fgtune.data.views import vectors
from fgtune.neighbors import coarse_groups, find_neighbors
from fgtune.streams import numpy_stream
from fgtune.training.clustering.memo import remembered
from fgtune.training.evaluator import Evaluator
from fgtune.training.trainer import Trainer


@dataclass(frozen=True)
class Cleaned:
    """What cleaning has done.

    Attributes:
        view: What training sees from now on.
        before: (n_train, sources) labels as they came.
        after: (n_train, sources) labels where every doubtful one is replaced by the class that it should be.
        kept: (n_train,) bool, the samples that are trained on.

    Example:
        >>> before, after = np.array([[0], [0], [1], [1]]), np.array([[0], [1], [0], [1]])
        >>> found = Cleaned(None, before, after, kept=np.ones(4, dtype=bool))
        >>> found.metrics(right=np.array([[0], [1], [1], [0]]))  # doctest: +NORMALIZE_WHITESPACE
        {'train/cleaned_labels': 0.5, 'train/wrong_labels': 0.5,
         'train/cleaning_precision': 0.5, 'train/cleaning_recall': 0.5}
    """

    view: TrainingView
    before: IntArray
    after: IntArray
    kept: BoolArray

    def metrics(self, right: IntArray | None) -> dict[str, float]:
        """How many labels were doubted, and, where the right ones (n_train, sources) are known, how well."""
        known, doubted = self.before >= 0, self.before != self.after
        values = {"train/cleaned_labels": _share(doubted, known)}
        if right is not None:
            wrong = known & (self.before != right)
            values["train/wrong_labels"] = _share(self.after != right, known & self.kept[:, None])
            values["train/cleaning_precision"] = _share(wrong, doubted)
            values["train/cleaning_recall"] = _share(doubted, wrong)
        return {name: value for name, value in values.items() if not math.isnan(value)}


def share_of_wrong(labels: IntArray, right: IntArray) -> dict[str, float]:
    """The same metric of labels (n, sources) that nothing was done to, where the right ones are known."""
    return {"train/wrong_labels": _share(labels != right, labels >= 0)}


def _share(what: BoolArray, among: BoolArray) -> float:
    return float(what[among].mean()) if among.any() else math.nan


def confident_labels(probs: Float32Array, labels: IntArray) -> IntArray:
    """The label of each sample, or the class that it should rather have.

    The threshold of a class is the mean probability of the class over the samples that carry its label. Among the
    classes whose probability reaches their threshold, the most probable one is what the sample should have; where none
    does, the label stands.

    Args:
        probs: (n, K_C) probabilities by networks that have not seen the sample.
        labels: (n,) coarse labels, -1 for none: such a sample sets no threshold and gets no label.

    Returns:
        (n,) int64.

    Example:
        >>> probs = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.75, 0.25], [0.1, 0.9]], dtype=np.float32)
        >>> confident_labels(probs, np.array([0, 0, 0, 1, 1])).tolist()  # thresholds 2/3 and 0.575
        [0, 0, 1, 0, 1]
    """
    number = probs.shape[1]
    thresholds = np.array(
        [probs[labels == label, label].mean(dtype=np.float64) if (labels == label).any() else np.inf
         for label in range(number)]
    )  # fmt: skip
    sure = np.where(probs >= thresholds - 1e-12, probs, -1.0)
    found = np.where(sure.max(axis=1) >= 0, sure.argmax(axis=1), labels)
    return np.where(labels >= 0, found, -1).astype(np.int64)


def cleaned(
    config: TrialConfig,
    cleaning: CleaningConfig,
    view: TrainingView,
    evaluator: Evaluator,
    seed: int,
    threads: int,
    initial: Mapping[str, Tensor] | None,
) -> Cleaned:
    """The training split without doubtful labels.

    Args:
        config: The trial.
        cleaning: Its cleaning.
        view: What training sees.
        evaluator: Of the same splits; nothing is evaluated.
        seed: The block.
        threads: Threads of the neighbour search.
        initial: The backbone's pretrained state dict, if there is one.
    """
    judging = _judging(config, cleaning, view)
    probs = remembered(
        lambda: _out_of_fold(judging, cleaning, view, evaluator, seed, initial),
        *("cleaning", judging.to_plain(), cleaning.folds, view.train, view.train_coarse, seed),
    )
    before = view.train_coarse
    after = np.stack(
        [
            _with_all_classes(confident_labels(each, labels), labels)
            for each, labels in zip(probs, before.T, strict=True)
        ],
        axis=1,
    )
    kept = np.ones(len(before), dtype=bool) if cleaning.action == "relabel" else (after == before).all(axis=1)
    return Cleaned(_reduced(config, view, after, kept, threads), before, after, kept)


def _judging(config: TrialConfig, cleaning: CleaningConfig, view: TrainingView) -> TrialConfig:
    """The trial that judges labels: the same network, views and optimiser, with nothing but a coarse head."""
    shared = ("data", "augmentation", "optimizer", "schedule", "batch_size", "precision", "device", "streams")
    plain = config.to_plain()
    other = cleaning.backbone is not None and {"backbone": cleaning.backbone.to_plain()}
    return TrialConfig.from_plain(
        {
            **{name: plain[name] for name in shared},
            "model": other or plain["model"],
            "classes": {"num_fine": max(view.num_coarse)},
            "objective": {"preset": "base"},
            "epochs": cleaning.length(config.epochs),
            "evaluation": {"weights": config.evaluation.weights, "splits": ["train"]},
        }
    )


def _out_of_fold(
    config: TrialConfig,
    cleaning: CleaningConfig,
    view: TrainingView,
    evaluator: Evaluator,
    seed: int,
    initial: Mapping[str, Tensor] | None,
) -> list[Float32Array]:
    """For each source, (n_train, K_C) coarse probabilities of each sample by a network that has not seen it."""
    fold = folds_of(view.train_coarse, cleaning.folds, config.streams.seeds(seed).weights)
    found = [np.zeros((len(fold), number), dtype=np.float32) for number in view.num_coarse]
    for part in np.unique(fold):
        seen, unseen = np.flatnonzero(fold != part), np.flatnonzero(fold == part)
        own = replace(view, train=view.train[seen], train_coarse=view.train_coarse[seen], neighbors=None)
        trainer = Trainer(config, own, evaluator, seed, initial=initial if cleaning.backbone is None else None)
        for epoch in range(1, config.epochs + 1):
            trainer.train_epoch(epoch)
        rows, networks = view.train[unseen], trainer.networks
        outputs = networks.interpret(networks.predict(networks.evaluated, rows), rows)
        for probs, own_probs in zip(found, outputs.coarse_probs or (), strict=True):
            probs[unseen] = own_probs
    return found


def folds_of(coarse: IntArray, folds: int, seed: int) -> IntArray:
    """(n,) fold of each sample: drawn, and even among samples of the same coarse labels (n, sources)."""
    groups = coarse_groups(coarse)
    shuffled = numpy_stream(seed, "cleaning").permutation(len(groups))
    order = shuffled[np.argsort(groups[shuffled], kind="stable")]  # group by group
    fold = np.empty(len(groups), dtype=np.int64)
    fold[order] = np.arange(len(groups)) % folds
    return fold


def _with_all_classes(after: IntArray, before: IntArray) -> IntArray:
    """Labels after cleaning, but for classes that would lose every sample: theirs stay."""
    lost = np.setdiff1d(before[before >= 0], after[after == before])
    return np.where(np.isin(before, lost), before, after)


def _reduced(config: TrialConfig, view: TrainingView, after: IntArray, kept: BoolArray, threads: int) -> TrainingView:
    """What training sees after cleaning, with neighbours among samples that now share a class."""
    rows, labels = view.train[kept], after[kept]
    neighbors = view.neighbors
    if neighbors is not None:
        groups = coarse_groups(labels) if config.neighbors.scope == "coarse" else None
        neighbors = find_neighbors(vectors(view.inputs, rows), groups, neighbors.shape[1], threads)
    for array in (rows, labels):
        array.setflags(write=False)
    return replace(view, train=rows, train_coarse=labels, neighbors=neighbors)
