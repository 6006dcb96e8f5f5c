"""What a benchmark measures, and against which method."""

from __future__ import annotations

from collections.abc import Mapping

BASELINE = "kmeans"
PRIMARY, SECONDS = "test/within_coarse_accuracy", "seconds"
METRICS: Mapping[str, str] = {
    "test/clustering_accuracy": "accuracy",
    PRIMARY: "within-coarse accuracy",
    "test/ari": "ARI",
    "test/ged": "GED",
    SECONDS: "seconds a cell",
}
"""Columns of the table: the key, and what readers see."""
ALSO = tuple(key for key in METRICS if key not in (PRIMARY, SECONDS))
"""Metrics of its studies beside the primary one."""
