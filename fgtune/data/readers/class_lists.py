"""Lists of the classes that a few-shot benchmark has in each part: those that come with fgtune, and a user's own.

The lists in ``fgtune/data/lists`` are facts that papers and their code state; each names its source in its first line.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fgtune.data.check import SPLIT_NAMES
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
_NAME = "Let labels be the names of the folders."
_LABEL, _FILE = "label", "filename"


@dataclass(frozen=True)
class ClassList:
    """The classes of one part, in order and without repetition.

    Attributes:
        where: The file.
        names: As they are listed.
        by_file: Every pair of a label and the letters of the name of one of its files, which may be none; empty
            where file names are not told.
    """

    where: str
    names: tuple[str, ...]
    by_file: tuple[tuple[str, str], ...] = ()


def read_class_lists(classes: str) -> tuple[list[ClassList], tuple[str, ...]]:
    """The classes of train, val and test: the lines of text files, or the different labels of tables, as they come.

    Args:
        classes: A folder, or a benchmark of ``SHIPPED``; a folder of this name that has lists comes before it.

    Returns:
        The three lists, and a note where a folder came before a benchmark.

    Raises:
        DataError: A list is missing, is none, or names no class.
    """
    folder = Path(classes)
    own = any((folder / f"{part}{ending}").is_file() for part in SPLIT_NAMES for ending in (".txt", ".csv"))
    shipped = classes in SHIPPED
    lists = [_read(SHIPPED_LISTS / classes if shipped and not own else folder, part) for part in SPLIT_NAMES]
    if not (shipped and own):
        return lists, ()
    note = f"classes are the lists of the folder {folder.resolve()}, not those of {classes} that come with fgtune"
    return lists, (note,)


def _read(folder: Path, part: str) -> ClassList:
    lines, table = folder / f"{part}.txt", folder / f"{part}.csv"
    if lines.is_file() or not table.is_file():
        names = read_lines(lines, f"class list '{part}.txt'", _PATH, _LAYOUT, _GET)
        found = ClassList(str(lines), tuple(names))
    else:
        found = _read_table(table)
    if not found.names:
        raise DataError("names no class", where=found.where, path=_PATH, fix=f"Expected layout: {_LAYOUT}.")
    return found


def _read_table(file: Path) -> ClassList:
    # Not the reader of tables: published files have rows with more values than their first line has names.
    try:
        text = read_text(file, MOST_LIST).removeprefix("\ufeff")
        header, *rows = csv.reader(text.splitlines(), strict=True)
    except (ConfigError, csv.Error, ValueError) as error:
        raise DataError(f"is no readable table ({error})", where=str(file), path=_PATH) from error
    names = [name.strip() for name in header]
    if _LABEL not in names:
        rule = f"no column {_LABEL!r}; the table has {', '.join(names)}"
        raise DataError(rule, where=str(file), path=_PATH, fix=f"Expected layout: {_LAYOUT}.")
    label, name = names.index(_LABEL), names.index(_FILE) if _FILE in names else None
    labelled = [row for row in rows if len(row) > label and row[label].strip()]
    pairs = [] if name is None else [(row[label].strip(), _file_letters(*row[name : name + 1])) for row in labelled]
    labels = dict.fromkeys(row[label].strip() for row in labelled)
    return ClassList(str(file), tuple(labels), tuple(dict.fromkeys(pairs)))


def _file_letters(path: str = "") -> str:
    """The letters of the name of a file, whichever system wrote its path."""
    return letters(PurePosixPath(path.strip().replace("\\", "/")).stem)


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
        DataError: A class has no folder either way, the letters of a file name are those of two folders, or labels and
            file names do not tell the same classes.
    """
    there = {nfc(folder): folder for folder in folders}
    unknown = next(((part, name) for part in parts for name in part.names if nfc(name) not in there), None)
    if unknown is None:
        return [[there[nfc(name)] for name in part.names] for part in parts], ()
    first, label = unknown
    if not all(any(word for _, word in part.by_file) for part in parts):
        raise missing(f"folder of class {label!r}", [root / label], layout, get)
    alike: dict[str, list[str]] = {}
    for folder in folders:
        alike.setdefault(letters(folder), []).append(folder)
    lists = []
    for part in parts:
        told = _one_to_one(part)
        lists.append([_by_letters(part, name, told[name], alike, root, f"{layout}. {_NAME} {get}") for name in told])
        for name, folder in zip(told, lists[-1], strict=True):
            if there.get(nfc(name), folder) != folder:
                rule = f"label {name!r} is a folder, and its file names are those of another, {folder}"
                raise DataError(rule, where=part.where, path=_PATH, fix=_NAME)
    note = f"{first.where}: label {label!r} is no folder of {root}, so classes are those that the file names tell"
    return lists, (note,)


def _one_to_one(part: ClassList) -> dict[str, str]:
    """The letters of every label's files.

    Raises:
        DataError: The files of a label have different letters, or those of another label: to take letters for classes
            would then split classes, or join them.
    """
    told: dict[str, str] = {}
    whose: dict[str, str] = {}
    for label, word in part.by_file:
        other = whose.setdefault(word, label)
        if other != label:
            rule = f"labels {other!r} and {label!r} both have files of {word!r}, and not all labels are folders"
            raise DataError(rule, where=part.where, path=_PATH, fix=_NAME)
        if told.setdefault(label, word) != word:
            rule = f"label {label!r} has files of {told[label]!r} and of {word!r}, and not all labels are folders"
            raise DataError(rule, where=part.where, path=_PATH, fix=_NAME)
    return told


def _by_letters(
    part: ClassList, label: str, word: str, alike: Mapping[str, Sequence[str]], root: Path, expected: str
) -> str:
    """The one folder of these letters."""
    found = alike.get(word, ()) if word else ()
    if len(found) > 1:
        rule = f"file names of {word!r} fit two folders, {' and '.join(found[:2])}, and labels fit none"
        raise DataError(rule, where=part.where, path=_PATH, fix=_NAME)
    if not found:
        rule = f"neither the label {label!r} nor the file names of {word!r} fit a folder of {root.resolve()}"
        raise DataError(rule, where=part.where, path=_PATH, fix=f"Expected layout: {expected}")
    return found[0]
