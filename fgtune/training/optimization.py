"""The optimiser; learning rates and batch numbers as functions of the epoch, which a restart need not restore."""

from __future__ import annotations

import math

import torch
from torch import nn

from fgtune.config.schema.trial import (
    AdamConfig,
    ConstantScheduleConfig,
    MultistepScheduleConfig,
    OptimizerConfig,
    ScheduleConfig,
)


def learning_rate(config: ScheduleConfig, base: float, epoch: int, epochs: int) -> float:
    """The learning rate of ``epoch`` (1-based) out of ``epochs``, for a base rate ``base``."""
    done = epoch - 1  # epochs behind us
    if isinstance(config, ConstantScheduleConfig):
        return base
    if isinstance(config, MultistepScheduleConfig):
        passed = sum(done >= round(milestone * epochs) for milestone in config.milestones)
        return float(base * config.gamma**passed)
    period = max(1, round(config.period * epochs))
    return config.min_lr + (base - config.min_lr) * 0.5 * (1.0 + math.cos(math.pi * (done % period) / period))


def num_batches(num_samples: int, batch_size: int) -> int:
    """Batches an epoch: as few as ``batch_size`` allows, none with a single sample, which batch norm cannot use.

    The reference cuts full batches and leaves a tail of any size, whose batch mean and batch-norm statistics are
    noise; here the batches of an epoch are of equal size to within one sample.
    """
    return max(1, min(math.ceil(num_samples / batch_size), num_samples // 2))


def build_optimizer(config: OptimizerConfig, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimiser over ``parameters``; where there are none it has nothing to do."""
    parameters = parameters or [nn.Parameter(torch.empty(0))]
    if isinstance(config, AdamConfig):
        return torch.optim.AdamW(parameters, lr=config.lr, weight_decay=config.weight_decay)
    return torch.optim.SGD(
        parameters,
        lr=config.lr,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        nesterov=config.nesterov,
    )
