"""Loss weights, presets of them, and pseudo-labels; defaults are the FALCON reference values."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, model_validator

from fgtune.config.base import Config
from fgtune.config.data import Fraction, PositiveFloat, Weight

PRESETS: dict[str, dict[str, float]] = {
    "falcon": {"lambda_coarse": 0.5, "lambda_nn": 0.5, "lambda_conf": 0.5, "lambda_reg": 2.0},
}
"""Loss weights by preset name; a weight given in the study file wins over the preset's."""


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
