"""A user's own images, labelled by their folders (``coarse/fine/image``) or by a CSV."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fgtune.config.schema.data_images import ImageFolderConfig, ImageSetConfig
from fgtune.data.base import Dataset
from fgtune.data.readers.data_files import folders_in, inside, missing
from fgtune.data.readers.images import SUFFIXES, CachePolicy, ImageFiles, images_in
from fgtune.data.readers.tables import labels_of, read_table
from fgtune.errors import DataError

LAYOUT = "PATH/COARSE/FINE/*.jpg (or .png ...), or PATH with a CSV named by data.table"
GET = "Point data.path to the folder of your images."


def load_image_folder(config: ImageFolderConfig) -> Dataset:
    """Images as (N, 3, size, size) uint8.

    From folders, a fine class is a folder within a coarse one; equal names in two coarse folders are two fine classes.
    Classes are numbered by name.

    Raises:
        DataError: If folder, table or columns are missing, or a path leaves the folder. Unreadable images are reported
            when they are decoded.
    """
    root = Path(config.path)
    if not root.is_dir():
        raise missing("folder of images", [root], LAYOUT, GET)
    return _from_folders(root, config) if config.table is None else _from_table(root, config.table, config)


def image_files(root: Path, names: list[str], config: ImageSetConfig) -> ImageFiles:
    """Images of a set, to be decoded and kept as the config says."""
    policy = CachePolicy(config.cache, int(config.budget_gib * 2**30))
    return ImageFiles.of(root, names, config.size, config.resize, policy)


def _from_folders(root: Path, config: ImageFolderConfig) -> Dataset:
    names: list[str] = []
    coarse: list[int] = []
    fine: list[int] = []
    coarse_names = folders_in(root)
    fine_names: list[str] = []
    for parent, coarse_name in enumerate(coarse_names):
        for fine_name in folders_in(root / coarse_name):
            files = images_in(root / coarse_name / fine_name)
            names += [f"{coarse_name}/{fine_name}/{file}" for file in files]
            coarse += [parent] * len(files)
            fine += [len(fine_names)] * len(files)
            fine_names.append(f"{coarse_name}/{fine_name}")
    if not names:
        rule = f"holds no images of {', '.join(SUFFIXES)} in folders COARSE/FINE"
        raise DataError(rule, where=str(root), path="trial.data.path", fix=f"Expected layout: {LAYOUT}.")
    return Dataset(
        name=config.path,
        inputs=image_files(root, names, config),
        coarse=np.array(coarse, dtype=np.int64)[:, None],
        num_coarse=(len(coarse_names),),
        fine=np.array(fine, dtype=np.int64),
        num_fine=len(fine_names),
        coarse_names=(tuple(coarse_names),),
        fine_names=tuple(fine_names),
    )


def _from_table(root: Path, table: str, config: ImageFolderConfig) -> Dataset:
    path = root / table
    named = [*config.coarse, *config.fine_values, *filter(None, (config.fine, config.split_column))]
    frame = read_table(path, [config.image, *named], config_path="trial.data.table")
    where = str(path)
    labels = labels_of(
        frame, where, config.coarse, config.fine, config.fine_values, config.split_column, config.derive_coarse
    )
    names = [inside(root, str(name), where, row) for row, name in enumerate(frame[config.image].tolist())]
    return labels.dataset(where, image_files(root, names, config))
