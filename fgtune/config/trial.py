"""The config of one trial: data, model, objective, relations, optimiser; defaults are the FALCON reference values.

Sources: FALCON (ICML 2024), sections 4-5 and appendix G, and its released configuration where the two differ. The
field docstrings say what each setting does; ``docs/settings.md`` says which values the papers used and searched.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from fgtune.config.base import Config
from fgtune.config.data import DataConfig, Fraction, PositiveFloat

Weight = Annotated[float, Field(ge=0.0)]

PRESETS: dict[str, dict[str, float]] = {
    "falcon": {"lambda_coarse": 0.5, "lambda_nn": 0.5, "lambda_conf": 0.5, "lambda_reg": 2.0},
}
"""Loss weights by preset name; a weight given in the study file wins over the preset's."""


class MlpConfig(Config):
    """A multilayer perceptron on flattened inputs; its last hidden layer gives the features."""

    kind: Literal["mlp"] = "mlp"
    hidden: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (128, 128)
    """Width of each hidden layer."""
    norm: Literal["none", "batch"] = "batch"
    """Normalisation between a linear layer and its ReLU; the reference MLP has none."""


class LinearBackboneConfig(Config):
    """One linear map of the flattened inputs to the features, without a non-linearity."""

    kind: Literal["linear"] = "linear"
    dim: Annotated[int, Field(ge=1)] = 64
    """Number of features."""


BackboneConfig = Annotated[MlpConfig | LinearBackboneConfig, Field(discriminator="kind")]


class LinearHeadConfig(Config):
    """A linear classifier with bias over the fine classes."""

    kind: Literal["linear"] = "linear"


class CosineHeadConfig(Config):
    """Cosine similarity to one prototype a fine class, divided by a temperature."""

    kind: Literal["cosine"] = "cosine"
    temperature: PositiveFloat = 0.07


HeadConfig = Annotated[LinearHeadConfig | CosineHeadConfig, Field(discriminator="kind")]


class ModelConfig(Config):
    """Backbone (inputs to features) and head (features to fine-class logits)."""

    backbone: BackboneConfig = MlpConfig()
    head: HeadConfig = LinearHeadConfig()
    freeze_backbone: bool = False
    """Train the head alone; batch-norm statistics of the backbone then stay fixed too."""


class ClassesConfig(Config):
    """The number of fine classes K_F: ``num_fine``, or ``num_fine_ratio`` times the number that the data holds."""

    num_fine: Annotated[int, Field(ge=1)] | None = None
    """K_F itself. Needs no fine labels."""
    num_fine_ratio: PositiveFloat | None = None
    """K_F / K_F*, rounded half up. Reads the true number of fine classes, so it is an oracle setting."""

    @model_validator(mode="after")
    def _exactly_one(self) -> ClassesConfig:
        if (self.num_fine is None) == (self.num_fine_ratio is None):
            raise ValueError("give exactly one of num_fine and num_fine_ratio")
        return self


class PseudoLabelConfig(Config):
    """Targets of the confidence term (FALCON eq. 7 and the released code's hardening)."""

    temperature: PositiveFloat = 0.9
    """Temperature T of the teacher's softmax in the soft target."""
    hardening: Literal["cosine", "none", "hard"] = "cosine"
    """``cosine``: soft to hard over the soft phase; ``none``: soft throughout; ``hard``: one-hot from the start."""
    soft_fraction: Fraction = 0.3
    """Length S of the soft phase as a share of the epochs (reference: 30 of 100, 3 of 10)."""


def _weights_are_optional(schema: dict[str, Any]) -> None:
    """A file may leave weights out, since the preset fills them."""
    schema.pop("required", None)


class ObjectiveConfig(Config):
    """Loss weights; a weight of 0 removes its term and what only that term needs."""

    model_config = ConfigDict(json_schema_extra=_weights_are_optional)

    preset: Literal["falcon"] = "falcon"
    lambda_coarse: Weight
    """Cross-entropy of the coarse label under the relations (FALCON eq. 4)."""
    lambda_nn: Weight
    """Agreement with the teacher's prediction for nearest neighbours (FALCON eq. 6)."""
    lambda_conf: Weight
    """Cross-entropy to the teacher's sharpened prediction within the coarse class (FALCON eq. 7)."""
    lambda_reg: Weight
    """Distance of the batch-mean prediction from uniform (FALCON eq. 9)."""
    pseudo_labels: PseudoLabelConfig = PseudoLabelConfig()

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        preset = data.get("preset")
        # An unknown preset is filled like the default one, so that the error is about the preset alone.
        known = preset if isinstance(preset, str) and preset in PRESETS else "falcon"
        return {**PRESETS[known], **data}


class TeacherConfig(Config):
    """The EMA teacher."""

    decay: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.99
    warmup: bool = True
    """Use min(decay, (1 + t) / (10 + t)) after t updates."""
    buffers: Literal["shared", "averaged"] = "shared"
    """Batch-norm statistics: the student's own, updated by teacher passes too (reference), or averaged like weights."""


