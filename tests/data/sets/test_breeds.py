from __future__ import annotations

import json
import re

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgtune.data.sets.imagenet import TASKS, Hierarchy, _depths, read_hierarchy, superclasses
from fgtune.errors import DataError

ROOT = "n00001740"


@pytest.mark.parametrize("task", TASKS)
def test_each_task_finds_its_superclasses_and_no_others(tmp_path, layouts, task):
    wanted = TASKS[task]
    groups = layouts.write_breeds_info(tmp_path, wanted.depth, wanted.ancestor, wanted.num_coarse, wanted.fine_each)
    found = superclasses(read_hierarchy(tmp_path), task)
    assert list(found) == sorted(groups)
    assert {node: sorted(classes) for node, classes in found.items()} == groups


def test_of_more_classes_than_wanted_the_releases_generator_draws(tmp_path, layouts):
    groups = layouts.write_breeds_info(tmp_path, 5, "n00004258", 17, 7)
    found = superclasses(read_hierarchy(tmp_path), "living17")
    rng = np.random.RandomState(2)
    for node, classes in sorted(groups.items()):
        assert list(found[node]) == rng.choice(sorted(classes), 4, replace=False).tolist()


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_depth_is_the_longest_path_and_pruning_keeps_paths_to_classes(data):
    size = data.draw(st.integers(2, 9))
    pairs = st.tuples(st.integers(0, size - 2), st.integers(1, size - 1)).filter(lambda pair: pair[0] < pair[1])
    edges = data.draw(st.lists(pairs, max_size=20, unique=True))
    classes = data.draw(st.sets(st.integers(1, size - 1), min_size=1))
    names = {number: ROOT if number == 0 else f"n{number}" for number in range(size)}
    named = nx.DiGraph((names[parent], names[child]) for parent, child in edges)
    pruned = Hierarchy({names[number]: "" for number in classes}, named, {}).pruned()
    graph = nx.DiGraph(edges)
    graph.add_nodes_from(range(size))
    useful = {(a, b) for a, b in edges if any(nx.has_path(graph, b, leaf) for leaf in classes)}
    assert set(pruned.edges) == {(names[a], names[b]) for a, b in useful}
    sub = nx.DiGraph(list(useful))
    sub.add_node(0)
    expected = {names[b]: max(len(path) for path in nx.all_simple_paths(sub, 0, b)) - 1 for b in nx.descendants(sub, 0)}
    assert _depths(pruned, ROOT) == expected | {ROOT: 0}


FAULTS = {
    "a file is missing": (lambda info: (info / "node_names.txt").unlink(), "BREEDS file 'node_names.txt' not found"),
    "renamed": (
        lambda info: (info / "class_hierarchy.txt").rename(info / "hierarchy.txt"),
        "BREEDS file 'class_hierarchy.txt' not found; looked for",
    ),
    "truncated list": (
        lambda info: (info / "dataset_class_info.json").write_text('[[0, "n1", "a"]'),
        "must be a list of [number, WordNet id, name]",
    ),
    "another list": (
        lambda info: (info / "dataset_class_info.json").write_text('{"a": [1]}'),
        "must be a list of [number, WordNet id, name]",
    ),
    "nested list": (
        lambda info: (info / "dataset_class_info.json").write_text("[" * 100_000),
        "must be a list of [number, WordNet id, name]",
    ),
    "three columns": (
        lambda info: (info / "class_hierarchy.txt").write_text("a b c\n"),
        "must be 'parent child' in every line, not 'a b c'",
    ),
    "binary": (lambda info: (info / "node_names.txt").write_bytes(b"\xff\xfe\x00"), "is not readable text"),
    "cut off": (
        lambda info: (info / "class_hierarchy.txt").write_text("n00001740 n00004258\n"),
        "the class hierarchy gives 0 superclasses with 0 classes; living17 has 17 with 68",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_gives_one_error_that_says_where_the_files_come_from(tmp_path, layouts, fault):
    layouts.write_breeds_info(tmp_path, 5, "n00004258", 17, 4)
    damage, message = FAULTS[fault]
    damage(tmp_path)
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        superclasses(read_hierarchy(tmp_path), "living17")
    assert "MadryLab/BREEDS-Benchmarks" in str(caught.value) or fault == "binary"
    assert "\n" not in str(caught.value)


def test_a_cycle_is_told(tmp_path, layouts):
    groups = layouts.write_breeds_info(tmp_path, 5, "n00004258", 17, 4)
    node, classes = next(iter(groups.items()))
    with (tmp_path / "class_hierarchy.txt").open("a") as file:
        file.write(f"{classes[0]} {node}\n")
    with pytest.raises(DataError, match="the class hierarchy has a cycle"):
        superclasses(read_hierarchy(tmp_path), "living17")


def test_a_class_below_two_superclasses_is_told(tmp_path, layouts):
    groups = layouts.write_breeds_info(tmp_path, 5, "n00004258", 17, 4)
    (first, classes), (second, _) = list(groups.items())[:2]
    others = json.loads((tmp_path / "dataset_class_info.json").read_text())
    dropped = [row for row in others if row[1] != groups[second][0]]
    (tmp_path / "dataset_class_info.json").write_text(json.dumps(dropped))
    with (tmp_path / "class_hierarchy.txt").open("a") as file:
        file.write(f"{second} {classes[0]}\n")
    with pytest.raises(DataError, match="gives 17 superclasses with 67 classes; living17 has 17 with 68"):
        superclasses(read_hierarchy(tmp_path), "living17")
    assert first in groups
