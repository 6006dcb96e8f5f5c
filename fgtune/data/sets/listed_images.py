"""Image sets with labels in text files: Oxford-IIIT Pet and Stanford Online Products, as Xu et al. use them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fgtune.arrays import IntArray
from fgtune.config.schema.data_images import OxfordPetsConfig, ProductsConfig
from fgtune.data.base import Dataset
from fgtune.data.readers.data_files import fetch, inside, read_lines
from fgtune.data.sets.image_folder import image_files
from fgtune.data.splits import held_out
from fgtune.errors import DataError
from fgtune.streams import numpy_stream

PETS_FOLDER = "oxford-iiit-pet"
PETS_LAYOUT = "PATH/annotations/{trainval,test}.txt and PATH/images/*.jpg"
PETS_GET = "Unpack images.tar.gz and annotations.tar.gz of the Oxford-IIIT Pet set there, or set data.download: true."
PRODUCTS_LAYOUT = "PATH/Ebay_train.txt, PATH/Ebay_test.txt and PATH/KIND_final/*.JPG"
PRODUCTS_GET = "Unpack Stanford_Online_Products.zip there."


def load_oxford_pets(config: OxfordPetsConfig) -> Dataset:
    """Oxford-IIIT Pet: cat and dog as coarse classes, 37 breeds as fine ones, the official test part as test split.

    Raises:
        DataError: If files are missing or damaged, or a breed belongs to two species.
    """
    root = Path(config.path)
    if config.download and not (root / PETS_FOLDER / "annotations").is_dir():
        fetch("Oxford-IIIT Pet", "OxfordIIITPet", root, PETS_LAYOUT)
    if not (root / "annotations").is_dir() and (root / PETS_FOLDER).is_dir():
        root = root / PETS_FOLDER
    rows: list[list[str]] = []
    counts = []
    for part in ("trainval", "test"):
        listed = _rows(root / "annotations" / f"{part}.txt", 4, PETS_LAYOUT, PETS_GET)
        rows += listed
        counts.append(len(listed))
    where = str(root / "annotations")
    fine, species = (_numbers([row[column] for row in rows], where) - 1 for column in (1, 2))
    if fine.min() < 0 or species.min() < 0 or species.max() > 1:
        raise DataError("classes must be numbered from 1, species 1 or 2", where=where, path="trial.data.path")
    _check_one_parent(fine, species, where)
    split = np.full(len(rows), 2, dtype=np.int64)
    split[: counts[0]] = held_out(species[: counts[0], None], config.val_fraction, config.split_seed)
    names = [inside(root, f"images/{row[0]}.jpg", where, place) for place, row in enumerate(rows)]
    breeds = {int(label): row[0].rpartition("_")[0] for label, row in zip(fine, rows, strict=True)}
    return Dataset(
        name="oxford_pets",
        inputs=image_files(root, names, config),
        coarse=species[:, None],
        num_coarse=(2,),
        fine=fine,
        num_fine=int(fine.max()) + 1,
        given_split=split,
        coarse_names=(("cat", "dog"),),
        fine_names=tuple(breeds.get(label, str(label)) for label in range(int(fine.max()) + 1)),
    )


def load_products(config: ProductsConfig) -> Dataset:
    """Stanford Online Products: ``train_count`` images drawn from both official files, the rest as test split.

    Raises:
        DataError: If files are missing or damaged, a product belongs to two kinds, or there are too few images.
    """
    root = Path(config.path)
    rows = [
        row
        for part in ("train", "test")
        for row in _rows(root / f"Ebay_{part}.txt", 4, PRODUCTS_LAYOUT, PRODUCTS_GET, header=True)
    ]
    fine_ids, coarse_ids = (_numbers([row[column] for row in rows], str(root)) for column in (1, 2))
    kinds, coarse = np.unique(coarse_ids, return_inverse=True)
    _check_one_parent(fine_ids, coarse, str(root))
    if config.train_count >= len(rows):
        rule, fix = f"must be below the number of images ({len(rows)})", "Leave images for the test split."
        raise DataError(rule, where=str(root), path="trial.data.train_count", value=config.train_count, fix=fix)
    drawn = np.sort(numpy_stream(config.data_seed, "products").permutation(len(rows))[: config.train_count])
    split = np.full(len(rows), 2, dtype=np.int64)
    split[drawn] = held_out(coarse[drawn, None], config.val_fraction, config.data_seed)
    names = [inside(root, row[3], str(root), place) for place, row in enumerate(rows)]
    folders = {int(kind): Path(name).parts[0] for kind, name in zip(coarse, names, strict=True)}
    return Dataset(
        name="products",
        inputs=image_files(root, names, config),
        coarse=coarse.astype(np.int64)[:, None],
        num_coarse=(len(kinds),),
        fine=fine_ids,
        given_split=split,
        coarse_names=(tuple(folders[kind].removesuffix("_final") for kind in range(len(kinds))),),
    )


def _rows(file: Path, columns: int, layout: str, get: str, header: bool = False) -> list[list[str]]:
    """The rows of a list of images, split at spaces; only the last column may contain any."""
    lines = read_lines(file, f"list of images {file.name!r}", "trial.data.path", layout, get)
    rows = [line.split(None, columns - 1) for line in lines[header:]]
    wrong = next((row for row in rows if len(row) != columns), None)
    if wrong is not None or not rows:
        rule, fix = f"must have {columns} columns in every row", get
        raise DataError(rule, where=str(file), path="trial.data.path", value=" ".join(wrong or []), fix=fix)
    return rows


def _numbers(cells: Sequence[str], where: str) -> IntArray:
    try:
        return np.array([int(cell) for cell in cells], dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise DataError(f"labels must be whole numbers ({error})", where=where, path="trial.data.path") from error


def _check_one_parent(fine: IntArray, coarse: IntArray, where: str) -> None:
    pairs = np.unique(np.stack([fine, coarse], axis=1), axis=0)
    repeated = np.flatnonzero(np.diff(pairs[:, 0]) == 0)
    if repeated.size:
        rule = f"fine class {pairs[repeated[0], 0]} is in two coarse classes"
        raise DataError(rule, where=where, path="trial.data.path", fix="Fetch the official files again.")
