"""A user's single cells: which column holds the cell types, and whether the matrix holds raw counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from fgtune.app.discovery.columns import choose_coarse, fine_labels, label_column
from fgtune.app.discovery.source import Asked, Source, check_named
from fgtune.config.schema.data_tables import SingleCellConfig
from fgtune.data.check import check_dataset
from fgtune.data.readers.h5ad import H5adFile, Matrix, open_h5ad
from fgtune.data.sets.single_cell import load_cells


def read_cells(asked: Asked, out: Path, begin: Callable[[], None]) -> Source:
    """Read an ``.h5ad``; the studies read it themselves, so nothing is written.

    Raises:
        DataError: The file cannot be read, or it is not clear which column holds the coarse labels.
    """
    del out
    where = str(asked.data)
    with open_h5ad(asked.data) as file:
        names = file.columns()
        check_named(asked, names, where, "column of obs", "obs")
        coarse = asked.coarse or _guess(file, names, asked, where)
        states = None if asked.fine is None else file.column(asked.fine, "--fine")
        counts = _holds_counts(file.matrix(None))
        genes = file.names("var")
        barcodes = file.names("obs")
    config: dict[str, Any] = {"kind": "single_cell", "path": str(asked.data.resolve()), "coarse": coarse}
    if not counts:
        config["preprocess"] = {"kind": "ready"}
    dataset, kept = load_cells(SingleCellConfig.from_plain(config))
    check_dataset(dataset)
    fine = fine_labels(asked.fine, [states[row] for row in kept] if states else (), where)
    width = dataset.inputs.shape[1]
    known = not counts and len(genes) == width
    notes = [] if asked.coarse else [f"Coarse labels are those of column {coarse} of obs, which was guessed."]
    notes.append(
        "The matrix holds raw counts: cells and genes are filtered, counts normalised, 2,000 variable genes kept."
        if counts
        else "The matrix holds no raw counts and is used as it stands."
    )
    begin()
    return Source(
        kind="cells",
        config=config,
        coarse=coarse,
        ids=[barcodes[row] for row in kept] if barcodes else None,
        id_name="cell" if barcodes else "row",
        features=tuple(genes) if known else tuple(f"gene {number}" for number in range(width)),
        numbers=np.asarray(dataset.inputs, dtype=np.float64),
        fine=fine,
        shape=(width,),
        notes=tuple(notes),
    )


def _guess(file: H5adFile, names: list[str], asked: Asked, where: str) -> str:
    columns = {}
    for name in names:
        if name in (asked.fine, *asked.left_out):
            continue
        values = file.column(name, "--coarse")
        words = not all(_is_number(value) for value in set(values[:1000]))
        found = label_column(name, values, words)
        if found is not None:
            columns[name] = found
    return choose_coarse(columns, where).name


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return not text
    return True


def _holds_counts(matrix: Matrix) -> bool:
    values = matrix.data if isinstance(matrix, csr_array) else np.asarray(matrix)
    return bool(values.size and values.min() >= 0 and (values == np.round(values)).all())
