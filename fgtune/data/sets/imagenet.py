"""Subsets of ImageNet with coarse classes, from ImageNet's own folders: the BREEDS tasks and tieredImageNet.

Santurkar, Tsipras and Madry, "BREEDS: Benchmarks for Subpopulation Shift" (ICLR 2021), section 3 and appendix A: a
superclass is a node at a given depth of an edited WordNet with enough ImageNet classes below it. A node's depth is its
longest path from the root; of superclasses with more classes than wanted, classes are drawn by a fixed seed.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import networkx as nx
import numpy as np

from fgtune.config.schema.data_images import BreedsConfig, ImageNetSubsetConfig, TieredImageNetConfig
from fgtune.data.base import Dataset
from fgtune.data.readers.data_files import missing, read_lines
from fgtune.data.readers.images import images_in
from fgtune.data.sets.image_folder import image_files
from fgtune.data.splits import held_out
from fgtune.errors import DataError

LAYOUT = "PATH/train/WNID/*.JPEG and PATH/val/WNID/*.JPEG, with WNID such as n01440764"
GET = "ILSVRC 2012 is given out on https://www.image-net.org; sort its validation images into folders by class."
TIERED_LAYOUT = "INFO/{train,val,test}.csv with a row 'wnid,parent' for each class"
TIERED_GET = "Write them from the class lists of tieredImageNet (Ren et al. 2018)."
INFO_FILES = ("dataset_class_info.json", "class_hierarchy.txt", "node_names.txt")
INFO_LAYOUT = f"INFO/{{{','.join(INFO_FILES)}}}"
INFO_GET = "Take them from imagenet_class_hierarchy/modified of https://github.com/MadryLab/BREEDS-Benchmarks."
_PATH = "trial.data.info"
_ROOT = "n00001740"
_CHOICE_SEED = 2
_WNID = re.compile(r"n\d{8}")


@dataclass(frozen=True)
class BreedsTask:
    """Where a task's superclasses lie: ``depth`` below the root, under ``ancestor``; their number and their size."""

    depth: int
    ancestor: str
    num_coarse: int
    fine_each: int


TASKS: Mapping[str, BreedsTask] = {
    "living17": BreedsTask(5, "n00004258", 17, 4),
    "nonliving26": BreedsTask(5, "n00021939", 26, 4),
    "entity13": BreedsTask(3, _ROOT, 13, 20),
    "entity30": BreedsTask(4, _ROOT, 30, 8),
}


@dataclass(frozen=True)
class Hierarchy:
    """The contents of the release's files.

    Attributes:
        classes: Names of the ImageNet classes by WordNet id.
        graph: Edges from each id to those directly below it.
        names: Names of inner nodes by id.
    """

    classes: Mapping[str, str]
    graph: nx.DiGraph[str]
    names: Mapping[str, str]

    def pruned(self) -> nx.DiGraph[str]:
        """The subgraph of nodes on a path to an ImageNet class."""
        classes = self.graph.nodes & self.classes.keys()
        kept = classes.union(*(nx.ancestors(self.graph, wnid) for wnid in classes))
        return self.graph.subgraph(kept)


def load_breeds(config: BreedsConfig) -> Dataset:
    """A BREEDS task, as (N, 3, size, size) uint8; coarse classes by WordNet id, fine ones in the order of the draw."""
    hierarchy = read_hierarchy(Path(config.info))
    groups = superclasses(hierarchy, config.task)
    coarse_names = [hierarchy.names.get(node, node) for node in groups]
    return _subset(f"breeds ({config.task})", config, list(groups.values()), coarse_names, hierarchy.classes)


def load_tiered_imagenet(config: TieredImageNetConfig) -> Dataset:
    """All classes of tieredImageNet, as (N, 3, size, size) uint8; coarse classes by name, fine ones by WordNet id."""
    parents: dict[str, str] = {}
    for part in ("train", "val", "test"):
        for wnid, parent in _read_classes(Path(config.info) / f"{part}.csv"):
            if parents.setdefault(wnid, parent) != parent:
                rule = f"class {wnid} has two parents, {parents[wnid]!r} and {parent!r}"
                raise DataError(rule, where=str(Path(config.info) / f"{part}.csv"), path=_PATH)
    names = sorted(set(parents.values()))
    groups = [sorted(wnid for wnid, parent in parents.items() if parent == name) for name in names]
    return _subset("tiered_imagenet", config, groups, names, {})


def _read_classes(file: Path) -> list[tuple[str, str]]:
    lines = read_lines(file, f"class list {file.name!r}", _PATH, TIERED_LAYOUT, TIERED_GET)
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines)]
    if rows and not _WNID.fullmatch(rows[0][0]):  # a header
        rows = rows[1:]
    wrong = next((row for row in rows if len(row) < 2 or not _WNID.fullmatch(row[0]) or not row[1]), None)
    if wrong is not None or not rows:
        rule, fix = "must have rows 'wnid,parent'", f"Expected layout: {TIERED_LAYOUT}."
        raise DataError(rule, where=str(file), path=_PATH, value=",".join(wrong or []), fix=fix)
    return [(row[0], row[1]) for row in rows]


