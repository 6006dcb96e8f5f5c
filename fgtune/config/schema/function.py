"""The user's own trainer: a function that fgtune calls for every cell, and the metrics that it reports."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from fgtune.catalog import MetricBook
from fgtune.config.schema.base import Count
from fgtune.config.schema.declared import Declared, DeclaredMetric, book_of, is_taken
from fgtune.config.schema.paths import paths_in
from fgtune.config.schema.plugin import Options, PluginKind
from fgtune.config.schema.trial import BaseTrialConfig

SETTINGS = "config"
"""The section of the trial that is the user's own, and that factors name as ``config.*``."""


class FunctionTrialConfig(BaseTrialConfig):
    """Your own trainer, a function ``run(config, seed, report)``: ``docs/own_trainer.md`` shows how to write one."""

    trial_kind: ClassVar[str] = "function"
    may_end_early: ClassVar[bool] = True

    kind: Literal["function"] = "function"
    call: PluginKind
    """Where the function lives, as ``package.module:name``; its package is permitted with ``--plugins``."""
    metrics: Declared
    """What it reports, by name: direction and range."""
    config: Options = Field(default_factory=dict)
    """Its settings, passed to it as a dictionary; factors, arms and search spaces name them as ``config.NAME``."""
    epochs: Count = 1
    """How often it reports at most, which is once an epoch."""

    @field_validator("metrics")
    @classmethod
    def _names(cls, metrics: dict[str, DeclaredMetric]) -> dict[str, DeclaredMetric]:
        taken = next((name for name in metrics if is_taken(name)), None)
        if taken is not None:
            raise ValueError(f"{taken!r} already means something in the tables of a study; call the metric otherwise")
        return metrics

    @cached_property
    def book(self) -> MetricBook:
        """The declared metrics."""
        return book_of(self.metrics)

    @property
    def planned_epochs(self) -> int:
        """Reports of a trial that is not stopped early."""
        return self.epochs

    @property
    def measured_every(self) -> int:
        """Metrics come with every report."""
        return 1

    def paths(self) -> frozenset[str]:
        """The settings of the trial, with those of the user's own that the study file gives."""
        return super().paths() | {*paths_in(self.config, f"{SETTINGS}.")}

    def study_identity(self) -> dict[str, Any]:
        """What the metrics mean, by which the study is judged."""
        return {"declared": {name: metric.identity() for name, metric in self.metrics.items()}}

    @cached_property
    def _identity(self) -> dict[str, Any]:
        """Without the metrics: what they mean does not change what is trained."""
        return {name: value for name, value in super()._identity.items() if name != "metrics"}
