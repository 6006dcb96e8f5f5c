"""Predictions and coarse labels: readable, of the right shape and range, and giving the counts in ``relations/``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from fgtune.app.verification.arrays import digest_agrees, digest_holds, reported_split, split_seed, strangers
from fgtune.app.verification.findings import DAMAGE, Finding, Subject, agree, described
from fgtune.config.schema.base import data_key
from fgtune.metrics.coarse import coarse_counts
from fgtune.results.evidence import LABELS, PREDICTIONS, arrays_digest
from fgtune.results.records import SPLIT_BITS, CellResult, LabelsRecord, PredictionsRecord, RelationsRecord


def check_predictions(subject: Subject) -> Iterator[Finding]:
    """The predictions of every complete cell; cells of earlier versions have none."""
    folder = subject.folder
    yield from strangers(subject, folder.predictions_dir)
    labels: dict[str, tuple[LabelsRecord, str] | None] = {}
    blocks: dict[tuple[int, str], tuple[str, bytes]] = {}
    for result in subject.complete:
        file = folder.predictions_dir / f"{result.cell_id}.npz"
        name = f"{subject.name(file)}: {subject.cell(result)}"
        if not file.is_file():
            stated = PREDICTIONS in (result.evidence or {})
            yield agree(not stated, f"{subject.name(file)}: is missing, the predictions of {subject.cell(result)}")
            continue
        try:
            record = folder.read_predictions(result.cell_id)
            if record is not None:
                yield from digest_holds(record, result, PREDICTIONS, name)
                yield from _shapes(record, result, name)
                yield from _counts(record, subject, result, labels, name)
                yield from _block(record, result, name, blocks)
        except DAMAGE as error:
            yield Finding(1, f"{name}: cannot be read as predictions: {described(error)}")


def _shapes(record: PredictionsRecord, result: CellResult, name: str) -> Iterator[Finding]:
    """Shapes and ranges of the arrays."""
    arrays = {key: array for key, array in vars(record).items() if array is not None}
    for key, array in arrays.items():
        same = array.dtype.kind == "i" and array.ndim == 1 and array.shape == record.fine.shape
        yield agree(same, f"{name}: {key} is no row of integers as long as the others")
    yield agree(
        bool(((record.splits >= 0) & (record.splits <= sum(SPLIT_BITS.values()))).all()), f"{name}: no such split"
    )
    for key in arrays.keys() - {"splits"}:
        used = arrays[key] >= 0
        yield agree(bool((used == (record.splits > 0)).all()), f"{name}: {key} is not of the samples of its splits")
        number = result.metrics.get(f"{reported_split(result)}/num_fine", np.inf)
        yield agree(bool((arrays[key] < number).all()), f"{name}: {key} has a class that the cell does not have")


def _counts(
    record: PredictionsRecord,
    subject: Subject,
    result: CellResult,
    labels: dict[str, tuple[LabelsRecord, str] | None],
    name: str,
) -> Iterator[Finding]:
    """On the split that is reported, predictions and coarse labels give the counts that relations are stored with."""
    key = data_key(result.config.get("data") or {})
    if key not in labels:
        stored = subject.folder.read_labels(key)
        labels[key] = None if stored is None else (stored, arrays_digest(stored))  # once for all cells
    found, relations = labels[key], subject.folder.read_relations(result.cell_id)
    known = None if found is None else found[0]
    place = subject.name(subject.folder.labels_dir / f"{key}.npz")
    if found is None:
        yield agree(LABELS not in (result.evidence or {}), f"{place}: is missing, the labels of {subject.cell(result)}")
    else:
        yield from digest_agrees(found[1], result, LABELS, f"{place}: {subject.cell(result)}")
    if relations is None:
        return
    rows = (record.splits & SPLIT_BITS[reported_split(result)]) > 0
    yield agree(_agree(record, relations, known, rows), f"{name}: does not give the counts in relations/")


def _agree(record: PredictionsRecord, relations: RelationsRecord, known: LabelsRecord | None, rows: Any) -> bool:
    """Whether the predictions on some rows give the stored counts."""
    fine, number = record.fine[rows].astype(np.int64), relations.fine_to_coarse.shape[1]
    sizes = np.bincount(fine, minlength=number)
    if relations.fine_counts is not None and not np.array_equal(relations.fine_counts.sum(axis=1), sizes):
        return False
    within = np.bincount(record.restricted[rows].astype(np.int64), minlength=number)
    if relations.within_counts is not None and not np.array_equal(relations.within_counts.sum(axis=1), within):
        return False
    if known is None:
        return True
    coarse = known.coarse[rows].astype(np.int64)
    return np.array_equal(coarse_counts(fine, coarse, number, known.num_coarse.tolist()), relations.coarse_counts)


def _block(
    record: PredictionsRecord, result: CellResult, name: str, blocks: dict[tuple[int, str], tuple[str, bytes]]
) -> Iterator[Finding]:
    """All arms of a block share the split."""
    block = (split_seed(result), data_key(result.config.get("data") or {}))
    other, expected = blocks.setdefault(block, (result.arm, record.splits.tobytes()))
    yield agree(record.splits.tobytes() == expected, f"{name}: has another split than {other} with the same seed")


def check_labels(subject: Subject, datasets: Mapping[str, Any]) -> Iterator[Finding]:
    """The stored coarse labels are those of the data, where these were read.

    Args:
        subject: The study.
        datasets: Data sets by key.
    """
    folder = subject.folder
    for file in sorted(folder.labels_dir.glob("*.npz")):
        name = subject.name(file)
        try:
            stored = folder.read_labels(file.stem)
        except DAMAGE as error:
            yield Finding(1, f"{name}: cannot be read as coarse labels: {described(error)}")
            continue
        dataset = datasets.get(file.stem)
        if stored is not None and dataset is not None:
            now = LabelsRecord.of(dataset.coarse, dataset.num_coarse)
            yield agree(arrays_digest(stored) == arrays_digest(now), f"{name}: are not the coarse labels of the data")
