"""Plain YAML by libyaml: the same nodes at the same lines as ruamel.yaml's, or none."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, ScalarNode

from fgtune.config.reading import plain_yaml
from fgtune.config.reading.plain_yaml import plain_nodes

ROOT = Path(__file__).parents[3]
SHIPPED = sorted([*ROOT.glob("studies/*.yaml"), *ROOT.glob("search_spaces/*.yaml")])
WORDS = (
    "a b 1 1.5 1e-3 off true null ~ 0x1f 010 -- [ ] { } , : # \" ' \\ é λ ? > | %  @ ` . ... --- = x-y :1 '' +1 12:30"
)
ENDS = ['""', " ", ": ", ", ", "\n", "\n  ", "\n    ", "\n- ", " #", "\t", "\x85", "\u2028", "\ufeff"]
WHOLE = ["2001-01-01", ".inf", "[1, 2]", "{a: 1}", "{a: [b]}", "&a ", "*a", "!!int ", "<<: ", "%YAML 1.1", ">-", "- "]
TEXTS = st.lists(st.sampled_from([*WORDS.split(), *ENDS, *WHOLE]), max_size=14)


def content(node):
    """What a node is; of nothing in a mapping not its line, for which the line of the key stands."""
    if isinstance(node, ScalarNode):
        return node.tag, node.value, node.start_mark.line
    if isinstance(node, MappingNode):
        pairs = [(content(key), content(value)) for key, value in node.value]
        held = [(key, value if value[1] else value[:2]) for key, value in pairs]
    else:
        held = [content(each) for each in node.value]
    return node.tag, held, node.start_mark.line


def ours(text, max_nodes=1000, max_depth=50):
    return plain_nodes(text, YAML(typ="safe", pure=True).resolver, max_nodes, max_depth)


@given(TEXTS)
def test_any_text_is_read_alike_or_left_to_ruamel(pieces):
    text = "".join(pieces)
    for each in (text, f"k: {text}"):
        found = ours(each)
        if found is not None:
            assert content(found) == content(YAML(typ="safe", pure=True).compose(each))


def test_shipped_files_are_plain():
    assert SHIPPED
    assert [path.name for path in SHIPPED if ours(path.read_text(encoding="utf-8"), max_nodes=10_000) is None] == []


@pytest.mark.slow
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_files_are_read_alike(path):
    text = path.read_text(encoding="utf-8")
    assert content(ours(text, max_nodes=10_000)) == content(YAML(typ="safe", pure=True).compose(text))


LEFT = {
    "anchor": "a: &x 1",
    "alias": "a: &x 1\nb: *x",
    "tag": "a: !!int 1",
    "merged keys": "a: {<<: {b: 1}}",
    "directive": "%YAML 1.1\n---\na: off",
    "document": "---\na: 1",
    "end of a document": "a: 1\n...\n",
    "tab": "a:\t1",
    "other line end": "a: b\u2028c: d",
    "block at the root": ">\n#a",
    "head of a block": "a: >#\n  b",
    "nothing in a list": "- \n- a",
    "empty": "# nothing",
    "too many": "[a, b, c, d, e]",
    "too deep": "[[[[a]]]]",
    "no YAML": "a: [1",
    "half a character": "a: \ud800",
}


@pytest.mark.parametrize("case", LEFT)
def test_what_is_not_plain_is_left_to_ruamel(case):
    assert ours(LEFT[case], max_nodes=5, max_depth=3) is None


def test_without_libyaml_everything_is(monkeypatch):
    assert ours("a: 1") is not None
    monkeypatch.setattr(plain_yaml, "CParser", None)
    assert ours("a: 1") is None
