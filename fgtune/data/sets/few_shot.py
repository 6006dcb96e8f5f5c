"""Sets whose classes are divided among train, val and test (CIFAR-FS, CUB), as few-shot benchmarks use them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fgtune.arrays import IntArray
from fgtune.config.schema.data_images import FewShotDataConfig
from fgtune.data.base import Dataset, Inputs
from fgtune.data.check import SPLIT_NAMES
from fgtune.data.readers.data_files import folders_in, missing, read_lines
from fgtune.data.readers.images import images_in
from fgtune.data.sets.cifar_files import read_cifar100
from fgtune.data.sets.image_folder import image_files
from fgtune.errors import DataError

LISTS_LAYOUT = "CLASSES/{train,val,test}.txt with one class name a line"
LISTS_GET = "Write the class lists of your benchmark (CIFAR-FS: 64, 16, 20; CUB: 100, 50, 50)."
FOLDERS_LAYOUT = "PATH/CLASS/*.jpg (or .png ...), as in images/ of CUB_200_2011"
FOLDERS_GET = "Point data.path to the folder that holds the class folders."


def load_few_shot(config: FewShotDataConfig) -> Dataset:
    """All images of the listed classes; fine classes are numbered in the order of the lists.

    Returns:
        uint8 images whose given split follows their class. The coarse label of a base class is the class itself; that
        of a novel one is -1.

    Raises:
        DataError: If lists or images are missing, or a class is unknown or listed twice.
    """
    folder = Path(config.classes)
    lists = [
        read_lines(folder / f"{part}.txt", f"class list '{part}.txt'", "trial.data.classes", LISTS_LAYOUT, LISTS_GET)
        for part in SPLIT_NAMES
    ]
    classes = [name for names in lists for name in names]
    repeated = next((name for name in classes if classes.count(name) > 1), None)
    if repeated is not None:
        raise DataError(f"class {repeated!r} is listed twice", where=str(folder), path="trial.data.classes")
    inputs, fine = (_from_folders if config.layout == "class_folders" else _from_cifar)(config, classes)
    part_of = np.repeat(np.arange(3), [len(names) for names in lists])
    num_base = len(lists[0])
    return Dataset(
        name=config.path,
        inputs=inputs,
        coarse=np.where(fine < num_base, fine, -1)[:, None],
        num_coarse=(num_base,),
        fine=fine,
        num_fine=len(classes),
        given_split=part_of[fine].astype(np.int64),
        coarse_names=(tuple(lists[0]),),
        fine_names=tuple(classes),
    )


def _from_folders(config: FewShotDataConfig, classes: list[str]) -> tuple[Inputs, IntArray]:
    root = Path(config.path)
    if not root.is_dir():
        raise missing("folder of images", [root], FOLDERS_LAYOUT, FOLDERS_GET)
    there = set(folders_in(root))
    unknown = next((name for name in classes if name not in there), None)
    if unknown is not None:
        raise missing(f"folder of class {unknown!r}", [root / unknown], FOLDERS_LAYOUT, FOLDERS_GET)
    found = [[f"{name}/{file}" for file in images_in(root / name)] for name in classes]
    fine = np.repeat(np.arange(len(classes), dtype=np.int64), [len(names) for names in found])
    return image_files(root, [name for names in found for name in names], config), fine


def _from_cifar(config: FewShotDataConfig, classes: list[str]) -> tuple[Inputs, IntArray]:
    files = read_cifar100(Path(config.path), download=False)
    unknown = next((name for name in classes if name not in files.fine_names), None)
    if unknown is not None:
        rule = f"class {unknown!r} is not among the 100 of CIFAR-100"
        raise DataError(rule, where=config.classes, path="trial.data.classes")
    number = np.full(len(files.fine_names), -1, dtype=np.int64)
    number[[files.fine_names.index(name) for name in classes]] = np.arange(len(classes))
    fine = number[np.concatenate([files.train.fine, files.test.fine])]
    images = np.concatenate([files.train.images, files.test.images])
    return images[fine >= 0], fine[fine >= 0]
