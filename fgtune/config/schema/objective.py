"""Loss weights, their presets, and the settings of single terms; defaults are the published values.

Weights come from the registry, ``fgtune.catalog.terms``; only the other settings of a term are declared here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, create_model, model_validator

from fgtune.catalog.terms import TERMS, weight_of
from fgtune.config.schema.base import Config, Count, Fraction, PartName, PositiveFloat, Weight
from fgtune.config.schema.clustering import GeorgeClusteringConfig, ScanClusteringConfig
from fgtune.config.schema.contrast import (
    AncorConfig,
    ParametricInstanceConfig,
    QueueInstanceConfig,
    ScgmConfig,
    SncaConfig,
)
from fgtune.config.schema.model import ProjectionHeadConfig
from fgtune.config.schema.plugin import PluginTermConfig

_FALCON = {"lambda_coarse": 0.5, "lambda_nn": 0.5, "lambda_conf": 0.5, "lambda_reg": 2.0}
_RELEASED_QUEUE = {
    "kind": "queue",
    "start": "random",
    "coarse_weight": 0.5,
    "key_statistics": "batch",
    "batch_groups": 8,
}

PRESETS: dict[str, dict[str, Any]] = {
    "falcon": _FALCON,
    "falcon_warm": {**_FALCON, "prior": "clusters"},
    "base": {"lambda_base": 1.0},
    "fine": {"lambda_fine": 1.0},
    "indi": {"lambda_instance": 1.0},
    "base_indi": {"lambda_base": 1.0, "lambda_instance": 1.0},
    "coins": {"lambda_base": 0.5, "lambda_instance": 1.0, "instance": {"kind": "queue"}},
    "coins_released": {"lambda_instance": 1.0, "instance": _RELEASED_QUEUE},
    "label_smoothing": {"lambda_base": 1.0, "label_smoothing": 0.1},
    "fierce": {"lambda_base": 1.0, "lambda_entropic": 1.0},
    "scan": {"lambda_nn": 1.0, "lambda_reg": 5.0},
    "scan_self_label": {"lambda_nn": 1.0, "lambda_reg": 5.0, "lambda_self_label": 1.0},
    "scan_per_class": {"lambda_base": 1.0},
    "scan_distilled": {"lambda_nn": 1.0, "lambda_reg": 5.0},
    "snca": {"lambda_snca": 1.0},
    "ancor": {"lambda_ancor": 1.0},
    "scgm": {"lambda_scgm": 1.0},
    "george": {"lambda_base": 1.0},
    "falcon_instance": {**_FALCON, "lambda_instance": 0.1},
    "falcon_entropic": {**_FALCON, "lambda_entropic": 0.1},
    "untrained": {},
}
"""Values by preset name; weights that a preset leaves out are 0, and one given in the study file overrides both."""

PRESET_SETTINGS: dict[str, dict[str, dict[str, Any] | Config]] = {
    "falcon_warm": {"relations": {"sizes": "variance", "balance": 0.1}, "warm_start": {"fraction": 0.15}},
    "scgm": {"model": {"head": ProjectionHeadConfig()}, "relations": {"balance": 0.0}},
    "george": {"clustering": GeorgeClusteringConfig()},
    "scan_per_class": {"clustering": ScanClusteringConfig()},
    "scan_distilled": {"clustering": ScanClusteringConfig(), "warm_start": {"fraction": 1.0}},
}
"""What a preset sets elsewhere in the trial where the study file says nothing: settings of a section, or all of it."""

WEIGHTS = (*map(weight_of, TERMS), "label_smoothing")
"""What a preset may set, besides sections of the objective."""

ORACLE_WEIGHTS = tuple(weight_of(name) for name, term in TERMS.items() if term.reads == "fine classes")
"""Weights of terms that read fine labels."""


def _completed(given: Any, values: Any) -> Any:
    """Settings as given, with those of a preset where nothing is said; a section of another kind stays as given."""
    if not (isinstance(given, dict) and isinstance(values, dict)):
        return given
    if "kind" in values and given.get("kind", values["kind"]) != values["kind"]:
        return given
    return {**values, **{name: _completed(value, values.get(name)) for name, value in given.items()}}


class PseudoLabelConfig(Config):
    """Targets of the confidence term (FALCON eq. 7 and the released code's hardening)."""

    temperature: PositiveFloat = 0.9
    """Temperature T of the teacher's softmax in the soft target."""
    hardening: Literal["cosine", "none", "hard"] = "cosine"
    """``cosine``: soft to hard over the soft phase; ``none``: soft throughout; ``hard``: one-hot from the start."""
    soft_fraction: Fraction = 0.3
    """Length S of the soft phase as a share of the epochs (reference: 30 of 100, 3 of 10)."""


class SelfLabelConfig(Config):
    """The last stage of SCAN, which ``lambda_self_label`` turns on (Van Gansbeke et al. 2020, section 2.3)."""

    fraction: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    """Length of the stage as a share of the epochs, at their end (SCAN: 200 after 200)."""
    threshold: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.99
    """A sample counts where the teacher's largest probability is above it."""


InstanceConfig = Annotated[ParametricInstanceConfig | QueueInstanceConfig, Field(discriminator="kind")]


class EntropicConfig(Config):
    """Entropy of the batch-averaged histogram of features over fixed prototypes (FIERCE, arXiv 2208.03684)."""

    prototypes: Annotated[int, Field(ge=2)] = 100
    """Prototypes K in each group."""
    groups: Count = 1
    """Independent sets of prototypes, their entropies averaged."""
    similarity: Literal["cosine", "dot", "neg_sq_dist"] = "cosine"
    temperature: PositiveFloat = 1.0
    """Divides the similarity. Cosines lie in [-1, 1] and Gumbel noise has deviation 1.28: at 1 the signal is weak."""
    assignment: Literal["hard", "soft"] = "hard"
    """One-hot with a straight-through gradient, or the softmax itself."""
    noise: Literal["gumbel", "none"] = "gumbel"
    placement: Literal["symmetric", "positive", "bins"] = "symmetric"
    """Prototypes are drawn uniformly from [-scale, scale] in every dimension, or from [0, scale] (FIERCE, unmixing); or
    they are the bins scale, 2 scale .. K scale of a feature of one dimension (FIERCE, ages)."""
    scale: PositiveFloat = 1.0
    """Bound of the prototypes that are drawn, or distance of bins."""
    weighting: Literal["additive", "normalized"] = "additive"
    """Add the weighted term, or also divide the whole sum by 1 + its weight (published for ages)."""

    @model_validator(mode="after")
    def _bins_lie_on_a_line(self) -> EntropicConfig:
        if self.placement == "bins" and (self.similarity != "neg_sq_dist" or self.groups != 1):
            raise ValueError("placement bins needs similarity neg_sq_dist and groups 1")
        return self


def _preset_fills(schema: dict[str, Any]) -> None:
    """In the JSON schema no weight is required: the preset fills in what is left out."""
    schema["required"] = []
    for name in WEIGHTS:
        schema["properties"][name].pop("default", None)


class PresetConfig(Config):
    """The preset that fills in weights."""

    preset: Literal[
        "falcon",
        "base",
        "fine",
        "indi",
        "base_indi",
        "coins",
        "coins_released",
        "label_smoothing",
        "fierce",
        "scan",
        "scan_self_label",
        "scan_per_class",
        "scan_distilled",
        "snca",
        "ancor",
        "scgm",
        "george",
        "falcon_instance",
        "falcon_entropic",
        "falcon_warm",
        "untrained",
    ] = "falcon"
    """Values of the weights that are left out."""


if TYPE_CHECKING:
    WeightsConfig = PresetConfig
else:
    WeightsConfig = create_model(
        "WeightsConfig",
        __base__=PresetConfig,
        **{
            weight_of(name): (Weight, Field(description=f"{term.description[0].upper()}{term.description[1:]}."))
            for name, term in TERMS.items()
        },
    )


class ObjectiveConfig(WeightsConfig):
    """Loss weights ``lambda_x``, one per term; a weight of 0 removes its term and what only that term needs."""

    model_config = ConfigDict(json_schema_extra=_preset_fills)
    implied: ClassVar = dict.fromkeys(WEIGHTS, 0.0)

    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)]
    """Share of the target of ``lambda_base`` that is spread over all coarse classes."""
    pseudo_labels: PseudoLabelConfig = PseudoLabelConfig()
    self_labels: SelfLabelConfig = SelfLabelConfig()
    instance: InstanceConfig = ParametricInstanceConfig()
    entropic: EntropicConfig = EntropicConfig()
    snca: SncaConfig = SncaConfig()
    ancor: AncorConfig = AncorConfig()
    scgm: ScgmConfig = ScgmConfig()
    # Lax about lists, which are not tuples to a strict validator once a "before" validator has seen the data.
    prior: (
        Literal["coarse_shares", "clusters", "learned"]
        | Annotated[tuple[PositiveFloat, ...], Field(strict=False)]
        | None
    ) = None
    """Relative sizes of the fine classes, which ``lambda_reg`` pulls the mean prediction to. None: all equal
    (published). ``coarse_shares``: equal within a coarse class, whose classes together have its share of the samples.
    ``clusters``: those of clusters of the inputs within the coarse classes. ``learned``: what the predictions have been
    so far, starting from the clusters. Or numbers, one per fine class, in any order."""
    extra: dict[PartName, PluginTermConfig] = Field(default_factory=dict)
    """Your own terms by name; term ``x`` is measured as ``loss_x``."""

    def weight(self, term: str) -> float:
        """The weight of one of fgtune's terms, >= 0."""
        weight: float = getattr(self, weight_of(term))
        return weight

    @property
    def terms(self) -> frozenset[str]:
        """Names of fgtune's terms with a weight above 0."""
        return frozenset(name for name in TERMS if self.weight(name) > 0)

    @property
    def oracle_weights(self) -> tuple[str, ...]:
        """Weights above 0 of terms that read fine labels."""
        return tuple(weight_of(name) for name in sorted(self.terms) if weight_of(name) in ORACLE_WEIGHTS)

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        preset = data.get("preset", "falcon")
        # An unknown preset is one error, about the preset; without values to fill in there would be one per weight.
        values = PRESETS.get(preset, {}) if isinstance(preset, str) else {}
        return {**dict.fromkeys(WEIGHTS, 0.0), **_completed(data, values)}

    @model_validator(mode="after")
    def _one_momentum_encoder_serves_all(self) -> ObjectiveConfig:
        if isinstance(self.instance, QueueInstanceConfig) and {"instance", "ancor"} <= self.terms:
            for name in ("key_momentum", "key_statistics", "batch_groups"):
                if getattr(self.instance, name) != getattr(self.ancor, name):
                    raise ValueError(f"one momentum encoder serves instance and ancor: give both the same {name}")
        return self

    @model_validator(mode="after")
    def _names_are_free(self) -> ObjectiveConfig:
        taken = sorted({*self.extra} & {*TERMS})
        if taken:
            raise ValueError(f"extra needs a name that no term of fgtune has, it has {', '.join(taken)}")
        return self
