"""Nodes of plain YAML by libyaml, which reads a study in a thirtieth of the time that ruamel.yaml takes.

libyaml knows YAML 1.1 only. Plain is what means the same to both: one document of lists, mappings and scalars, and
comments. What has an anchor, tag, directive, tab or mark of a document, and what libyaml refuses, is left to
ruamel.yaml, whose messages name the fault.
"""

from __future__ import annotations

import re
from typing import Any

import yaml
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.resolver import VersionedResolver

try:
    from yaml.cyaml import CParser
except ImportError:  # PyYAML may have been built without libyaml
    CParser = None

_NOT_PLAIN = re.compile(
    r"[^\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"  # tabs, other line ends
    r"|<<"  # keys to be merged
    r"|[|>][-+0-9]*#"  # a block of text whose head goes on
)


def plain_nodes(text: str, resolver: VersionedResolver, max_nodes: int, max_depth: int) -> Node | None:
    """The node tree of plain YAML with a line for each node, or None where the text is to be read otherwise.

    Args:
        text: A document.
        resolver: Finds the tags of scalars.
        max_nodes: Most keys and values.
        max_depth: How deep lists and mappings may nest.
    """
    if CParser is None or _NOT_PLAIN.search(text):
        return None
    try:
        return _tree(CParser(text), resolver, max_nodes, max_depth)
    except yaml.YAMLError:
        return None


def _tree(parser: Any, resolver: VersionedResolver, max_nodes: int, max_depth: int) -> Node | None:
    """The root of the events of a parser; None where one of them is not plain."""
    inside: list[Node] = []  # the open nodes
    parts: list[list[Node]] = [[]]  # the nodes in each of them, of a mapping keys and values in turns
    nodes = 0
    while (event := parser.get_event()) is not None:
        if isinstance(event, yaml.NodeEvent):
            nodes += 1
            if event.anchor is not None or isinstance(event, yaml.AliasEvent) or event.tag is not None:
                return None
            if isinstance(event, yaml.ScalarEvent) and not _is_alike(event, inside):
                return None
            node = _node(event, resolver)
            parts[-1].append(node)
            if not isinstance(node, ScalarNode):
                inside.append(node)
                parts.append([])
            if nodes > max_nodes or len(inside) > max_depth:
                return None
        elif isinstance(event, yaml.CollectionEndEvent):
            ended, held = inside.pop(), parts.pop()
            ended.value = held if isinstance(ended, SequenceNode) else list(zip(held[::2], held[1::2], strict=True))
        elif isinstance(event, yaml.DocumentStartEvent | yaml.DocumentEndEvent) and event.explicit:
            return None
    return parts[0][0] if parts[0] else None


def _is_alike(event: yaml.ScalarEvent, inside: list[Node]) -> bool:
    """Whether both libraries see the same text at the same line, which of a value in a mapping nobody asks for."""
    if event.style in ("|", ">"):
        return bool(inside)  # at the root they begin blocks at different indents
    return bool(event.style or event.value) or (bool(inside) and isinstance(inside[-1], MappingNode))


def _node(event: yaml.NodeEvent, resolver: VersionedResolver) -> Node:
    """The node that an event begins, of a list or mapping without what is in it."""
    if isinstance(event, yaml.ScalarEvent):
        tag = resolver.resolve(ScalarNode, event.value, event.implicit)
        return ScalarNode(tag, event.value, event.start_mark, event.end_mark, style=event.style)
    made = SequenceNode if isinstance(event, yaml.SequenceStartEvent) else MappingNode
    return made(resolver.resolve(made, None, event.implicit), [], event.start_mark, flow_style=event.flow_style)
