"""How trials are tuned: spaces as a file states them, samplers that propose points, schedulers that stop trials."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from fgtune.config.schema.base import Config, Count, DottedPath, Fraction, MetricName, Seeds, Text, checked_name
from fgtune.config.schema.domains import DomainConfig

OBJECTIVE_PATTERN = r"^((train|val|test)/[a-z0-9_]+|cost/(seconds|solver_seconds)|agreement)$"


def _objective_name(name: str, info: ValidationInfo) -> str:
    return checked_name(name, OBJECTIVE_PATTERN, info)


ObjectiveName = Annotated[str, Field(min_length=1), AfterValidator(_objective_name)]
"""A metric (any text where the trial declares its metrics); how far the seeds of a trial agree (``agreement``, which
needs two at least); or what a trial cost: ``cost/seconds`` in the trainer, ``cost/solver_seconds`` in the relations
solver."""
Mode = Literal["maximize", "minimize"]


def _may_be_a_file(schema: dict[str, Any]) -> None:
    """A study file may name a file instead of stating the space."""
    own = {key: schema.pop(key) for key in ("$ref", "allOf") if key in schema}
    schema["anyOf"] = [{"type": "string", "minLength": 1}, own]


class SpaceConfig(Config):
    """A search space: which settings vary, over what, under which conditions, and which combinations are allowed."""

    include: tuple[str, ...] = ()
    """Files with further spaces, relative to this one; what is stated here overrides them. Merged on reading."""
    parameters: dict[DottedPath, DomainConfig] = Field(default_factory=dict)
    """Dotted paths below ``trial`` and their domains."""
    constraints: tuple[Text, ...] = ()
    """What every point must satisfy: expressions in parameters and other settings of the trial."""


class TpeConfig(Config):
    """Tree-structured Parzen estimator; the published choice for FALCON."""

    kind: Literal["tpe"] = "tpe"
    startup_trials: Annotated[int, Field(ge=0)] = 10
    """Random points before the estimator is used."""
    multivariate: bool = True
    """Model parameters jointly; those under one condition form their own group."""


class GpConfig(Config):
    """Gaussian process with expected improvement."""

    kind: Literal["gp"] = "gp"
    startup_trials: Count = 10
    """Random points before the process is used."""


class CmaEsConfig(Config):
    """Covariance matrix adaptation; numeric parameters only, at least two, and one objective."""

    kind: Literal["cmaes"] = "cmaes"
    sigma: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """Initial step size as a share of each range; None for the package's choice."""
    population: Annotated[int, Field(ge=2)] | None = None


class NsgaConfig(Config):
    """NSGA-II, an evolutionary algorithm for several objectives."""

    kind: Literal["nsga2"] = "nsga2"
    population: Annotated[int, Field(ge=2)] = 20
    crossover_probability: Fraction = 0.9
    mutation_probability: Fraction | None = None
    """None for one parameter per child on average."""


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


StatedSpace = Annotated[SpaceConfig, Field(json_schema_extra=_may_be_a_file)]
"""A space, or the file that states it."""


def check_end(trials: int | None, sampler: SamplerConfig) -> None:
    """Raise ``ValueError`` for a search that would never end."""
    if trials is None and not isinstance(sampler, BruteForceConfig):
        raise ValueError(f"trials must be given; sampler {sampler.kind} has no end of its own")


SEARCH_SEEDS_FROM = 10_000
"""First seed of the searches inside arms, where the study gives only their number: far from the seeds of any study."""


class ArmSearchConfig(Config):
    """A search inside every arm of a comparison that has a space, the same for all: as many trials, the same metric.

    What a search chooses (the arm's own settings are among the candidates) is then run on the seeds of the study, of
    which the search has seen none.
    """

    metric: ObjectiveName
    """What settings are chosen by: its mean over the seeds of the search at the last epoch."""
    mode: Mode | None = None
    """Its direction; None for its natural one."""
    oracle: bool = False
    """Allow a metric that reads fine labels, or the test split."""
    trials: Count | None = None
    """Points for each arm besides its own settings; None runs every point, with ``brute_force`` only."""
    sampler: SamplerConfig = TpeConfig()
    seeds: Seeds = 1
    """Seeds of the searches, a number n (10000 .. 10000 + n - 1) or the seeds themselves; none may be one of the
    study's."""
    design_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the samplers."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        check_end(self.trials, self.sampler)
        if isinstance(self.seeds, tuple) and len(set(self.seeds)) < len(self.seeds):
            raise ValueError("seeds must differ, one is given twice")
        return self

    @property
    def seed_list(self) -> tuple[int, ...]:
        """The seeds as a tuple."""
        if isinstance(self.seeds, tuple):
            return self.seeds
        return tuple(range(SEARCH_SEEDS_FROM, SEARCH_SEEDS_FROM + self.seeds))


Reduction = Annotated[float, Field(gt=1.0)]


class NoSchedulerConfig(Config):
    """Every trial runs to its last epoch."""

    forks: ClassVar[bool] = False

    kind: Literal["none"] = "none"


class _StoppingConfig(Config):
    forks: ClassVar[bool] = False
    """Whether trials continue the training of others with different settings."""

    metric: MetricName | None = None
    """What trials are judged by while they run; None for the metric of a search that has one."""
    mode: Mode | None = None
    """Its direction; None for its natural one."""


class AshaConfig(_StoppingConfig):
    """Asynchronous successive halving (Li et al. 2020): of the trials at a rung, the best share continues."""

    kind: Literal["asha"] = "asha"
    grace_epochs: Count = 5
    """The first rung: no trial is stopped before it."""
    reduction: Reduction = 3.0
    """One in this many trials continues from one rung to the next, and each rung lies this many times further."""
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
    """Other trials that must have reached the epoch."""


class PbtConfig(_StoppingConfig):
    """Population based training (Jaderberg et al. 2017): copies of good trials, slightly changed, replace bad ones."""

    forks: ClassVar[bool] = True

    kind: Literal["pbt"] = "pbt"
    interval_epochs: Count = 5
    """Epochs between milestones, at which trials are judged."""
    quantile: Annotated[float, Field(gt=0.0, le=0.5)] = 0.25
    """Share of the trials at a milestone that is replaced, and also the share that may be copied."""
    resample_probability: Fraction = 0.25
    """Probability of drawing a parameter from its whole range again; otherwise the donor's value changes a little."""


class PlateauConfig(_StoppingConfig):
    """Stop a trial whose metric has not moved for some epochs."""

    kind: Literal["plateau"] = "plateau"
    grace_epochs: Count = 5
    patience_epochs: Annotated[int, Field(ge=2)] = 5
    """Length of the window in epochs."""
    tolerance: Annotated[float, Field(ge=0.0)] = 1e-3
    """Standard deviation over those epochs up to which the metric has not moved."""


StoppingConfig = AshaConfig | HyperbandConfig | MedianConfig | PbtConfig | PlateauConfig
SchedulerConfig = Annotated[NoSchedulerConfig | StoppingConfig, Field(discriminator="kind")]
