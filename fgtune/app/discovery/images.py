"""A user's folder of images: one folder a coarse class, or a table of paths and labels beside the images."""

from __future__ import annotations

import os
from pathlib import Path

from fgtune.app.discovery.columns import choose_coarse, label_column
from fgtune.app.discovery.source import Asked, Source, quoted
from fgtune.data.readers.data_files import folders_in
from fgtune.data.readers.images import SUFFIXES
from fgtune.data.readers.tables import read_table
from fgtune.errors import DataError
from fgtune.files import write_atomically

LIST = "images.csv"
"""The list of images that the studies read."""
SIZE = 32
"""Side in pixels that images are brought to: what a small network learns from within minutes on a CPU."""
FOLDERS = "folders"
"""What ``--fine`` names where the folders inside the coarse ones are fine classes."""


def read_images(asked: Asked, out: Path) -> Source:
    """Read a folder of images and write the list that the studies read.

    Raises:
        DataError: No images, or no coarse labels.
    """
    root = asked.data
    tables = sorted(path.name for path in root.glob("*.csv"))
    found = _from_folders(root, asked) or (_from_table(root, tables[0], asked) if len(tables) == 1 else None)
    if not found:
        rule = (
            f"holds no images of {', '.join(SUFFIXES)} in one folder a coarse class, and no single .csv that lists them"
        )
        raise DataError(rule, where=str(root), fix="expected DATA/COARSE/image.jpg, folders inside COARSE allowed")
    names, coarse, fine, label, notes = found
    text = "path,coarse_label\n" + "".join(
        f"{quoted(name)},{quoted(each)}\n" for name, each in zip(names, coarse, strict=True)
    )
    write_atomically(out / LIST, text.encode())
    return Source(
        kind="images",
        config={
            "kind": "image_folder",
            "path": str(root),
            "size": SIZE,
            "table": os.path.relpath(out / LIST, root),
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


_Found = tuple[list[str], list[str], list[str] | None, str, list[str]]


def _from_folders(root: Path, asked: Asked) -> _Found | None:
    """Images below each folder, at any depth; the first folder is the coarse class."""
    names: list[str] = []
    for folder in folders_in(root):
        for place, folders, files in os.walk(root / folder):
            folders.sort()
            below = Path(place).relative_to(root)
            names += [str(below / file) for file in sorted(files) if file.lower().endswith(SUFFIXES) and file[0] != "."]
    if not names:
        return None
    coarse = [Path(name).parts[0] for name in names]
    if len(set(coarse)) < 2:
        rule = "must hold at least two folders of images, one a coarse class"
        raise DataError(rule, where=str(root), value=sorted(set(coarse)))
    notes = []
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


def _from_table(root: Path, table: str, asked: Asked) -> _Found:
    frame = read_table(root / table, [], others=True, config_path="")
    where = str(root / table)
    texts = [str(name) for name in frame.columns if frame[name].dtype.kind not in "buif"]
    paths = [name for name in texts if frame[name].astype(str).str.lower().str.endswith(SUFFIXES).all()]
    if len(paths) != 1:
        raise DataError("must have one column of image paths", where=where, value=paths or list(map(str, frame)))
    columns = {}
    for name in map(str, frame.columns):
        found = label_column(name, frame[name].tolist(), name in texts)
        if found is not None and name not in (paths[0], asked.fine, *asked.left_out):
            columns[name] = found
    for name in filter(None, (asked.coarse, asked.fine)):
        if name not in frame.columns:
            raise DataError("no such column", where=where, path=name)
    coarse = asked.coarse or choose_coarse(columns, where).name
    labels = ["" if value is None else str(value) for value in frame[coarse].tolist()]
    fine = None if asked.fine is None else [str(value) for value in frame[asked.fine].tolist()]
    return [str(name) for name in frame[paths[0]]], labels, fine, coarse, []
