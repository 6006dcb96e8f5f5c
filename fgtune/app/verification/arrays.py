"""Relations and attention maps: readable, of the right shape and range, and giving the metrics in the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fgtune.app.verification.findings import DAMAGE, Finding, Subject, agree, described
from fgtune.config.schema.base import stable_hash
from fgtune.config.schema.evaluation import reported_among
from fgtune.config.schema.streams import StreamsConfig
from fgtune.metrics.coarse import coarse_accuracy_from_counts
from fgtune.metrics.evaluate import evaluate_counts, evaluate_within
from fgtune.results.evidence import ATTENTION, PORTRAIT, RELATIONS, StoredRecord, arrays_digest
from fgtune.results.rebuilding import plausible
from fgtune.results.records import AttentionRecord, CellResult, RelationsRecord

_UNIT = 1e-3
"""How far the length of a stored attention map, float32, may be from 1."""


def check_relations(subject: Subject) -> Iterator[Finding]:
    """The relations of every complete cell, alone and beside those of its block."""
    folder = subject.folder
    yield from strangers(subject, folder.relations_dir)
    if subject.data.study.trial.discovery is None:
        return
    blocks: dict[tuple[int, str], tuple[str, list[Any]]] = {}
    for result in subject.complete:
        file = folder.relations_dir / f"{result.cell_id}.npz"
        name = f"{subject.name(file)}: {subject.cell(result)}"
        try:
            record = folder.read_relations(result.cell_id)
            if record is None:
                yield Finding(1, f"{subject.name(file)}: is missing, the relations of {subject.cell(result)}")
                continue
            yield from digest_holds(record, result, RELATIONS, name)
            yield from _shapes(record, result, name)
            yield from _metrics(record, result, name)
        except DAMAGE as error:
            yield Finding(1, f"{name}: cannot be read as relations: {described(error)}")
            continue
        yield from _block(record, result, name, blocks)


def strangers(subject: Subject, folder: Path) -> Iterator[Finding]:
    """Files of cells that the ledger does not have as complete, and files that are no cell's."""
    known = {result.cell_id for result in subject.complete}
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        if file.name.startswith("."):
            continue  # what a process left that was killed while it wrote
        rule = "is of no complete cell in the ledger: its line was removed or changed, or the file does not belong here"
        yield agree(file.suffix == ".npz" and file.stem in known, f"{subject.name(file)}: {rule}")


def digest_holds(record: StoredRecord, result: CellResult, key: str, name: str) -> Iterator[Finding]:
    """The digest that the cell's line has of its arrays; lines of earlier versions have none."""
    if key in (result.evidence or {}):
        yield from digest_agrees(arrays_digest(record), result, key, name)


def digest_agrees(digest: str, result: CellResult, key: str, name: str) -> Iterator[Finding]:
    """As ``digest_holds``, for arrays of this digest."""
    stated = (result.evidence or {}).get(key)
    if stated is not None:
        yield agree(digest == stated, f"{name}: does not have the digest in the ledger")


def _shapes(record: RelationsRecord, result: CellResult, name: str) -> Iterator[Finding]:
    """Shapes and ranges of the arrays."""
    learned, counts = record.fine_to_coarse, record.coarse_counts
    for key, array in vars(record).items():
        yield agree(array is None or array.dtype.kind in "iu", f"{name}: {key} holds no integers")
    same = learned.ndim == 2 and counts.ndim == 3 and counts.shape[:2] == learned.shape
    shapes = f"fine_to_coarse {learned.shape}, coarse_counts {counts.shape}"
    yield agree(same, f"{name}: {shapes} do not fit together")
    if not same:
        return
    yield agree(bool((learned >= 0).all() and (learned < counts.shape[2]).all()), f"{name}: a parent is out of range")
    yield agree(bool((counts >= 0).all()), f"{name}: coarse_counts holds a negative number")
    number = result.config.get("classes", {}).get("num_fine")
    if isinstance(number, int):
        rule = f"{name}: has {learned.shape[1]} fine classes, the cell has {number}"
        yield agree(learned.shape[1] == number, rule)
    fine, true = record.fine_counts, record.true_fine_to_coarse
    if fine is None or true is None:
        yield agree(fine is None and true is None, f"{name}: holds only one of fine_counts and true_fine_to_coarse")
        return
    same = fine.ndim == 2 and true.ndim == 2 and fine.shape == (learned.shape[1], true.shape[1])
    yield agree(same, f"{name}: fine_counts {fine.shape} and true_fine_to_coarse {true.shape} do not fit together")
    yield agree(bool((fine >= 0).all()), f"{name}: fine_counts holds a negative number")
    yield agree(bool((true >= -1).all() and (true < counts.shape[2]).all()), f"{name}: a true parent is out of range")
    if same:
        within = bool((counts.sum(axis=2) <= fine.sum(axis=1)).all())
        yield agree(within, f"{name}: a fine class has more samples by coarse labels than by fine ones")
    if record.within_counts is not None:
        restricted = record.within_counts
        yield agree(bool((restricted >= 0).all()), f"{name}: within_counts holds a negative number")
        same = restricted.shape == fine.shape and bool((restricted.sum(axis=0) == fine.sum(axis=0)).all())
        yield agree(same, f"{name}: within_counts is counted over other samples than fine_counts")


