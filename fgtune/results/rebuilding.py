"""What can be made again of a damaged study folder: the study from its record, the plan from ledger and table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fgtune.config.arms.records import study_hash_of
from fgtune.config.reading.load import reloaded
from fgtune.config.schema.study import Study
from fgtune.errors import ConfigError
from fgtune.files import read_text
from fgtune.results.records import (
    CellResult,
    LabelsRecord,
    MapRecord,
    PortraitRecord,
    PredictionsRecord,
    RelationsRecord,
)
from fgtune.results.texts import FORK, parse_level

MOST_TABLE = 1 << 28
"""Bytes of a table that are read."""
MOST_PLAN = 1 << 27
"""Bytes of a plan, a resolved study or a record: a thousand for each cell that there may be."""
_SHAPE: tuple[tuple[str, type | tuple[type, ...]], ...] = (
    ("study", str),
    ("study_hash", str),
    ("data", dict),
    ("started_at", str),
    ("given", dict),
    ("command", list),
    ("continued", list),
    ("extended", list),
    ("looks", list),
    ("host", dict),
    ("hash_scheme", int),
    ("results_scheme", int),
    ("ledger_chained_after", int),
    ("packages", dict),
)


def check_record(record: Mapping[str, Any]) -> None:
    """Raise ``TypeError`` or ``KeyError`` where a provenance has something else than fgtune writes."""
    for name, kind in _SHAPE:
        if name in record and not isinstance(record[name], kind):
            raise TypeError(f"{name} is no {kind.__name__ if isinstance(kind, type) else kind}")
    for entry in (*record.get("continued", ()), *record.get("extended", ()), *record.get("looks", ())):
        if not isinstance(entry, dict) or not isinstance(entry.get("host", {}), dict):
            raise TypeError("an entry is no mapping")
    for entry in record.get("extended", ()):
        for side in ("from", "to"):
            _seeds(entry[side]["seeds"])
            if not isinstance(entry[side]["study_hash"], str):
                raise TypeError("a hash is no text")
        if not isinstance(entry["at"], str) or not isinstance(entry.get("command", []), list):
            raise TypeError("an extension is none")
    for entry in record.get("looks", ()):
        _seeds(entry["seeds"])
    if not all(isinstance(value, str) for value in record.get("data", {}).values()):
        raise TypeError("a fingerprint is no text")


def _seeds(value: object) -> None:
    if not isinstance(value, list) or not all(isinstance(seed, int) for seed in value):
        raise TypeError("seeds are no list of integers")


def study_of_record(record: Mapping[str, Any], where: Path) -> Study | None:
    """The resolved study from a provenance that holds the study as given; None where its hash does not prove it."""
    if "given" not in record or "study_hash" not in record or "data" not in record:
        return None
    given = dict(record["given"])
    variants = [given]
    if record.get("extended"):
        seeds = record["extended"][-1]["to"]["seeds"]
        variants += [{**given, "seeds": seeds}, {**given, "seeds": len(seeds)}]
    for variant in reversed(variants):
        try:
            study = reloaded(variant, "", where).study
        except ConfigError:
            continue
        if study_hash_of(study, record["data"].values()) == record["study_hash"]:
            return study
    return None


def rows_of_table(table: Path, results: Iterable[CellResult]) -> list[dict[str, Any]] | None:
    """The rows of a lost plan: the cells of the tidy table in CSV, with the levels that the ledger has of their arms.

    None where there is no such table, a cell of the ledger is not in it, or an arm has no finished cell.
    """
    known = {result.cell_id: result for result in results}
    levels = {result.arm: result.levels for result in known.values()}
    forks = {cell_id for cell_id, result in known.items() if result.fork is not None}
    if forks or len({tuple(each) for each in levels.values()}) != 1:
        return None
    try:
        cells = [(row["cell_id"], row["arm"], int(row["seed"])) for row in _cells_in(table)]
    except (KeyError, TypeError, ValueError):
        return None
    if not known.keys() <= {cell_id for cell_id, _, _ in cells} or not {arm for _, arm, _ in cells} <= levels.keys():
        return None
    return [{"cell_id": cell_id, "arm": arm, "seed": seed, **levels[arm]} for cell_id, arm, seed in cells]


def rows_so_far(table: Path, results: Iterable[CellResult]) -> list[dict[str, Any]]:
    """The rows of a lost plan that grows, as far as the tidy table and the ledger know them; each arm with its levels.

    Missing are the arms that were planned after the table was written and have no finished cell.

    Args:
        table: The tidy table in CSV, which need not exist or may be older than the ledger.
        results: Of the ledger.
    """
    known = list({result.cell_id: result for result in results}.values())
    found = {
        result.cell_id: {
            "cell_id": result.cell_id,
            "arm": result.arm,
            "seed": result.seed,
            **({FORK: result.fork.text} if result.fork is not None else {}),
            **result.levels,
        }
        for result in known
    }
    levels = {result.arm: result.levels for result in known}
    factors = next((tuple(each) for each in levels.values()), ())
    for row in _cells_in(table):
        try:
            cell_id, arm, seed = row["cell_id"], row["arm"], int(row["seed"])
        except (KeyError, TypeError, ValueError):
            continue
        own = levels.get(arm) or {name: parse_level(row.get(name) or "") for name in factors}
        found.setdefault(cell_id, {"cell_id": cell_id, "arm": arm, "seed": seed, **own})
    return sorted(found.values(), key=lambda row: (row["arm"], row["seed"]))


def _cells_in(table: Path) -> list[dict[str, str]]:
    """The rows of a tidy table; none where it cannot be read."""
    try:
        text = read_text(table, MOST_TABLE, what="table")
        csv.field_size_limit(MOST_TABLE)
        return list(csv.DictReader(io.StringIO(text)))
    except (ConfigError, ValueError, csv.Error):
        return []


def plausible(record: object) -> bool:
    """Whether the arrays of a stored record have the types and shapes that analysis relies on."""
    arrays = [value for value in vars(record).values() if value is not None]
    if not all(isinstance(value, np.ndarray) for value in arrays):
        return False
    if isinstance(record, RelationsRecord):
        learned, counts = record.fine_to_coarse, record.coarse_counts
        fine, true = record.fine_counts, record.true_fine_to_coarse
        good = _whole(*arrays) and learned.ndim == 2 and counts.ndim == 3 and counts.shape[:2] == learned.shape
        good = good and learned.size > 0 and bool(((learned >= 0) & (learned < counts.shape[2])).all())
        good = good and (fine is None or (fine.ndim == 2 and fine.shape[0] == learned.shape[1]))
        good = good and (true is None or (true.ndim == 2 and (fine is None or true.shape[1] == fine.shape[1])))
        within = record.within_counts
        return good and (within is None or (fine is not None and within.shape == fine.shape))
    if isinstance(record, PredictionsRecord):
        same = all(value.ndim == 1 and value.shape == record.fine.shape for value in arrays)
        return _whole(*arrays) and same
    if isinstance(record, LabelsRecord):
        coarse, number = record.coarse, record.num_coarse
        return _whole(coarse, number) and coarse.ndim == 2 and number.shape == coarse.shape[1:]
    if isinstance(record, PortraitRecord):
        return _plausible_portrait(record)
    if isinstance(record, MapRecord):
        points = record.points
        return points.dtype.kind == "f" and points.shape[1:] == (2,) and bool(np.isfinite(points).all())
    return all(value.ndim >= 1 for value in arrays)


def _plausible_portrait(record: PortraitRecord) -> bool:
    """Whether the arrays of a portrait fit together."""
    on_map = [record.learned, record.coarse, *([] if record.true is None else [record.true])]
    of_classes, of_samples = [record.sizes], [record.samples, record.sample_second]
    of_samples += [] if record.sample_true is None else [record.sample_true]
    numbers = [record.confidence, record.sample_confidence, record.inside, record.outside, record.effect]
    texts = [record.pictures, record.differs, record.coarse_names, record.fine_names]
    tables = [record.sample_confidence, record.pictures, record.differs, record.inside, record.outside, record.effect]
    described = [record.differs, record.inside, record.outside, record.effect]
    number, shape = len(record.classes), record.samples.shape
    return (
        _whole(record.rows, record.classes, *on_map, *of_classes, *of_samples)
        and record.features.dtype.kind == "f"
        and record.features.ndim == 2
        and bool(np.isfinite(record.features).all())
        and all(each.shape == record.rows.shape for each in on_map)
        and len(record.features) == len(record.rows)
        and record.classes.ndim == 1
        and record.sizes.shape == record.confidence.shape == (number,)
        and len(shape) == 2
        and shape[0] == number
        and all(each.shape == shape for each in of_samples)
        and all(each.ndim == 2 and len(each) == number for each in tables if each is not None)
        and all(each.dtype.kind == "f" for each in numbers if each is not None)
        and all(each.dtype.kind == "S" for each in texts if each is not None)
        and len({None if each is None else each.shape for each in described}) == 1
        and (record.pictures is None or record.pictures.shape == shape)
        and (record.reliability is None or _is_reliability(record.reliability))
    )


def _is_reliability(bins: Any) -> bool:
    """Whether these are counts and shares by bin."""
    good = bins.dtype.kind == "f" and bins.ndim == 2 and len(bins) == 3 and bins.shape[1] > 0
    return good and bool((bins >= 0).all()) and bool((bins[1:] <= 1).all())


def _whole(*arrays: Any) -> bool:
    """Whether all arrays hold integers."""
    return all(array.dtype.kind in "iu" for array in arrays)
