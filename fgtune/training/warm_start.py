"""Where the fine head starts: random weights, or clusters of the training inputs within coarse classes.

FALCON starts from random relations and a random head, so that the first epochs decide which of many partitions training
settles in. Clusters are a start that agrees with the inputs, and numbers and sizes of fine classes that need not be
equal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fgtune.arrays import Float32Array, FloatArray, IntArray
from fgtune.config.schema.classes import RelationsConfig
from fgtune.config.schema.clustering import ClusteringConfig, ScanClusteringConfig
from fgtune.config.schema.trial import TrialConfig
from fgtune.data.base import TrainingView
from fgtune.data.views import vectors
from fgtune.errors import TrialError
from fgtune.objectives.prior import ClassPrior
from fgtune.relations.initial import random_sized
from fgtune.streams import derive_seed, numpy_stream
from fgtune.training.clustering.class_models import ClassModels
from fgtune.training.clustering.find import clustered_groups, find_clusters
from fgtune.training.clustering.memo import remembered
from fgtune.training.clustering.sizes import relations_sizes
from fgtune.training.relations_state import RelationsState


@dataclass(frozen=True)
class StartingClasses:
    """Clusters as fine classes.

    Attributes:
        labels: (n_train,) int64 fine class of each training sample.
        shares: (K_F,) float64 share of the samples in each, positive.
    """

    labels: IntArray
    shares: FloatArray


def starting_classes(
    config: ClusteringConfig,
    features: Float32Array,
    coarse: IntArray,
    parents: IntArray,
    seed: int,
    members: Callable[[Sequence[int]], IntArray] | None = None,
) -> StartingClasses:
    """As many clusters within each coarse class as it has fine classes under the relations.

    Args:
        config: How clusters are found; always within coarse classes.
        features: (n_train, d).
        coarse: (n_train,) coarse labels of the first source, -1 for none: such a sample gets the best of all clusters.
        parents: (K_F,) initial relations of the first source.
        seed: Seed of the clustering.
        members: Finds the cluster of each sample (n_train,), numbered coarse class by coarse class, for so many of each
            coarse class, in place of a clustering of ``features``.

    Raises:
        TrialError: A coarse class has fewer training samples than fine classes.
    """
    sizes = np.bincount(parents)
    samples = np.bincount(coarse[coarse >= 0], minlength=len(sizes))
    for label in np.flatnonzero(samples < sizes):
        raise TrialError(
            f"clusters to start from (warm_start, objective.prior) need as many training samples as fine classes in "
            f"each coarse class; coarse class {label} has {samples[label]} for {sizes[label]} fine classes"
        )
    if members is not None:
        cluster = members(sizes.tolist())
    elif isinstance(config, ScanClusteringConfig):
        raise ValueError("models of single coarse classes find members themselves")
    else:
        within = config.model_copy(update={"scope": "coarse"})
        found = find_clusters(within, features, coarse, len(parents), derive_seed(seed, "start"), sizes.tolist())
        cluster = found.allowed(found.log_scores(features), coarse).argmax(axis=1)
    fine_of = np.argsort(parents, kind="stable")  # clusters are numbered coarse class by coarse class
    labels: IntArray = fine_of[cluster]
    counts = np.maximum(np.bincount(labels, minlength=len(parents)), 1)
    return StartingClasses(labels, counts / counts.sum())


class FineStart:
    """What the trainer starts and balances fine classes with.

    Args:
        config: Resolved trial config.
        view: The training split.
        num_fine: K_F.
        seed: The block.
        device: Where training runs.
        truth: True relations; only for ``relations.mode: oracle``.
        has_fine_head: Without one, nothing is started.
        initial: Gives (n_train, d) features of the backbone before training; called only if they are clustered.
        class_models: Makes a model of each coarse class, untrained, from coarse classes (n_train,) and the number of
            fine classes of each; called only if the fine head starts from what they say.

    Attributes:
        relations: The relations at their start.
        warm_epochs: Epochs, from the first, that train on ``labels``.
        labels: (n_train,) fine class to start with; None for a random start.
        prior: Sizes wanted of the fine classes, where they are not fixed numbers.
    """

    def __init__(
        self,
        config: TrialConfig,
        view: TrainingView,
        num_fine: int,
        seed: int,
        device: torch.device,
        truth: IntArray | None,
        has_fine_head: bool,
        initial: Callable[[], Float32Array],
        class_models: Callable[[IntArray, Sequence[int]], ClassModels],
    ) -> None:
        kind, coarse = config.objective.prior, view.train_coarse
        fraction = config.warm_start.fraction if has_fine_head else 0.0
        self.warm_epochs = max(1, round(fraction * config.epochs)) if fraction > 0 else 0
        clusters = self.warm_epochs > 0 or (has_fine_head and kind in ("clusters", "learned"))
        features = None
        learned = config.relations.mode == "learned" and has_fine_head
        if clusters or (learned and config.relations.sizes == "variance"):
            features = _finite(
                initial() if config.warm_start.features == "initial" else vectors(view.inputs, view.train)
            )
        wanted: tuple[IntArray, ...] | None = None
        groups, sets = clustered_groups(view, num_fine)
        group_of: IntArray | None = None  # of each fine class at its start, where labels form sets
        starting: IntArray | None = None  # (labels, K_F) what these sets are
        if learned and sets is not None:
            group_of = _groups_of_classes(config.relations, features, groups, len(sets), num_fine, seed)
            starting = _starting_sets(sets, group_of)
            wanted = tuple(np.bincount(having, minlength=2) for having in starting)
        elif learned:  # relations that are given or fixed have sizes of their own, clusters' come from the clusters
            kind_of_sizes, among = config.relations, view.num_coarse
            wanted = remembered(
                lambda: relations_sizes(kind_of_sizes, features, coarse, among, num_fine, seed, exact=clusters),
                *("sizes", kind_of_sizes.sizes, features, coarse, among, num_fine, seed, clusters),
            )
        self.relations = RelationsState(
            config.relations, num_fine, view.num_coarse, seed, device, truth=truth, sizes=wanted
        )
        if starting is not None:
            self.relations.begin_with(starting)
        self.labels: Tensor | None = None
        shares = np.ones(num_fine)
        if clusters and features is not None:
            if sets is not None and group_of is None:
                raise TrialError("clusters to start from, within sets of labels, need relations.mode: learned")
            parents = self.relations.fine_to_coarse[0] if group_of is None else group_of
            known, points = config.clustering, features

            def members(sizes: Sequence[int]) -> IntArray:
                models = class_models(groups, sizes)
                models.train_to(config.epochs)
                return models.members(view.train, groups)

            if isinstance(known, ScanClusteringConfig):
                found = starting_classes(known, points, groups, parents, seed, members)
            else:
                found = remembered(
                    lambda: starting_classes(known, points, groups, parents, seed),
                    *("start", known.to_plain(), points, groups, parents, seed),
                )
            self.labels, shares = torch.from_numpy(found.labels.copy()).to(device), found.shares
            if sets is None:
                self.relations.start_from(found.labels, coarse)
        self.prior: ClassPrior | None = None
        if isinstance(kind, str):
            labels, sizes = torch.from_numpy(coarse.copy()).to(device), torch.from_numpy(shares).float().to(device)
            self.prior = ClassPrior(kind, labels, view.num_coarse, sizes)

    def warm_labels(self, epoch: int) -> Tensor | None:
        """(n_train,) what the fine head learns in ``epoch`` (1-based) in place of the objective; None for nothing."""
        return self.labels if epoch <= self.warm_epochs else None

    def log_prior(self) -> Tensor | None:
        """(K_F,) logarithm of the sizes wanted under the current relations; None where they are fixed numbers."""
        return None if self.prior is None else self.prior.log(self.relations.tensor)


def _groups_of_classes(
    config: RelationsConfig, features: Float32Array | None, groups: IntArray, number: int, num_fine: int, seed: int
) -> IntArray:
    """(K_F,) the set of labels that each fine class starts with, as many of a set as ``relations.sizes`` says."""
    sizes = relations_sizes(config, features, groups[:, None], (number,), num_fine, seed, exact=True)
    if sizes is None:
        raise ValueError("exact sizes are never left open")
    return random_sized(sizes[0], numpy_stream(seed, "relations", "sets"))


def _starting_sets(sets: IntArray, group_of: IntArray) -> IntArray:
    """(labels, K_F) whether each fine class starts with each label; some do and some do not, whatever the sets are."""
    having = sets[group_of].T.copy()
    for label, row in enumerate(having):
        if len(np.unique(row)) < 2:  # only rarer sets differ in this label
            row[label % len(row)] = 1 - row[0]
    return having


def _finite(features: Float32Array) -> Float32Array:
    """Features (n_train, d) to cluster, once they are known to be finite."""
    if not np.isfinite(features).all():
        raise TrialError("the clusters to start from met features that are not finite")
    return features
