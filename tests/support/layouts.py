"""Writes tiny data sets in the layouts of the published ones, for tests of their loaders."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

OFFICIAL = {
    "aquatic_mammals": "beaver dolphin otter seal whale",
    "fish": "aquarium_fish flatfish ray shark trout",
    "flowers": "orchid poppy rose sunflower tulip",
    "food_containers": "bottle bowl can cup plate",
    "fruit_and_vegetables": "apple mushroom orange pear sweet_pepper",
    "household_electrical_devices": "clock keyboard lamp telephone television",
    "household_furniture": "bed chair couch table wardrobe",
    "insects": "bee beetle butterfly caterpillar cockroach",
    "large_carnivores": "bear leopard lion tiger wolf",
    "large_man-made_outdoor_things": "bridge castle house road skyscraper",
    "large_natural_outdoor_scenes": "cloud forest mountain plain sea",
    "large_omnivores_and_herbivores": "camel cattle chimpanzee elephant kangaroo",
    "medium_mammals": "fox porcupine possum raccoon skunk",
    "non-insect_invertebrates": "crab lobster snail spider worm",
    "people": "baby boy girl man woman",
    "reptiles": "crocodile dinosaur lizard snake turtle",
    "small_mammals": "hamster mouse rabbit shrew squirrel",
    "trees": "maple_tree oak_tree palm_tree pine_tree willow_tree",
    "vehicles_1": "bicycle bus motorcycle pickup_truck train",
    "vehicles_2": "lawn_mower rocket streetcar tank tractor",
}
"""CIFAR-100's official groups and their classes."""

FINE_NAMES = sorted(name for members in OFFICIAL.values() for name in members.split())
COARSE_NAMES = sorted(OFFICIAL)
PARENT = {name: COARSE_NAMES.index(group) for group, members in OFFICIAL.items() for name in members.split()}


def cifar_part(per_class: int, seed: int) -> dict:
    """One official file's content: every class ``per_class`` times, shuffled; the first pixel is the class."""
    rng = np.random.default_rng(seed)
    fine = rng.permutation(np.repeat(np.arange(100), per_class))
    data = rng.integers(0, 256, (len(fine), 3072), dtype=np.uint8)
    data[:, 0] = fine
    return {
        "data": data,
        "fine_labels": fine.tolist(),
        "coarse_labels": [PARENT[FINE_NAMES[label]] for label in fine],
        "filenames": [f"{label}_{row}.png" for row, label in enumerate(fine)],
        "batch_label": "training batch 1 of 1",
    }


def write_pickle(file: Path, content: object, protocol: int = 2) -> None:
    """As the official files are pickled (by Python 2, so with protocol 2)."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(pickle.dumps(content, protocol=protocol))


def write_cifar100(root: Path, per_class: int = 10, test_per_class: int = 2) -> Path:
    """CIFAR-100's python files; returns their folder."""
    folder = root / "cifar-100-python"
    write_pickle(folder / "train", cifar_part(per_class, seed=0))
    write_pickle(folder / "test", cifar_part(test_per_class, seed=1))
    write_pickle(folder / "meta", {"fine_label_names": FINE_NAMES, "coarse_label_names": COARSE_NAMES})
    return folder


