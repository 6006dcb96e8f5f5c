"""From files of packages to files that studies read: one function a data set, ``(file, folder) -> data config``."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fgtune.arrays import AnyArray
from fgtune.files import write_atomically

TOPICS = {
    "computers": "comp.graphics comp.os.ms-windows.misc comp.sys.ibm.pc.hardware comp.sys.mac.hardware comp.windows.x",
    "recreation": "rec.autos rec.motorcycles rec.sport.baseball rec.sport.hockey",
    "science": "sci.crypt sci.electronics sci.med sci.space",
    "sale": "misc.forsale",
    "politics": "talk.politics.guns talk.politics.mideast talk.politics.misc",
    "religion": "alt.atheism soc.religion.christian talk.religion.misc",
}
"""Newsgroups by topic."""
FAMILIES = {
    "corporate": "acq earn",
    "subject": "interest money-fx ship",
    "economic indicator": (
        "bop cpi cpu gnp housing income instal-debt ipi jobs lei money-supply reserves retail trade wpi"
    ),
    "energy": "crude fuel gas heat jet nat-gas pet-chem",
    "commodity": (
        "alum carcass cocoa coffee copper cotton gold grain iron-steel lead livestock lumber meal-feed nickel orange "
        "platinum potato rubber strategic-metal sugar tea tin veg-oil zinc"
    ),
}
"""Topic codes by family, as Reuters lists them."""
BUILT = ("brickface", "cement", "path", "window")
_EACH, _FEWEST = 200, 20
"""Texts of a class that are used, the first ones; a class with fewer than the second number is left out."""


def digits(_: Path, __: Path) -> dict[str, Any]:
    """scikit-learn's digits, which fgtune reads itself."""
    return {"kind": "digits"}


def pbmc68k(_: Path, __: Path) -> dict[str, Any]:
    """Scanpy's blood cells, which fgtune reads itself; some states have eight cells, so all parts are all cells."""
    return {"kind": "single_cell", "split": {"transductive": True}}


def mnist_5k(path: Path, folder: Path) -> dict[str, Any]:
    """784 pixels and the digit a line."""
    with gzip.open(path, "rt", encoding="ascii") as lines:
        table = np.loadtxt(lines, delimiter=",", dtype=np.float32)
    digit = table[:, 784].astype(np.int64)
    return _arrays(folder, "mnist_5k", table[:, :784] / 255, digit // 5, digit, standardize="none")


def penguins(path: Path, folder: Path) -> dict[str, Any]:
    """Four measurements; NA where one is missing."""
    measured = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g")
    with path.open(newline="", encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if "NA" not in {row["sex"], *(row[name] for name in measured)}]
    inputs = np.array([[float(row[name]) for name in measured] for row in rows], dtype=np.float32)
    fine = [f"{row['species']} {row['sex']}" for row in rows]
    return _arrays(folder, "penguins", inputs, [row["species"] for row in rows], fine, standardize=True)


def segments(path: Path, folder: Path) -> dict[str, Any]:
    """18 numbers and the surface a line, in a zipped CSV."""
    with zipfile.ZipFile(path) as archive:
        text = archive.read(archive.namelist()[0]).decode("utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    names = [name for name in rows[0] if name != "category"]
    inputs = np.array([[float(row[name]) for name in names] for row in rows], dtype=np.float32)
    fine = [row["category"] for row in rows]
    coarse = ["built" if name in BUILT else "grown" for name in fine]
    return _arrays(folder, "segments", inputs, coarse, fine, standardize=True)


def vowels(path: Path, folder: Path) -> dict[str, Any]:
    """Series of 12 coefficients of a length of their own, then the speaker, separated by colons."""
    inputs, speakers = [], []
    for part in ("TRAIN", "TEST"):
        text = path.with_name(path.name.replace("TRAIN", part)).read_text(encoding="utf-8")
        for line in text.partition("@data")[2].split():
            *series, speaker = line.split(":")
            values = np.array([np.array(one.split(","), dtype=np.float64) for one in series])
            thirds = [third.mean(axis=1) for third in np.array_split(values, 3, axis=1)]
            inputs.append(np.concatenate([*thirds, values.std(axis=1)]))
            speakers.append(int(speaker) - 1)
    fine = np.array(speakers, dtype=np.int64)
    return _arrays(folder, "vowels", np.array(inputs, dtype=np.float32), fine // 3, fine, standardize=True)


def newsgroups(path: Path, folder: Path) -> dict[str, Any]:
    """Messages by newsgroup, and topics."""
    return _texts(folder, "newsgroups", _tab_rows(path), TOPICS)


def reuters(path: Path, folder: Path) -> dict[str, Any]:
    """News stories by topic code, and families of codes."""
    return _texts(folder, "reuters", _tab_rows(path), FAMILIES)


def _tab_rows(path: Path) -> Iterator[tuple[str, str]]:
    """Class and text of a table of Orange's, whose first three lines are headings, and of its test part."""
    for part in ("train", "test"):
        lines = path.with_name(path.name.replace("train", part)).read_text(encoding="utf-8").split("\n")
        for line in lines[3:]:
            name, _, text = line.partition("\t")
            if name.strip() and text.strip():
                yield name.strip(), text.strip()


def _texts(folder: Path, name: str, rows: Iterator[tuple[str, str]], groups: dict[str, str]) -> dict[str, Any]:
    """A table of the first texts of each class; classes with few texts are left out."""
    group_of = {each: group for group, members in groups.items() for each in members.split()}
    found = [(text, group_of[fine], fine) for fine, text in rows if fine in group_of]
    sizes, taken = Counter(fine for _, _, fine in found), Counter[str]()
    buffer = io.StringIO()
    table = csv.writer(buffer, lineterminator="\n")
    table.writerow(["text", "coarse", "fine"])
    for text, group, fine in found:
        taken[fine] += 1
        if sizes[fine] >= _FEWEST and taken[fine] <= _EACH:
            table.writerow([text, group, fine])
    place = folder / f"{name}.csv"
    write_atomically(place, buffer.getvalue().encode())
    return {"kind": "text", "path": str(place), "columns": {"text": "text", "coarse": ["coarse"], "fine": "fine"}}


def _arrays(
    folder: Path,
    name: str,
    inputs: AnyArray,
    coarse: AnyArray | Sequence[str],
    fine: AnyArray | Sequence[str],
    **more: Any,
) -> dict[str, Any]:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, inputs=inputs, coarse=np.asarray(coarse), fine=np.asarray(fine))
    place = folder / f"{name}.npz"
    write_atomically(place, buffer.getvalue())
    return {"kind": "arrays", "path": str(place), **more}
