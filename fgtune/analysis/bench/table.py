"""Data sets x methods: means over seeds with intervals, differences to the baseline pooled over sets, and ranks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fgtune import __version__
from fgtune.analysis.bench.columns import BASELINE, METRICS, PRIMARY, SECONDS
from fgtune.analysis.bench.shipped import Shipped
from fgtune.analysis.datasets.pooling import Pooled, pool
from fgtune.analysis.datasets.ranks import RankTest, rank_test
from fgtune.analysis.formatting import metric_info
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.verdicts.statistics import Estimate, mean_interval, paired_contrast
from fgtune.results.records import CellResult, CellState

LEVEL = 0.95
_FEWEST_SETS, _FEWEST_METHODS = 2, 3


@dataclass(frozen=True)
class BenchRow:
    """A method on a data set.

    Attributes:
        dataset: The data set.
        method: The method.
        planned: Cells of the plan.
        ended: Cells that have run, well or not.
        complete: Cells that ended well.
        scores: Mean over the complete cells with its interval, by key of ``METRICS``.
        values: The primary metric by seed.
        versions: Versions of fgtune that ran it.
    """

    dataset: str
    method: str
    planned: int
    ended: int
    complete: int
    scores: Mapping[str, Estimate]
    values: Mapping[int, float]
    versions: tuple[str, ...]


@dataclass(frozen=True)
class PooledRow:
    """A method over all data sets.

    Attributes:
        method: The method.
        mean: Mean of its means, over the data sets that it has.
        datasets: How many these are.
        rank: Its mean rank, over data sets on which every ranked method has run; nan if it is not ranked.
        gain: Its difference to the baseline, seed by seed and pooled over data sets; None for the baseline.
    """

    method: str
    mean: float
    datasets: int
    rank: float
    gain: Pooled | None


@dataclass(frozen=True)
class BenchTable:
    """The whole table.

    Attributes:
        rows: By data set, then method, in the order of the studies.
        pooled: By mean rank where there is one.
        ranks: Friedman's test over the data sets; None with fewer than two of them or three methods.
        version: That which made the table.
        shipped: What the benchmark gave elsewhere, to be shown beside it; None for nothing.
    """

    rows: tuple[BenchRow, ...]
    pooled: tuple[PooledRow, ...]
    ranks: RankTest | None
    version: str
    shipped: Shipped | None = None

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of the data sets, in order."""
        return tuple(dict.fromkeys(row.dataset for row in self.rows))


def tabulate(studies: Mapping[str, Sequence[StudyData]], shipped: Shipped | None = None) -> BenchTable:
    """The table of the studies of each data set, whose methods differ from study to study, beside shipped results."""
    rows = tuple(row for name, found in studies.items() for data in found for row in _rows(name, data))
    ranks = _ranks(rows)
    return BenchTable(rows, tuple(sorted(_pooled(rows, ranks), key=_order)), ranks, __version__, shipped)


def _rows(name: str, data: StudyData) -> Iterator[BenchRow]:
    for arm in data.arms:
        planned = [cell for cell in data.planned if cell.arm == arm.name]
        ended = [(cell.seed, data.results[cell.cell_id]) for cell in planned if cell.cell_id in data.results]
        complete = [(seed, result) for seed, result in ended if result.state is CellState.COMPLETE]
        scores = {key: _score(key, _numbers(key, complete)) for key in METRICS}
        values = {seed: result.metrics[PRIMARY] for seed, result in complete if PRIMARY in result.metrics}
        yield BenchRow(name, arm.name, len(planned), len(ended), len(complete), scores, values, _versions(data))


def _score(key: str, values: Sequence[float]) -> Estimate:
    """The mean, with its interval as far as the metric goes; the time of cells has none, since it is the machine's."""
    found = mean_interval(values, LEVEL)
    if key == SECONDS:
        return replace(found, low=math.nan, high=math.nan)
    return found.within(metric_info(key).limits)


def _numbers(key: str, cells: Sequence[tuple[int, CellResult]]) -> list[float]:
    """The finite values of a column, one a cell."""
    found = [result.seconds if key == SECONDS else result.metrics.get(key, math.nan) for _, result in cells]
    return [float(value) for value in found if value is not None and math.isfinite(value)]


def _versions(data: StudyData) -> tuple[str, ...]:
    """The version of fgtune that ran a study, as its provenance has it."""
    found = data.provenance.get("fgtune")
    return (found,) if isinstance(found, str) else ()


def _ranks(rows: Sequence[BenchRow]) -> RankTest | None:
    """Ranks by the mean of the primary metric, over the methods that have the most data sets and the sets of all.

    A method has a data set once all of its cells there have run.
    """
    ran = [row for row in rows if row.ended == row.planned and row.scores[PRIMARY].n]
    means = {(row.dataset, row.method): row.scores[PRIMARY].mean for row in ran}
    sets_of = {method: {dataset for dataset, each in means if each == method} for _, method in means}
    most = max((len(found) for found in sets_of.values()), default=0)
    methods = [method for method, found in sets_of.items() if len(found) == most]
    shared = [name for name in dict.fromkeys(row.dataset for row in rows) if all(name in sets_of[m] for m in methods)]
    if len(shared) < _FEWEST_SETS or len(methods) < _FEWEST_METHODS:
        return None
    scores = np.array([[means[name, method] for method in methods] for name in shared])
    return rank_test(scores, methods, shared, 1 - LEVEL)


def _pooled(rows: Sequence[BenchRow], ranks: RankTest | None) -> Iterator[PooledRow]:
    baseline = {row.dataset: row.values for row in rows if row.method == BASELINE}
    mean_rank = {} if ranks is None else dict(zip(ranks.arms, ranks.ranks, strict=True))
    for method in dict.fromkeys(row.method for row in rows):
        own = [row for row in rows if row.method == method and row.scores[PRIMARY].n]
        reach = metric_info(PRIMARY).reach
        pairs = [paired_contrast(row.values, baseline.get(row.dataset, {}), level=LEVEL, limits=reach) for row in own]
        gains = [each.estimate for each in pairs if each.n] if method != BASELINE else []
        variances = [found.sd**2 / found.n for found in gains]  # nan from a single pair
        mean = float(np.mean([row.scores[PRIMARY].mean for row in own])) if own else math.nan
        gain = pool([found.mean for found in gains], variances, LEVEL, reach) if gains else None
        yield PooledRow(method, mean, len(own), mean_rank.get(method, math.nan), gain)


def _order(row: PooledRow) -> tuple[float, float]:
    rank = math.inf if math.isnan(row.rank) else row.rank
    return rank, -row.mean if not math.isnan(row.mean) else math.inf
