"""The numbers behind heat maps: a metric over two factors of a full grid, with the others at their baseline."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from fgtune.analysis.estimates import arm_estimate
from fgtune.analysis.formatting import MetricInfo, factor_name, level_text
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.search.axes import listed_axis
from fgtune.analysis.verdicts.statistics import Estimate, mean_interval
from fgtune.arrays import FloatArray, IntArray

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
        arms: (rows, columns) the arm of each cell; None where the plan has none.
        estimates: (rows, columns) its mean, nan where it has no finished cell, with interval and number of seeds.
        others: What the other factors are at, as text; empty with two factors.
        baseline: Row and column of the baseline.
    """

    x: str
    y: str
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    metric: MetricInfo
    arms: tuple[tuple[str | None, ...], ...]
    estimates: tuple[tuple[Estimate, ...], ...]
    others: str
    baseline: tuple[int, int]

    @property
    def means(self) -> FloatArray:
        """(rows, columns) means; nan where an arm has no finished cell."""
        return np.array([[estimate.mean for estimate in row] for row in self.estimates])

    @property
    def counts(self) -> IntArray:
        """(rows, columns) numbers of seeds."""
        return np.array([[estimate.n for estimate in row] for row in self.estimates])


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
    at = {(level_text(arm.levels[y]), level_text(arm.levels[x])): arm.name for arm in arms}
    names = tuple(tuple(at.get((row, column)) for column in columns) for row in rows)
    fixed = ", ".join(f"{factor_name(path, data.factors)} {level_text(base[path])}" for path in others)
    return GridPanel(
        x=factor_name(x, data.factors),
        y=factor_name(y, data.factors),
        columns=columns,
        rows=rows,
        metric=info,
        arms=names,
        estimates=tuple(tuple(_estimate(data, name, info) for name in row) for row in names),
        others=fixed,
        baseline=(rows.index(level_text(base[y])), columns.index(level_text(base[x]))),
    )


def _estimate(data: StudyData, arm: str | None, info: MetricInfo) -> Estimate:
    return mean_interval([]) if arm is None else arm_estimate(data, arm, info.name)
