"""The config of a study: its question, its design, its seeds, its metrics, and the trial that the design varies."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, JsonValue, field_validator

from fgtune.config.schema.base import (
    NAME_PATTERN,
    Config,
    Count,
    DottedPath,
    MetricName,
    PositiveFloat,
    Seeds,
    Text,
    must_differ,
)
from fgtune.config.schema.designs import AblationDesign, ComparisonDesign, SensitivityDesign
from fgtune.config.schema.published import PublishedTable
from fgtune.config.schema.search import SearchDesign
from fgtune.config.schema.trial import TrialConfig
from fgtune.config.schema.tuning import Mode, NoSchedulerConfig, SchedulerConfig, StoppingConfig

DesignConfig = Annotated[
    SensitivityDesign | AblationDesign | ComparisonDesign | SearchDesign, Field(discriminator="kind")
]


class MetricsConfig(Config):
    """What the study is judged by; fixed before the first trial."""

    primary: MetricName = "test/clustering_accuracy"
    """The metric of the planned contrasts."""
    also: tuple[MetricName, ...] = ("test/ari", "test/ged")
    """Further metrics that the report shows; contrasts on them are marked exploratory."""
    alpha: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.05
    """Level of the planned contrasts together (Holm)."""
    equivalence_margin: PositiveFloat = 0.02
    """A difference of the primary metric below this is of no importance, in the metric's own unit."""


class BudgetConfig(Config):
    """What one call may use; what is left is saved, and the next call goes on. None means no limit."""

    cells: Count | None = None
    """Cells to start."""
    wall_s: PositiveFloat | None = None
    """Seconds by the clock, from the first trial on."""
    core_s: PositiveFloat | None = None
    """Seconds of all trials times the cores that each holds."""
    gpu_s: PositiveFloat | None = None
    """Seconds of all trials times the GPUs that each holds."""


class ExecutionConfig(Config):
    """Resources and fault handling; no result depends on these."""

    cpus: PositiveFloat = 1.0
    """CPU cores a trial."""
    gpus: Annotated[float, Field(ge=0.0)] = 0.0
    """GPUs a trial; a fraction shares one."""
    max_failures: Annotated[int, Field(ge=0)] = 1
    """How often a crashed trial is started again from its checkpoint before it counts as failed."""
    max_concurrent: Count | None = None
    """Trials at once; None lets the machine's resources decide."""
    checkpoint_every_epochs: Count = 10
    """A checkpoint is also written whenever a trial is stopped in order."""
    budget: BudgetConfig = BudgetConfig()
    """When it is used up, running trials stop in order and the exit code is 4."""


_NO_IDENTITY = {"execution", "smoke", "published"}


class Study(Config):
    """One study file, validated, every default filled in."""

    study: Annotated[str, Field(pattern=NAME_PATTERN, max_length=100)]
    """Name of the study and of its folder."""
    question: Text
    """What the study asks, in a sentence."""
    expectation: str = ""
    """What is expected and why, written down before the first trial."""
    source: str = ""
    """Paper, table or figure that the study answers to."""
    design: DesignConfig
    seeds: Seeds = 5
    """A number n (seeds 0 .. n-1) or the seeds themselves; each is one block that all arms share."""
    metrics: MetricsConfig = MetricsConfig()
    scheduler: SchedulerConfig = NoSchedulerConfig()
    """When a trial is stopped early; without a word here, none is. In a comparison with ``search``, trials of the
    searches alone."""
    published: tuple[PublishedTable, ...] = ()
    """What papers report for arms of this study; the report shows it beside what came out here."""
    trial: TrialConfig
    execution: ExecutionConfig = ExecutionConfig()
    smoke: dict[DottedPath, JsonValue] = Field(default_factory=dict)
    """Paths (from the root of this file) that ``--smoke`` sets besides its own defaults."""

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: int | tuple[int, ...]) -> int | tuple[int, ...]:
        must_differ(seeds if isinstance(seeds, tuple) else ())
        return seeds

    @property
    def stopping(self) -> StoppingConfig | None:
        """What stops trials of this study early; None for nothing, also where it stops searches inside arms alone."""
        scheduler, is_own = self.scheduler, self.design.arm_search is None
        return None if isinstance(scheduler, NoSchedulerConfig) or not is_own else scheduler

    @property
    def ranking(self) -> tuple[tuple[str, Mode | None], ...]:
        """The metrics or costs that arms are ranked by, the first one first, each with the mode that the file states.

        The criteria of a design that has some, else the primary metric.
        """
        return self.design.criteria or ((self.metrics.primary, None),)

    @property
    def seed_list(self) -> tuple[int, ...]:
        """The seeds, spelled out."""
        return tuple(range(self.seeds)) if isinstance(self.seeds, int) else self.seeds

    def identity(self) -> dict[str, Any]:
        """What makes two studies the same: all but how they run, what ``--smoke`` would do and what papers report."""
        return {key: value for key, value in super().identity().items() if key not in _NO_IDENTITY}
