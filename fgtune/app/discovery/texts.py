"""A user's table of texts: which column holds the coarse labels, and the words that people see of each class."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from fgtune.app.discovery.columns import choose_coarse, fine_labels
from fgtune.app.discovery.source import Asked, Source, check_named
from fgtune.app.discovery.tables import id_columns, label_columns, naming, read_frame, unusual
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
    where = str(asked.data)
    frame = read_frame(asked)
    check_named(asked, [*frame.columns, *asked.left_out], where)
    numbering = id_columns(frame, asked.named)
    labels = label_columns(frame, {*asked.named, *numbering} - {asked.coarse})
    fine = fine_labels(asked.fine, list(frame.get(asked.fine, ())), where)
    if asked.coarse is None:
        coarse = choose_coarse(labels, where)
    else:
        coarse = labels.get(asked.coarse) or unusual(frame, asked.coarse, where)
    columns = {"text": asked.text, "coarse": [coarse.name]}
    config = {"kind": "text", "path": str(asked.data.resolve()), "columns": columns}
    dataset = load_texts(TextConfig.from_plain(config))
    check_dataset(dataset)
    inputs = dataset.inputs
    if not isinstance(inputs, TermCounts):
        raise TypeError("texts are counts of terms")
    words, weights = _words(inputs)
    notes = [] if asked.coarse else [f"Coarse labels are those of column {coarse.name}, which was guessed."]
    notes += naming(numbering)
    notes.append(
        f"Texts of column {asked.text} become {inputs.form.dimension} numbers each, by the weights of "
        f"{len(inputs.terms):,} words and their SVD; no other column is used."
    )
    begin()
    ids = numbering[0] if numbering else None
    return Source(
        kind="texts",
        config=config,
        coarse=coarse.name,
        ids=None if ids is None else [str(value) for value in frame[ids]],
        id_name="row" if ids is None else ids or "id",
        features=words,
        numbers=weights,
        fine=fine,
        shape=inputs.shape[1:],
        notes=(*notes, *dataset.notes),
    )


def _words(inputs: TermCounts) -> tuple[tuple[str, ...], FloatArray]:
    """The terms that weigh most over all texts, and their TF-IDF weights (N, words)."""
    learned = inputs.whole
    place = {term: column for column, term in enumerate(inputs.terms)}
    weights = weighted(inputs.counts[:, [place[term] for term in learned.terms]], learned.idf)
    total = np.asarray(weights.sum(axis=0)).reshape(-1)
    chosen = np.sort(np.argsort(-total, kind="stable")[:MOST_WORDS])
    return tuple(learned.terms[column] for column in chosen), np.asarray(weights[:, chosen].toarray(), dtype=np.float64)
