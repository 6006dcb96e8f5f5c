"""Lists of the classes that a few-shot benchmark has in each part: those that come with fgtune, and a user's own.

The lists in ``fgtune/data/lists`` are facts that papers and their code state; each names its source in its first line.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fgtune.data.labels import nfc
from fgtune.data.readers.data_files import MOST_LIST, missing, read_lines
from fgtune.errors import ConfigError, DataError
from fgtune.files import read_text

SHIPPED_LISTS = Path(__file__).parents[1] / "lists"
SHIPPED = ("cifar_fs", "cub")
"""Benchmarks whose lists come with fgtune."""

_PATH = "trial.data.classes"
_LAYOUT = "CLASSES/{train,val,test}.txt with one class name per line, or .csv with columns filename and label"
_GET = (
    "Write the class lists of your benchmark, or name one whose lists come with fgtune: cifar_fs (64, 16 and 20 "
    "classes) or cub (100, 50 and 50)."
)
_LABEL, _FILE = "label", "filename"


@dataclass(frozen=True)
class ClassList:
    """The classes of one part, in order and without repetition.

    Attributes:
        where: The file.
        names: As they are listed.
        by_file: The letters of the file names of a table of images; empty where there are none.
    """

    where: str
    names: tuple[str, ...]
    by_file: tuple[str, ...] = ()


def read_class_list(classes: str, part: str) -> ClassList:
    """The classes of a part: the lines of a text file, or the different labels of a table of images, as they come.

    Args:
        classes: A benchmark of ``SHIPPED``, or a folder.
        part: ``train``, ``val`` or ``test``.

    Raises:
        DataError: There is no such list, or it is none.
    """
    folder = SHIPPED_LISTS / classes if classes in SHIPPED else Path(classes)
    lines, table = folder / f"{part}.txt", folder / f"{part}.csv"
    if lines.is_file() or not table.is_file():
        names = read_lines(lines, f"class list '{part}.txt'", _PATH, _LAYOUT, _GET)
        return ClassList(str(lines), tuple(names))
    return _read_table(table)


def _read_table(file: Path) -> ClassList:
    # Not the reader of tables: published files have rows with more values than their first line has names.
    try:
        header, *rows = csv.reader(read_text(file, MOST_LIST).removeprefix("\ufeff").splitlines())
    except (ConfigError, csv.Error, ValueError) as error:
        raise DataError(f"is no readable table ({error})", where=str(file), path=_PATH) from error
    names = [name.strip() for name in header]
    if _LABEL not in names:
        rule = f"no column {_LABEL!r}; the table has {', '.join(names)}"
        raise DataError(rule, where=str(file), path=_PATH, fix=f"Expected layout: {_LAYOUT}.")
    columns = {
        name: _different(row[place].strip() for row in rows if len(row) > place)
        for name, place in ((each, names.index(each)) for each in (_LABEL, _FILE) if each in names)
    }
    by_file = _different(letters(PurePosixPath(name).stem) for name in columns.get(_FILE, ()))
    return ClassList(str(file), columns[_LABEL], by_file)


def letters(name: str) -> str:
    """The letters of a name, in lower case: what FIERCE's loader compares file names and folders of CUB by.

    Example:
        >>> letters("Black_And_White_Warbler_0031_160773"), letters("159.Black_and_white_Warbler")
        ('blackandwhitewarbler', 'blackandwhitewarbler')
    """
    return re.sub(r"[\W\d_]", "", nfc(name)).lower()


def fitted(
    parts: Sequence[ClassList], root: Path, folders: Sequence[str], layout: str, get: str
) -> tuple[list[list[str]], tuple[str, ...]]:
    """Find the folder of every class: the one of its name, or, where a label has none, the one of its file names.

    Args:
        parts: The listed classes.
        root: Where the folders are.
        folders: Their names.
        layout: What is expected there.
        get: How to get it.

    Returns:
        For each part, the folders of its classes; and a note where file names had to tell them.

    Raises:
        DataError: A class has no folder either way, or the letters of a file name are those of two folders.
    """
    there = {nfc(folder): folder for folder in folders}
    lists, unknown = _found(parts, lambda part: part.names, lambda name: there.get(nfc(name)))
    if unknown is None:
        return lists, ()
    part, label = unknown
    if not all(each.by_file for each in parts):
        raise missing(f"folder of class {label!r}", [root / label], layout, get)
    alike: dict[str, list[str]] = {}
    for folder in folders:
        alike.setdefault(letters(folder), []).append(folder)

    def by_letters(name: str) -> str | None:
        if len(alike.get(name, [])) > 1:
            rule = f"file names of {name!r} fit two folders, {' and '.join(alike[name][:2])}, and labels fit none"
            raise DataError(rule, where=part.where, path=_PATH, fix="Let labels be the names of the folders.")
        return alike.get(name, [None])[0]

    lists, unfit = _found(parts, lambda each: each.by_file, by_letters)
    if unfit is not None:
        rule = f"neither the label {label!r} nor the file names of {unfit[1]!r} fit a folder of {root.resolve()}"
        fix = f"Expected layout: {layout}. Let labels be the names of the folders. {get}"
        raise DataError(rule, where=unfit[0].where, path=_PATH, fix=fix)
    note = f"{part.where}: label {label!r} is no folder of {root}, so classes are those that the file names tell"
    return lists, (note,)


def _found(
    parts: Sequence[ClassList], listed: Callable[[ClassList], Iterable[str]], folder_of: Callable[[str], str | None]
) -> tuple[list[list[str]], tuple[ClassList, str] | None]:
    """For each part, the folders of what is listed; and the first entry without a folder, with its part."""
    lists: list[list[str]] = []
    for part in parts:
        lists.append([])
        for name in listed(part):
            folder = folder_of(name)
            if folder is None:
                return lists, (part, name)
            lists[-1].append(folder)
    return lists, None


def _different(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if value))