def write_image(file: Path, shade: int, size: tuple[int, int] = (10, 12)) -> None:
    """An image of one shade of grey, in the format that its suffix names."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (size[1], size[0]), (shade, shade, shade)).save(file)


def write_folders(root: Path, per_class: int = 10) -> None:
    """Two coarse folders of three and four fine ones."""
    for coarse, count in (("animal", 3), ("vehicle", 4)):
        for fine in range(count):
            for index in range(per_class):
                write_image(root / coarse / f"kind_{fine}" / f"{index}.png", 30 * fine + index)


def write_breeds_info(info: Path, depth: int, ancestor: str, num_coarse: int, fine_each: int) -> dict[str, list[str]]:
    """The three files of a BREEDS release with ``num_coarse`` superclasses of ``fine_each`` classes at ``depth``.

    Besides, a superclass with too few classes, a branch outside the ancestor, a detour that must not shorten a path, a
    word without images, and a class below another class.

    Returns:
        Classes of every superclass.
    """
    root = "n00001740"
    chain = [root] + [f"n1{level:07d}" for level in range(1, depth)]
    if ancestor != root:
        chain[2] = ancestor
    edges = list(pairwise(chain))
    groups = {
        f"n2{group:07d}": [f"n3{group:04d}{fine:03d}" for fine in range(fine_each)] for group in range(num_coarse)
    }
    few = {"n29999999": ["n39999000"]}
    outside = {"n28888888": [f"n38888{fine:03d}" for fine in range(fine_each)]} if ancestor != root else {}
    for node, classes in {**groups, **few}.items():
        edges.append((chain[-1], node))
        edges += [(node, wnid) for wnid in classes]
    for node, classes in outside.items():
        side = [root] + [f"n5{level:07d}" for level in range(1, depth)]
        edges += [*pairwise(side), (side[-1], node), *((node, wnid) for wnid in classes)]
    edges += [(root, next(iter(groups))), (chain[-1], "n40000000"), ("n30000000", "n60000000")]
    classes = [wnid for each in (groups, few, outside) for below in each.values() for wnid in below] + ["n60000000"]
    info.mkdir(parents=True, exist_ok=True)
    listed = [[number, wnid, f"name of {wnid}"] for number, wnid in enumerate(classes)]
    (info / "dataset_class_info.json").write_text(json.dumps(listed))
    (info / "class_hierarchy.txt").write_text("".join(f"{parent} {child}\n" for parent, child in edges))
    (info / "node_names.txt").write_text("".join(f"{node}\tgroup {node[-3:]}\n" for node in groups))
    return groups


def write_imagenet(root: Path, wnids: Iterable[str], train: int = 10, val: int = 2) -> None:
    """ImageNet's folders by class."""
    for shade, wnid in enumerate(wnids):
        for part, count in (("train", train), ("val", val)):
            for index in range(count):
                write_image(root / part / wnid / f"{wnid}_{index}.JPEG", shade % 256)


def write_tiered(info: Path) -> dict[str, str]:
    """Class lists of a tiny tieredImageNet; returns the parent of every class."""
    parents = {f"n{number:08d}": f"parent_{'cab'[number % 3]}" for number in range(9)}
    info.mkdir(parents=True, exist_ok=True)
    for part, name in enumerate(("train", "val", "test")):
        rows = [f"{wnid},{parent}\n" for wnid, parent in parents.items() if parent == f"parent_{'cab'[part]}"]
        (info / f"{name}.csv").write_text("".join(rows))
    return parents


def write_pets(root: Path) -> Path:
    """Oxford-IIIT Pet with two cats and three dogs of ten training and four test images each."""
    rows: dict[str, list[str]] = {"trainval": [], "test": []}
    breeds = [("Abyssinian", 1), ("american_bulldog", 2), ("Bombay", 1), ("boxer", 2), ("pug", 2)]
    for number, (breed, species) in enumerate(breeds, start=1):
        for index in range(14):
            name = f"{breed}_{index + 1}"
            write_image(root / "images" / f"{name}.jpg", 40 * number)
            rows["trainval" if index < 10 else "test"].append(f"{name} {number} {species} 1\n")
    (root / "annotations").mkdir(parents=True)
    for part, lines in rows.items():
        (root / "annotations" / f"{part}.txt").write_text("".join(lines))
    (root / "annotations" / "list.txt").write_text("#Image CLASS-ID SPECIES BREED ID\n" + "".join(rows["trainval"]))
    return root