class NeighborsConfig(Config):
    """Nearest neighbours by cosine, found once unless refreshed; a sample is never its own neighbour."""

    stored: Annotated[int, Field(ge=1)] = 20
    """Neighbours kept a sample (fewer where its coarse class is smaller)."""
    sampled: Annotated[int, Field(ge=1)] = 5
    """Neighbours drawn without replacement each time a sample is visited."""
    scope: Literal["coarse", "global"] = "coarse"
    """Search among samples of the same coarse class, or among all (SCAN-like)."""
    features: Literal["inputs", "initial", "teacher"] = "inputs"
    """What is compared: raw inputs, features of the initial (pretrained) backbone, or current teacher features."""
    refresh_epochs: Annotated[int, Field(ge=1)] | None = None
    """Search again every so many epochs; only with ``features: teacher``."""
    targets: Literal["forward", "memory"] = "forward"
    """Teacher predictions of neighbours: a forward pass of their view (reference), or the last one remembered."""

    @model_validator(mode="after")
    def _consistent(self) -> NeighborsConfig:
        if self.sampled > self.stored:
            raise ValueError(f"sampled ({self.sampled}) must be <= stored ({self.stored})")
        if self.refresh_epochs is not None and self.features != "teacher":
            raise ValueError("refresh_epochs needs features: teacher")
        return self


class FlowSolverConfig(Config):
    """Exact successive shortest paths in NumPy."""

    kind: Literal["flow"] = "flow"


class ScipSolverConfig(Config):
    """The binary quadratic programme as it is, by SCIP's branch and bound."""

    kind: Literal["scip"] = "scip"
    time_limit_s: PositiveFloat = 30.0


class CvxpySolverConfig(Config):
    """The programme linearised by slots; its LP relaxation, which is integral, by CVXPY with HiGHS."""

    kind: Literal["cvxpy"] = "cvxpy"
    time_limit_s: PositiveFloat = 30.0


SolverConfig = Annotated[FlowSolverConfig | ScipSolverConfig | CvxpySolverConfig, Field(discriminator="kind")]


class RelationsConfig(Config):
    """How the relations M between fine and coarse classes come about."""

    mode: Literal["learned", "oracle", "random_balanced"] = "learned"
    """``oracle`` reads fine labels to know the true M; ``random_balanced`` fixes a random M with equal column sizes."""
    solver: SolverConfig = FlowSolverConfig()
    balance: Weight = 1.0
    """b = beta / beta*, with beta* = K_C / (2 K_F): at 1, balance becomes nearly a hard constraint."""
    balance_after_soft: bool = False
    """Keep the balance term after the soft phase; the reference drops it there."""
    every_steps: Annotated[int, Field(ge=1)] = 20
    """Solve again every so many optimiser steps, counted over the whole training."""


class NoAugmentationConfig(Config):
    """Both views are the sample itself."""

    kind: Literal["none"] = "none"


class NoiseConfig(Config):
    """Additive Gaussian noise, for vectors."""

    kind: Literal["noise"] = "noise"
    std: PositiveFloat = 0.1
    """Standard deviation in units of the inputs."""
    views: Literal["same", "strong_weak"] = "same"
    """Noise on both views, or on the student's only (the teacher then sees the sample as it is)."""


AugmentationConfig = Annotated[NoAugmentationConfig | NoiseConfig, Field(discriminator="kind")]


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


class EvaluationConfig(Config):
    """What is measured while training."""

    every_epochs: Annotated[int, Field(ge=1)] = 1
    """Evaluate every so many epochs, and always after the last."""
    weights: Literal["student", "teacher"] = "student"
    splits: Annotated[tuple[Literal["train", "val", "test"], ...], Field(min_length=1)] = ("val", "test")
    silhouette_samples: Annotated[int, Field(ge=2)] = 500
    """The silhouette is computed on at most this many samples of a split, drawn by seed."""


class TrialConfig(Config):
    """Everything that determines one trial apart from its seed."""

    data: DataConfig
    model: ModelConfig = ModelConfig()
    classes: ClassesConfig
    objective: ObjectiveConfig = Field(default_factory=lambda: ObjectiveConfig.from_plain({}))
    teacher: TeacherConfig = TeacherConfig()
    neighbors: NeighborsConfig = NeighborsConfig()
    relations: RelationsConfig = RelationsConfig()
    augmentation: AugmentationConfig = NoAugmentationConfig()
    optimizer: OptimizerConfig = SgdConfig()
    schedule: ScheduleConfig = MultistepScheduleConfig()
    epochs: Annotated[int, Field(ge=1)] = 100
    batch_size: Annotated[int, Field(ge=2)] = 256
    """Upper bound; an epoch is cut into batches of equal size (to within one sample)."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16 runs the network under autocast; losses are computed in fp32 either way."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    evaluation: EvaluationConfig = EvaluationConfig()
