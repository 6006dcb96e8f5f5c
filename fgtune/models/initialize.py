"""Initial weights from one named stream a parameter, so that arms share every weight whose name and shape agree."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from fgtune.streams import torch_stream


def initialize(model: nn.Module, seed: int) -> None:
    """Set every parameter and buffer of ``model`` in place, in the distributions of torch's own defaults.

    Each parameter has a stream of its own, named after it. Two models that differ in one layer therefore start with
    equal weights everywhere else, and no global random state is read or changed.
    """
    for name, module in model.named_modules():
        if not any(True for _ in module.parameters(recurse=False)):
            continue
        generator = torch_stream(seed, "init", name)
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5), generator=generator)
            if module.bias is not None:
                bound = 1 / math.sqrt(module.weight[0].numel())
                nn.init.uniform_(module.bias, -bound, bound, generator=torch_stream(seed, "init", name, "bias"))
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.reset_parameters()  # ones and zeros: nothing is drawn
        elif hasattr(module, "reset_parameters"):
            module.reset_parameters(generator)
        else:
            raise TypeError(f"{type(module).__name__} needs reset_parameters(generator) to be initialised by seed")


ModuleT = TypeVar("ModuleT", bound=nn.Module)


def build_by_seed(factory: Callable[[], ModuleT], seed: int) -> ModuleT:
    """Build ``factory()`` on the CPU with initial weights by ``seed``; global random state ends as it began."""
    with torch.random.fork_rng(devices=[]):  # constructors draw weights that are replaced right after
        model = factory()
    initialize(model, seed)
    return model
