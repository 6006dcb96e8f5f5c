from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from fgtune.config.reading.load import load_study
from fgtune.config.reading.reference import study_schema
from fgtune.config.reading.source import parse_yaml
from fgtune.errors import ConfigError

SHIPPED = sorted((Path(__file__).parents[3] / "studies").glob("*.yaml"))
VALIDATOR = jsonschema.Draft202012Validator(study_schema())


def plain(text: str):
    return parse_yaml(text, "s.yaml").data


def test_the_schema_is_itself_valid_and_is_json():
    jsonschema.Draft202012Validator.check_schema(study_schema())
    assert json.loads(json.dumps(study_schema())) == study_schema()
    assert study_schema()["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert study_schema()["title"] == "fgtune study"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_studies_keep_the_schema(path):
    VALIDATOR.validate(plain(path.read_text()))
    VALIDATOR.validate(load_study(path).study.to_plain())


def test_weights_that_the_preset_fills_may_be_left_out(write):
    text = write(("epochs: 60", "objective: {preset: falcon}")).read_text()
    VALIDATOR.validate(plain(text))


def test_settings_carry_their_descriptions():
    definitions = study_schema()["$defs"]
    assert "K_F" in definitions["ClassesConfig"]["properties"]["num_fine"]["description"]
    assert definitions["SgdConfig"]["description"] == "Stochastic gradient descent."


@pytest.mark.parametrize(
    "replaced",
    [
        ("epochs: 60", "epocs: 60"),
        ("epochs: 60", "epochs: '60'"),
        ("epochs: 60", "epochs: 0"),
        ("kind: digits", "kind: digts"),
        ("kind: sgd, ", ""),
        ("kind: sgd", "kind: adamw, momentum: 0.9"),
        ("[0.8, 1.0, 1.2]", "[]"),
        ("    classes.num_fine_ratio: [0.8", "    Lr Rate: [0.8"),
        ("seeds: 3", "seeds: []"),
        ("question: What happens?\n", ""),
        ("[test/ari]", "[ari]"),
    ],
    ids=lambda replaced: replaced[1] or replaced[0],
)
def test_what_an_editor_can_see_is_wrong_loading_refuses_too(write, replaced):
    path = write(replaced)
    assert not VALIDATOR.is_valid(plain(path.read_text()))
    with pytest.raises(ConfigError):
        load_study(path)
