"""How much of a metric's variation over a space each parameter explains: functional ANOVA on a random forest.

Hutter, Hoos and Leyton-Brown (2014): a forest is fitted to the finished points, and the variance of its prediction
over the whole space is decomposed exactly, leaf by leaf, into what one parameter explains alone (main effect) and what
it explains together with any others (total effect). Every parameter is a number in [0, 1], uniform there.

A forest also finds structure in noise. Therefore each share comes with an interval (points are resampled), with the
share that the parameter reaches by chance (its column is shuffled), and with the forest's skill on points that it has
not seen. With few points, trees split only along the strongest parameters and understate the weak ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from fgtune.analysis.formatting import MetricInfo
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.search.axes import axes_of, by_mean, on_log_scale, unit_places
from fgtune.analysis.trials import Trial
from fgtune.arrays import FloatArray
from fgtune.streams import derive_seed, numpy_stream

FEWEST = 8
"""Fewer points than this are not decomposed."""
_TREES, _REPLICATE_TREES, _REPLICATES, _SHUFFLES = 64, 8, 30, 16
_MOST_LEAVES = 64  # the decomposition is quadratic in the leaves
_SMALLEST_LEAF = 2
_CHANCE = 0.95
_POINTS_PER_PARAMETER = 5
_FEWEST_RELIABLE = 20


@dataclass(frozen=True)
class Importance:
    """A parameter's share of the variation.

    Attributes:
        parameter: Dotted path.
        main: Share that it explains alone, in [0, 1].
        low: Lower end of the interval of ``main``.
        high: Upper end.
        total: Share that it explains alone or together with others, at least ``main``.
        chance: 95 % quantile of ``main`` for a parameter without effect.
    """

    parameter: str
    main: float
    low: float
    high: float
    total: float
    chance: float

    @property
    def above_chance(self) -> bool:
        """Whether it alone explains more than a parameter without effect would."""
        return self.main > self.chance


@dataclass(frozen=True)
class Importances:
    """The decomposition of one metric.

    Attributes:
        metric: Its name.
        n: Number of points that it is based on.
        level: Confidence level of the intervals.
        skill: Out-of-bag 1 - mean squared error over variance; at 0 or less the forest has learned nothing and the
            shares are meaningless.
        items: Every parameter, the largest main effect first; empty if nothing can be said.
        doubts: Why the shares are not reliable; empty if they are.
    """

    metric: str
    n: int
    level: float
    skill: float
    items: tuple[Importance, ...]
    doubts: tuple[str, ...]

    @property
    def reliable(self) -> bool:
        """Whether there are no doubts."""
        return not self.doubts


def importances(
    metric: str, shares: FloatArray, values: FloatArray, parameters: Sequence[str], *, seed: int, level: float = 0.95
) -> Importances:
    """Decompose the variation of ``values`` over the points.

    Args:
        metric: Name of the values.
        shares: (n, d) coordinates of the points in [0, 1]^d; nan for an inactive parameter, which has no effect there
            and gets a random coordinate in every replicate.
        values: (n,) finite.
        parameters: (d,) names.
        seed: Seed of forests, resamples and shuffles; the same arguments give the same result.
        level: Confidence level of the intervals.

    Raises:
        ValueError: Shapes do not agree, or values are not finite.
    """
    n, d = shares.shape
    if values.shape != (n,) or len(parameters) != d or not np.isfinite(values).all():
        raise ValueError(f"needs finite values for {n} points and a name for {d} parameters")
    if n < FEWEST:
        return Importances(metric, n, level, math.nan, (), (f"only {n} finished points, {FEWEST} are the least",))
    if float(np.ptp(values)) == 0.0:
        return Importances(metric, n, level, math.nan, (), ("every point has the same value",))
    main, total, skill = _forest_shares(shares, values, derive_seed(seed, "forest"), _TREES, skilled=True)
    half = float(stats.norm.ppf(0.5 + level / 2)) * _resampled(shares, values, seed).std(axis=0, ddof=1)  # (d,)
    chance = [_chance(shares, values, k, derive_seed(seed, "chance", name)) for k, name in enumerate(parameters)]
    items = [
        Importance(
            parameter=name,
            main=float(main[k]),
            low=max(0.0, float(main[k] - half[k])),
            high=min(1.0, float(main[k] + half[k])),
            total=float(total[k]),
            chance=chance[k],
        )
        for k, name in enumerate(parameters)
    ]
    ranked = tuple(sorted(items, key=lambda item: (-item.main, item.parameter)))
    return Importances(metric, n, level, skill, ranked, _doubts(n, d, skill))


def metric_importances(
    data: StudyData, trials: Sequence[Trial], metrics: Sequence[MetricInfo], *, seed: int = 0
) -> tuple[Importances, ...]:
    """What each varied setting explains of each metric over the space, from the completed points.

    Args:
        data: The study.
        trials: Its points; the baseline is left out, since it was not drawn from the space.
        metrics: What to decompose; a cost that spans magnitudes by its logarithm.
        seed: Seed of forests, resamples and shuffles.
    """
    axes, decomposed = axes_of(data), []
    for info in metrics:
        judged = [trial for trial in trials if not trial.is_baseline and math.isfinite(trial.value(info.name))]
        shares = unit_places([by_mean(axis, judged, info.name) for axis in axes], judged)
        values = np.array([trial.value(info.name) for trial in judged])
        values = np.log10(values) if on_log_scale(info, values.tolist()) else values
        paths = [axis.path for axis in axes]
        decomposed.append(importances(info.name, shares, values, paths, seed=seed, level=data.level))
    return tuple(decomposed)


def _resampled(shares: FloatArray, values: FloatArray, seed: int) -> FloatArray:
    """(replicates, d) main effects over points resampled with replacement."""
    effects = []
    for rank in range(_REPLICATES):
        rows = numpy_stream(seed, "rows", rank).integers(0, len(values), len(values))
        forest_seed = derive_seed(seed, "redrawn", rank)
        effects.append(_forest_shares(shares[rows], values[rows], forest_seed, _REPLICATE_TREES)[0])
    return np.array(effects)


def _chance(shares: FloatArray, values: FloatArray, column: int, seed: int) -> float:
    """The main effect that a parameter reaches by chance, its column shuffled."""
    effects = []
    for rank in range(_SHUFFLES):
        mixed = shares.copy()
        mixed[:, column] = numpy_stream(seed, "shuffle", rank).permutation(shares[:, column])
        effects.append(_forest_shares(mixed, values, derive_seed(seed, "forest", rank), _REPLICATE_TREES)[0][column])
    return float(np.quantile(effects, _CHANCE))


def _doubts(n: int, d: int, skill: float) -> tuple[str, ...]:
    doubts = []
    wanted = max(_FEWEST_RELIABLE, _POINTS_PER_PARAMETER * d)
    if n < wanted:
        doubts.append(f"{n} finished points are few for {d} parameters, {wanted} would do")
    if not skill > 0:
        doubts.append("the forest predicts points that it has not seen no better than their mean does")
    return tuple(doubts)


def _forest_shares(
    shares: FloatArray, values: FloatArray, seed: int, trees: int, *, skilled: bool = False
) -> tuple[FloatArray, FloatArray, float]:
    """Main and total effects (d,) of a forest as shares of its variance, and its skill if asked for.

    The trees are grown one by one: scikit-learn's forest would spend most of its time on overhead.
    """
    from sklearn.tree import DecisionTreeRegressor  # slow to import, and many reports need no forest

    n, d = shares.shape
    rng = np.random.default_rng(seed)
    filled = np.where(np.isnan(shares), rng.random(shares.shape), shares).astype(np.float32)  # (n, d), the trees' dtype
    parts, votes, voters = np.empty((trees, 1 + 2 * d)), np.zeros(n), np.zeros(n)
    for rank in range(trees):
        rows = rng.integers(0, n, n)
        tree = DecisionTreeRegressor(
            min_samples_leaf=_SMALLEST_LEAF, max_leaf_nodes=_MOST_LEAVES, random_state=int(rng.integers(2**31))
        )
        tree.fit(filled[rows], values[rows], check_input=False)
        parts[rank] = _tree_variances(tree.tree_)
        if skilled:
            left_out = np.setdiff1d(np.arange(n), rows)
            votes[left_out] += tree.predict(filled[left_out], check_input=False)
            voters[left_out] += 1
    variance, *effects = parts.mean(axis=0).tolist()
    scale = 1.0 / variance if variance > 0 else 0.0
    skill = _skill(votes, voters, values) if skilled else math.nan
    return scale * np.array(effects[:d]), scale * np.array(effects[d:]), skill


def _skill(votes: FloatArray, voters: FloatArray, values: FloatArray) -> float:
    """Out-of-bag 1 - mean squared error over variance."""
    judged = voters > 0
    errors = values[judged] - votes[judged] / voters[judged]
    return 1.0 - float(np.mean(errors**2) / values.var())


def _tree_variances(tree: Any) -> FloatArray:
    """(1 + 2 d,) variance of a tree's prediction over the unit cube, then main and total effects, unscaled.

    The prediction is constant on boxes l with value v_l (centred) and widths w_lk; with o_k(l, m) the overlap of two
    boxes along k, E[E[f | x_u]^2] = sum_lm v_l v_m prod_{k in u} o_k(l, m) prod_{k not in u} w_lk w_mk.
    """
    lower, upper, values = _boxes(tree)  # (L, d), (L, d), (L,)
    widths = upper - lower
    volumes = widths.prod(axis=1)  # (L,)
    centred = values - float(volumes @ values)
    variance = float(volumes @ centred**2)
    overlaps = np.minimum(upper[:, None], upper[None]) - np.maximum(lower[:, None], lower[None])  # (L, L, d)
    overlaps = np.maximum(overlaps, 0.0)
    d = widths.shape[1]
    main, total = np.empty(d), np.empty(d)
    for k in range(d):
        others = np.delete(widths, k, axis=1).prod(axis=1) * centred
        main[k] = others @ overlaps[:, :, k] @ others
        alone = widths[:, k] * centred
        total[k] = variance - alone @ np.delete(overlaps, k, axis=2).prod(axis=2) @ alone
    return np.concatenate([[variance], np.maximum(main, 0.0), np.maximum(total, np.maximum(main, 0.0))])


def _boxes(tree: Any) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Lower and upper corners (L, d) of a tree's leaves in the unit cube, and their values (L,)."""
    lower, upper = np.zeros((tree.node_count, tree.n_features)), np.ones((tree.node_count, tree.n_features))
    for node in range(tree.node_count):  # parents come before their children
        left, right = int(tree.children_left[node]), int(tree.children_right[node])
        if left < 0:
            continue
        feature, threshold = int(tree.feature[node]), float(tree.threshold[node])
        for child in (left, right):
            lower[child], upper[child] = lower[node], upper[node]
        upper[left, feature] = lower[right, feature] = threshold
    leaves = tree.children_left[: tree.node_count] < 0
    return lower[leaves], upper[leaves], tree.value[leaves, 0, 0].astype(np.float64)
