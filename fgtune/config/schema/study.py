"""The config of a study: question, design, seeds, metrics, published results, and the trial that the design varies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, ValidationInfo, field_validator, model_validator

from fgtune.catalog import MetricBook, MetricSpec, find_spec
from fgtune.config.schema.ablation import AblationDesign
from fgtune.config.schema.base import (
    DECLARED,
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
from fgtune.config.schema.designs import ComparisonDesign, SensitivityDesign
from fgtune.config.schema.expected import ExpectedArm
from fgtune.config.schema.imported import ImportedDesign
from fgtune.config.schema.published import PublishedTable
from fgtune.config.schema.search import SearchDesign
from fgtune.config.schema.seeds import AdaptiveSeeds
from fgtune.config.schema.storage import StorageText
from fgtune.config.schema.trial_kinds import AnyTrial, declares_metrics
from fgtune.config.schema.tuning import Mode, NoSchedulerConfig, SchedulerConfig, StoppingConfig
from fgtune.config.schema.variance import VarianceDesign
from fgtune.text import count

DesignConfig = Annotated[
    SensitivityDesign | AblationDesign | ComparisonDesign | SearchDesign | VarianceDesign | ImportedDesign,
    Field(discriminator="kind"),
]


class RelativeMargin(Config):
    """An equivalence margin as a share of the baseline's mean."""

    relative: PositiveFloat
    """Share of the size of the baseline's mean, such as 0.02 for 2 %."""


DEFAULT_MARGIN = 0.02
"""Equivalence margin of metrics on [0, 1]. Others have none by default: nobody can know what matters there."""


BLIND_PRIMARY, BLIND_ALSO = "test/fixed_silhouette", ("test/fixed_calinski_harabasz", "test/coarse_accuracy")
"""What stands for the defaults of ``primary`` and ``also`` where the data have no fine labels."""


class MetricsConfig(Config):
    """What the study is judged by; fixed before the first trial."""

    primary: MetricName = "test/clustering_accuracy"
    """The metric of the planned contrasts. Where the data have no fine labels, the default is
    ``test/fixed_silhouette``, which reads none."""
    also: tuple[MetricName, ...] = ("test/ari", "test/ged")
    """Further metrics that the report shows; contrasts on them are marked exploratory. Where the data have no fine
    labels, the default is ``test/fixed_calinski_harabasz`` and ``test/coarse_accuracy``."""
    alpha: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.05
    """Family-wise error rate of the planned contrasts (Holm)."""
    alpha_kept: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.2
    """Share of what is left of alpha that a look keeps for seeds added later with ``fgtune extend``: the k-th look may
    spend ``alpha * (1 - alpha_kept ** k)`` together with those before it. 0 spends all at the first look, and seeds
    added later find nothing new. Adaptive seeds keep nothing: their looks are planned."""
    summary: Literal["mean", "median", "trimmed_mean", "improvement"] = "mean"
    """What of the paired differences decides: their mean (what a setting is worth over all seeds), their median (on a
    typical seed), their 20 % trimmed mean, or the share of pairs in which the arm is better."""
    collapse_rate: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.1
    """Share of seeds that may collapse: an arm judged by its mean helps, hurts or is equivalent only where so many
    collapses would have shown in the cells of the study, or could not undo it. 0 takes it that no seed collapses."""
    equivalence_margin: PositiveFloat | RelativeMargin | None = None
    """Differences in the primary metric below this do not matter: in the metric's own unit, or
    ``{relative: 0.02}`` of the baseline's mean. None is 0.02 for a metric on [0, 1]; for others no arm is then ever
    called equivalent."""

    def margin(self, baseline_mean: float) -> float | None:
        """The equivalence margin in the unit of the primary metric; None if there is none.

        Args:
            baseline_mean: Mean of the baseline, which a relative margin refers to; nan before it has a value.
        """
        stated = self.equivalence_margin
        if isinstance(stated, RelativeMargin):
            return stated.relative * abs(baseline_mean) or None
        return stated

    @model_validator(mode="after")
    def _default_margin(self, info: ValidationInfo) -> Self:
        """Fill in the margin of a metric on [0, 1], whose unit everyone knows; the study knows declared ones."""
        declared = bool((info.context or {}).get(DECLARED))
        if not declared and self.equivalence_margin is None and self._on_unit_interval:
            self.__dict__["equivalence_margin"] = DEFAULT_MARGIN  # the node is frozen, and not yet in use
        return self

    def of_declared(self, book: MetricBook) -> MetricsConfig:
        """With the metrics that a trial declares in place of defaults that it does not have.

        The first that has a direction is primary, and the others are shown.
        """
        names, given = book.names, self.model_fields_set
        directed = [name for name in names if (spec := book.find(name)) is not None and spec.direction != "none"]
        primary = self.primary if "primary" in given or not directed else directed[0]
        also = self.also if "also" in given else tuple(name for name in names if name != primary)
        return self.model_copy(update={"primary": primary, "also": also})

    def with_margin_of(self, primary: MetricSpec | None) -> MetricsConfig:
        """With the default margin of a primary metric that the trial declares on [0, 1]."""
        if self.equivalence_margin is not None or not _on_unit_interval(primary):
            return self
        return self.model_copy(update={"equivalence_margin": DEFAULT_MARGIN})

    @property
    def _on_unit_interval(self) -> bool:
        return _on_unit_interval(find_spec(self.primary.rpartition("/")[2]))

    @cached_property
    def _identity(self) -> dict[str, Any]:
        """Without a margin that is stated as it would be by default."""
        found = super()._identity
        same = self.equivalence_margin == DEFAULT_MARGIN and self._on_unit_interval
        return {name: value for name, value in found.items() if name != "equivalence_margin" or not same}


