"""From labels of any kind to what a data set holds: class numbers with names, continuous targets, parts of a split.

A missing value is a missing label, and text is text: ``NA`` in a column of words is a class of that name.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from fgtune.arrays import Float32Array, IntArray
from fgtune.config.schema.data_tables import CoarseRule
from fgtune.data.check import SPLIT_NAMES
from fgtune.errors import DataError
from fgtune.text import first_of

NO_LABEL = "-1"
"""What stands for no label beside a missing value or an empty cell, as number or text."""
MISSING_WORDS = frozenset({"na", "n/a", "#n/a", "nan", "nat", "none", "null", "<na>"})
"""Words, in lower case, by which programs write a missing value into text."""
_NUMBER = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]*))?(?:(?:e[+-]?|E[+-])[0-9]{1,3})?")
"""A number as programs write it: after E they write a sign, and without one 1E2 may be a well of a plate."""
_WELL = re.compile(r"[0-9]+e[0-9]+")
_COMPLEMENT = str.maketrans("0123456789", "9876543210")


def number_classes(labels: Sequence[object] | npt.NDArray[Any]) -> tuple[IntArray, tuple[str, ...]]:
    """Number classes by name: whole numbers in numerical order, other names alphabetically.

    Args:
        labels: (N,) names or numbers; missing values of any kind, empty text and ``NO_LABEL`` stand for none.

    Returns:
        (N,) int64, -1 for none; and the names, in Unicode's composed form (NFC).
    """
    text = [NO_LABEL if is_missing(label) else class_name(label) for label in labels]
    distinct = set(text) - {NO_LABEL}
    names = sorted(distinct, key=_number_key) if all(is_whole(name) for name in distinct) else sorted(distinct)
    number = {name: index for index, name in enumerate(names)}
    return np.array([number.get(name, -1) for name in text], dtype=np.int64), tuple(names)


def is_missing(label: object) -> bool:
    """Whether a value stands for nothing: None, NaN, NaT, ``pandas.NA``, a masked value, or text without a character.

    Example:
        >>> [is_missing(value) for value in (None, float("nan"), " ", "NA", 0)]
        [True, True, True, False, False]
    """
    if label is None:
        return True
    if isinstance(label, str | bytes):
        return not label.strip()
    if isinstance(label, int | np.integer | np.bool_):
        return False
    try:
        return bool(label != label) or label is np.ma.masked  # NaN, NaT and their kin differ from themselves
    except (TypeError, ValueError, ArithmeticError):  # pandas.NA refuses to say
        return type(label).__name__ == "NAType"


def class_name(label: object) -> str:
    """A label as text: 3.0, which tables make of 3, is 3; composed and decomposed letters are the same name.

    Example:
        >>> [class_name(label) for label in (3.0, "3.0", 100000000000000001, " 01 ")]
        ['3', '3.0', '100000000000000001', '01']
    """
    if isinstance(label, bytes):
        label = label.decode("utf-8", "replace")
    elif isinstance(label, Decimal):
        label = int(label) if label.is_finite() and label == label.to_integral_value() else label
    elif isinstance(label, float | np.floating) and label.is_integer():
        label = int(label)
    return nfc(str(label).strip())


def nfc(name: str) -> str:
    """A name in Unicode's composed form: file systems and programs write the same letter in two ways.

    Bytes of a file's name that are no UTF-8 are spelled out, so that every name can be written into a file.
    """
    if name.isascii():
        return name
    composed = unicodedata.normalize("NFC", name)
    return composed if is_utf8(composed) else composed.encode("utf-8", "backslashreplace").decode()


def is_utf8(name: str) -> bool:
    """Whether a name can be written as UTF-8: Python reads other bytes of a file's name as halves of characters."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def plain_cells(cells: Sequence[str | None]) -> list[str | None]:
    """The cells of a column of a text file, which does not say whether it holds numbers or words.

    Where every filled cell is a number, without leading zeros, the column holds numbers: 3.0 is 3, and words such as
    ``NA`` are missing. In any other column each cell is the text that stands there, so that 01 and 1 differ and ``NA``
    is a name. No whole number passes through a float.

    Example:
        >>> plain_cells(["1.0", "NA", "100000000000000001"]), plain_cells(["01", "1", "NA", " "])
        (['1', None, '100000000000000001'], ['01', '1', 'NA', None])
    """
    stripped = [None if cell is None or not cell.strip() else cell.strip() for cell in cells]
    found = {cell: _number_name(cell) for cell in set(stripped) if cell is not None}
    words = [cell for cell, number in found.items() if number is None]
    if len(words) == len(found) or any(word.lower() not in MISSING_WORDS for word in words):
        return stripped
    wells = [number for cell, number in found.items() if _WELL.fullmatch(cell)]
    if len(set(wells)) < len(wells):  # 1e2 and 10e1
        return stripped
    return [None if cell is None else found[cell] for cell in stripped]


