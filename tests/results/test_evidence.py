"""Digests of what a cell leaves depend on every value of it, and on nothing else."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from fgtune.results.evidence import arrays_digest, curve_digest, history_digest
from fgtune.results.folder import StudyFolder
from fgtune.results.records import EpochMetrics, RelationsRecord

HISTORY = (
    EpochMetrics(1, 5, {"train/loss": 0.1 + 0.2, "val/ari": math.nan}, 0.5),
    EpochMetrics(2, 10, {"train/loss": math.inf, "val/ari": 1e-300}, 0.25),
)
RECORD = RelationsRecord(np.array([[0, 1]]), np.arange(4).reshape(1, 2, 2))


def test_a_curve_that_was_stored_and_read_has_the_digest_of_its_history(tmp_path):
    folder = StudyFolder(tmp_path)
    folder.write_curve("a", "arm", 0, HISTORY)
    folder.write_curve("b", "arm", 1, [EpochMetrics(1, 5, {"other": 1.0}, 1.0)])  # adds a column
    folder.gather_curves()
    rows = folder.read_curves().query("cell_id == 'a'").to_dict("records")
    names = ("train/loss", "val/ari", "other")
    assert curve_digest((row["epoch"], row["step"], {name: row[name] for name in names}) for row in rows) == (
        history_digest(HISTORY)
    )


def test_seconds_are_not_part_of_a_curve():
    assert history_digest([replace(each, seconds=9.0) for each in HISTORY]) == history_digest(HISTORY)


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": 3},
        {"step": 11},
        {"metrics": {"train/loss": math.inf, "val/ari": np.nextafter(1e-300, 1)}},
        {"metrics": {"train/loss": math.inf}},
        {"metrics": {"train/loss": math.inf, "val/nmi": 1e-300}},
    ],
)
def test_any_other_value_gives_another_curve(change):
    assert history_digest([HISTORY[0], replace(HISTORY[1], **change)]) != history_digest(HISTORY)


def test_relations_that_were_stored_and_read_have_the_same_digest(tmp_path):
    folder = StudyFolder(tmp_path)
    folder.write_relations("a", RECORD)
    assert arrays_digest(folder.read_relations("a")) == arrays_digest(RECORD)
    fortran = replace(RECORD, coarse_counts=np.asfortranarray(RECORD.coarse_counts))
    assert arrays_digest(fortran) == arrays_digest(RECORD)


@pytest.mark.parametrize(
    "change",
    [
        {"fine_to_coarse": np.array([[1, 1]])},
        {"fine_to_coarse": np.array([[0], [1]])},
        {"fine_to_coarse": np.array([[0, 1]], dtype=np.int32)},
        {"fine_counts": np.zeros((2, 2), dtype=np.int64)},
    ],
)
def test_any_other_array_gives_another_digest(change):
    assert arrays_digest(replace(RECORD, **change)) != arrays_digest(RECORD)
