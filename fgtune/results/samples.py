"""A few samples of each data set of a study, for people to see what was studied: ``samples/KEY.json``."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fgtune.arrays import ByteArray
from fgtune.errors import ConfigError
from fgtune.files import read_text, write_atomically
from fgtune.results.cell_files import CellFiles

_LOSSLESS = 400
"""Pixels up to which loss would be seen."""
_PICTURE = re.compile(r"data:image/(png|webp);base64,[A-Za-z0-9+/]+=*")


@dataclass(frozen=True)
class SampledClass:
    """Samples of one coarse class.

    Attributes:
        name: Of the class, or its number.
        size: Number of samples that have this label.
        pictures: Data URLs, where samples are pictures.
        rows: (samples, columns) values, where they are not; None for a missing one.
        texts: The beginnings of texts, where samples are texts.
    """

    name: str
    size: int
    pictures: tuple[str, ...] = ()
    rows: tuple[tuple[float | None, ...], ...] = ()
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class SampleCard:
    """What the samples of a data set look like.

    Attributes:
        data: Name of the data set.
        classes: Coarse classes of its first source.
        more_classes: Number of coarse classes that are not shown.
        columns: Names of the first features, where samples are not pictures.
        more_columns: Number of features that are not shown.
    """

    data: str
    classes: tuple[SampledClass, ...]
    more_classes: int
    columns: tuple[str, ...] = ()
    more_columns: int = 0

    def __post_init__(self) -> None:
        """Refuse what no data set gives, since a page would show it."""
        pictures = [picture for each in self.classes for picture in each.pictures]
        rows = [row for each in self.classes for row in each.rows]
        if not all(is_picture(picture) for picture in pictures):
            raise ValueError("a picture must be a data URL")
        if any(len(row) != len(self.columns) for row in rows):
            raise ValueError("every row must have a value for each column")


def is_picture(url: str) -> bool:
    """Whether a text is a data URL of a picture, and nothing else."""
    return _PICTURE.fullmatch(url) is not None


def png_url(pixels: ByteArray, longest: int | None = None) -> str:
    """A picture as a data URL that holds a PNG.

    Args:
        pixels: (1 or 3, height, width) uint8.
        longest: The longest side; a larger picture is made smaller. None keeps its size.
    """
    return _url(pixels, longest, "PNG", optimize=True)


def webp_url(pixels: ByteArray, longest: int | None = None) -> str:
    """The same as a WebP of a third of the size: without loss if it is small, and with little if it is not."""
    small = pixels.shape[-1] * pixels.shape[-2] <= _LOSSLESS
    return _url(pixels, longest, "WEBP", **({"lossless": True} if small else {"quality": 75}), method=6)


def _url(pixels: ByteArray, longest: int | None, form: str, **options: object) -> str:
    from PIL import Image

    image = Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(np.moveaxis(pixels, 0, -1)))
    if longest is not None:
        image.thumbnail((longest, longest))
    buffer = io.BytesIO()
    image.save(buffer, format=form, **options)
    return f"data:image/{form.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def write_samples(folder: CellFiles, dataset_key: str, card: SampleCard) -> None:
    """Store the samples of a data set."""
    write_atomically(folder.samples_dir / f"{dataset_key}.json", json.dumps(asdict(card), allow_nan=False).encode())


def remove_samples(folder: CellFiles, dataset_key: str) -> None:
    """Store none of a data set any more."""
    (folder.samples_dir / f"{dataset_key}.json").unlink(missing_ok=True)


def read_samples(folder: CellFiles, keys: Iterable[str] = ()) -> tuple[SampleCard, ...]:
    """The samples of every data set, those with these keys first; a damaged file is left out and noted."""
    found, places = [], {key: place for place, key in enumerate(keys)}
    paths = sorted(folder.samples_dir.glob("*.json"))
    for path in sorted(paths, key=lambda path: places.get(path.stem, len(places))):
        try:
            found.append(_parsed(json.loads(read_text(path))))
        except (ConfigError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            folder.note_damage(path, "is damaged, and the report shows no samples of this data set")
    return tuple(found)


def _parsed(raw: dict[str, Any]) -> SampleCard:
    classes = tuple(
        SampledClass(
            str(each["name"]),
            int(each["size"]),
            tuple(str(picture) for picture in each["pictures"]),
            tuple(tuple(None if value is None else float(value) for value in row) for row in each["rows"]),
            tuple(str(text) for text in each.get("texts", ())),
        )
        for each in raw["classes"]
    )
    columns = tuple(str(name) for name in raw["columns"])
    return SampleCard(str(raw["data"]), classes, int(raw["more_classes"]), columns, int(raw["more_columns"]))