def doubtful_names(
    names: Sequence[str], codes: IntArray, column: str, labels: Sequence[object] | npt.NDArray[Any] = ()
) -> Iterator[str]:
    """Warnings where the classes of a column may not be those that were meant.

    Words for a missing value that name a class, names that look the same and are not, and -1, which is no label, where
    it may have been meant as a class.

    Args:
        names: The classes of the column.
        codes: (N,) class of each sample, -1 for none.
        column: How a sentence calls the column.
        labels: (N,) its cells as they were; empty where these are not known.
    """
    suspects = [code for code, name in enumerate(names) if name.lower() in MISSING_WORDS]
    if suspects:
        words = first_of([names[code] for code in suspects])
        yield (
            f"{column} holds the text {words} in {_rows_text(np.isin(codes, suspects))}, which is taken as the name of "
            "a class; if it stands for a missing label, leave these cells empty"
        )
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(_look(name), []).append(name)
    pairs = [" and ".join(map(repr, group)) for group in alike.values() if len(group) > 1]
    if pairs:
        yield (
            f"{column} holds names that differ in nothing but case, zeros, spaces or signs that are not seen: "
            f"{first_of(pairs)}; each is a class of its own"
        )
    if len(labels) and all(name in {"0", "1"} or (is_whole(name) and name.startswith("-")) for name in names):
        none = np.array([code < 0 and not is_missing(label) for code, label in zip(codes, labels, strict=True)])
        if none.any():
            yield (
                f"{column} holds -1 in {_rows_text(none)}, which stands for no label; if it is a class, give it "
                "another number"
            )


def _rows_text(rows: npt.NDArray[np.bool_]) -> str:
    count = int(rows.sum())
    return f"{count:,} row{'s' * (count != 1)}"


def _look(name: str) -> str:
    """What a reader sees of a name, more or less."""
    seen = unicodedata.normalize("NFKC", name).casefold()
    shown = " ".join("".join(sign for sign in seen if unicodedata.category(sign) != "Cf").split())
    return re.sub(r"\.0*$", "", re.sub(r"^(-?)0+(?=\d)", r"\1", shown)) if _DIGITS.fullmatch(shown) else shown


_DIGITS = re.compile(r"-?[0-9]+(\.[0-9]*)?")


def check_exact(values: npt.NDArray[Any], where: str, path: str) -> None:
    """Raise unless real numbers that stand for labels are exact: from 2^53 on (in float32, 2^24) neighbours are one.

    Args:
        values: (N,) of any dtype; only real ones are looked at. NaN stands for none.
        where: The file, for messages.
        path: The column.

    Raises:
        DataError: A value is infinite or too large.
    """
    if values.dtype.kind != "f":
        return
    wrong = ~(are_exact(values) | np.isnan(values))
    if wrong.any():
        row = int(np.argmax(wrong))
        rule = f"labels that are real numbers must be exact; {values.dtype} in row {row} is not"
        fix = "Store them as whole numbers or as text."
        raise DataError(rule, where=where, path=path, value=float(values[row]), fix=fix)


def are_exact(values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.bool_]:
    """Which real numbers, if whole, are no other whole number too: below 2^53, in float32 2^24, by size."""
    return np.asarray(np.abs(values) < 2 / np.finfo(values.dtype).eps)


