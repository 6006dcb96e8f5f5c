"""The search design: its space, its sampler, what points are judged by, and how many there may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from fgtune.catalog import AGREEMENT
from fgtune.config.schema.base import Count, DottedPath, Text, must_differ
from fgtune.config.schema.designs import Design
from fgtune.config.schema.domains import DomainConfig
from fgtune.config.schema.tuning import (
    CmaEsConfig,
    Mode,
    ObjectiveName,
    SamplerConfig,
    StatedSpace,
    TpeConfig,
    check_end,
)

DEFAULT_CRITERIA = (AGREEMENT, "val/fixed_silhouette")
"""What a search optimises by default: each criterion can be misled where the other is not, and no trial wins both by a
collapse or in a feature space of its own."""


class SearchDesign(Design):
    """Propose points of a space one after the other, learning from those that are finished; ``trial`` is the baseline.

    A metric that reads fine labels selects by what a user without them could not know, and needs ``oracle: true``.
    """

    plans_cells: ClassVar[bool] = False
    plans_contrasts: ClassVar[bool] = False

    kind: Literal["search"] = "search"
    space: StatedSpace
    """The space itself, or the file that states it."""
    sampler: SamplerConfig = TpeConfig()
    trials: Count | None = None
    """Number of points to run besides the baseline; None runs every point, with ``brute_force`` only."""
    metric: ObjectiveName | Annotated[tuple[ObjectiveName, ...], Field(min_length=2, max_length=4)] = DEFAULT_CRITERIA
    """What is optimised, the mean over the seeds at the last epoch; several metrics give a Pareto front. By default
    agreement of the seeds, which needs two at least, and a silhouette in a space that all trials share."""
    mode: Mode | tuple[Mode, ...] | None = None
    """Direction of each metric; None for its natural one."""
    oracle: bool = False
    """Allow a metric that reads fine labels, or the test split."""
    start: tuple[dict[DottedPath, JsonValue], ...] = ()
    """Points to run first; parameters that one leaves out are proposed."""
    warm_start: tuple[Text, ...] = ()
    """Folders of earlier studies whose finished cells the sampler may learn from."""
    design_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the sampler, apart from the seeds of the study."""

    @field_validator("metric")
    @classmethod
    def _metrics_differ(cls, metric: str | tuple[str, ...]) -> str | tuple[str, ...]:
        must_differ((metric,) if isinstance(metric, str) else metric)
        return metric

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if isinstance(self.mode, tuple) and len(self.mode) != len(self.metrics):
            raise ValueError(f"mode needs one entry per metric ({len(self.metrics)}), it has {len(self.mode)}")
        check_end(self.trials, self.sampler)
        if isinstance(self.sampler, CmaEsConfig) and len(self.metrics) > 1:
            raise ValueError("sampler cmaes has one objective; use nsga2, tpe or gp for several")
        return self

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics as a tuple."""
        return (self.metric,) if isinstance(self.metric, str) else self.metric

    @property
    def modes(self) -> tuple[Mode | None, ...]:
        """The mode of each metric, None where the study leaves it to the metric."""
        if isinstance(self.mode, tuple):
            return self.mode
        return (self.mode,) * len(self.metrics)

    @property
    def criteria(self) -> tuple[tuple[str, Mode | None], ...]:
        """The metrics that are optimised."""
        return tuple(zip(self.metrics, self.modes, strict=True))

    @property
    def allows_oracle(self) -> bool:
        """What ``oracle`` says."""
        return self.oracle

    @property
    def most_points(self) -> int | None:
        """What ``trials`` says."""
        return self.trials

    @property
    def proposer(self) -> str:
        """The kind of the sampler."""
        return self.sampler.kind

    @property
    def samples_points(self) -> bool:
        """True: the arms are points of the space."""
        return True

    @property
    def domains(self) -> Mapping[str, DomainConfig]:
        """The parameters of the space."""
        return self.space.parameters
