"""The optimiser; learning rate and number of batches as functions of the epoch, which a restart need not restore."""

from __future__ import annotations

import inspect
import math
from typing import TypeVar

import torch
from torch import nn

from fgtune.config.schema.trial import (
    AdamConfig,
    ConstantScheduleConfig,
    MultistepScheduleConfig,
    OptimizerConfig,
    ScheduleConfig,
)

_Optimizer = TypeVar("_Optimizer", bound=torch.optim.Optimizer)
_WRAPPED = ("step", "zero_grad", "add_param_group", "state_dict", "load_state_dict")
_CHECKS = ("_cuda_graph_capture_health_check", "_accelerator_graph_capture_health_check")  # older and newer torch


def _without_compiler(optimizer: type[_Optimizer]) -> type[_Optimizer]:
    """An optimiser whose methods do not import torch's compiler.

    Torch wraps the methods for use in compiled code, and the wrappers import the compiler when they are first called:
    2 s of CPU in every worker. A trial compiles its model and never its optimiser. Of what the wrappers do, one thing
    counts without a compiler: a step records no gradients. Nor do they check that a step may be part of a CUDA graph:
    fused ones may, since they count steps on the device, and the check knows only what is called ``capturable``.
    """
    methods = {name: inspect.unwrap(getattr(optimizer, name)) for name in _WRAPPED}
    methods |= dict.fromkeys(_CHECKS, lambda _: None)
    return type(optimizer.__name__, (optimizer,), methods | {"step": torch.no_grad()(methods["step"])})


_SGD, _AdamW = _without_compiler(torch.optim.SGD), _without_compiler(torch.optim.AdamW)


def learning_rate(config: ScheduleConfig, base: float, epoch: int, epochs: int) -> float:
    """The learning rate in ``epoch`` (1-based) of ``epochs``, for a base rate ``base``."""
    done = epoch - 1
    if isinstance(config, ConstantScheduleConfig):
        return base
    if isinstance(config, MultistepScheduleConfig):
        passed = sum(done >= round(milestone * epochs) for milestone in config.milestones)
        return float(base * config.gamma**passed)
    period = max(1, round(config.period * epochs))
    return config.min_lr + (base - config.min_lr) * 0.5 * (1.0 + math.cos(math.pi * (done % period) / period))


def num_batches(num_samples: int, batch_size: int) -> int:
    """Batches per epoch: as few as ``batch_size`` allows, none with a single sample, which batch norm cannot use.

    The reference code cuts full batches and leaves a tail of any size with noisy batch statistics; here the batches of
    an epoch have equal sizes to within one sample.
    """
    return max(1, min(math.ceil(num_samples / batch_size), num_samples // 2))


def build_optimizer(config: OptimizerConfig, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimiser of ``parameters``, which may be empty; fused: one pass over parameter, gradient and momentum."""
    parameters = parameters or [nn.Parameter(torch.empty(0))]
    if isinstance(config, AdamConfig):
        return _AdamW(parameters, lr=config.lr, weight_decay=config.weight_decay, fused=True)
    optimizer = _SGD(
        parameters,
        lr=config.lr,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        nesterov=config.nesterov,
        fused=True,
    )
    if config.momentum > 0:  # a fused step wants all of them or none, and a warm start leaves terms without gradients
        for parameter in parameters:
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter, requires_grad=False)
    return optimizer