def count_classes(coarse: IntArray) -> tuple[int, ...]:
    """K_C of each source of (N, sources) labels: its highest label + 1."""
    return tuple(int(labels.max(initial=-1)) + 1 for labels in coarse.T)


def is_whole(name: str) -> bool:
    """Whether a name is a whole number."""
    return name.removeprefix("-").isascii() and name.removeprefix("-").isdigit()


def _number_key(name: str) -> tuple[int, str, str]:
    """Orders whole numbers of any length; the last part keeps the order of 1 and 01 fixed."""
    digits = name.removeprefix("-").lstrip("0")
    if name.startswith("-"):
        return -len(digits), digits.translate(_COMPLEMENT), name
    return len(digits), digits, name


def _number_name(cell: str) -> str | None:
    """The name of a number in text, 1.50 being 1.5; None where the text is no number as programs write them."""
    match = _NUMBER.fullmatch(cell)
    if match is None:
        return None
    if "e" in cell.lower():
        exact = Decimal(cell)
        if not math.isfinite(float(cell)):
            return None
        return class_name(exact if exact == exact.to_integral_value() else float(cell))
    sign, whole, fraction = match.group(1), match.group(2), (match.group(3) or "").rstrip("0")
    if fraction:
        return f"{sign}{whole}.{fraction}"
    return whole if whole == "0" else sign + whole


def as_values(array: npt.NDArray[Any], where: str, path: str) -> Float32Array:
    """Continuous targets (N,) or (N, columns) of any real dtype as (N, columns) float32."""
    if array.dtype.kind not in "buif" or not 1 <= array.ndim <= 2:
        rule = "continuous fine targets must be real numbers, (N,) or (N, columns)"
        raise DataError(rule, where=where, path=path, value=f"{array.dtype} of shape {array.shape}")
    with np.errstate(over="ignore"):  # the check reports what float32 cannot hold
        return np.ascontiguousarray(array[:, None] if array.ndim == 1 else array, dtype=np.float32)


def parts_of(labels: Sequence[object] | npt.NDArray[Any], where: str, path: str = "split") -> IntArray:
    """Parts of a split, (N,) in {0, 1, 2}, from these numbers or from 'train', 'val', 'test'.

    Raises:
        DataError: At the first entry that is neither; the text names its row.
    """
    known = {name: part for part, name in enumerate(SPLIT_NAMES)} | {str(part): part for part in range(3)}
    parts = np.array([-1 if is_missing(label) else known.get(class_name(label), -1) for label in labels], np.int64)
    unknown = np.flatnonzero(parts < 0)
    if unknown.size:
        rule = f"must be one of {', '.join(map(repr, SPLIT_NAMES))}, row {unknown[0]} is not"
        fix = "Use these names, or 0, 1, 2."
        first = labels[int(unknown[0])]
        raise DataError(rule, where=where, path=path, value="" if is_missing(first) else str(first), fix=fix)
    return parts


def derive_coarse(values: Float32Array | None, rule: CoarseRule, where: str) -> IntArray:
    """Coarse labels from continuous fine targets, as in FIERCE.

    Args:
        values: (N, columns); None is an error.
        rule: ``median``: 1 where the first column is above its median, else 0 (ages); ``argmax``: the column of the
            largest value (abundances), renumbered without gaps.
        where: For messages.

    Returns:
        (N, 1) int64.
    """
    path = "trial.data.derive_coarse"
    if values is None:
        raise DataError("needs continuous fine targets", where=where, path=path, value=rule, fix="Give fine_values.")
    if rule == "argmax" and values.shape[1] < 2:
        raise DataError("needs several columns of targets", where=where, path=path, value=rule, fix="Use median.")
    if rule == "median":
        coarse = (values[:, 0] > np.median(values[:, 0])).astype(np.int64)
    else:
        coarse = np.unique(values.argmax(axis=1), return_inverse=True)[1].astype(np.int64)
    return coarse[:, None]
