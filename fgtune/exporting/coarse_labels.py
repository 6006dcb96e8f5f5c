"""Coarse labels of new samples, by the names or numbers that the classes had in training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fgtune.arrays import AnyArray, IntArray
from fgtune.data.labels import nfc, number_classes
from fgtune.errors import ConfigError
from fgtune.exporting.folder import ModelCard
from fgtune.text import first_of


def coarse_codes(
    columns: Sequence[Sequence[Any]], samples: int, card: ModelCard, where: str, path: str = "--coarse"
) -> IntArray:
    """The numbers of coarse classes as the model knows them.

    Args:
        columns: For each source of the training data, in its order, the label of each sample: a name of the training
            data, or where they had none the number of the class; empty or -1 for none.
        samples: Number of samples n.
        card: The model's card.
        where: Where the labels come from, for messages.
        path: What named them, for messages.

    Returns:
        (n, sources) int64, -1 for none.

    Raises:
        ConfigError: Another number of sources or samples, or a label that the training data did not have.
    """
    check_sources(len(columns), card, where, path)
    odd = next((len(column) for column in columns if len(column) != samples), None)
    if odd is not None:
        rule = f"must give a label for each of the {samples:,} samples, empty or -1 for none"
        raise ConfigError(rule, where=where, path=path, value=odd, fix="write labels and samples in the same order")
    return np.stack([_codes(column, card, source, where, path) for source, column in enumerate(columns)], axis=1)


def by_source(labels: AnyArray) -> list[list[Any]]:
    """Labels (n,) or (n, sources), source by source."""
    return [labels.tolist()] if labels.ndim == 1 else labels.T.tolist()


def check_sources(count: int, card: ModelCard, where: str, path: str = "--coarse") -> None:
    """Raise ``ConfigError`` unless labels are given for so many sources as the training data had."""
    wanted = len(card.num_coarse)
    if count != wanted:
        rule = f"must give the labels of {wanted} source{'s' * (wanted > 1)}, as in training"
        fix = "name one column a source, in the order of training; leave cells empty where a source gives no label"
        raise ConfigError(rule, where=where, path=path, value=count, fix=fix)


def _codes(column: Sequence[Any], card: ModelCard, source: int, where: str, path: str) -> IntArray:
    """(n,) int64 numbers of the classes of one source."""
    numbers = [str(number) for number in range(card.num_coarse[source])]
    names = numbers if card.coarse_names is None else list(map(nfc, card.coarse_names[source]))
    found, given = number_classes(column)
    if not set(given) <= set(names) and set(given) <= set(numbers):
        names = numbers
    unknown = next((name for name in given if name not in names), None)
    if unknown is not None:
        rule = "is no coarse class that the model was trained with"
        fix = f"it knows {first_of(names)}; leave the cell empty where the label is another, or is not known"
        raise ConfigError(rule, where=where, path=path, value=unknown, fix=fix)
    codes = np.array([*map(names.index, given), -1], dtype=np.int64)  # the last is that of no label
    return codes[found]
