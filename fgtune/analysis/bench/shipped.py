"""Results of the whole benchmark that come with fgtune, to compare one's own with."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SHIPPED_FILE = Path(__file__).with_name("results-0.1.0.csv")
"""As ``fgtune bench`` wrote it on a machine of ours, all data sets and methods, three seeds."""
MEASURED = "2026-11-27"
"""The day on which they were measured: numbers of one version may move while it is developed."""


@dataclass(frozen=True)
class Shipped:
    """Within-coarse accuracies of another machine.

    Attributes:
        version: That of fgtune which gave them.
        measured: The day on which it did, YYYY-MM-DD.
        scores: (mean, low, high) by data set and method.
    """

    version: str
    measured: str
    scores: Mapping[tuple[str, str], tuple[float, float, float]]


def shipped_csv() -> str:
    """The table, in the columns of ``bench.csv``."""
    return SHIPPED_FILE.read_text(encoding="utf-8")


def shipped_results() -> Shipped:
    """What the table says.

    Example:
        >>> found = shipped_results()
        >>> found.version, [round(value, 3) for value in found.scores["digits", "kmeans"]]
        ('0.1.0', [0.899, 0.85, 0.948])
    """
    rows = list(csv.DictReader(io.StringIO(shipped_csv())))
    name = "within_coarse_accuracy"
    scores = {
        (row["dataset"], row["method"]): (float(row[name]), float(row[f"{name}_low"]), float(row[f"{name}_high"]))
        for row in rows
    }
    (version,) = {row["fgtune"] for row in rows}
    return Shipped(version, MEASURED, scores)