def write_products(root: Path) -> Path:
    """Stanford Online Products with 3 kinds, 12 products and 72 images, half of the products in either file."""
    rows: dict[str, list[str]] = {"train": [], "test": []}
    image = 0
    for product in range(1, 13):
        kind = product % 3
        for _ in range(6):
            image += 1
            name = f"{('bicycle', 'cabinet', 'chair')[kind]}_final/{product}_{image}.JPG"
            write_image(root / name, 3 * image)
            rows["train" if product <= 6 else "test"].append(f"{image} {product} {kind + 1} {name}\n")
    for part, lines in rows.items():
        (root / f"Ebay_{part}.txt").write_text("image_id class_id super_class_id path\n" + "".join(lines))
    return root


def write_class_lists(folder: Path, *lists: Iterable[str]) -> None:
    """Class lists of a few-shot benchmark."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, names in zip(("train", "val", "test"), lists, strict=True):
        (folder / f"{part}.txt").write_text("".join(f"{name}\n" for name in names))


def write_birds(root: Path) -> None:
    """CUB's folders of images: eight classes of ten."""
    for number in range(8):
        for index in range(10):
            write_image(root / "images" / f"{number + 1:03d}.Bird_{number}" / f"{index}.jpg", 30 * number + index)
    names = [f"{number + 1:03d}.Bird_{number}" for number in range(8)]
    write_class_lists(root / "lists", names[:5], names[5:6], names[6:])


def tiny_config(kind: str, root: Path) -> dict[str, Any]:
    """Write a tiny data set of a kind below ``root``, in its published layout; returns its config as plain data."""
    root.mkdir(parents=True, exist_ok=True)
    plain: dict[str, Any] = {"kind": kind}
    if kind == "arrays":
        inputs = np.random.default_rng(0).random((90, 4))
        np.savez(root / "data.npz", inputs=inputs, coarse=np.arange(90) % 3, fine=np.arange(90) % 9)
        return plain | {"path": str(root / "data.npz")}
    if kind == "text":
        write_texts(root / "texts.csv")
        return plain | {
            "path": str(root / "texts.csv"),
            "columns": {"coarse": ["group"], "fine": "topic"},
            "dimension": 8,
        }
    if kind == "image_folder":
        write_folders(root)
    elif kind == "cifar100":
        write_cifar100(root)
    elif kind == "breeds":
        groups = write_breeds_info(root / "info", 5, "n00004258", 17, 4)
        write_imagenet(root, [wnid for group in groups.values() for wnid in group], train=3, val=1)
        plain |= {"info": str(root / "info")}
    elif kind == "tiered_imagenet":
        write_imagenet(root, write_tiered(root / "info"))
        plain |= {"info": str(root / "info")}
    elif kind == "oxford_pets":
        write_pets(root)
    elif kind == "products":
        write_products(root)
        plain |= {"train_count": 40}
    elif kind == "few_shot":
        write_birds(root)
        return plain | {"path": str(root / "images"), "classes": str(root / "lists"), "size": 8}
    elif kind == "single_cell":
        pytest.importorskip("h5py", reason="h5py comes with fgtune[singlecell]")
        write_h5ad(root / "cells.h5ad")
        few = {"kind": "counts", "min_genes": 1, "min_cells": 1, "genes": {"kind": "dispersion", "count": 20}}
        return plain | {"path": str(root / "cells.h5ad"), "fine": "state", "coarse": "type", "preprocess": few}
    size = {} if kind == "cifar100" else {"size": 8}
    return plain | {"path": str(root)} | size


TOPICS = {
    ("sport", "football"): "goal keeper penalty league striker corner",
    ("sport", "tennis"): "serve racket set volley court umpire",
    ("science", "physics"): "quantum particle energy field laser mass",
    ("science", "biology"): "cell gene protein species enzyme tissue",
}
"""Words of four topics in two groups."""


