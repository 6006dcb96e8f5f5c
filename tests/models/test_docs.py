"""docs/models.md names every kind and field there is, and its example is a valid trial."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from fgtune.config.schema.model import ModelConfig, WeightsConfig
from fgtune.config.schema.paths import kind_of, submodels
from fgtune.config.schema.trial import TrialConfig

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")


def test_the_example_is_a_valid_trial():
    example = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL).group(1)
    config = TrialConfig.from_plain(YAML(typ="safe", pure=True).load(example)["trial"])
    assert config.model.weights.layout == "solo_learn"


@pytest.mark.parametrize(
    ("model", "section"),
    [(ModelConfig, "backbone"), (ModelConfig, "head"), (TrialConfig, "augmentation"), (ModelConfig, "pretrain")],
)
def test_every_kind_and_field_is_in_the_tables(model, section):
    for config in submodels(model.model_fields[section].annotation):
        assert f"`{kind_of(config) or 'package.module:name'}`" in PAGE
        for field in config.model_fields.keys() - {"kind"}:
            assert f"`{field}`" in PAGE, field


def test_every_switch_is_named():
    switches = ModelConfig.model_fields.keys() - {"backbone", "head"}
    assert all(f"`model.{switch}`" in PAGE for switch in switches)
    assert all(f"`{field}`" in PAGE for field in WeightsConfig.model_fields)
