"""Data sets, their splits, and the views that keep fine labels away from training."""

from __future__ import annotations

DATASETS: dict[str, str] = {
    "digits": "fgtune.data.digits:load_digits",
    "patches": "fgtune.data.patches:make_patches",
    "hierarchy": "fgtune.data.hierarchy:make_hierarchy",
    "arrays": "fgtune.data.arrays:load_arrays",
}
"""Kind of data config -> ``module:function`` that makes its ``Dataset``; ``fgtune.data.load`` imports it when asked."""