def _subset(
    name: str,
    config: ImageNetSubsetConfig,
    groups: Sequence[Sequence[str]],
    coarse_names: Sequence[str],
    fine_names: Mapping[str, str],
) -> Dataset:
    """The images of classes in groups, with ImageNet's validation part as the test split."""
    root = Path(config.path)
    wnids = [wnid for group in groups for wnid in group]
    parents = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    names: list[str] = []
    counts = np.zeros((2, len(wnids)), dtype=np.int64)
    for part, folder in enumerate(("train", "val")):
        for number, wnid in enumerate(wnids):
            found = _images_of(root, folder, wnid)
            names += [f"{folder}/{wnid}/{file}" for file in found]
            counts[part, number] = len(found)
    fine = np.repeat(np.tile(np.arange(len(wnids), dtype=np.int64), 2), counts.ravel())
    coarse = parents[fine][:, None].astype(np.int64)
    split = np.full(len(fine), 2, dtype=np.int64)
    num_train = int(counts[0].sum())
    split[:num_train] = held_out(coarse[:num_train], config.val_fraction, config.split_seed)
    return Dataset(
        name=name,
        inputs=image_files(root, names, config),
        coarse=coarse,
        num_coarse=(len(groups),),
        fine=fine,
        num_fine=len(wnids),
        given_split=split,
        coarse_names=(tuple(coarse_names),),
        fine_names=tuple(fine_names.get(wnid, wnid) for wnid in wnids),
    )


def _images_of(root: Path, part: str, wnid: str) -> list[str]:
    folder = root / part / wnid
    found = images_in(folder) if folder.is_dir() else []
    if not found:
        raise missing(f"images of class {wnid}", [folder], LAYOUT, GET)
    return found


def read_hierarchy(info: Path) -> Hierarchy:
    """Read the three files.

    Raises:
        DataError: If one is missing or damaged.
    """
    lines = {
        name: read_lines(info / name, f"BREEDS file {name!r}", _PATH, INFO_LAYOUT, INFO_GET) for name in INFO_FILES
    }
    try:
        listed = json.loads("\n".join(lines["dataset_class_info.json"]))
        classes = {str(wnid): str(name) for _, wnid, name in listed}
    except (ValueError, TypeError, RecursionError) as error:
        raise _damaged(info / INFO_FILES[0], "a list of [number, WordNet id, name]") from error
    edges = [line.split() for line in lines["class_hierarchy.txt"]]
    wrong = next((edge for edge in edges if len(edge) != 2), None)
    if wrong is not None:
        raise _damaged(info / INFO_FILES[1], f"'parent child' in every line, not {' '.join(wrong)[:60]!r}")
    names = dict(line.split("\t", 1) for line in lines["node_names.txt"] if "\t" in line)
    return Hierarchy(classes, nx.DiGraph(edges), names)


def superclasses(hierarchy: Hierarchy, task: str) -> dict[str, tuple[str, ...]]:
    """The superclasses of a task and the ImageNet classes of each, by WordNet id.

    Args:
        hierarchy: The release's files.
        task: A key of ``TASKS``.

    Raises:
        DataError: If the hierarchy does not give the task its published shape.
    """
    wanted, graph = TASKS[task], hierarchy.pruned()
    depths = _depths(graph, _ROOT)
    below = {wanted.ancestor} | (nx.descendants(graph, wanted.ancestor) if wanted.ancestor in graph else set())
    rng = np.random.RandomState(_CHOICE_SEED)  # the release's generator, whose draws must be repeated
    found: dict[str, tuple[str, ...]] = {}
    for node in sorted(node for node, depth in depths.items() if depth == wanted.depth and node in below):
        classes = sorted(_classes_below(graph, node, hierarchy.classes))
        if len(classes) >= wanted.fine_each:
            drawn = rng.permutation(len(classes))[: wanted.fine_each]
            found[node] = tuple(classes[index] for index in drawn)
    members = [wnid for classes in found.values() for wnid in classes]
    if len(found) != wanted.num_coarse or len(set(members)) != len(members):
        raise DataError(
            f"the class hierarchy gives {len(found)} superclasses with {len(set(members))} classes; {task} has "
            f"{wanted.num_coarse} with {wanted.num_coarse * wanted.fine_each}",
            path=_PATH,
            fix=INFO_GET,
        )
    return found


def _depths(graph: nx.DiGraph[str], root: str) -> dict[str, int]:
    """Length of the longest path from the root to every node below it."""
    if root not in graph:
        return {root: 0}
    reached = graph.subgraph(nx.descendants(graph, root) | {root})
    depths: dict[str, int] = {}
    try:
        for node in nx.topological_sort(reached):
            depths[node] = max((depths[parent] + 1 for parent in reached.predecessors(node)), default=0)
    except nx.NetworkXUnfeasible as error:
        raise DataError("the class hierarchy has a cycle", path=_PATH, fix=INFO_GET) from error
    return depths


def _classes_below(graph: nx.DiGraph[str], node: str, classes: Mapping[str, str]) -> set[str]:
    """ImageNet classes at or below a node; what lies below a class belongs to it."""
    open_edges = nx.subgraph_view(graph, filter_edge=lambda above, _: above == node or above not in classes)
    below: set[str] = nx.descendants(open_edges, node)
    return (below | {node}) & classes.keys()


def _damaged(file: Path, expected: str) -> DataError:
    return DataError(f"must be {expected}", where=str(file), path=_PATH, fix=INFO_GET)
