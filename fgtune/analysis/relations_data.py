"""Learned against true relations of one cell, laid out for a figure: fine classes aligned, rows by parent.

The alignment is that of the exact ``ged``, so the wrong edges in the figure are those of the metric.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from fgtune.analysis.inputs import PlannedArm, StudyData
from fgtune.arrays import FloatArray, IntArray
from fgtune.metrics.relations import align
from fgtune.results.records import RelationsRecord

NONE, RIGHT, LEARNED_ONLY, TRUE_ONLY = 0, 1, 2, 3
"""Codes of ``RelationsPanel.marks``: no edge, an edge in both relations, only in the learned, only in the true ones."""

MOST_SHARES = 150
"""Rows and columns of ``RelationsPanel.shares`` at most: a figure has no more that could be told apart."""


@dataclass(frozen=True)
class RelationsPanel:
    """One source of one cell.

    Rows are learned fine classes aligned with true ones and sorted by true parent, then surplus learned classes, then
    unclaimed true classes, with which no learned class is aligned. Without fine labels the rows are the learned
    classes, sorted by learned parent.

    Attributes:
        arm: Name in the plan.
        label: Name for readers.
        seed: The seed shown, the arm's median by the primary metric.
        source: Index of the source.
        num_sources: Number of sources.
        value: The cell's primary metric.
        rows: Name of each row, ``learned class -> true class``.
        marks: (rows, K_C) int64 codes ``NONE``, ``RIGHT``, ``LEARNED_ONLY`` or ``TRUE_ONLY``.
        shares: (rows / block[0], columns / block[1]) float64 in [0, 1], at most ``MOST_SHARES`` each: the test samples
            of a row, or of neighbouring rows, over true fine classes (columns in row order), or over coarse labels
            without fine labels. Rows without samples are nan.
        block: Rows and columns of classes that one entry of ``shares`` stands for; the last may stand for fewer.
        columns: Name of each column, before neighbours are put together.
        has_truth: Whether ``marks`` distinguishes right from wrong.
        counts: Numbers of rows: aligned with the right parent, with a wrong one, surplus, unclaimed; 0 without truth.
    """

    arm: str
    label: str
    seed: int
    source: int
    num_sources: int
    value: float
    rows: tuple[str, ...]
    marks: IntArray
    shares: FloatArray
    block: tuple[int, int]
    columns: tuple[str, ...]
    has_truth: bool
    counts: tuple[int, int, int, int]


def median_seed(data: StudyData, arm: str) -> int | None:
    """The seed with the (lower) median primary metric among the arm's finished cells; None if there are none."""
    values = data.values(arm, data.study.metrics.primary)
    ranked = sorted(values, key=lambda seed: (values[seed], seed))
    return ranked[(len(ranked) - 1) // 2] if ranked else None


def has_relations(data: StudyData, arm: str) -> bool:
    """Whether the arm's median seed has a finished, stored cell."""
    seed = median_seed(data, arm)
    cells = [cell.cell_id for cell in data.cells(arm) if cell.seed == seed]
    return bool(cells) and (data.folder.relations_dir / f"{cells[0]}.npz").exists()


def relations_panels(data: StudyData, arms: Collection[str] | None = None) -> tuple[RelationsPanel, ...]:
    """The panels of every arm's median seed, the baseline first; arms without a finished, stored cell have none.

    Args:
        data: The study.
        arms: Names of the arms that are shown; None for all.
    """
    panels = []
    for arm in sorted(data.arms, key=lambda arm: not arm.is_baseline):
        if arms is not None and arm.name not in arms:
            continue
        seed = median_seed(data, arm.name)
        if seed is not None:
            panels += _cell_panels(data, arm, seed)
    return tuple(panels)


def _cell_panels(data: StudyData, arm: PlannedArm, seed: int) -> list[RelationsPanel]:
    cell_id = next(cell.cell_id for cell in data.cells(arm.name) if cell.seed == seed)
    record = data.folder.read_relations(cell_id)
    if record is None:
        return []
    value = data.values(arm.name, data.study.metrics.primary)[seed]
    return [_panel(record, source, arm, seed, value) for source in range(len(record.fine_to_coarse))]


def _panel(record: RelationsRecord, source: int, arm: PlannedArm, seed: int, value: float) -> RelationsPanel:
    truth = None if record.true_fine_to_coarse is None else record.true_fine_to_coarse[source]
    known = truth is not None and record.fine_counts is not None and bool((truth >= 0).all())
    layout = _with_truth(record, source) if known else _without_truth(record, source)
    return RelationsPanel(
        arm=arm.name,
        label=arm.label,
        seed=seed,
        source=source,
        num_sources=len(record.fine_to_coarse),
        value=value,
        has_truth=known,
        **layout,
    )


def _with_truth(record: RelationsRecord, source: int) -> dict[str, Any]:
    if record.true_fine_to_coarse is None or record.fine_counts is None:
        raise ValueError("this layout needs true relations and fine counts")
    learned, truth = record.fine_to_coarse[source], record.true_fine_to_coarse[source]
    partner = align(record.fine_to_coarse, record.true_fine_to_coarse, record.fine_counts)
    aligned = np.flatnonzero(partner >= 0)
    aligned = aligned[np.lexsort((partner[aligned], truth[partner[aligned]]))]
    surplus = np.flatnonzero(partner < 0)
    surplus = surplus[np.argsort(learned[surplus], kind="stable")]
    unclaimed = np.setdiff1d(np.arange(len(truth)), partner)
    unclaimed = unclaimed[np.argsort(truth[unclaimed], kind="stable")]

    ours = np.concatenate([aligned, surplus, np.full(len(unclaimed), -1)])  # (rows,) learned class or -1
    theirs = np.concatenate([partner[aligned], np.full(len(surplus), -1), unclaimed])  # (rows,) true class or -1
    has_learned, has_true = ours >= 0, theirs >= 0
    num_coarse = 1 + int(max(learned.max(), truth.max()))
    in_learned = has_learned[:, None] & (learned[ours][:, None] == np.arange(num_coarse))  # (rows, K_C)
    in_true = has_true[:, None] & (truth[theirs][:, None] == np.arange(num_coarse))
    marks = np.select([in_learned & in_true, in_learned, in_true], [RIGHT, LEARNED_ONLY, TRUE_ONLY], NONE)

    order = theirs[has_true]
    shares, block = _shares(record.fine_counts, ours, order)
    right = int((in_learned & in_true).any(axis=1).sum())
    names = tuple(_row_name(int(mine), int(true)) for mine, true in zip(ours, theirs, strict=True))
    return {
        "rows": names,
        "marks": marks.astype(np.int64),
        "shares": shares,
        "block": block,
        "columns": tuple(str(true) for true in order),
        "counts": (right, len(aligned) - right, len(surplus), len(unclaimed)),
    }


def _row_name(learned: int, true: int) -> str:
    if true < 0:
        return f"{learned} → surplus"
    return f"unclaimed → {true}" if learned < 0 else f"{learned} → {true}"


def _without_truth(record: RelationsRecord, source: int) -> dict[str, Any]:
    learned, counts = record.fine_to_coarse[source], record.coarse_counts[source]
    order = np.argsort(learned, kind="stable")
    marks = np.where(learned[order][:, None] == np.arange(counts.shape[1]), LEARNED_ONLY, NONE)
    shares, block = _shares(counts, order, np.arange(counts.shape[1]))
    return {
        "rows": tuple(str(fine) for fine in order),
        "marks": marks.astype(np.int64),
        "shares": shares,
        "block": block,
        "columns": tuple(str(coarse) for coarse in range(counts.shape[1])),
        "counts": (0, 0, 0, 0),
    }


def _shares(counts: IntArray, rows: IntArray, columns: IntArray) -> tuple[FloatArray, tuple[int, int]]:
    """Shares of a row's samples by column, of so many neighbours together that a figure can show them.

    Args:
        counts: (K_F, classes) int64 number of samples.
        rows: (rows,) int64 index into ``counts`` of every row, each once; -1 for a row without a learned class.
        columns: (classes,) int64 index into ``counts`` of every column, each once.

    Returns:
        The shares, rows without samples nan, and the numbers of rows and columns that one of them stands for.
    """
    block = (-(-len(rows) // MOST_SHARES), -(-len(columns) // MOST_SHARES))
    row_of, column_of = np.zeros(len(counts), dtype=np.int64), np.zeros(len(columns), dtype=np.int64)
    row_of[rows[rows >= 0]] = np.flatnonzero(rows >= 0) // block[0]
    column_of[columns] = np.arange(len(columns)) // block[1]
    sums = np.zeros((-(-len(rows) // block[0]), -(-len(columns) // block[1])))
    learned, others = np.nonzero(counts)  # few of many classes have samples in common
    np.add.at(sums, (row_of[learned], column_of[others]), counts[learned, others])
    totals = sums.sum(axis=1, keepdims=True)
    shares: FloatArray = np.divide(sums, totals, out=np.full(sums.shape, np.nan), where=totals > 0)
    return shares, block
