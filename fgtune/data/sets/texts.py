"""Texts with labels, from a table or from folders of ``.txt`` files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fgtune.config.schema.data_text import TextColumnsConfig, TextConfig
from fgtune.data.base import Dataset
from fgtune.data.labels import is_missing
from fgtune.data.readers.class_folders import class_folders
from fgtune.data.readers.data_files import check_memory, missing
from fgtune.data.readers.tables import cells, labels_of, read_table
from fgtune.data.terms import TermCounts, TextForm, counted, kept_counted
from fgtune.errors import DataError

LAYOUT = "PATH/COARSE/FINE/*.txt or PATH/COARSE/*.txt, or a .csv, .tsv or .parquet with a column of texts"
SUFFIX = ".txt"
LEAST_KEPT = 1_000_000
"""Characters from which on counts are kept on disk; fewer take a fifth of a second to count."""
_COUNTED: dict[str, TermCounts] = {}
"""The counts of the texts that this process has read last, by their digest."""
GET = "Point data.path to the folder of your texts."


def load_texts(config: TextConfig) -> Dataset:
    """Texts as counts of their terms (``TermCounts``), with labels from columns or folders.

    Raises:
        DataError: The table or folder is missing or damaged, a text is empty or not UTF-8, or no term is left.
    """
    where = config.path
    texts, dataset = labelled_texts(config)
    if len(texts) < 2:
        rule, fix = "one text cannot be told apart from others", "Give at least ten texts."
        raise DataError(rule, where=where, path="trial.data.path", value=len(texts), fix=fix)
    inputs = _counted_once(texts, TextForm.of(config), where, config.cache)
    bare = int((np.diff(inputs.counts.indptr) == 0).sum())
    notes = dataset.notes
    if bare:
        notes += (f"{where}: {bare:,} of {len(texts):,} texts have no term that is used; all their numbers are 0",)
    return replace(dataset, inputs=inputs, notes=notes)


def _counted_once(texts: list[str], form: TextForm, where: str, cache: bool) -> TermCounts:
    """The counts of these texts, which data sets of a study that differ in nothing but their labels share."""
    keep = cache and sum(map(len, texts)) >= LEAST_KEPT
    digest = hashlib.sha256(f"{form.digest}{keep}".encode())
    for text in texts:
        digest.update(f"{len(text)}\0{text}".encode("utf-8", "surrogatepass"))
    key = digest.hexdigest()
    if key not in _COUNTED:
        _COUNTED.clear()
        _COUNTED[key] = kept_counted(texts, form, where, key) if keep else counted(texts, form, where)
    return _COUNTED[key]


def labelled_texts(config: TextConfig) -> tuple[list[str], Dataset]:
    """The texts themselves, and their labels as those of a data set without inputs.

    Raises:
        DataError: As for ``load_texts``.
    """
    path, where = Path(config.path), config.path
    return _from_folders(path, where) if config.columns is None else _from_table(path, config.columns, where)


def table_texts(path: Path, column: str, labels: Sequence[str] = ()) -> tuple[list[str], list[list[Any]]]:
    """The texts in a column of a table, and the cells of columns of labels.

    Raises:
        DataError: The table or a column is missing, or a text is.
    """
    frame = read_table(path, [column, *labels], labels=labels)
    return _checked(cells(frame[column]), str(path), column), [cells(frame[name]) for name in labels]


def folder_texts(path: Path) -> list[str]:
    """The texts of the ``.txt`` files in a folder and its folders, by name; as in training, without hidden ones.

    Raises:
        DataError: There are none, or one is empty or not UTF-8.
    """
    below = (
        file.relative_to(path) for file in path.rglob("*") if file.name.lower().endswith(SUFFIX) and file.is_file()
    )
    files = sorted(str(each) for each in below if not any(part.startswith(".") for part in each.parts))
    if not files:
        raise DataError("holds no .txt files", where=str(path), path="trial.data.path", fix=f"Expected: {LAYOUT}.")
    return _read_files(path, files)


def _from_table(path: Path, columns: TextColumnsConfig, where: str) -> tuple[list[str], Dataset]:
    names = [*columns.coarse, *filter(None, (columns.fine, columns.split))]
    frame = read_table(path, [columns.text, *names], labels=names)
    texts = _checked(cells(frame[columns.text]), where, columns.text)
    labels = labels_of(frame, where, columns.coarse, columns.fine, split=columns.split)
    return texts, labels.dataset(where, np.empty((len(texts), 0), dtype=np.float32))


def _checked(found: Sequence[object], where: str, column: str) -> list[str]:
    """The cells of a column, each of which must be a text."""
    wrong = [row for row, cell in enumerate(found) if is_missing(cell)]
    if wrong:
        more = f", and {len(wrong) - 1:,} more rows have none" if len(wrong) > 1 else ""
        rule, fix = (
            f"every sample needs a text, row {wrong[0]} has none{more}",
            "Fill the cells, or leave out these rows.",
        )
        raise DataError(rule, where=where, path=column, fix=fix)
    other = next((row for row, cell in enumerate(found) if not isinstance(cell, str)), None)
    if other is not None:
        rule, fix = (
            f"must be a column of text, row {other} is none",
            "Name the column of the texts under data.columns.text.",
        )
        raise DataError(rule, where=where, path=column, value=str(found[other]), fix=fix)
    return [str(cell) for cell in found]


def _from_folders(root: Path, where: str) -> tuple[list[str], Dataset]:
    if not root.is_dir():
        raise missing("folder of texts", [root], LAYOUT, GET)
    found = class_folders(root, (SUFFIX,), "texts", LAYOUT)
    return _read_files(root, found.names), found.dataset(where, np.empty((len(found.names), 0), dtype=np.float32))


def _read_files(root: Path, names: Sequence[str]) -> list[str]:
    check_memory(sum((root / name).stat().st_size for name in names), "the texts take", str(root))
    texts = []
    for name in names:
        try:
            text = (root / name).read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            fix = "Save it as UTF-8."
            raise DataError(f"is not text in UTF-8 (byte {error.start:,})", where=str(root / name), fix=fix) from error
        except OSError as error:
            rule, fix = f"cannot be read ({error.strerror})", "Check who may read it."
            raise DataError(rule, where=str(root / name), fix=fix) from error
        if not text.strip():
            raise DataError("is empty", where=str(root / name), fix="Fill the file, or leave it out.")
        texts.append(text)
    return texts