def _metrics(record: RelationsRecord, result: CellResult, name: str) -> Iterator[Finding]:
    """The metrics that follow from counts and relations, to the last bit."""
    split = reported_split(result)
    values: dict[str, float] = {"num_fine": float(record.fine_to_coarse.shape[1])}
    values["coarse_accuracy"] = coarse_accuracy_from_counts(record.coarse_counts, record.fine_to_coarse)
    if record.fine_counts is not None and record.true_fine_to_coarse is not None:
        values["num_used_classes"] = float((record.fine_counts.sum(axis=1) > 0).sum())
        values |= evaluate_counts(record.fine_counts, record.fine_to_coarse, record.true_fine_to_coarse)
    if record.within_counts is not None:
        values |= evaluate_within(record.within_counts)
    names = [metric.partition("/")[2] for metric in result.metrics if metric.startswith(f"{split}/")]
    for metric in names:
        if metric in values:
            stored, value = result.metrics[f"{split}/{metric}"], values[metric]
            yield agree(stored == value, f"{name}: {split}/{metric} is {stored}, its counts give {value}")
    if any(metric in values for metric in names):
        lacking = sorted(metric for metric in values if metric not in names and np.isfinite(values[metric]))
        rule = f"{name}: its counts give {', '.join(lacking)} on {split}, the ledger does not have it"
        yield agree(not lacking, rule, compared=len(lacking))


def reported_split(result: CellResult) -> str:
    """The split that relations and counts are of."""
    return reported_among(result.config.get("evaluation", {}).get("splits") or ["test"])


def split_seed(result: CellResult) -> int:
    """The seed that a cell's split is drawn by: cells with the same one share it."""
    return StreamsConfig.from_plain(result.config.get("streams", {})).seeds(result.seed).split


def _block(
    record: RelationsRecord, result: CellResult, name: str, blocks: dict[tuple[int, str], tuple[str, list[Any]]]
) -> Iterator[Finding]:
    """All arms of a block are judged on the same samples, so their labels count up to the same numbers."""
    data = stable_hash([result.config.get("data"), reported_split(result)])
    fine, true = record.fine_counts, record.true_fine_to_coarse
    totals = [
        record.coarse_counts.sum(axis=1).tolist(),
        None if fine is None else fine.sum(axis=0).tolist(),
        None if true is None else true.tolist(),
    ]
    other, expected = blocks.setdefault((split_seed(result), data), (result.arm, totals))
    yield agree(totals == expected, f"{name}: is counted over other samples or labels than {other} with the same seed")


def check_attention(subject: Subject) -> Iterator[Finding]:
    """The attention maps of every complete cell that stores some, and the same samples in a block."""
    folder = subject.folder
    yield from strangers(subject, folder.attention_dir)
    rows: dict[tuple[int, str], Any] = {}
    for result in subject.complete:
        wanted = int(result.config.get("evaluation", {}).get("attention_samples") or 0)
        file = folder.attention_dir / f"{result.cell_id}.npz"
        name = f"{subject.name(file)}: {subject.cell(result)}"
        try:
            record = folder.read_attention(result.cell_id)
            if record is None:
                what = f"{subject.name(file)}: is missing, the attention maps of {subject.cell(result)}"
                yield agree(not wanted, what)
                continue
            yield from digest_holds(record, result, ATTENTION, name)
            yield from _maps(record, wanted, name)
        except DAMAGE as error:
            yield Finding(1, f"{name}: cannot be read as attention maps: {described(error)}")
            continue
        block = (split_seed(result), stable_hash([result.config.get("data"), wanted, reported_split(result)]))
        same = rows.setdefault(block, record.rows.tolist()) == record.rows.tolist()
        yield agree(same, f"{name}: shows other samples than the other arms with the same seed")


def _maps(record: AttentionRecord, wanted: int, name: str) -> Iterator[Finding]:
    """Shapes, and each map's length."""
    count = len(record.rows)
    same = record.maps.ndim == 3 and len(record.maps) == len(record.inputs) == count and 0 < count <= wanted
    yield agree(same, f"{name}: {count} samples, maps {record.maps.shape}, inputs {record.inputs.shape}")
    lengths = np.linalg.norm(record.maps.reshape(len(record.maps), -1).astype(np.float64), axis=1)
    yield agree(bool((np.abs(lengths - 1.0) < _UNIT).all()), f"{name}: a map does not have the length 1")


def check_portraits(subject: Subject) -> Iterator[Finding]:
    """What learned classes look like, of every complete cell that says it keeps that: as it was written."""
    folder = subject.folder
    yield from strangers(subject, folder.portraits_dir)
    for result in subject.complete:
        file, stated = folder.portraits_dir / f"{result.cell_id}.npz", PORTRAIT in (result.evidence or {})
        name = f"{subject.name(file)}: {subject.cell(result)}"
        try:
            record = folder.read_portrait(result.cell_id)
            if record is None:
                if stated:
                    yield Finding(1, f"{subject.name(file)}: is missing, the portrait of {subject.cell(result)}")
                continue
            yield from digest_holds(record, result, PORTRAIT, name)
            yield agree(plausible(record), f"{name}: its arrays do not fit together")
        except DAMAGE as error:
            yield Finding(1, f"{name}: cannot be read as a portrait: {described(error)}")
