"""Trains a backbone on the inputs of a training split, by a seed of its own, and returns its weights.

It is given a ``TrainingView``, so that neither fine labels nor inputs outside the training split (all samples, in a
transductive study) can reach it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from fgtune.config.schema.augmentation import (
    AugmentationConfig,
    CifarConfig,
    CropFlipConfig,
    NoAugmentationConfig,
    NoiseConfig,
    StrongWeakConfig,
)
from fgtune.config.schema.pretrain import PretrainConfig
from fgtune.config.schema.trial import AdamConfig, CosineScheduleConfig, TrialConfig
from fgtune.data.base import TrainingView
from fgtune.errors import TrialError
from fgtune.models.classifier import FineClassifier, build_classifier
from fgtune.models.initialize import build_by_seed
from fgtune.streams import torch_stream
from fgtune.training.augment import normalize
from fgtune.training.augment_ops import as_float
from fgtune.training.compute import Compute, training_inputs
from fgtune.training.input_checks import view_shape
from fgtune.training.optimization import build_optimizer, learning_rate, num_batches
from fgtune.training.pretraining.losses import coarse_cross_entropy
from fgtune.training.pretraining.methods import METHODS, Method, Surroundings

Progress = Callable[[int, float], None]
"""Called with each epoch (1-based) and its mean loss."""

logger = logging.getLogger(__name__)


class _Pretraining(nn.Module):
    """The method's own networks and the layers that coarse labels are read from."""

    def __init__(self, method: Method, feature_dim: int, num_coarse: tuple[int, ...]) -> None:
        super().__init__()
        self.method = method
        self.coarse = nn.ModuleList(nn.Linear(feature_dim, number) for number in num_coarse)


def pretrained_weights(
    config: TrialConfig, view: TrainingView, seed: int, progress: Progress | None = None
) -> dict[str, Tensor]:
    """Pretrain the backbone of a trial.

    Args:
        config: A trial with ``model.pretrain``; classes, objective and optimiser do not matter.
        view: The training split.
        seed: The block, whose seed is used if ``pretrain.seed`` is None.
        progress: Called after each epoch.

    Returns:
        The backbone's state dict, on the CPU.

    Raises:
        TrialError: The loss became non-finite.
    """
    settings = settings_of(config)
    started = time.perf_counter()
    seed = seed_of(settings, seed)
    compute = Compute(config.device, config.precision)
    shape = view_shape(config.augmentation, view.inputs.shape[1:])
    plain = {"freeze_backbone": False, "compile": False, "pretrain": None}
    model = build_classifier(config.model.model_copy(update=plain), shape, 2, seed).to(compute.device)
    around = _surroundings(config, view, shape, model, compute)
    labelled = view.num_coarse if settings.coarse > 0 else ()
    extra = build_by_seed(
        lambda: _Pretraining(METHODS[settings.kind](settings, around), around.feature_dim, labelled), seed
    ).to(compute.device)
    _train(settings, model, extra, around, compute.to_device(view.train_coarse), compute, seed, progress)
    logger.info("pretrained on %d samples in %.1f s", len(view.train), time.perf_counter() - started)
    return {name: tensor.detach().cpu().contiguous() for name, tensor in model.backbone.state_dict().items()}


def settings_of(config: TrialConfig) -> PretrainConfig:
    """The section ``model.pretrain``, which must be there."""
    if config.model.pretrain is None:
        raise ValueError("the trial has no model.pretrain")
    return config.model.pretrain


def normalisation_of(config: AugmentationConfig) -> CifarConfig | StrongWeakConfig | CropFlipConfig | None:
    """The augmentation, if it has a mean and a deviation that images are normalised by; else None."""
    return None if isinstance(config, NoAugmentationConfig | NoiseConfig) else config


def seed_of(settings: PretrainConfig, seed: int) -> int:
    """The seed of pretraining in a block."""
    return seed if settings.seed is None else settings.seed


def _surroundings(
    config: TrialConfig, view: TrainingView, shape: tuple[int, ...], model: FineClassifier, compute: Compute
) -> Surroundings:
    inputs = training_inputs(view.inputs, view.train, compute)
    deviation = None
    if isinstance(inputs, Tensor) and len(shape) == 1:
        spread = inputs.amax(dim=0) > inputs.amin(dim=0)  # rounding gives constants a deviation that is not quite 0
        deviation = torch.where(spread, inputs.std(dim=0, correction=0), 0.0)
    normalised = normalisation_of(config.augmentation)

    def finish(images: Tensor) -> Tensor:
        return images if normalised is None else normalize(images, normalised)

    return Surroundings(shape, model.backbone.feature_dim, finish, inputs, deviation)


def _train(
    settings: PretrainConfig,
    model: FineClassifier,
    extra: _Pretraining,
    around: Surroundings,
    coarse: Tensor,
    compute: Compute,
    seed: int,
    progress: Progress | None,
) -> None:
    """Train backbone and method in place."""
    parameters = [*model.backbone.parameters(), *extra.parameters()]
    optimizer = build_optimizer(AdamConfig(lr=settings.lr, weight_decay=settings.weight_decay), parameters)
    model.train()
    device, count = compute.device, len(around.inputs)
    for epoch in range(1, settings.epochs + 1):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(CosineScheduleConfig(), settings.lr, epoch, settings.epochs)
        order = torch.randperm(count, generator=torch_stream(seed, "pretrain", "order", epoch)).to(device)
        generator = torch_stream(seed, "pretrain", "draws", epoch, device=device)
        total = torch.zeros((), device=device)
        for rows in order.tensor_split(num_batches(count, settings.batch_size)):
            with compute.autocast():
                loss, seen = extra.method(model.features, as_float(around.inputs[rows]), generator)
                if settings.coarse > 0:
                    logits = [[layer(features).float() for layer in extra.coarse] for features in seen]
                    known = torch.stack([coarse_cross_entropy(each, coarse[rows]) for each in logits]).mean()
                    loss = loss + settings.coarse * known
            optimizer.zero_grad(set_to_none=True)
            compute.backward_and_step(loss, optimizer)
            total += loss.detach() * len(rows)
        mean = float(total) / count
        if not torch.isfinite(total):
            raise TrialError(f"the loss of model.pretrain is not finite in epoch {epoch}; lower model.pretrain.lr")
        if progress is not None:
            progress(epoch, mean)
