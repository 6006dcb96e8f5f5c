"""Initial weights from one named stream per parameter, so that arms share every weight of equal name and shape."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from fgtune.streams import derive_seed, torch_stream


def initialize(model: nn.Module, seed: int) -> None:
    """Set every parameter of ``model`` in place, by seed and name.

    Linear layers follow torch's default, convolutions torchvision's ResNet (He et al. 2015: normal, fan out, ReLU; a
    bias follows torch's default), norm layers are ones and zeros with fresh statistics. Any other module with
    parameters sets them in its ``reset_parameters``, with a generator if that takes one. A module with a method
    ``draw_weights(seed)`` sets all that is below it.

    Each parameter has its own stream, named after it. Two models that differ in one layer therefore start with equal
    weights everywhere else, and no global random state is read or changed.

    Raises:
        TypeError: A module has parameters but no ``reset_parameters``.
    """
    drawn: list[str] = []
    for name, module in model.named_modules():
        if any(name.startswith(f"{above}.") for above in drawn):
            continue
        draw = getattr(module, "draw_weights", None)
        if draw is not None:
            draw(derive_seed(seed, "init", name))
            drawn.append(name)
        elif isinstance(module, nn.modules.batchnorm._BatchNorm | nn.LayerNorm | nn.GroupNorm):
            module.reset_parameters()  # constants, no draws
        elif any(True for _ in module.parameters(recurse=False)):
            _initialize_one(name, module, seed)


def _initialize_one(name: str, module: nn.Module, seed: int) -> None:
    generator = torch_stream(seed, "init", name)
    if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
        if isinstance(module, nn.Linear):
            nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5), generator=generator)
        else:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        if module.bias is not None:
            bound = 1 / math.sqrt(module.weight[0].numel())
            nn.init.uniform_(module.bias, -bound, bound, generator=torch_stream(seed, "init", name, "bias"))
        return
    reset = getattr(module, "reset_parameters", None)
    if reset is None:
        raise TypeError(f"{type(module).__name__} needs reset_parameters(generator) to be initialised by seed")
    if inspect.signature(reset).parameters:
        reset(generator)
        return
    with torch.random.fork_rng(devices=[]):  # torch's layers can only draw from the global state
        torch.default_generator.manual_seed(derive_seed(seed, "init", name))
        reset()


ModuleT = TypeVar("ModuleT", bound=nn.Module)


def build_by_seed(factory: Callable[[], ModuleT], seed: int) -> ModuleT:
    """Build ``factory()`` on the CPU with initial weights by ``seed``; the global random state is restored."""
    with torch.random.fork_rng(devices=[]):  # constructors draw weights that are replaced below
        model = factory()
    initialize(model, seed)
    return model
