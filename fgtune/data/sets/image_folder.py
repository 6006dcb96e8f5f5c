"""Images labelled by folders or lists: a user's own, and few-shot sets whose classes are divided among the splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fgtune.arrays import IntArray
from fgtune.config.schema.data_images import FewShotDataConfig, ImageFolderConfig, ImageSetConfig
from fgtune.data.base import Dataset, Inputs
from fgtune.data.readers.class_folders import class_folders
from fgtune.data.readers.class_lists import ClassList, fitted, read_class_lists
from fgtune.data.readers.data_files import folders_in, inside, missing
from fgtune.data.readers.images import SUFFIXES, CachePolicy, ImageFiles, images_in
from fgtune.data.readers.tables import labels_of, read_table
from fgtune.data.sets.cifar_files import CifarFiles, read_cifar100
from fgtune.errors import DataError

LAYOUT = "PATH/COARSE/FINE/*.jpg or PATH/COARSE/*.jpg (or .png ...), or PATH with a CSV named by data.table"
GET = "Point data.path to the folder of your images."
FOLDERS_LAYOUT = "PATH/CLASS/*.jpg (or .png ...), as in images/ of CUB_200_2011"
FOLDERS_GET = "Point data.path to the folder that holds the class folders."


def load_image_folder(config: ImageFolderConfig) -> Dataset:
    """Images as (N, 3, size, size) uint8.

    From folders, a fine class is a folder within a coarse one; equal names in two coarse folders are two fine classes.
    Images that lie in the coarse folders themselves have no fine class. Classes are numbered by name.

    Raises:
        DataError: If folder, table or columns are missing, or a path leaves the folder. Unreadable images are reported
            when they are decoded.
    """
    root = Path(config.path)
    if not root.is_dir():
        raise missing("folder of images", [root], LAYOUT, GET)
    return _from_folders(root, config) if config.table is None else _from_table(root, config.table, config)


def image_files(root: Path, names: list[str], config: ImageSetConfig) -> ImageFiles:
    """Images of a set, decoded and kept as the config says."""
    policy = CachePolicy(config.cache, int(config.budget_gib * 2**30))
    as_seen = isinstance(config, ImageFolderConfig)  # published sets are decoded as those who published them did
    return ImageFiles.of(root, names, config.size, config.resize, policy, as_seen, config.bits)


def _from_folders(root: Path, config: ImageFolderConfig) -> Dataset:
    """A folder is a coarse class, and the folders in it fine classes; without any, images lie in the coarse ones."""
    found = class_folders(root, SUFFIXES, "images", LAYOUT)
    return found.dataset(config.path, image_files(root, found.names, config))


def _from_table(root: Path, table: str, config: ImageFolderConfig) -> Dataset:
    path = root / table
    named = [*config.coarse, *config.fine_values, *filter(None, (config.fine, config.split_column))]
    texts = [config.image, *config.coarse, *filter(None, (config.fine, config.split_column))]
    frame = read_table(
        path, [config.image, *named], config_path="trial.data.table", labels=texts, header=config.columns
    )
    where = str(path)
    labels = labels_of(
        frame, where, config.coarse, config.fine, config.fine_values, config.split_column, config.derive_coarse
    )
    names = [inside(root, str(name), where, row) for row, name in enumerate(frame[config.image].tolist())]
    return labels.dataset(where, image_files(root, names, config))


def load_few_shot(config: FewShotDataConfig) -> Dataset:
    """All images of the listed classes; fine classes are numbered in the order of the lists.

    Returns:
        uint8 images whose split follows from their class. The coarse label of a base class is the class itself; that
        of a novel one is -1.

    Raises:
        DataError: If lists or images are missing, or a class is unknown or listed twice.
    """
    parts, found = read_class_lists(config.classes)
    files = read_cifar100(Path(config.path), download=False) if config.layout == "cifar100" else None
    lists, notes = _folders_of(config, parts) if files is None else (_checked(config, parts, files), ())
    classes = [name for names in lists for name in names]
    repeated = next((name for name in classes if classes.count(name) > 1), None)
    if repeated is not None:
        raise DataError(f"class {repeated!r} is listed twice", where=config.classes, path="trial.data.classes")
    inputs, fine = _from_class_folders(config, classes) if files is None else _from_cifar(files, classes)
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
        notes=(*found, *notes),
    )


def _folders_of(config: FewShotDataConfig, parts: list[ClassList]) -> tuple[list[list[str]], tuple[str, ...]]:
    """For each part, the folders of its classes, and what must be told about how they were found."""
    root = Path(config.path)
    if not root.is_dir():
        raise missing("folder of images", [root], FOLDERS_LAYOUT, FOLDERS_GET)
    return fitted(parts, root, folders_in(root), FOLDERS_LAYOUT, FOLDERS_GET)


def _checked(config: FewShotDataConfig, parts: list[ClassList], files: CifarFiles) -> list[list[str]]:
    """For each part, its classes, all of which CIFAR-100 has."""
    lists = [list(part.names) for part in parts]
    unknown = next((name for names in lists for name in names if name not in files.fine_names), None)
    if unknown is not None:
        rule = f"class {unknown!r} is not among the 100 of CIFAR-100"
        raise DataError(rule, where=config.classes, path="trial.data.classes")
    return lists


def _from_class_folders(config: FewShotDataConfig, folders: list[str]) -> tuple[Inputs, IntArray]:
    root = Path(config.path)
    found = [[f"{name}/{file}" for file in images_in(root / name)] for name in folders]
    fine = np.repeat(np.arange(len(folders), dtype=np.int64), [len(names) for names in found])
    return image_files(root, [name for names in found for name in names], config), fine


def _from_cifar(files: CifarFiles, classes: list[str]) -> tuple[Inputs, IntArray]:
    number = np.full(len(files.fine_names), -1, dtype=np.int64)
    number[[files.fine_names.index(name) for name in classes]] = np.arange(len(classes))
    fine = number[np.concatenate([files.train.fine, files.test.fine])]
    images = np.concatenate([files.train.images, files.test.images])
    return images[fine >= 0], fine[fine >= 0]
