from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from fgtune.config.reading.source import MAX_NODES, Origins, parse_value, parse_yaml
from fgtune.config.schema.paths import dotted
from fgtune.errors import ConfigError, MultiConfigError


def test_numbers_and_words_are_read_as_yaml_1_2_means_them():
    data = parse_yaml("a: 1e-3\nb: off\nc: 010\nd: yes\ne: ~\nf: 1_000\ng: 0x10\n", "s.yaml").data
    assert data == {"a": 0.001, "b": "off", "c": 10, "d": "yes", "e": None, "f": 1000, "g": 16}


def test_every_key_and_item_has_its_line():
    source = parse_yaml("# first\na:\n  b.c:\n    - 1\n    - {d: 2}\n", "s.yaml")
    assert source.origins.where(("a",)) == "s.yaml:2"
    assert source.origins.where(("a", "b.c")) == "s.yaml:3"
    assert source.origins.where(("a", "b.c", 1)) == "s.yaml:5"
    assert source.origins.where(("a", "b.c", 1, "d", "absent", 3)) == "s.yaml:5"
    assert source.origins.where(("absent",)) == "s.yaml"


def test_merge_keys_fill_gaps_and_point_at_the_line_of_the_value():
    text = "base: &base\n  x: 1\n  y: 2\nown:\n  <<: *base\n  y: 3\n"
    source = parse_yaml(text, "s.yaml")
    assert source.data["own"] == {"x": 1, "y": 3}
    assert source.origins.where(("own", "x")) == "s.yaml:2"
    assert source.origins.where(("own", "y")) == "s.yaml:6"


def test_a_list_of_merge_keys_prefers_the_first():
    source = parse_yaml("a: &a {x: 1}\nb: &b {x: 2, y: 2}\nown: {<<: [*a, *b]}\n", "s.yaml")
    assert source.data["own"] == {"x": 1, "y": 2}
    assert source.origins.where(("own", "x")) == "s.yaml:1"
    assert source.origins.where(("own", "y")) == "s.yaml:2"


def test_a_value_from_elsewhere_is_told_with_its_origin():
    origins = Origins("s.yaml", {("a",): 1, ("a", "b"): 2}).with_patched({("a", "b"): "--set a.b=3"})
    assert origins.where(("a", "b")) == "--set a.b=3"
    assert origins.where(("a", "b", "c")) == "--set a.b=3"
    assert origins.where(("a",)) == "s.yaml:1"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("a: 1\nb: 2\na: 3\n", r"^s\.yaml:3: a: key given twice, on lines 1 and 3\. Fix: keep one of the two lines$"),
        ("o:\n  a: 1\n  a: 1\n", r"^s\.yaml:3: o\.a: key given twice, on lines 2 and 3\."),
        ("a: [1\nb: 2", r"^s\.yaml:2: is not valid YAML: expected ',' or '\]'"),
        ("a:\n\t- 1", r"^s\.yaml:2: is not valid YAML: found character '\\t'"),
        ("a: *no", r"^s\.yaml:1: is not valid YAML: found undefined alias 'no'"),
        ("a: 1\n---\nb: 2\n", r"^s\.yaml:2: is not valid YAML: but found another document"),
        ("a: 1\nb: !python/object:os.system x", r"^s\.yaml:2: is not valid YAML: could not determine a constructor"),
        ("\x00", r"^s\.yaml:1: is not YAML: "),
        ("- 1\n", r"^s\.yaml: must hold a mapping of keys to values\. Fix: begin with `study: NAME`$"),
        ("", r"^s\.yaml: must hold a mapping of keys to values"),
        ("a: &x\n  b: [*x]\n", r"^s\.yaml:1: a\.b\[0\]: an anchor must not contain itself$"),
        ("a: .nan\n", r"^s\.yaml:1: a: must be a finite number, got nan$"),
        ("a: [1, -.inf]\n", r"^s\.yaml:1: a\[1\]: must be a finite number, got -inf$"),
        ("a: 2020-01-01\n", r"^s\.yaml:1: a: must be text, a number, .*, got '2020-01-01'"),
        ("a: {1: x}\n", r"^s\.yaml:1: a\.1: a key must be text, got 1\. Fix: put it in quotes$"),
        ("a: !!set {x}\n", r"^s\.yaml:1: a: must be text, a number, true, false, null, a list or a mapping"),
    ],
)
def test_what_no_config_can_hold_is_told_with_its_line(text, match):
    with pytest.raises(ConfigError, match=match):
        parse_yaml(text, "s.yaml")


def test_several_repeated_keys_are_told_together():
    with pytest.raises(MultiConfigError) as caught:
        parse_yaml("a: 1\na: 2\nb: 1\nb: 2\n", "s.yaml")
    assert [error.path for error in caught.value.errors] == ["a", "b"]
    assert len(str(caught.value).splitlines()) == 2


def test_aliases_that_multiply_without_end_are_refused():
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 8)]
    with pytest.raises(ConfigError, match=f"must hold at most {MAX_NODES:,} keys and values, aliases expanded"):
        parse_yaml("\n".join(levels), "s.yaml")


def test_command_line_values_are_yaml():
    assert parse_value("3", "--set") == 3
    assert parse_value("", "--set") is None
    assert parse_value("[1, a]", "--set") == [1, "a"]
    assert parse_value("{kind: adamw, lr: 1e-3}", "--set") == {"kind": "adamw", "lr": 0.001}
    with pytest.raises(ConfigError, match=r"^--set a=\[1: is not valid YAML: "):
        parse_value("[1", "--set a=[1")
    with pytest.raises(ConfigError, match=r"^--set a=\.nan: must be a finite number, got nan$"):
        parse_value(".nan", "--set a=.nan")


def test_paths_are_written_as_people_write_them():
    assert dotted(("design", "arms", 1, "set", "relations.mode")) == "design.arms[1].set.relations.mode"
    assert dotted(()) == ""


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(min_value=-3.4e38, max_value=3.4e38)
    | st.text("abc xyz:#-é", max_size=8),
    lambda below: (
        st.lists(below, max_size=3) | st.dictionaries(st.text("abc_", min_size=1, max_size=4), below, max_size=3)
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.text("abc_.", min_size=1, max_size=5), PLAIN, max_size=4))
def test_json_is_read_as_itself(data):
    assert parse_yaml(json.dumps(data), "s.yaml").data == data


@settings(deadline=None, max_examples=60)
@given(st.text("ab:-[]{}&*!|>'\"#,\n\t ?%@<1.", max_size=40))
def test_any_text_is_read_or_refused_with_a_message(text):
    refused = None
    try:
        data = parse_yaml(text, "s.yaml").data
    except ConfigError as error:
        refused = error
    if refused is not None:
        assert refused.where.startswith("s.yaml")
    else:
        assert data == YAML(typ="safe", pure=True).load(text)
        json.dumps(data, allow_nan=False)
