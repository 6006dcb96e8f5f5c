"""The contract of backbones: shapes, gradients, seeds, evaluation, freezing, memory layout, checkpoints."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fgtune.config.schema.model import ModelConfig
from fgtune.models.classifier import FineClassifier, build_classifier
from fgtune.testing import Plain, permitted, require

NUM_FINE, BATCH = 6, 5


@dataclass(frozen=True)
class BackboneCase:
    """A backbone under test.

    Attributes:
        backbone: The section ``model.backbone``.
        input_shape: Shape of one sample.
    """

    backbone: Plain
    input_shape: tuple[int, ...]

    def build(self, seed: int = 0, **parts: Any) -> FineClassifier:
        """A classifier with this backbone; ``parts`` are further settings of ``model``."""
        text = json.dumps({"backbone": dict(self.backbone), **parts})
        with permitted([self.backbone]):
            return copy.deepcopy(_built(text, self.input_shape, seed))

    def batch(self) -> Tensor:
        """Inputs (B, *input_shape) in [0, 1)."""
        return torch.rand(BATCH, *self.input_shape, generator=torch.Generator().manual_seed(0))


@functools.lru_cache(maxsize=4)
def _built(model: str, input_shape: tuple[int, ...], seed: int) -> FineClassifier:
    return build_classifier(ModelConfig.model_validate_json(model), input_shape, NUM_FINE, seed)


def _differing(state: dict[str, Tensor], other: dict[str, Tensor]) -> list[str]:
    """Names of tensors that differ."""
    return [name for name, value in state.items() if not torch.equal(value, other[name])]


def maps_inputs_to_features(case: BackboneCase) -> None:
    """Features are (B, feature_dim) float32 and finite, and every parameter gets a finite gradient."""
    model = case.build().train()
    features = model.features(case.batch())
    width = model.backbone.feature_dim
    shape = tuple(features.shape)
    require(shape == (BATCH, width), f"features must be (B, feature_dim) = ({BATCH}, {width}), they are {shape}")
    require(features.dtype == torch.float32, f"features must be float32, they are {features.dtype}")
    require(bool(torch.isfinite(features).all()), "features must be finite")
    model(case.batch()).square().sum().backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    require(not missing, f"every parameter must get a finite gradient, these do not: {missing}")


def starts_from_the_seed_alone(case: BackboneCase) -> None:
    """Initial weights are a function of the seed, and the global random state is left as it was."""
    _built.cache_clear()
    before = torch.get_rng_state()
    first = case.build(seed=0)
    require(torch.equal(before, torch.get_rng_state()), "building must leave the global random state as it was")
    _built.cache_clear()
    torch.rand(3)  # another global state must not matter
    again, other = case.build(seed=0), case.build(seed=1)
    torch.set_rng_state(before)
    changed = _differing(first.state_dict(), again.state_dict())
    require(not changed, f"the same seed must give the same weights, it does not in {changed}")
    same = torch.equal(first.eval()(case.batch()), again.eval()(case.batch()))
    require(same, "the same seed must give the same logits: all that they depend on must be a parameter or a buffer")
    drawn = [name for name, p in first.named_parameters() if p.numel() > 1 and p.max() > p.min()]
    fixed = sorted(set(drawn) - set(_differing(first.state_dict(), other.state_dict())))
    require(not fixed, f"another seed must give other weights, it does not in {fixed}")


def shares_weights_with_another_head(case: BackboneCase) -> None:
    """Arms that differ only in the head start with the same backbone."""
    one, other = case.build().backbone, case.build(head={"kind": "cosine"}).backbone
    changed = _differing(one.state_dict(), other.state_dict())
    require(not changed, f"the head must not change the backbone's weights, it does in {changed}")


@torch.no_grad()
def evaluates_each_sample_alone(case: BackboneCase) -> None:
    """In evaluation mode a sample's logits do not depend on its batch, and nothing changes."""
    model = case.build().eval()
    before = copy.deepcopy(model.state_dict())
    together = model(case.batch())
    alone = torch.cat([model(each[None]) for each in case.batch()])
    require(torch.allclose(together, alone, atol=1e-5, rtol=1e-5), "in evaluation a sample must be treated alone")
    require(torch.equal(together, model(case.batch())), "in evaluation the same inputs must give the same logits")
    changed = _differing(before, model.state_dict())
    require(not changed, f"evaluation must change no weight and no statistic, it changes {changed}")


def can_be_frozen(case: BackboneCase) -> None:
    """In a frozen backbone a training pass changes no statistic and leaves no gradient; the head still trains."""
    model = case.build(freeze_backbone=True).train()
    before = copy.deepcopy(model.backbone.state_dict())
    model(case.batch()).sum().backward()
    changed = _differing(before, model.backbone.state_dict())
    require(not changed, f"a frozen backbone must not change, a training pass changes {changed}")
    trained = [name for name, p in model.backbone.named_parameters() if p.grad is not None]
    require(not trained, f"a frozen backbone must get no gradient, these do: {trained}")
    require(all(p.grad is not None for p in model.head.parameters()), "the head must be trained")


@torch.no_grad()
def pools_its_map_to_the_features(case: BackboneCase) -> None:
    """The features are the spatial mean of the last map, where the backbone has a method ``spatial``."""
    model = case.build().eval()
    maps = model.spatial(case.batch())
    if maps is None:
        return
    require(maps.ndim == 4, f"a spatial map must be (B, C, h, w), it has {maps.ndim} dimensions")
    pooled = maps.mean(dim=(2, 3))
    features = model.features(case.batch())
    same = pooled.shape == features.shape and torch.allclose(pooled, features, atol=1e-5, rtol=1e-4)
    require(same, "the spatial map must pool to the features")


@torch.no_grad()
def takes_channels_last(case: BackboneCase) -> None:
    """The channels-last memory format gives the same logits."""
    plain, other = case.build().eval(), case.build(channels_last=True).eval()
    same = torch.allclose(plain(case.batch()), other(case.batch()), atol=1e-4, rtol=1e-4)
    require(same, "channels_last must not change the logits")


@torch.no_grad()
def lives_in_its_state(case: BackboneCase) -> None:
    """A model that loads the state of a trained one gives the same logits: a checkpoint has everything."""
    trained = case.build().train()
    for parameter in trained.parameters():
        parameter.mul_(0.9)
    trained(case.batch())  # moves statistics
    restored = case.build(seed=1)
    restored.load_state_dict(trained.state_dict())
    same = torch.equal(trained.eval()(case.batch()), restored.eval()(case.batch()))
    require(same, "state_dict must hold all that the logits depend on")


CHECKS: tuple[Callable[[BackboneCase], None], ...] = (
    maps_inputs_to_features,
    starts_from_the_seed_alone,
    shares_weights_with_another_head,
    evaluates_each_sample_alone,
    can_be_frozen,
    pools_its_map_to_the_features,
    takes_channels_last,
    lives_in_its_state,
)


def check_backbone(backbone: Plain, input_shape: Sequence[int]) -> None:
    """Check the whole contract of a backbone.

    Args:
        backbone: The section ``model.backbone`` of a study file: kind and settings.
        input_shape: Shape of one sample that it takes.

    Raises:
        ContractError: The first rule that does not hold.
        ConfigError: The section is not valid.
    """
    _built.cache_clear()  # the code behind a name may have changed
    case = BackboneCase(backbone, tuple(input_shape))
    for check in CHECKS:
        check(case)
