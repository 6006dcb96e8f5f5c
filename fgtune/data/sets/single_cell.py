"""Single cells from AnnData files: filtered, normalised and reduced to variable genes as in FALCON (appendix C)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array, issparse

from fgtune.arrays import Float32Array, IntArray
from fgtune.config.schema.data_tables import CountsConfig, DispersionConfig, SeuratV3Config, SingleCellConfig
from fgtune.data.base import Dataset
from fgtune.data.labels import doubtful_names, nfc, number_classes
from fgtune.data.preparation import preparation_of
from fgtune.data.readers.data_files import check_memory
from fgtune.data.readers.h5ad import INSTALL, H5adFile, Matrix, open_h5ad
from fgtune.data.sets.genes import variable_by_counts, variable_by_dispersion
from fgtune.errors import DataError
from fgtune.text import first_of

PBMC68K_COARSE: Mapping[str, str] = {
    "CD4+/CD25 T Reg": "T",
    "CD4+/CD45RA+/CD25- Naive T": "T",
    "CD4+/CD45RO+ Memory": "T",
    "CD8+ Cytotoxic T": "T",
    "CD8+/CD45RA+ Naive Cytotoxic": "T",
    "CD19+ B": "B",
    "CD56+ NK": "NK",
    "CD14+ Monocyte": "myeloid",
    "Dendritic": "myeloid",
    "CD34+": "progenitor",
}
"""Coarse class of each ``bulk_labels`` in scanpy's ``pbmc68k_reduced``."""


def load_single_cell(config: SingleCellConfig) -> Dataset:
    """Cells as (N, genes) float32.

    Cells without a coarse label keep -1; cells whose fine class ``coarse_of`` does not name, and cells without a fine
    class where there are fine classes, are left out.

    Raises:
        DataError: If the file, a column or a layer is missing or damaged, h5py is not installed, or counts are needed
            and the matrix holds none.
    """
    return load_cells(config)[0]


def load_cells(config: SingleCellConfig) -> tuple[Dataset, IntArray]:
    """The same, and the row in the file of each cell, since filters leave some out."""
    path = pbmc68k_path() if config.path is None else Path(config.path)
    fine_column = "bulk_labels" if config.path is None else config.fine
    given = PBMC68K_COARSE if config.path is None else config.coarse_of
    coarse_of = {nfc(name): coarse for name, coarse in given.items()}
    with open_h5ad(path) as file:
        matrix = file.matrix(config.layer)
        fine = None if fine_column is None else file.column(fine_column, "trial.data.fine")
        coarse = _coarse_labels(file, config, fine, coarse_of)
        preprocess = config.preprocess or (None if config.path is None else CountsConfig())
        batches = None
        if isinstance(preprocess, CountsConfig) and isinstance(preprocess.genes, SeuratV3Config):
            key = preprocess.genes.batch_key
            batches = None if key is None else file.column(key, "trial.data.preprocess.genes.batch_key")
    where = str(path)
    for labels in (fine, coarse, batches):
        if labels is not None and len(labels) != matrix.shape[0]:
            raise DataError(f"obs has {len(labels)} cells, the matrix {matrix.shape[0]}", where=where)
    rows = _labelled(fine, coarse, coarse_of)
    inputs, kept = _prepared(matrix, rows, preprocess, batches, where)
    coarse_numbers, coarse_names = number_classes([coarse[row] for row in kept])
    fine_numbers, fine_names = (None, None) if fine is None else number_classes([fine[row] for row in kept])
    dataset = Dataset(
        name="pbmc68k_reduced" if config.path is None else where,
        inputs=inputs,
        coarse=coarse_numbers[:, None],
        num_coarse=(len(coarse_names),),
        fine=fine_numbers,
        coarse_names=(coarse_names,),
        fine_names=fine_names,
        preparation=preparation_of(config),
        notes=(
            *doubtful_names(coarse_names, coarse_numbers, f"{where}: the column of coarse labels"),
            *(
                ()
                if fine_numbers is None
                else doubtful_names(fine_names or (), fine_numbers, f"{where}: {fine_column!r}")
            ),
        ),
    )
    return dataset, kept


def pbmc68k_path() -> Path:
    """The file that scanpy ships; scanpy itself is not imported.

    Raises:
        DataError: If scanpy is not installed, or no longer ships it.
    """
    spec = find_spec("scanpy")
    if spec is None or spec.origin is None:
        raise DataError(
            "pbmc68k_reduced comes with scanpy, which is not installed", path="trial.data.path", fix=INSTALL
        )
    path = Path(spec.origin).parent / "datasets" / "10x_pbmc68k_reduced.h5ad"
    if not path.is_file():
        raise DataError(
            "the installed scanpy carries no pbmc68k_reduced", where=str(path), fix="Name an .h5ad instead."
        )
    return path


