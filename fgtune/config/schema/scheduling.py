"""When a trial is stopped before its last epoch; without a word in the study file, never."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fgtune.config.schema.base import Config, Count, Fraction, MetricName
from fgtune.config.schema.sampling import Mode

Reduction = Annotated[float, Field(gt=1.0)]


class NoSchedulerConfig(Config):
    """Every trial runs to its last epoch."""

    forks: ClassVar[bool] = False

    kind: Literal["none"] = "none"


class _StoppingConfig(Config):
    forks: ClassVar[bool] = False
    """Whether trials go on from the training of others, with other settings."""

    metric: MetricName | None = None
    """What trials are judged by while they run; None for the metric of a search with one."""
    mode: Mode | None = None
    """Which way it is better; None for what is known of it."""


class AshaConfig(_StoppingConfig):
    """Asynchronous successive halving (Li et al. 2020): of the trials at a rung, the best share goes on."""

    kind: Literal["asha"] = "asha"
    grace_epochs: Count = 5
    """The first rung: no trial is stopped before it."""
    reduction: Reduction = 3.0
    """One of so many goes on from rung to rung, which lie so many times apart."""
    brackets: Count = 1


class HyperbandConfig(_StoppingConfig):
    """HyperBand (Li et al. 2018): successive halving in several brackets, from many short trials to few long ones."""

    kind: Literal["hyperband"] = "hyperband"
    reduction: Reduction = 3.0


class MedianConfig(_StoppingConfig):
    """Stop a trial that is worse than the median of the others' running averages at its epoch (Vizier)."""

    kind: Literal["median"] = "median"
    grace_epochs: Count = 5
    min_trials: Count = 3
    """Other trials that must have come as far."""


class PbtConfig(_StoppingConfig):
    """Population based training (Jaderberg et al. 2017): copies of good trials, settings nudged, replace bad ones."""

    forks: ClassVar[bool] = True

    kind: Literal["pbt"] = "pbt"
    interval_epochs: Count = 5
    """Epochs from one milestone, at which trials are judged, to the next."""
    quantile: Annotated[float, Field(gt=0.0, le=0.5)] = 0.25
    """Share of the trials at a milestone that is replaced, and share that may be copied."""
    resample_probability: Fraction = 0.25
    """Draw a parameter anew instead of nudging it."""


class PlateauConfig(_StoppingConfig):
    """Stop a trial whose metric has not moved for some epochs."""

    kind: Literal["plateau"] = "plateau"
    grace_epochs: Count = 5
    patience_epochs: Annotated[int, Field(ge=2)] = 5
    """Epochs that are looked back on."""
    tolerance: Annotated[float, Field(ge=0.0)] = 1e-3
    """Standard deviation over those epochs up to which nothing has moved."""


StoppingConfig = AshaConfig | HyperbandConfig | MedianConfig | PbtConfig | PlateauConfig
SchedulerConfig = Annotated[NoSchedulerConfig | StoppingConfig, Field(discriminator="kind")]
