"""The design that searches: its space, who proposes points, by what they are judged, and how many there may be."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from fgtune.config.base import Config
from fgtune.config.data import Fraction
from fgtune.config.designs import BASELINE
from fgtune.config.domains import DomainConfig
from fgtune.config.names import DottedPath

OBJECTIVE_PATTERN = r"^((train|val|test)/[a-z0-9_]+|cost/(seconds|solver_seconds))$"

ObjectiveName = Annotated[str, Field(pattern=OBJECTIVE_PATTERN)]
"""A metric, or what a trial cost: ``cost/seconds`` in the trainer, ``cost/solver_seconds`` in the relations solver."""
Mode = Literal["maximize", "minimize"]


def _may_be_a_file(schema: dict[str, Any]) -> None:
    """A study file may name a file instead of stating the space."""
    own = {key: schema.pop(key) for key in ("$ref", "allOf") if key in schema}
    schema["anyOf"] = [{"type": "string", "minLength": 1}, own]


class SpaceConfig(Config):
    """A search space: which settings vary, over what, under which conditions, and which combinations are allowed."""

    include: tuple[str, ...] = ()
    """Files with further spaces, relative to this one; what is stated here wins. Merged when the study is read."""
    parameters: dict[DottedPath, DomainConfig] = Field(default_factory=dict)
    """Dotted paths below ``trial`` and their domains."""
    constraints: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """What every point must fulfil: expressions in parameters and other settings of the trial."""


class TpeConfig(Config):
    """Tree-structured Parzen estimator; the published choice for FALCON."""

    kind: Literal["tpe"] = "tpe"
    startup_trials: Annotated[int, Field(ge=0)] = 10
    """Random points before the estimator is used."""
    multivariate: bool = True
    """Model parameters together; those of one condition form a group of their own."""


class GpConfig(Config):
    """Gaussian process with expected improvement."""

    kind: Literal["gp"] = "gp"
    startup_trials: Annotated[int, Field(ge=1)] = 10
    """Random points before the process is used."""


class CmaEsConfig(Config):
    """Covariance matrix adaptation; numbers alone, two parameters or more, one objective."""

    kind: Literal["cmaes"] = "cmaes"
    sigma: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """First step size as a share of each range; None for the package's choice."""
    population: Annotated[int, Field(ge=2)] | None = None


class NsgaConfig(Config):
    """NSGA-II, an evolutionary algorithm for several objectives."""

    kind: Literal["nsga2"] = "nsga2"
    population: Annotated[int, Field(ge=2)] = 20
    crossover_probability: Fraction = 0.9
    mutation_probability: Fraction | None = None
    """None for one parameter a child on average."""


class QmcConfig(Config):
    """A quasi-random sequence, which covers the space evenly; no conditions."""

    kind: Literal["qmc"] = "qmc"
    sequence: Literal["sobol", "halton"] = "sobol"
    scramble: bool = True


class RandomConfig(Config):
    """Independent points."""

    kind: Literal["random"] = "random"


class BruteForceConfig(Config):
    """Every point of a finite space, in random order."""

    kind: Literal["brute_force"] = "brute_force"


SamplerConfig = Annotated[
    TpeConfig | GpConfig | CmaEsConfig | NsgaConfig | QmcConfig | RandomConfig | BruteForceConfig,
    Field(discriminator="kind"),
]


class SearchDesign(Config):
    """Propose points of a space one after the other, learning from those that are finished; ``trial`` is the baseline.

    A metric that reads fine labels selects by what a user without them could not know, and needs ``oracle: true``.
    """

    kind: Literal["search"] = "search"
    space: Annotated[SpaceConfig, Field(json_schema_extra=_may_be_a_file)]
    """The space itself, or the file that states it."""
    sampler: SamplerConfig = TpeConfig()
    trials: Annotated[int, Field(ge=1)] | None = None
    """Number of points to run besides the baseline; None, for every point, goes with ``brute_force`` alone."""
    metric: ObjectiveName | Annotated[tuple[ObjectiveName, ...], Field(min_length=2, max_length=4)]
    """What is optimised, the mean over the seeds at the last epoch; several metrics give a Pareto front."""
    mode: Mode | tuple[Mode, ...] | None = None
    """Which way each metric is better; None for what is known of it."""
    oracle: bool = False
    """Allow a metric that reads fine labels, or the test split."""
    start: tuple[dict[DottedPath, JsonValue], ...] = ()
    """Points to run first; parameters that one leaves out are proposed."""
    warm_start: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Folders of earlier studies whose finished cells the sampler may learn from."""
    design_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the sampler, apart from the seeds of the study."""

    @field_validator("metric")
    @classmethod
    def _metrics_differ(cls, metric: str | tuple[str, ...]) -> str | tuple[str, ...]:
        names = (metric,) if isinstance(metric, str) else metric
        repeated = next((name for name in names if names.count(name) > 1), None)
        if repeated is not None:
            raise ValueError(f"must differ, {repeated} is given twice")
        return metric

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if isinstance(self.mode, tuple) and len(self.mode) != len(self.metrics):
            raise ValueError(f"mode needs one entry a metric ({len(self.metrics)}), it has {len(self.mode)}")
        if self.trials is None and not isinstance(self.sampler, BruteForceConfig):
            raise ValueError(f"trials must be given; sampler {self.sampler.kind} has no end of its own")
        if isinstance(self.sampler, CmaEsConfig) and len(self.metrics) > 1:
            raise ValueError("sampler cmaes has one objective; use nsga2, tpe or gp for several")
        return self

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics, spelled out."""
        return (self.metric,) if isinstance(self.metric, str) else self.metric

    @property
    def modes(self) -> tuple[Mode | None, ...]:
        """The mode of each metric, None where the study leaves it to the metric."""
        if isinstance(self.mode, tuple):
            return self.mode
        return (self.mode,) * len(self.metrics)

    @property
    def baseline_arm(self) -> str:
        """Name of the arm that others are compared with."""
        return BASELINE
