"""Runs that were made elsewhere: the trial that stands for them in a study, and the design that lists their arms."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from fgtune.catalog import MetricBook
from fgtune.config.schema.base import Text, must_differ
from fgtune.config.schema.declared import Declared, book_of
from fgtune.config.schema.designs import Design
from fgtune.config.schema.trial import BaseTrialConfig

ARM_LENGTH = 200
"""Longest name of an imported arm, in characters."""

ImportedArm = Annotated[str, Field(min_length=1, max_length=ARM_LENGTH)]


class ImportedTrialConfig(BaseTrialConfig):
    """Runs that were made elsewhere and read from a table; ``fgtune import`` writes such a study."""

    trial_kind: ClassVar[str] = "imported"
    runs_here: ClassVar[bool] = False

    kind: Literal["imported"] = "imported"
    source: Text
    """Name of the file that the runs were read from."""
    metrics: Declared
    """The columns that are metrics, by name."""
    curves: bool = False
    """Whether the table has a row for each epoch."""

    @cached_property
    def book(self) -> MetricBook:
        """The metrics of the table."""
        return book_of(self.metrics)

    @property
    def has_curves(self) -> bool:
        """Whether cells have metrics by epoch."""
        return self.curves


class ImportedRunConfig(BaseTrialConfig):
    """All that is known about the settings of an imported run: which arm of which study it belongs to."""

    trial_kind: ClassVar[str] = "imported"
    runs_here: ClassVar[bool] = False

    kind: Literal["imported_run"] = "imported_run"
    study: Text
    arm: ImportedArm


class ImportedDesign(Design):
    """The arms that a table of finished runs holds, each against the baseline."""

    names_arms: ClassVar[bool] = True
    lists_runs: ClassVar[bool] = True
    varies_factors: ClassVar[bool] = False

    kind: Literal["imported"] = "imported"
    arms: Annotated[tuple[ImportedArm, ...], Field(min_length=1)]
    """Their names; any text."""
    baseline: ImportedArm
    """The arm that the others are compared with."""

    @model_validator(mode="after")
    def _names(self) -> Self:
        must_differ(self.arms)
        if self.baseline not in self.arms:
            raise ValueError(f"baseline must name an arm, one of {[*self.arms]}, got {self.baseline!r}")
        return self

    @property
    def baseline_arm(self) -> str:
        """The baseline."""
        return self.baseline

    def crossed(self) -> tuple[tuple[str, str, str], ...]:
        """Every arm, the baseline first."""
        order = sorted(self.arms, key=lambda name: name != self.baseline)
        return tuple((name, name, "") for name in order)