def made_texts(each: int = 25, seed: int = 0) -> list[tuple[str, str, str]]:
    """Rows of text, group and topic: eight words of the topic and two of the group's other one, shuffled."""
    rng, rows = np.random.default_rng(seed), []
    for (group, topic), words in TOPICS.items():
        other = next(known for key, known in TOPICS.items() if key[0] == group and key[1] != topic)
        for _ in range(each):
            chosen = [*rng.choice(words.split(), 8), *rng.choice(other.split(), 2)]
            rows.append((" ".join(rng.permutation(chosen)), group, topic))
    return rows


def write_texts(file: Path, each: int = 25, header: str = "text,group,topic") -> None:
    """A table of ``made_texts``."""
    lines = [header, *(",".join(row) for row in made_texts(each))]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


def cells(count: int = 90, genes: int = 30) -> tuple[np.ndarray, list[str], list[str]]:
    """Raw counts of six cell states in three types, with most genes quiet; states and types by name."""
    rng = np.random.default_rng(0)
    state = np.arange(count) % 6
    rate = 0.3 + 3.0 * (np.arange(genes)[None, :] % 6 == state[:, None])
    names = [f"state {number}" for number in state]
    return rng.poisson(rate).astype(np.float32), names, [f"type {number % 3}" for number in state]


def write_h5ad(file: Path, encoding: str = "new", sparse: str | None = "csr", **obs: list[str]) -> np.ndarray:
    """An AnnData file with h5py alone, in one of three published encodings of ``obs``; returns the counts.

    ``new`` is anndata's present one (from 0.8), ``references`` that of 0.7, ``records`` the one before.
    """
    import h5py

    counts, states, types = cells()
    columns = {"state": states, "type": types, **obs}
    with h5py.File(file, "w") as root:
        _write_matrix(root, "X", counts, sparse, old=encoding == "records")
        _write_matrix(root.create_group("layers"), "doubled", 2 * counts, None, old=False)
        if encoding == "records":
            _write_records(root, columns)
            return counts
        obs_group = root.create_group("obs")
        for name, labels in columns.items():
            categories = sorted({label for label in labels if label})
            codes = np.array([categories.index(label) if label else -1 for label in labels], dtype=np.int8)
            if encoding == "new":
                group = obs_group.create_group(name)
                group.attrs["encoding-type"] = "categorical"
                group["codes"], group["categories"] = codes, np.array(categories, dtype=object)
            else:
                obs_group[name] = codes
                obs_group.require_group("__categories")[name] = np.array(categories, dtype=object)
                obs_group[name].attrs["categories"] = obs_group["__categories"][name].ref
        obs_group["plain"] = np.array(states, dtype=object)
        obs_group["number"] = np.arange(len(states)) % 4
        missing = obs_group.create_group("missing")
        missing["values"], missing["mask"] = np.arange(len(states)) % 2, np.arange(len(states)) % 3 == 0
    return counts


def _write_matrix(group: Any, name: str, counts: np.ndarray, sparse: str | None, old: bool) -> None:
    from scipy.sparse import csc_array, csr_array

    if sparse is None:
        group[name] = counts
        return
    matrix = (csr_array if sparse == "csr" else csc_array)(counts)
    node = group.create_group(name)
    node["data"], node["indices"], node["indptr"] = matrix.data, matrix.indices, matrix.indptr
    if old:
        node.attrs["h5sparse_format"], node.attrs["h5sparse_shape"] = sparse, json.dumps(counts.shape)
    else:
        node.attrs["encoding-type"], node.attrs["shape"] = f"{sparse}_matrix", counts.shape


def _write_records(root: Any, columns: dict[str, list[str]]) -> None:
    length = len(next(iter(columns.values())))
    records = np.zeros(length, dtype=[("index", "S8"), *((name, "i1") for name in columns), ("plain", "S20")])
    for name, labels in columns.items():
        categories = sorted(set(labels))
        records[name] = [categories.index(label) for label in labels]
        root[f"uns/{name}_categories"] = np.array(categories, dtype="S20")
    records["plain"] = [label.encode() for label in columns["state"]]
    root["obs"] = records
