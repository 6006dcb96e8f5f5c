"""Studies and overrides given as dicts mean what the same text in a file or after ``--set`` means."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fgtune.app.notebooks.plain import override_texts, plain, study_text
from fgtune.config.reading.source import parse_plain, parse_value, parse_yaml
from fgtune.errors import ConfigError

SCALARS = st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | st.text(max_size=20)
NUMBERS = st.floats(-1e30, 1e30, allow_nan=False)
VALUES = st.recursive(
    SCALARS | NUMBERS,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=8), below, max_size=3),
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(VALUES)
def test_an_override_from_a_dict_is_read_as_the_same_value(value):
    (text,) = override_texts({"trial.config": value})
    path, _, written = text.partition("=")
    assert path == "trial.config"
    assert parse_value(written, "--set") == value


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=30)
@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), VALUES, max_size=4))
def test_a_written_study_reads_back_to_the_same_data(data):
    again = parse_yaml(study_text({"study": "x", **data}), "file").data
    assert again == {"study": "x", **data}


def test_values_of_numpy_tuples_and_paths_become_plain():
    value = {"a": (np.float64(0.5), np.int64(3), np.bool_(True)), "b": np.arange(2), "c": Path("x/y")}
    made = plain(value)
    assert made == {"a": [0.5, 3, True], "b": [0, 1], "c": "x/y"}
    assert [type(each) for each in made["a"]] == [float, int, bool]


def test_data_that_contain_themselves_are_refused():
    loop: dict[str, object] = {"study": "x"}
    loop["trial"] = loop
    with pytest.raises(ConfigError, match="study: lists and mappings must nest at most 50 levels deep"):
        parse_plain(plain(loop), "study")


def test_a_dict_is_read_where_a_file_of_the_same_size_would_be():
    many = {"study": "x", "list": list(range(100_001))}
    with pytest.raises(ConfigError, match="must hold at most 100,000 keys and values"):
        parse_plain(many, "study")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("trial.epochs=3", r"overrides: must be a list of strings, got 'trial.epochs=3'"),
        ({3: 4}, "overrides: a key must be text, got 3"),
        ({"trial.epochs": float("inf")}, r"overrides\['trial.epochs'\]: must be text, a finite number"),
        ({"trial.epochs": object()}, r"overrides\['trial.epochs'\]: must be text, a finite number"),
    ],
)
def test_overrides_of_no_known_form_are_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        override_texts(given)