def _coarse_labels(
    file: H5adFile, config: SingleCellConfig, fine: Sequence[str] | None, coarse_of: Mapping[str, str]
) -> list[str]:
    """Coarse label of every cell, empty for none."""
    if config.coarse is not None:
        return file.column(config.coarse, "trial.data.coarse")
    unused = sorted(coarse_of.keys() - set(fine or ()))
    if unused:
        raise DataError(
            f"no cell is of fine class {unused[0]!r}",
            path="trial.data.coarse_of",
            fix=f"Write the names as the column does: {first_of(sorted(set(fine or ())), 12)}.",
        )
    return [coarse_of.get(name, "") for name in fine or ()]


def _labelled(fine: Sequence[str] | None, coarse: Sequence[str], coarse_of: Mapping[str, str]) -> IntArray:
    """Cells that are kept: those with a fine class, if there are any, that ``coarse_of`` names, if it names any."""
    named = np.array([not coarse_of or label != "" for label in coarse], dtype=bool)
    if fine is not None:
        named &= number_classes(fine)[0] >= 0
    return np.flatnonzero(named).astype(np.int64)


def _prepared(
    matrix: Matrix, rows: IntArray, preprocess: object, batches: Sequence[str] | None, where: str
) -> tuple[Float32Array, IntArray]:
    """Inputs, and the rows of their cells."""
    if not isinstance(preprocess, CountsConfig):
        return _dense(matrix[rows], where), rows
    counts = csr_array(matrix)[rows]
    values = counts.data
    if values.size and (values.min() < 0 or (values != np.round(values)).any()):
        rule = "the matrix holds no raw counts (some are negative or not whole)"
        fix = "Name the layer of counts under data.layer, or set data.preprocess to {kind: ready}."
        raise DataError(rule, where=where, path="trial.data.preprocess", fix=fix)
    expressed = np.diff(counts.indptr) if (values > 0).all() else (counts > 0).sum(axis=1)
    kept = np.flatnonzero(np.asarray(expressed) >= preprocess.min_genes)
    counts = counts[kept]
    seen_in = np.bincount(counts.indices[counts.data > 0], minlength=counts.shape[1])
    counts = csr_array(counts[:, np.flatnonzero(seen_in >= preprocess.min_cells)])
    if not all(counts.shape):
        rule = f"filters leave {counts.shape[0]} cells and {counts.shape[1]} genes"
        raise DataError(rule, where=where, path="trial.data.preprocess", fix="Lower min_genes or min_cells.")
    rows = rows[kept]
    genes = _variable_genes(counts, preprocess, None if batches is None else [batches[row] for row in rows])
    expression = _normalised(counts, preprocess.target_sum)[:, genes]
    inputs = _dense(expression, where)
    return np.log1p(inputs, out=inputs) if preprocess.log1p else inputs, rows


def _variable_genes(counts: csr_array, config: CountsConfig, batches: Sequence[str] | None) -> IntArray:
    genes = config.genes
    if isinstance(genes, SeuratV3Config):
        return variable_by_counts(counts, genes.count, genes.span, batches)
    if isinstance(genes, DispersionConfig):
        return variable_by_dispersion(_normalised(counts, config.target_sum), genes.count, genes.bins)
    return np.arange(counts.shape[1])


def _normalised(counts: csr_array, target: float) -> csr_array:
    """Counts scaled so that every cell sums to ``target``; a cell without counts stays empty."""
    totals = np.asarray(counts.sum(axis=1), dtype=np.float64).reshape(-1)
    scale = np.divide(target, totals, out=np.zeros_like(totals), where=totals > 0)
    scaled = counts.copy()
    scaled.data *= np.repeat(scale, np.diff(counts.indptr)).astype(np.float32)
    return scaled


def _dense(matrix: Matrix, where: str) -> Float32Array:
    needed = 4 * matrix.shape[0] * matrix.shape[1]
    check_memory(needed, "cells x genes take", where, "trial.data.preprocess", "Keep fewer genes.")
    dense: npt.NDArray[np.float32] = np.asarray(matrix.toarray() if issparse(matrix) else matrix, dtype=np.float32)
    return np.ascontiguousarray(dense)
