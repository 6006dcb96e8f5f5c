"""What every metric and loss term is: name, range, direction, oracle or not; no code that computes them."""

from fgtune.catalog.book import CATALOGUE, DeclaredMetrics, MetricBook, natural_mode
from fgtune.catalog.metrics import (
    AGREEMENT,
    ARM_METRICS,
    COST,
    METRICS,
    MetricSpec,
    NeededSetting,
    find_spec,
    is_of_cells,
    spec_of,
)

__all__ = [
    "AGREEMENT",
    "ARM_METRICS",
    "CATALOGUE",
    "COST",
    "METRICS",
    "DeclaredMetrics",
    "MetricBook",
    "MetricSpec",
    "NeededSetting",
    "find_spec",
    "is_of_cells",
    "natural_mode",
    "spec_of",
]
