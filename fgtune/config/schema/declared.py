"""How a trial declares a metric that fgtune does not compute: its direction and its range."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from fgtune.catalog import ARM_METRICS, COST, DeclaredMetrics, MetricBook, MetricSpec
from fgtune.config.schema.base import RESERVED_COLUMNS, Config, Text


class DeclaredMetric(Config):
    """What a metric that fgtune does not compute means."""

    direction: Literal["maximize", "minimize", "none"] = "none"
    """Which way it is better; ``none`` where that is not known: it is shown then, and not judged."""
    range: tuple[float | None, float | None] = (None, None)
    """Smallest and largest possible value; null where there is no bound. ``[0, 1]`` brings a default margin."""

    final: bool = False
    """Whether only the last epoch has it: it has no curve then, and cannot stop a trial early."""

    @model_validator(mode="after")
    def _ordered(self) -> DeclaredMetric:
        if self.low >= self.high:
            raise ValueError(f"the range must go from its smaller to its larger end, {list(self.range)} does not")
        return self

    @property
    def low(self) -> float:
        """Smallest possible value, possibly -inf."""
        return -math.inf if self.range[0] is None else self.range[0]

    @property
    def high(self) -> float:
        """Largest possible value, possibly inf."""
        return math.inf if self.range[1] is None else self.range[1]

    def spec(self, name: str) -> MetricSpec:
        """Its entry in the book of the trial's metrics."""
        return MetricSpec(
            name, "", self.low, self.high, self.direction, "no labels", "absent", splits=(), final=self.final
        )


Declared = Annotated[dict[Text, DeclaredMetric], Field(min_length=1)]
"""Declared metrics by name."""


def book_of(metrics: Mapping[str, DeclaredMetric]) -> MetricBook:
    """The book of a trial that declares its metrics."""
    return DeclaredMetrics(metric.spec(name) for name, metric in metrics.items())


def is_taken(name: str) -> bool:
    """Whether a name already means something in the tables of a study, so that no declared metric may have it."""
    return name in RESERVED_COLUMNS or name in ARM_METRICS or name.startswith((COST, "trial."))
