"""Teacher, neighbours, optimiser and schedule; defaults are the FALCON reference values."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from fgtune.config.schema.base import Config
from fgtune.config.schema.data import Fraction, PositiveFloat, Weight


class TeacherConfig(Config):
    """The EMA teacher."""

    decay: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.99
    warmup: bool = True
    """Use min(decay, (1 + t) / (10 + t)) after t updates."""
    buffers: Literal["shared", "averaged"] = "shared"
    """Batch-norm statistics: the student's own, updated by teacher passes too (reference), or averaged like weights."""


class NeighborsConfig(Config):
    """Nearest neighbours by cosine, found once unless refreshed; a sample is never its own neighbour."""

    stored: Annotated[int, Field(ge=1)] = 20
    """Neighbours kept a sample (fewer where its coarse class is smaller)."""
    sampled: Annotated[int, Field(ge=1)] = 5
    """Neighbours drawn without replacement each time a sample is visited."""
    scope: Literal["coarse", "global"] = "coarse"
    """Search among samples of the same coarse class, or among all (SCAN-like)."""
    features: Literal["inputs", "initial", "teacher"] = "inputs"
    """What is compared: raw inputs, features of the initial (pretrained) backbone, or current teacher features."""
    refresh_epochs: Annotated[int, Field(ge=1)] | None = None
    """Search again every so many epochs; only with ``features: teacher``."""
    targets: Literal["forward", "memory"] = "forward"
    """Teacher predictions of neighbours: a forward pass of their view (reference), or the last one remembered."""

    @model_validator(mode="after")
    def _consistent(self) -> NeighborsConfig:
        if self.sampled > self.stored:
            raise ValueError(f"sampled ({self.sampled}) must be <= stored ({self.stored})")
        if self.refresh_epochs is not None and self.features != "teacher":
            raise ValueError("refresh_epochs needs features: teacher")
        return self


class SgdConfig(Config):
    """Stochastic gradient descent."""

    kind: Literal["sgd"] = "sgd"
    lr: PositiveFloat = 0.1
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9
    weight_decay: Weight = 0.0
    nesterov: bool = False


class AdamConfig(Config):
    """Adam with decoupled weight decay."""

    kind: Literal["adamw"] = "adamw"
    lr: PositiveFloat = 1e-3
    weight_decay: Weight = 0.0


OptimizerConfig = Annotated[SgdConfig | AdamConfig, Field(discriminator="kind")]


class ConstantScheduleConfig(Config):
    """The learning rate stays as it is."""

    kind: Literal["constant"] = "constant"


class MultistepScheduleConfig(Config):
    """The learning rate is multiplied by ``gamma`` at each milestone."""

    kind: Literal["multistep"] = "multistep"
    milestones: tuple[Fraction, ...] = (0.6, 0.8)
    """Shares of the epochs."""
    gamma: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1


class CosineScheduleConfig(Config):
    """Cosine decay to ``min_lr``, restarted every ``period`` (a share of the epochs; 1 = no restart)."""

    kind: Literal["cosine"] = "cosine"
    min_lr: Weight = 0.0
    period: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0


ScheduleConfig = Annotated[
    ConstantScheduleConfig | MultistepScheduleConfig | CosineScheduleConfig, Field(discriminator="kind")
]
