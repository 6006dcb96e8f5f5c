"""Subsets of ImageNet with coarse classes: the BREEDS tasks and tieredImageNet, from ImageNet's own folders."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fgtune.config.schema.data_images import BreedsConfig, ImageNetSubsetConfig, TieredImageNetConfig
from fgtune.data.base import Dataset
from fgtune.data.readers.data_errors import missing
from fgtune.data.readers.data_files import images_in, read_lines
from fgtune.data.sets.image_folder import image_files
from fgtune.data.sets.wordnet import read_hierarchy, superclasses
from fgtune.data.splits import held_out
from fgtune.errors import DataError

LAYOUT = "PATH/train/WNID/*.JPEG and PATH/val/WNID/*.JPEG, with WNID such as n01440764"
GET = "ILSVRC 2012 is given out on https://www.image-net.org; sort its validation images into folders by class."
TIERED_LAYOUT = "INFO/{train,val,test}.csv with a row 'wnid,parent' for each class"
TIERED_GET = "Write them from the class lists of tieredImageNet (Ren et al. 2018)."
_WNID = re.compile(r"n\d{8}")


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
                raise DataError(rule, where=str(Path(config.info) / f"{part}.csv"), path="trial.data.info")
    names = sorted(set(parents.values()))
    groups = [sorted(wnid for wnid, parent in parents.items() if parent == name) for name in names]
    return _subset("tiered_imagenet", config, groups, names, {})


def _read_classes(file: Path) -> list[tuple[str, str]]:
    lines = read_lines(file, f"class list {file.name!r}", "trial.data.info", TIERED_LAYOUT, TIERED_GET)
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines)]
    if rows and not _WNID.fullmatch(rows[0][0]):  # a header
        rows = rows[1:]
    wrong = next((row for row in rows if len(row) < 2 or not _WNID.fullmatch(row[0]) or not row[1]), None)
    if wrong is not None or not rows:
        raise DataError(
            "must have rows 'wnid,parent'",
            where=str(file),
            path="trial.data.info",
            value=",".join(wrong or []),
            fix=f"Expected layout: {TIERED_LAYOUT}.",
        )
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
