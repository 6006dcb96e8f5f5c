"""The page on metrics says what the catalogue says: every name, its range, direction and labels."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from fgtune.catalog import METRICS

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
ARROWS = {"maximize": "↑", "minimize": "↓", "none": "–"}


def rows():
    """The cells of each table row by metric name; several names may share a row."""
    found = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        for name in re.findall(r"`([a-z0-9_]+)`", cells[0]) if line.startswith("| `") else ():
            assert name not in found, f"{name} has two rows"
            found[name] = cells
    return found


ROWS = rows()


def bound(number: float) -> str:
    text = "∞" if math.isinf(number) else f"{abs(number):g}"
    return f"−{text}" if number < 0 else text


def test_the_page_lists_exactly_the_catalogue():
    assert set(ROWS) == set(METRICS)


@pytest.mark.parametrize("name", METRICS)
def test_range_direction_and_labels_agree_with_the_catalogue(name):
    spec = METRICS[name]
    _, what, span, better, reads, empty, _ = ROWS[name]
    assert what
    assert span == f"{bound(spec.low)} to {bound(spec.high)}"
    assert better == ARROWS[spec.direction]
    assert reads == spec.reads
    assert empty.split(" ")[0].strip(",;") == spec.empty.split(" ")[0].strip(",;")