def _on_unit_interval(spec: MetricSpec | None) -> bool:
    return spec is not None and (spec.low, spec.high) == (0.0, 1.0)


class BudgetConfig(Config):
    """What one call may use; unfinished work is saved, and the next call continues it. None means no limit."""

    cells: Count | None = None
    """Cells to start."""
    wall_s: PositiveFloat | None = None
    """Seconds by the clock, from the first trial on."""
    core_s: PositiveFloat | None = None
    """Seconds of all trials times the cores that each holds."""
    gpu_s: PositiveFloat | None = None
    """Seconds of all trials times the GPUs that each holds."""


class SilenceConfig(Config):
    """When a running trial counts as silent, and what is done then.

    It is silent when it has finished no epoch for ``factor`` times the median time of an epoch, and for ``floor_s`` at
    least. The console, ``faults.log`` and ``fgtune status`` then say so.
    """

    factor: Annotated[float, Field(ge=1.0)] = 20.0
    """Multiple of the median time of an epoch: of the trial's own, else of its arm's, else of all in this call."""
    floor_s: PositiveFloat = 300.0
    """Least seconds; more than the longest thing that is no epoch takes, such as the last evaluation."""
    then: Literal["warn", "retry", "fail"] = "warn"
    """After twice that time: ``retry`` ends the worker and starts the trial again from its checkpoint, as often as
    ``max_failures`` allows; ``fail`` ends it and counts it as failed; ``warn`` does nothing more. Before its first
    epoch, a trial with ``model.pretrain``, ``cleaning`` or ``classes.num_fine: estimate`` is only warned of."""


class ExecutionConfig(Config):
    """Resources and fault handling; no result depends on these."""

    cpus: PositiveFloat = 1.0
    """CPU cores per trial."""
    gpus: Annotated[float, Field(ge=0.0)] = 0.0
    """GPUs per trial: 1, a fraction of one, which trials then share, or 0. fgtune's trainer uses one device a trial;
    only a trainer of your own (``trial.kind: function``) may ask for more."""
    max_failures: Annotated[int, Field(ge=0)] = 1
    """How often a crashed trial is restarted from its checkpoint before it counts as failed."""
    max_trial_s: PositiveFloat | None = None
    """Longest time of one trial in seconds; one that takes longer is ended and counts as failed, the others go on.
    Epochs that it continues from count with the seconds that they took, waiting for a worker does not. None for no
    limit."""
    silence: SilenceConfig = SilenceConfig()
    max_concurrent: Count | None = None
    """Trials at once; None lets the machine's resources decide."""
    checkpoint_every_epochs: Count = 10
    """A checkpoint is also written whenever a trial is stopped cleanly."""
    storage: StorageText | None = None
    """Where checkpoints and pretrained backbones are kept while the study runs: ``s3://BUCKET/PREFIX``,
    ``gs://BUCKET/PREFIX``, or a folder that all machines see; as ``--storage``. None keeps them in the study folder,
    which is enough on one machine. Credentials come from the environment of each machine."""
    show_samples: bool = True
    """Whether a few samples of each coarse class are stored in the study folder and shown in the report. Say false
    where the report is passed on to people who may not see the data."""
    show_classes: bool = True
    """Whether the study folder keeps, and the report shows, what the learned classes look like on the test samples: a
    map of 300 of them by their features, the medoid, clear and doubtful samples of up to 256 classes, and the features
    that tell them apart. Kept of the first seed of every arm, or where a design draws points, of the baseline and of
    each point that is better than all before; 20 KB a cell of ten classes, 290 KB of 256 with colour pictures. Without
    ``show_samples`` no pictures and no values of features."""
    show_seeds: Literal["first", "all"] = "first"
    """Keep what the learned classes of these arms look like in their first seed, or in all, among which ``fgtune report
    --portraits`` chooses."""
    budget: BudgetConfig = BudgetConfig()
    """When it is used up, running trials stop cleanly and the exit code is 4."""


_NO_IDENTITY = {"execution", "smoke", "published"}


