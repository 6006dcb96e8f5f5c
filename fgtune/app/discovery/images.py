"""A user's folder of images: one folder a coarse class, or a table of paths and labels beside the images."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fgtune.app.discovery.columns import choose_coarse, fine_labels, label_column
from fgtune.app.discovery.source import Asked, Source, check_named, csv_text
from fgtune.data.labels import class_name, is_missing, is_utf8
from fgtune.data.readers.data_files import folders_in
from fgtune.data.readers.images import SUFFIXES, images_in
from fgtune.data.readers.tables import cells, read_table
from fgtune.errors import DataError
from fgtune.files import write_atomically
from fgtune.text import first_of

if TYPE_CHECKING:
    import pandas as pd

LIST = "images.csv"
"""The list of images that the studies read."""
SIZE = 32
"""Side in pixels that images are brought to: what a small network learns from within minutes on a CPU."""
PARTS = frozenset({"train", "training", "val", "valid", "validation", "dev", "test", "testing"})
"""Names, in lower case, of folders that are parts of a split rather than classes."""
FOLDERS = "folders"
"""What ``--fine`` names where the folders inside the coarse ones are fine classes."""


_Found = tuple[list[str], list[str], list[str] | None, str, list[str]]


def read_images(asked: Asked, out: Path, begin: Callable[[], None]) -> Source:
    """Read a folder of images and write the list that the studies read.

    Raises:
        DataError: No images, or no coarse labels.
    """
    root = asked.data
    tables = {path.name: frame for path in sorted(root.glob("*.csv")) if (frame := _listing(path)) is not None}
    if len(tables) == 1:
        found = _from_table(root, *tables.popitem(), asked)
    else:
        found = _from_folders(root, asked, list(tables))
    names, coarse, fine, label, notes = found
    begin()
    write_atomically(out / LIST, csv_text(("path", "coarse_label"), zip(names, coarse, strict=True)))
    return Source(
        kind="images",
        config={
            "kind": "image_folder",
            "path": str(root.resolve()),
            "size": SIZE,
            "table": os.path.relpath((out / LIST).resolve(), root.resolve()),
            "coarse": ["coarse_label"],
        },
        coarse=label,
        ids=names,
        id_name="image",
        features=None,
        numbers=None,
        fine=fine,
        shape=(3, SIZE, SIZE),
        notes=(*notes, f"Images are brought to {SIZE} x {SIZE} pixels."),
    )


def _listing(path: Path) -> pd.DataFrame | None:
    """A table that lists images; None for any other file."""
    try:
        frame = read_table(path, [], others=True, config_path="")
    except DataError:
        return None
    return frame if _path_columns(frame) else None


def _path_columns(frame: pd.DataFrame) -> list[str]:
    texts = [str(name) for name in frame.columns if frame[name].dtype.kind not in "buif" and len(frame)]
    return [name for name in texts if frame[name].astype(str).str.lower().str.endswith(SUFFIXES).all()]


def _from_folders(root: Path, asked: Asked, tables: Sequence[str]) -> _Found:
    """Images below each folder, at any depth; the first folder is the coarse class."""
    names: list[str] = []
    for folder in folders_in(root):
        for place, folders, _ in os.walk(root / folder, onerror=_refuse):
            folders.sort()
            below = Path(place).relative_to(root)
            names += [str(below / file) for file in images_in(Path(place))]
    odd = next((name for name in names if not is_utf8(name)), None)
    if odd is not None:
        raise DataError(
            "the name of an image must be UTF-8", where=str(root), value=odd, fix="rename it, or its folder"
        )
    _check_folders({Path(name).parts[0] for name in names}, root, asked, tables)
    coarse = [Path(name).parts[0] for name in names]
    notes = [f"Not read, because more than one table lists images: {first_of(list(tables))}."] if tables else []
    deeper = any(len(Path(name).parts) > 2 for name in names)
    fine = None
    if asked.fine is not None:
        if asked.fine != FOLDERS or not deeper:
            rule = f"the only fine labels of a folder of images are the folders inside coarse ones, --fine {FOLDERS}"
            raise DataError(rule, where=str(root), path="--fine", value=asked.fine)
        fine = [str(Path(name).parent) for name in names]
    elif deeper:
        notes.append("Folders inside the coarse ones are not read as labels.")
    return names, coarse, fine, "the folders", notes


def _check_folders(classes: set[str], root: Path, asked: Asked, tables: Sequence[str]) -> None:
    """Raise ``DataError`` unless folders can be coarse classes, and nothing is asked of a table that is not there."""
    where, layout = str(root), "expected DATA/COARSE/image.jpg, folders inside COARSE allowed"
    if not classes:
        rule = f"holds no images of {', '.join(SUFFIXES)} in one folder a coarse class, and no .csv that lists them"
        if tables:
            rule = f"holds more than one .csv that lists images: {first_of(list(tables))}"
        raise DataError(rule, where=where, fix=f"{layout}, or one .csv of paths and labels")
    if len(classes) < 2:
        rule = "must hold at least two folders of images, one a coarse class, or one .csv that lists the images"
        raise DataError(rule, where=where, value=sorted(classes))
    if {name.lower() for name in classes} <= PARTS:
        rule = f"its folders are the parts of a split ({first_of(sorted(classes))}), not coarse classes"
        raise DataError(rule, where=where, fix=f"name one of them, e.g. {root / min(classes)}")
    for option, value in (("--coarse", asked.coarse), ("--leave-out", asked.left_out)):
        if value:
            rule = "names a column, but the coarse labels are the folders and no single .csv lists the images"
            raise DataError(rule, where=where, path=option, value=value, fix=f"leave out {option}")


def _from_table(root: Path, table: str, frame: pd.DataFrame, asked: Asked) -> _Found:
    where = str(root / table)
    paths = _path_columns(frame)
    if len(paths) != 1:
        raise DataError("must have one column of image paths", where=where, value=paths)
    check_named(asked, frame.columns, where)
    columns = {}
    for name in map(str, frame.columns):
        found = label_column(name, cells(frame[name]), frame[name].dtype.kind not in "buif")
        if found is not None and name not in (paths[0], asked.fine, *asked.left_out):
            columns[name] = found
    coarse = asked.coarse or choose_coarse(columns, where).name
    labels = ["" if is_missing(value) else class_name(value) for value in cells(frame[coarse])]
    fine = fine_labels(asked.fine, list(frame.get(asked.fine, ())), where)
    names = _below(root, [str(name) for name in frame[paths[0]]])
    return names, labels, fine, coarse, [f"Images and labels are those that {table} lists."]


def _below(root: Path, names: list[str]) -> list[str]:
    """Paths below the root, of images that are listed by their path in it or in one of its folders."""
    for folder in ("", *folders_in(root)):
        if all(_is_file(root / folder / name) for name in names):
            return [str(Path(folder) / name) for name in names]
    return names


def _refuse(error: OSError) -> None:
    """Raise for a folder that cannot be read, such as one below more folders than a path can name."""
    raise DataError(f"folder cannot be read ({error.strerror})", where=str(error.filename)) from error


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False
