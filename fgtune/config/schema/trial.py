"""The config of one trial: data, model, objective, relations, optimiser; defaults are the FALCON reference values.

Sources: FALCON (ICML 2024), sections 4-5 and appendix G, and its released configuration where the two differ. The
field docstrings say what each setting does; ``docs/settings.md`` says which values the papers used and searched.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from fgtune.catalog import CATALOGUE, MetricBook
from fgtune.config.schema.augmentation import AugmentationConfig, NoAugmentationConfig
from fgtune.config.schema.base import Config, Count, Fraction, PositiveFloat, Weight
from fgtune.config.schema.classes import ClassesConfig, RelationsConfig
from fgtune.config.schema.cleaning import CleaningConfig
from fgtune.config.schema.clustering import ClusteringConfig, KMeansClusteringConfig, with_kind
from fgtune.config.schema.data import DataConfig
from fgtune.config.schema.evaluation import EvaluationConfig
from fgtune.config.schema.model import LinearHeadConfig, ModelConfig
from fgtune.config.schema.objective import PRESET_SETTINGS, ObjectiveConfig
from fgtune.config.schema.paths import known_paths
from fgtune.config.schema.streams import StreamsConfig
from fgtune.errors import ConfigError


class TeacherConfig(Config):
    """The EMA teacher."""

    decay: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.99
    warmup: bool = True
    """Use min(decay, (1 + t) / (10 + t)) after t updates."""
    buffers: Literal["shared", "averaged"] = "shared"
    """Batch-norm statistics: the student's own, updated by teacher passes too (reference), or averaged like weights."""


class NeighborsConfig(Config):
    """Nearest neighbours by cosine, found once unless refreshed; a sample is never its own neighbour."""

    stored: Count = 20
    """Neighbours kept per sample (fewer where its coarse class is smaller)."""
    sampled: Count = 5
    """Neighbours drawn without replacement each time a sample is visited."""
    scope: Literal["coarse", "global"] = "coarse"
    """Search among samples of the same coarse class, or among all (SCAN-like)."""
    features: Literal["inputs", "initial", "teacher"] = "inputs"
    """What is compared: raw inputs, features of the initial (pretrained) backbone, or current teacher features."""
    refresh_epochs: Count | None = None
    """Search again every so many epochs; only with ``features: teacher``."""
    targets: Literal["forward", "memory"] = "memory"
    """Teacher predictions of neighbours: the last one remembered, or a forward pass of their view (reference), which
    makes a step twice as long; three data sets showed no difference in accuracy that matters."""
    memory_refresh_epochs: Count | None = None
    """Remember the teacher's predictions of all samples anew every so many epochs, in one pass without augmentation;
    None remembers what the steps see alone. Only with ``targets: memory``."""
    memory_momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of what is remembered of a sample that stays when it is seen again, so that views average out. Only with
    ``targets: memory``."""

    @model_validator(mode="after")
    def _consistent(self) -> NeighborsConfig:
        if self.sampled > self.stored:
            raise ValueError(f"sampled ({self.sampled}) must be <= stored ({self.stored})")
        if self.refresh_epochs is not None and self.features != "teacher":
            raise ValueError("refresh_epochs needs features: teacher")
        if self.targets != "memory":
            for name in ("memory_refresh_epochs", "memory_momentum"):
                if getattr(self, name):
                    raise ValueError(f"{name} needs targets: memory")
        return self


class WarmStartConfig(Config):
    """First epochs on clusters of the training samples, in place of the objective; only with a fine head.

    The clusters are found within each coarse class of the first source as ``clustering`` says, as many as the class has
    fine classes under the initial relations.
    """

    fraction: Fraction = 0.0
    """Share of the epochs in which the fine head learns the clusters; 0 starts from random weights (published)."""
    features: Literal["inputs", "initial"] = "inputs"
    """What is clustered, here and for ``relations.sizes`` and ``objective.prior``: raw inputs, or features of the
    initial (pretrained) backbone, which images need."""


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


class BaseTrialConfig(Config):
    """The interface of every kind of trial; the defaults here are those of fgtune's own trainer."""

    trial_kind: ClassVar[str]
    """Name of the kind in the tables that have one object for each."""
    runs_here: ClassVar[bool] = True
    """Whether fgtune runs the cells, so that some can be run again and seeds be added."""

    may_end_early: ClassVar[bool] = False
    """Whether a complete cell may have fewer epochs than planned, since it decides itself when it is done."""

    @property
    def book(self) -> MetricBook:
        """The metrics that cells may have."""
        return CATALOGUE

    @property
    def has_curves(self) -> bool:
        """Whether cells have metrics by epoch."""
        return True

    @property
    def planned_epochs(self) -> int:
        """Epochs of a trial that is not stopped early."""
        return self.own().epochs

    @property
    def measured_every(self) -> int:
        """Metrics come every so many epochs where a scheduler judges the trial."""
        return self.own().evaluation.period(self.own().epochs, is_judged=True)

    def paths(self) -> frozenset[str]:
        """Every dotted path that a trial like this one may hold."""
        return known_paths(type(self))

    @property
    def discovery(self) -> TrialConfig | None:
        """The settings of fgtune's own trainer, which reads data and learns classes; None for any other kind."""
        return None

    def study_identity(self) -> dict[str, Any]:
        """What the trial adds to the identity of its study alone, as plain data by key."""
        return {}

    def check_runs_here(self, where: str) -> None:
        """Raise where cells cannot be run by fgtune.

        Args:
            where: The study file or folder, for the message.

        Raises:
            ConfigError: They were made elsewhere.
        """
        if not self.runs_here:
            rule = "holds runs that were made elsewhere, so fgtune can neither run nor extend them"
            raise ConfigError(rule, where=where, fix="make more runs there, and fgtune import the table again")

    def check_own_trainer(self, where: str, what: str, fix: str) -> None:
        """Raise where cells were not run by fgtune's own trainer.

        Args:
            where: The study folder, for the message.
            what: What needs it.
            fix: What to do instead.

        Raises:
            ConfigError: They were not.
        """
        if self.discovery is None:
            rule = f"{what} needs fgtune's own trainer, and these cells were run by another"
            raise ConfigError(rule, where=where, path="trial.kind", value=self.trial_kind, fix=fix)

    def own(self) -> TrialConfig:
        """The settings of fgtune's own trainer.

        Raises:
            ConfigError: The trial is of another kind.
        """
        found = self.discovery
        if found is None:
            rule = "this needs a trial of fgtune's own trainer, with data and classes"
            raise ConfigError(rule, path="trial.kind", value=self.trial_kind)
        return found


