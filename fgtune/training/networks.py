"""The networks of one trial (student, teacher, momentum encoder, term heads) and their predictions.

What no chosen term needs is neither built nor run nor trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fgtune.arrays import Float32Array, IntArray
from fgtune.config.schema.clustering import GeorgeClusteringConfig, ScanClusteringConfig
from fgtune.config.schema.plugin import PluginConfig
from fgtune.config.schema.trial import TrialConfig
from fgtune.data.base import Inputs, TrainingView
from fgtune.data.views import vectors
from fgtune.errors import TrialError
from fgtune.metrics.attention import attention_map
from fgtune.models.classifier import CosineHead, FineClassifier, build_classifier
from fgtune.models.initialize import build_by_seed
from fgtune.models.teacher import EmaTeacher
from fgtune.neighbors import coarse_groups
from fgtune.objectives.base import Need, StepOutputs, TermContext
from fgtune.objectives.objective import Objective
from fgtune.streams import derive_seed
from fgtune.training.augment import Views
from fgtune.training.clustering.class_models import ClassModels
from fgtune.training.clustering.find import clustered_groups, divided, find_clusters
from fgtune.training.clustering.rules import Clusters, FloatMatrix, allowed, clusters_of, relative, softmax
from fgtune.training.compute import EVALUATION_BATCH, Compute, TrainingInputs
from fgtune.training.input_checks import view_shape
from fgtune.training.key_encoder import KeyEncoder, batch_parts
from fgtune.training.neighbor_source import NeighborSource
from fgtune.training.predictions import Predictions, features_of

ATTENTION_BATCH = 64


@dataclass(frozen=True)
class Targets:
    """Outputs of teacher and momentum encoder on a batch, without gradients; None if no term needs them.

    Attributes:
        logits: (B, K_F) of the teacher on view x1.
        neighbor_log_probs: (B, k, K_F) of the teacher on drawn neighbours.
        neighbor_valid: (B, k) bool.
        keys: (B, feature_dim) of the momentum encoder on view x1.
    """

    logits: Tensor | None = None
    neighbor_log_probs: Tensor | None = None
    neighbor_valid: Tensor | None = None
    keys: Tensor | None = None


class Networks:
    """Everything that has weights.

    Attributes:
        has_fine_head: Whether some term trains a classifier over fine classes; otherwise they are clusters.
        has_own_parts: Whether backbone or a term is a user's own, of which nothing is known.
    """

    def __init__(
        self,
        config: TrialConfig,
        view: TrainingView,
        num_fine: int,
        seed: int,
        threads: int,
        initial: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.config, self.view, self.num_fine = config, view, num_fine
        seeds = config.streams.seeds(seed)
        self.seed = seeds.order
        self.compute = Compute(config.device, config.precision)
        self.views = Views(config.augmentation)
        shape = view_shape(config.augmentation, view.inputs.shape[1:])
        device = self.compute.device
        self.model = build_classifier(config.model, shape, num_fine, seeds.weights).to(device)
        if initial is not None:
            self.model.backbone.load_state_dict(initial)
        groups = torch.from_numpy(coarse_groups(view.train_coarse))
        coarse = torch.from_numpy(np.array(view.train_coarse))
        embedding_dim = self.model.head.embedding_dim if isinstance(self.model.head, CosineHead) else 0
        context = TermContext(self.model.backbone.feature_dim, num_fine, view.num_coarse, groups, coarse, embedding_dim)
        self.objective = build_by_seed(lambda: Objective(config.objective, context), seeds.weights)
        self.objective.initialize_buffers(seeds.weights)
        self.objective.to(device)
        self.has_fine_head = Need.FINE_HEAD in self.objective.needs
        self.teacher = EmaTeacher(self.model, config.teacher.decay, config.teacher.warmup, config.teacher.buffers)
        encoding = self.objective.key_encoding
        self.key_encoder = None if encoding is None else KeyEncoder(self.model, encoding)
        self._groups = 1 if encoding is None else encoding.groups
        self.has_own_parts = isinstance(config.model.backbone, PluginConfig) or bool(config.objective.extra)
        self.neighbors: NeighborSource | None = None
        if Need.NEIGHBORS in self.objective.needs:
            self.neighbors = NeighborSource(
                config.neighbors, view, self.parts, self.model, self.teacher.model, threads, device
            )
        self._clusters: Clusters | None = None
        self._grouped, self._sets = clustered_groups(view, num_fine)
        self.class_models: ClassModels | None = None
        """Models of single coarse classes that predict fine classes in place of clusters."""

    def trained(self) -> list[nn.Parameter]:
        """Parameters that the optimiser updates."""
        modules: list[nn.Module] = [self.model.backbone, self.objective]
        if self.has_fine_head:
            modules.insert(1, self.model.head)
        return [parameter for module in modules for parameter in module.parameters() if parameter.requires_grad]

    # --- training ----------------------------------------------------------------------------------------------

    def start_epoch(self, epoch: int) -> None:
        """Prepare for training in ``epoch`` (1-based)."""
        self.model.train()
        if self.neighbors is not None:
            self.neighbors.refresh_if_due(epoch, self.teacher.model)

    def end_warm_start(self) -> None:
        """Let the teacher remember its predictions anew, which the steps of a warm start do not see."""
        if self.neighbors is not None:
            self.neighbors.remember(self.teacher.model)

    def student_outputs(self, inputs: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """Features (B, d) and, with a fine head, log-probabilities (B, K_F) on view x0, in fp32, with gradients."""
        view = self.views.student(inputs, generator)
        with self.compute.autocast():
            parts = [self.model.features(part) for part in batch_parts(view, self._groups)]
            features = torch.cat(parts) if len(parts) > 1 else parts[0]
            logits = self.model.head(features) if self.has_fine_head else None
        return features.float(), None if logits is None else logits.float().log_softmax(dim=1)

    def class_vectors(self, features: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Embeddings (B, e) of features (B, d), and class vectors (K_F, e); None where no term needs them."""
        head = self.model.head
        if Need.PROTOTYPES not in self.objective.needs or not isinstance(head, CosineHead):
            return None, None
        return head.embed(features), head.directions()

    @torch.no_grad()
    def overview(self, coarse: Tensor) -> StepOutputs:
        """The student's outputs on the whole training split, in evaluation mode and without augmentation.

        Args:
            coarse: (n_train, sources) coarse labels.
        """
        features = self.compute.to_device(self.features(self.model, self.view.train))
        log_probs = None
        if self.has_fine_head:
            parts = [
                self.model.head(part).float().log_softmax(dim=1) for part in torch.split(features, EVALUATION_BATCH)
            ]
            log_probs = torch.cat(parts)
        embedded, prototypes = self.class_vectors(features)
        rows = torch.arange(len(features), device=features.device)
        return StepOutputs(coarse, features, rows, log_probs, embedded=embedded, prototypes=prototypes)

    @torch.no_grad()
    def targets(
        self, rows: Tensor, inputs: Tensor, all_inputs: TrainingInputs, streams: dict[str, torch.Generator]
    ) -> Targets:
        """Targets of ``rows`` (B,); ``inputs`` are their rows of ``all_inputs`` (n_train, ...)."""
        if not self.has_fine_head and self.key_encoder is None:
            return Targets()
        view = self.views.teacher(inputs, streams["x1"])
        keys = None if self.key_encoder is None else self.key_encoder.keys(view, self.compute, streams)
        if not self.has_fine_head:
            return Targets(keys=keys)
        logits = self.compute.logits(self.teacher.model, view)
        if self.neighbors is None:
            return Targets(logits, keys=keys)
        positions, valid = self.neighbors.draw(rows, streams["draw"])
        if self.neighbors.memory is not None:
            self.neighbors.see(rows, logits.log_softmax(dim=1))
            return Targets(logits, self.neighbors.memory[positions.clamp_min(0)], valid, keys)
        if self.neighbors.are_complete:  # which is known beforehand, so that nothing waits for the device
            near = self.compute.logits(
                self.teacher.model, self.views.teacher(all_inputs[positions.flatten()], streams["x1"])
            )
            return Targets(logits, near.log_softmax(dim=1).view(*positions.shape, -1), valid, keys)
        log_q = logits.new_zeros((*positions.shape, self.num_fine))
        drawn = positions[valid]
        if len(drawn) < 2:  # batch norm cannot normalise a single sample
            return Targets(logits, log_q, torch.zeros_like(valid), keys)
        drawn_logits = self.compute.logits(self.teacher.model, self.views.teacher(all_inputs[drawn], streams["x1"]))
        log_q[valid] = drawn_logits.log_softmax(dim=1)
        return Targets(logits, log_q, valid, keys)

    def after_step(self) -> None:
        """Update what follows the student at an even pace; call after every optimiser step."""
        if self.key_encoder is not None:
            self.key_encoder.update()
        self.objective.after_step()

    def follow_student(self) -> None:
        """Update the teacher, which the host tells how far; call after every optimiser step."""
        if self.has_fine_head or self.config.evaluation.weights == "teacher":
            self.teacher.update()

    # --- predictions -------------------------------------------------------------------------------------------

    @property
    def evaluated(self) -> FineClassifier:
        """The network that metrics are measured on: the student or its teacher."""
        return self.model if self.config.evaluation.weights == "student" else self.teacher.model

    @property
    def clusters(self) -> Clusters | None:
        """The clusters that serve as fine classes; None with a fine head and before they are found."""
        return self._clusters

    def predict(self, model: FineClassifier, rows: IntArray) -> Predictions:
        """Head probabilities and features of ``model`` in evaluation mode on ``rows`` (n,) of the data set."""
        return self.compute.predict(model, self.view.inputs, self.views.evaluation, rows)

    def parts(self, model: FineClassifier, rows: IntArray) -> Iterator[tuple[slice, Predictions]]:
        """``predict`` in parts, each with where it lies among ``rows`` (n,): many classes then need little memory."""
        return self.compute.parts(model, self.view.inputs, self.views.evaluation, rows)

    def features(self, model: FineClassifier, rows: IntArray) -> Float32Array:
        """(n, d) features of ``model`` in evaluation mode on ``rows`` (n,) of the data set."""
        return features_of(self.parts(model, rows))

    def interpret(self, outputs: Predictions, rows: IntArray) -> Predictions:
        """``outputs`` of ``predict`` on ``rows`` (n,) for metrics: with coarse probabilities, and clusters, if found.

        Training samples, which were clustered by their coarse label, belong to a cluster of their class.
        """
        features, coarse_probs = outputs.features, self._coarse_probs(outputs.features)
        if self._clusters is None and self.class_models is None:
            return replace(outputs, coarse_probs=coarse_probs)
        known = np.full(len(self.view.inputs), -1, dtype=np.int64)
        known[self.view.train] = self._grouped
        if self.class_models is not None:
            probs, log_probs = self._by_class(self.class_models, features, rows, known[rows])
        elif self._clusters is not None:
            probs, log_probs = self._clusters.posterior(features, known[rows])
        return Predictions(probs, features, coarse_probs, log_probs)

    def train_class_models(self, make: Callable[[IntArray, Sequence[int]], ClassModels]) -> None:
        """Let models of single coarse classes predict fine classes; ``make`` gets groups and sizes of the classes.

        Raises:
            TrialError: No term has a coarse head, which says to which model a held-out sample belongs.
        """
        config, groups = self.config.clustering, self._grouped
        if self._coarse_probs(np.zeros((1, self.model.backbone.feature_dim), dtype=np.float32)) is None:
            raise TrialError("clustering.kind scan needs a term with a coarse head (lambda_base), or a fine head")
        points = vectors(self.view.inputs, self.view.train) if config.sizes == "variance" else groups
        parts = [points[groups == group] for group in np.unique(groups[groups >= 0])]
        sizes, _ = divided(config, parts, self.num_fine, derive_seed(self.seed, "class models"))
        self.class_models = make(groups, sizes)

    def _by_class(
        self, models: ClassModels, features: Float32Array, rows: IntArray, known: IntArray
    ) -> tuple[Float32Array, Float32Array]:
        """Probabilities (n, K_F), within the known coarse class (n,) where it is not -1, and logarithms without it."""
        coarse = self._coarse_probs(features)
        if coarse is None:
            raise ValueError("class models are only made beside a coarse head")
        logs = [np.log(np.maximum(each.astype(np.float64), 1e-30)) for each in coarse]
        owners = models.owners
        if self._sets is None:
            of_class: FloatMatrix = logs[0][:, owners]
        else:  # a set's probability is the product over the labels that it has and has not
            of_class = np.sum([log[:, has[owners]] for log, has in zip(logs, self._sets.T, strict=True)], axis=0)
        scores = models.log_shares(rows) + of_class
        return softmax(allowed(scores, owners, known)), relative(scores)

    @torch.no_grad()
    def _coarse_probs(self, features: Float32Array) -> tuple[Float32Array, ...] | None:
        logits = self.objective.coarse_logits(self.compute.to_device(features))
        return None if logits is None else tuple(source.softmax(dim=1).cpu().numpy() for source in logits)

    def _coarse_losses(self, features: Float32Array) -> Float32Array | None:
        """(n_train,) coarse cross-entropy in the first source of training features; None without a coarse head."""
        probs, labels = self._coarse_probs(features), self.view.train_coarse[:, 0]
        if probs is None:
            return None
        own: Float32Array = probs[0][np.arange(len(labels)), np.maximum(labels, 0)]
        return -np.log(np.maximum(own, np.float32(1e-30)))

    @torch.no_grad()
    def attention(self, inputs: Inputs) -> npt.NDArray[np.float32]:
        """Attention maps (n, H, W) of the evaluated weights on ``inputs`` (n, ...); needs a spatial backbone."""
        model = self.evaluated.eval()
        maps = []
        for start in range(0, len(inputs), ATTENTION_BATCH):
            batch = self.views.evaluation(self.compute.to_device(np.asarray(inputs[start : start + ATTENTION_BATCH])))
            with self.compute.autocast():
                spatial = model.spatial(batch)
            if spatial is None:
                raise TrialError("evaluation.attention_samples needs a backbone with feature maps, such as small_cnn")
            maps.append(attention_map(spatial.float().cpu().numpy()))
        return np.concatenate(maps)

    def cluster(self, epoch: int, features: Float32Array, is_last: bool) -> Float32Array:
        """Find fine classes in ``features`` (n_train, d); returns their probabilities (n_train, K_F).

        Those of the trial's end do not depend on what was found before. On the way there, where they are a point of a
        curve, one start is enough, and k-means goes on from its last centres.

        Args:
            epoch: The epoch (1-based), which determines the draws.
            features: Of the training split.
            is_last: Whether this is the end.
        """
        coarse = self._grouped
        if self.class_models is not None:
            return self._by_class(self.class_models, features, self.view.train, coarse)[0]
        if isinstance(self.config.clustering, ScanClusteringConfig):
            raise ValueError("class models were not made")
        config, seed, known = self.config.clustering, derive_seed(self.seed, "clusters", epoch), None
        if not is_last and "restarts" in type(config).model_fields:
            config = config.model_copy(update={"restarts": 1})
            known = self._clusters if config.pca is None else None  # principal components are others every time
        losses = self._coarse_losses(features) if isinstance(config, GeorgeClusteringConfig) else None
        self._clusters = find_clusters(config, features, coarse, self.num_fine, seed, near=known, losses=losses)
        return self._clusters.posterior(features, coarse)[0]

    # --- checkpoints -------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Weights, and everything that follows them."""
        return {
            "model": self.model.state_dict(),
            "teacher": self.teacher.model.state_dict(),
            "teacher_updates": self.teacher.updates,
            "keys": None if self.key_encoder is None else self.key_encoder.model.state_dict(),
            "objective": self.objective.state_dict(),
            "neighbors": None if self.neighbors is None else self.neighbors.state_dict(),
            "compute": self.compute.state_dict(),
            "class_models": None if self.class_models is None else self.class_models.state_dict(),
            "clusters": {name: torch.from_numpy(array) for name, array in self._cluster_arrays().items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state."""
        self.model.load_state_dict(state["model"])
        self.teacher.model.load_state_dict(state["teacher"])
        self.teacher.updates = state["teacher_updates"]
        if self.key_encoder is not None:
            self.key_encoder.model.load_state_dict(state["keys"])
        self.objective.load_state_dict(state["objective"])
        if self.neighbors is not None:
            self.neighbors.load_state_dict(state["neighbors"])
        self.compute.load_state_dict(state["compute"])
        if self.class_models is not None:
            self.class_models.load_state_dict(state["class_models"])
        self._clusters = clusters_of({name: each.numpy() for name, each in state.get("clusters", {}).items()})

    def _cluster_arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {} if self._clusters is None else self._clusters.arrays()
