"""The numbers behind heat maps: a metric over two factors of a full grid, with the others at their baseline."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from fgtune.analysis.estimates import arm_estimate
from fgtune.analysis.formatting import MetricInfo, factor_name, level_text
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.search.axes import listed_axis
from fgtune.arrays import FloatArray

_MOST_PAIRS = 6


@dataclass(frozen=True)
class GridPanel:
    """A metric over the levels of two factors.

    Attributes:
        x: Name of the factor whose levels are columns.
        y: Name of the factor whose levels are rows.
        columns: Levels as text.
        rows: Levels as text.
        metric: The metric.
        means: (rows, columns) means; nan where an arm has no finished cell.
        counts: (rows, columns) numbers of seeds.
        others: What the other factors are at, as text; empty with two factors.
        baseline: Row and column of the baseline.
    """

    x: str
    y: str
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    metric: MetricInfo
    means: FloatArray
    counts: FloatArray
    others: str
    baseline: tuple[int, int]


def grid_panels(data: StudyData) -> tuple[GridPanel, ...]:
    """A panel for each pair of factors of a full grid, of the primary metric; empty for any other design."""
    if not data.study.design.crosses_levels:
        return ()
    pairs = list(combinations(data.factors, 2))[:_MOST_PAIRS]
    return tuple(panel for panel in (_panel(data, *pair) for pair in pairs) if np.isfinite(panel.means).any())


def _panel(data: StudyData, x: str, y: str) -> GridPanel:
    base, info = data.baseline.levels, data.info(data.study.metrics.primary)
    others = [path for path in data.factors if path not in (x, y)]
    arms = [arm for arm in data.arms if all(arm.levels[path] == base[path] for path in others)]
    axes = [listed_axis(path, "", list({level_text(arm.levels[path]): arm.levels[path] for arm in arms}.values()))
            for path in (x, y)]  # fmt: skip
    columns, rows = (axis.categories for axis in axes)
    means, counts = np.full((len(rows), len(columns)), math.nan), np.zeros((len(rows), len(columns)))
    for arm in arms:
        place = rows.index(level_text(arm.levels[y])), columns.index(level_text(arm.levels[x]))
        estimate = arm_estimate(data, arm.name, info.name)
        means[place], counts[place] = estimate.mean, estimate.n
    fixed = ", ".join(f"{factor_name(path, data.factors)} {level_text(base[path])}" for path in others)
    return GridPanel(
        x=factor_name(x, data.factors),
        y=factor_name(y, data.factors),
        columns=columns,
        rows=rows,
        metric=info,
        means=means,
        counts=counts,
        others=fixed,
        baseline=(rows.index(level_text(base[y])), columns.index(level_text(base[x]))),
    )
