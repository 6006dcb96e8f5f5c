"""A user's table of texts: which column holds the coarse labels, and the words that people see of each class."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from fgtune.app.discovery.source import Asked, Source
from fgtune.app.discovery.tables import read_labelled
from fgtune.arrays import FloatArray
from fgtune.config.schema.data_text import TextConfig
from fgtune.data.check import check_dataset
from fgtune.data.sets.texts import load_texts
from fgtune.data.terms import TermCounts, weighted

MOST_WORDS = 400
"""Words by which classes are described."""


def read_user_texts(asked: Asked, out: Path, begin: Callable[[], None]) -> Source:
    """Read the texts of a ``.csv``, ``.tsv`` or ``.parquet``; the studies read them themselves, so nothing is written.

    Raises:
        DataError: The table cannot be read, a text is missing, or it is not clear which column holds the coarse labels.
    """
    del out
    table = read_labelled(asked)
    columns = {"text": asked.text, "coarse": [table.coarse.name]}
    config = {"kind": "text", "path": str(asked.data.resolve()), "columns": columns}
    dataset = load_texts(TextConfig.from_plain(config))
    check_dataset(dataset)
    inputs = dataset.inputs
    if not isinstance(inputs, TermCounts):
        raise TypeError("texts are counts of terms")
    words, weights = _words(inputs)
    note = (
        f"Texts of column {asked.text} become {inputs.form.dimension} numbers each, by the weights of "
        f"{len(inputs.terms):,} words and their SVD; no other column is used."
    )
    begin()
    return Source(
        kind="texts",
        config=config,
        coarse=table.coarse.name,
        ids=table.ids,
        id_name=table.id_name,
        features=words,
        numbers=weights,
        fine=table.fine,
        shape=inputs.shape[1:],
        notes=(*table.notes, note, *dataset.notes),
    )


def _words(inputs: TermCounts) -> tuple[tuple[str, ...], FloatArray]:
    """The terms that weigh most over all texts, and their TF-IDF weights (N, words)."""
    learned = inputs.whole
    place = {term: column for column, term in enumerate(inputs.terms)}
    weights = weighted(inputs.counts[:, [place[term] for term in learned.terms]], learned.idf)
    total = np.asarray(weights.sum(axis=0)).reshape(-1)
    chosen = np.sort(np.argsort(-total, kind="stable")[:MOST_WORDS])
    return tuple(learned.terms[column] for column in chosen), np.asarray(weights[:, chosen].toarray(), dtype=np.float64)