class Study(Config):
    """One study file, validated, every default filled in."""

    study: Annotated[str, Field(pattern=NAME_PATTERN, max_length=100)]
    """Name of the study and of its folder."""
    question: Text
    """What the study asks, in a sentence."""
    expectation: str = ""
    """What is expected and why, stated before the first trial."""
    expect: tuple[ExpectedArm, ...] = ()
    """The expectation in a form that can be judged: ``[{arm: no_coarse, verdict: hurts}]``. The report says of each
    whether it held, did not hold, or is undecided."""
    source: str = ""
    """Paper, table or figure that the study reproduces or tests."""
    design: DesignConfig
    seeds: Seeds | AdaptiveSeeds = 5
    """A number n (seeds 0 .. n-1) or the seeds themselves, each one block that all arms share; or
    ``{min: 5, max: 20}``, which adds seeds until all contrasts are decided."""
    metrics: MetricsConfig = MetricsConfig()
    scheduler: SchedulerConfig = NoSchedulerConfig()
    """When a trial is stopped early; by default, none is. In a comparison with ``search``, it applies to trials of the
    searches only."""
    published: tuple[PublishedTable, ...] = ()
    """What papers report for arms of this study; the report shows it beside this study's own results."""
    trial: AnyTrial
    execution: ExecutionConfig = ExecutionConfig()
    smoke: dict[DottedPath, JsonValue] = Field(default_factory=dict)
    """Paths (from the root of this file) that ``--smoke`` sets besides its own defaults."""

    @classmethod
    def from_plain(cls, data: Any) -> Self:
        """Validate plain data; names of metrics are those of the catalogue, unless the trial declares its own."""
        return cls.model_validate_json(json.dumps(data), context={DECLARED: declares_metrics(data)})

    @model_validator(mode="after")
    def _declared_margin(self) -> Self:
        if self.trial.discovery is None:  # the study is frozen, and not yet in use
            metrics = self.metrics.of_declared(self.trial.book)
            self.__dict__["metrics"] = metrics.with_margin_of(self.trial.book.find(metrics.primary))
        return self

    @model_validator(mode="after")
    def _imported_together(self) -> Self:
        if self.design.lists_runs == self.trial.runs_here:
            both = "design: {kind: imported} and trial: {kind: imported}"
            raise ValueError(f"{both} go together; fgtune import writes them")
        return self

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: int | tuple[int, ...] | AdaptiveSeeds) -> int | tuple[int, ...] | AdaptiveSeeds:
        must_differ(seeds if isinstance(seeds, tuple) else ())
        return seeds

    @property
    def stopping(self) -> StoppingConfig | None:
        """What stops trials of this study early; None for nothing, also where it stops only searches inside arms."""
        scheduler, applies = self.scheduler, self.design.arm_search is None
        return None if isinstance(scheduler, NoSchedulerConfig) or not applies else scheduler

    @property
    def ranking(self) -> tuple[tuple[str, Mode | None], ...]:
        """The metrics or costs that arms are ranked by, in order, each with the mode that the file states.

        The criteria of a design that has some, else the primary metric.
        """
        return self.design.criteria or ((self.metrics.primary, None),)

    @property
    def adaptive_seeds(self) -> AdaptiveSeeds | None:
        """How seeds are added while the study runs; None where they are fixed."""
        return self.seeds if isinstance(self.seeds, AdaptiveSeeds) else None

    @property
    def seed_list(self) -> tuple[int, ...]:
        """The seeds that every arm has: all of them, unless they are adaptive."""
        if isinstance(self.seeds, AdaptiveSeeds):
            return tuple(range(self.seeds.min))
        return tuple(range(self.seeds)) if isinstance(self.seeds, int) else self.seeds

    @property
    def seeds_text(self) -> str:
        """How many seeds an arm has, in words: ``5 seeds``, ``5 to 20 seeds``."""
        if self.adaptive_seeds is not None:
            return f"{self.adaptive_seeds.min} to {self.adaptive_seeds.max} seeds"
        return count(len(self.seed_list), "seed")

    @property
    def possible_seeds(self) -> tuple[int, ...]:
        """Every seed that an arm may get."""
        return self.seed_list if self.adaptive_seeds is None else tuple(range(self.adaptive_seeds.max))

    def identity(self) -> dict[str, Any]:
        """What makes two studies the same: all but how they run, what ``--smoke`` would do and what papers report."""
        found = {key: value for key, value in super().identity().items() if key not in _NO_IDENTITY}
        return found | self.trial.study_identity()


def without_fine_labels(study: Study, given: Mapping[str, Any]) -> Study:
    """The study on data without fine labels: metrics that its file does not name are some that read none.

    Args:
        study: The study.
        given: Its file as plain data, defaults not filled in.
    """
    if study.trial.discovery is None:
        return study
    blind = {"primary": BLIND_PRIMARY, "also": list(BLIND_ALSO)}
    metrics = MetricsConfig.from_plain({**blind, **given.get("metrics", {})})
    return study.model_copy(update={"metrics": metrics})
