"""Checks before anything runs: whether a trial fits its data, and whether plugins can be used."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec

from fgtune.catalog.terms import TERMS
from fgtune.config.reading.load import load_plugin
from fgtune.config.schema.augmentation import (
    AugmentationConfig,
    CifarConfig,
    NoAugmentationConfig,
    NoiseConfig,
    StrongWeakConfig,
)
from fgtune.config.schema.clustering import GeorgeClusteringConfig, ScanClusteringConfig
from fgtune.config.schema.contrast import QueueInstanceConfig
from fgtune.config.schema.model import (
    BackboneConfig,
    IdentityConfig,
    LinearBackboneConfig,
    MlpConfig,
    ResNet18Config,
    ResNet50Config,
    SmallCnnConfig,
    TimmConfig,
)
from fgtune.config.schema.plugin import PluginConfig, PluginDataConfig
from fgtune.config.schema.pretrain import PretrainConfig, SimSiamConfig
from fgtune.config.schema.trial import TrialConfig
from fgtune.errors import ConfigError, MultiConfigError
from fgtune.models.base import image_shape
from fgtune.relations.solve import solver_of
from fgtune.training.size_checks import backbone_size

_WITHOUT_MAPS = (IdentityConfig, LinearBackboneConfig, MlpConfig, TimmConfig)


def check_inputs(config: TrialConfig, input_shape: Sequence[int]) -> None:
    """Raise unless the trial's augmentation, backbone, pretraining and weights file fit samples of ``input_shape``.

    Raises:
        ConfigError: With a path below ``trial``.
    """
    shape = view_shape(config.augmentation, input_shape)
    backbone = config.model.backbone
    if isinstance(backbone, SmallCnnConfig | ResNet18Config | ResNet50Config | TimmConfig):
        image_shape(backbone, shape)
    if isinstance(backbone, TimmConfig):
        from fgtune.models.timm_backbone import check_network

        check_network(backbone, tuple(shape))
    clustering = config.clustering
    if isinstance(clustering, GeorgeClusteringConfig) and clustering.reduction == "umap" and find_spec("umap") is None:
        fix = "pip install 'fgtune[umap]', or use reduction: pca"
        raise ConfigError("needs umap-learn, which is not installed", path="trial.clustering.reduction", fix=fix)
    if isinstance(clustering, ScanClusteringConfig):
        _check_class_models(config)
    if config.evaluation.attention_samples > 0 and isinstance(backbone, _WITHOUT_MAPS):
        rule = f"needs a backbone with feature maps, and {backbone.kind} has none"
        fix = "use small_cnn or a ResNet, or set it to 0 where this backbone is used"
        path, value = "trial.evaluation.attention_samples", config.evaluation.attention_samples
        raise ConfigError(rule, path=path, value=value, fix=fix)
    if "entropic" in config.objective.terms and config.objective.entropic.placement == "bins":
        _check_bins(backbone, shape)
    if config.model.pretrain is not None:
        _check_pretraining(config.model.pretrain, input_shape)
    if config.model.weights is not None:
        from fgtune.models.classifier import check_weights

        check_weights(config.model, shape)


def _check_bins(backbone: BackboneConfig, shape: Sequence[int]) -> None:
    """Raise where the backbone is known to give more than the one feature that bins divide."""
    if isinstance(backbone, TimmConfig | PluginConfig):  # the term itself checks what only the network knows
        return
    features = backbone_size(backbone, math.prod(shape))[1]
    if features > 1:
        rule = f"bins divide a single feature, and this {backbone.kind} gives {features}"
        fix = "set model.backbone.feature: affine_mean of a ResNet, give another one feature, or draw prototypes"
        raise ConfigError(rule, path="trial.objective.entropic.placement", value="bins", fix=fix)


def _check_class_models(config: TrialConfig) -> None:
    """Raise unless held-out samples get to the model of a coarse class, or a fine head learns what the models say."""
    objective = config.objective
    queue = isinstance(objective.instance, QueueInstanceConfig) and objective.instance.coarse_weight > 0
    heads = {"base", "ancor"} | ({"instance"} if queue else set())
    if not (heads & objective.terms or any(TERMS[name].fine_head for name in objective.terms) or objective.extra):
        rule = (
            "needs a coarse head, which says to which model a held-out sample goes, or a fine head that learns from it"
        )
        fix = "use objective.preset scan_per_class or scan_distilled"
        raise ConfigError(rule, path="trial.clustering.kind", value="scan", fix=fix)


def _check_pretraining(config: PretrainConfig, input_shape: Sequence[int]) -> None:
    """Raise unless samples of ``input_shape`` are what this kind of pretraining is for."""
    images, wanted = len(input_shape) == 3, isinstance(config, SimSiamConfig)
    if images == wanted:
        return
    what = "images (channels, height, width)" if wanted else "vectors"
    fix = "use scarf or denoising for vectors" if wanted else "use simsiam for images"
    rule = f"needs {what}, and a sample has shape {tuple(input_shape)}"
    raise ConfigError(rule, path="trial.model.pretrain.kind", value=config.kind, fix=fix)


def view_shape(config: AugmentationConfig, input_shape: Sequence[int]) -> tuple[int, ...]:
    """Shape of one sample in the views, which is what the network sees.

    Args:
        config: The augmentation.
        input_shape: Shape of one sample of the data.

    Raises:
        ConfigError: The augmentation is for images and the samples are not images, or their channels do not fit.
    """
    if isinstance(config, NoAugmentationConfig | NoiseConfig):
        return tuple(input_shape)
    path = "trial.augmentation"
    if len(input_shape) != 3:
        rule = f"needs images (channels, height, width), and a sample has shape {tuple(input_shape)}"
        raise ConfigError(rule, path=f"{path}.kind", value=config.kind, fix="use noise or none for vectors")
    channels, height, width = input_shape
    if len(config.mean) not in {1, channels}:
        rule = f"must have one value, or one per channel ({channels})"
        raise ConfigError(rule, path=f"{path}.mean", value=list(config.mean), fix="give mean and std of your own data")
    if isinstance(config, StrongWeakConfig) and channels != 3:
        rule = f"changes colours, so it needs 3 channels, and the images have {channels}"
        raise ConfigError(rule, path=f"{path}.kind", value=config.kind, fix="use crop_flip")
    if isinstance(config, CifarConfig | StrongWeakConfig):
        return channels, config.size, config.size
    return channels, height, width


def check_user_parts(config: TrialConfig) -> None:
    """Raise unless every plugin may be imported, has the right type, and accepts its options.

    Nothing is imported for a trial without plugins.

    Raises:
        ConfigError: With a path below ``trial``; ``MultiConfigError`` if several plugins are wrong.
    """
    errors: list[ConfigError] = []
    for check in _checks(config):
        try:
            check()
        except ConfigError as error:
            errors += error.errors if isinstance(error, MultiConfigError) else [error]
    MultiConfigError.raise_all(errors)


def _checks(config: TrialConfig) -> Iterator[Callable[[], object]]:
    """One check per plugin."""
    data, backbone, solver = config.data, config.model.backbone, config.relations.solver
    if isinstance(data, PluginDataConfig):
        yield partial(load_plugin, data, "trial.data")
    if isinstance(backbone, PluginConfig):
        from fgtune.models.classifier import backbone_class

        yield partial(backbone_class, backbone)
    if isinstance(solver, PluginConfig):
        yield partial(solver_of, solver)
    if config.objective.extra:
        from fgtune.objectives.objective import extra_terms

        yield partial(extra_terms, config.objective)
