"""The config of one trial: data, model, objective, relations, optimiser; defaults are the FALCON reference values.

Sources: FALCON (ICML 2024), sections 4-5 and appendix G, and its released configuration where the two differ. The
field docstrings say what each setting does; ``docs/settings.md`` says which values the papers used and searched.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fgtune.config.schema.augmentation import AugmentationConfig, NoAugmentationConfig
from fgtune.config.schema.base import Config, Count
from fgtune.config.schema.classes import ClassesConfig, ClusteringConfig, RelationsConfig
from fgtune.config.schema.data import DataConfig
from fgtune.config.schema.model import ModelConfig
from fgtune.config.schema.objective import ObjectiveConfig
from fgtune.config.schema.training import (
    EvaluationConfig,
    MultistepScheduleConfig,
    NeighborsConfig,
    OptimizerConfig,
    ScheduleConfig,
    SgdConfig,
    TeacherConfig,
)


class TrialConfig(Config):
    """Everything that determines one trial apart from its seed."""

    data: DataConfig
    model: ModelConfig = ModelConfig()
    classes: ClassesConfig
    objective: ObjectiveConfig = Field(default_factory=lambda: ObjectiveConfig.from_plain({}))
    clustering: ClusteringConfig = ClusteringConfig()
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
    """bf16 and fp16 (with gradient scaling, on a GPU only) run the network under autocast; losses are fp32 always."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    evaluation: EvaluationConfig = EvaluationConfig()