class TrialConfig(BaseTrialConfig):
    """Everything that determines one trial apart from its seed."""

    trial_kind: ClassVar[str] = "discovery"
    implied: ClassVar[Mapping[str, Any]] = {"kind": "discovery"}

    data: DataConfig
    model: ModelConfig = ModelConfig()
    classes: ClassesConfig
    objective: ObjectiveConfig = Field(default_factory=lambda: ObjectiveConfig.from_plain({}))
    clustering: ClusteringConfig = KMeansClusteringConfig()
    """How clusters are found: of the learned features, where no term of the objective needs a fine head; of the inputs,
    where a fine head starts from clusters."""
    cleaning: CleaningConfig | None = None
    """Doubt coarse labels of the training split before anything is trained; None takes all as they are."""
    warm_start: WarmStartConfig = WarmStartConfig()
    teacher: TeacherConfig = TeacherConfig()
    neighbors: NeighborsConfig = NeighborsConfig()
    relations: RelationsConfig = RelationsConfig()
    augmentation: AugmentationConfig = NoAugmentationConfig()
    optimizer: OptimizerConfig = SgdConfig()
    schedule: ScheduleConfig = MultistepScheduleConfig()
    epochs: Count = 100
    batch_size: Annotated[int, Field(ge=2)] = 256
    """Upper bound; an epoch is cut into batches of equal size (to within one sample)."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """bf16 and fp16 (with gradient scaling, on a GPU only) run the network under autocast; losses are always fp32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    cuda_graph: bool = False
    """Record a step as a CUDA graph and replay it, so that the host does not limit small steps; on a GPU only. Steps
    that need the host, or are not alike, run one by one."""
    evaluation: EvaluationConfig = EvaluationConfig()
    streams: StreamsConfig = StreamsConfig()
    """Seeds of split, initial weights and order that do not follow the seed of the cell."""

    @property
    def discovery(self) -> TrialConfig:
        """Itself."""
        return self

    def as_run(self, gpus: float) -> TrialConfig:
        """As trials run that hold so many GPUs: without one where they hold none, whatever this machine has."""
        return self if gpus else self.model_copy(update={"device": "cpu"})

    @field_validator("clustering", mode="before")
    @classmethod
    def _clustering_kind(cls, data: Any, info: ValidationInfo) -> Any:
        objective = info.data.get("objective")
        implied = {} if objective is None else PRESET_SETTINGS.get(objective.preset, {}).get("clustering", {})
        if isinstance(implied, Config) and isinstance(data, dict) and "kind" not in data:
            return {**implied.to_plain(), **data}
        return with_kind(data)

    @model_validator(mode="after")
    def _filled_from_preset(self) -> TrialConfig:
        for section, settings in PRESET_SETTINGS.get(self.objective.preset, {}).items():
            if isinstance(settings, Config):
                if section not in self.model_fields_set:
                    self.__dict__[section] = settings
                continue
            node: Config = getattr(self, section)
            missing = {name: value for name, value in settings.items() if name not in node.model_fields_set}
            if missing:
                # The config is frozen for everyone else; this is the end of its construction.
                self.__dict__[section] = node.model_copy(update=missing)
        return self

    @model_validator(mode="after")
    def _class_vectors_are_there(self) -> TrialConfig:
        if "scgm" in self.objective.terms and isinstance(self.model.head, LinearHeadConfig):
            raise ValueError("lambda_scgm needs class vectors: set model.head to {kind: projection} or {kind: cosine}")
        return self
