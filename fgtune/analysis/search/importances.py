"""How much of a metric's variation over the finished points each parameter explains, and how much of that chance does.

A functional ANOVA by least squares: what each parameter does alone, and what each pair does beyond its two parts
(``effect_terms``). Which of these stand out is decided for all parameters of a metric together (``effect_tests``); what
does not stand out comes with the share that it would have to exceed, and with a random number that was treated
like a parameter.

A random forest, which functional ANOVA of hyperparameters usually goes by (Hutter, Hoos and Leyton-Brown 2014), is not
used: it finds structure in noise; with a band that is right for it, it finds fewer main effects and no pure interaction
(docs/statistics.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from fgtune.analysis.formatting import MetricInfo
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.search.axes import axes_of, on_log_scale, unit_places
from fgtune.analysis.search.effect_sizes import Sizes, sizes_of
from fgtune.analysis.search.effect_terms import Parameter, terms_of
from fgtune.analysis.search.effect_tests import scan
from fgtune.analysis.search.second_opinions import Opinion, PedAnova, first_order_sobol
from fgtune.analysis.trials import Trial
from fgtune.arrays import FloatArray
from fgtune.streams import derive_seed, numpy_stream

FEWEST = 8
"""Fewer points than this are not decomposed."""
RANDOM_NUMBER = "a random number"
"""Name of the parameter without effect that is added to those of every study."""
_POINTS_PER_PARAMETER = 5
_FEWEST_RELIABLE = 20
_REPLICATES = 100


@dataclass(frozen=True)
class Importance:
    """A parameter's share of the variation.

    Attributes:
        parameter: Dotted path, or ``RANDOM_NUMBER``.
        main: Share that it explains alone, in [0, 1], less what a parameter without effect explains on average. Of a
            parameter that does not stand out, only its strongest term counts.
        low: Lower end of the interval of ``main``.
        high: Upper end.
        chance: What ``main`` has to exceed.
        stands_out: Whether ``main`` is above chance.
        joint: Share that it explains together with another one beyond what both explain alone, likewise.
        joint_chance: What ``joint`` has to exceed; nan if the parameter has no pairs.
        partners: The parameters with which it does so above chance.
    """

    parameter: str
    main: float
    low: float
    high: float
    chance: float
    stands_out: bool
    joint: float
    joint_chance: float
    partners: tuple[str, ...]

    @property
    def above_chance(self) -> bool:
        """Whether it matters, alone or together with another one."""
        return self.stands_out or bool(self.partners)

    @property
    def total(self) -> float:
        """Share that it explains above chance, alone and together with others."""
        return (self.main if self.stands_out else 0.0) + (self.joint if self.partners else 0.0)


@dataclass(frozen=True)
class Interaction:
    """What two parameters explain together beyond each alone, above chance.

    Attributes:
        parameters: Their dotted paths.
        share: Share of the variation, in [0, 1].
        low: Lower end of its interval.
        high: Upper end.
    """

    parameters: tuple[str, str]
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Importances:
    """The decomposition of one metric.

    Attributes:
        metric: Its name.
        n: Number of points that it is based on.
        level: Confidence level of the intervals, and 1 minus the largest probability that any parameter without effect
            is above chance.
        explained: Share of the variation that the terms above chance predict of points left out of the fit, at most 1;
            0 if there are none.
        items: Every parameter in the order of the study, then the random number; empty if nothing can be said.
        interactions: The pairs above chance, the largest share first.
        doubts: Why the shares are not reliable; empty if they are.
        ped: What sets the best points apart by PED-ANOVA; None if that is not defined.
        sobol: Sobol indices of first order; None if the points were not spread beforehand.
    """

    metric: str
    n: int
    level: float
    explained: float
    items: tuple[Importance, ...]
    interactions: tuple[Interaction, ...]
    doubts: tuple[str, ...]
    ped: Opinion | None = None
    sobol: Opinion | None = None

    @property
    def reliable(self) -> bool:
        """Whether there are no doubts."""
        return not self.doubts

    @property
    def ranked(self) -> tuple[Importance, ...]:
        """The parameters above chance, the largest total first, then the others in the order of the study."""
        return tuple(sorted(self.items, key=lambda item: (not item.above_chance, -item.total)))

    @property
    def anything(self) -> bool:
        """Whether any parameter of the study is above chance."""
        return any(item.above_chance for item in self.items if item.parameter != RANDOM_NUMBER)


def importances(
    metric: str, parameters: Sequence[Parameter], values: FloatArray, *, seed: int, level: float = 0.95
) -> Importances:
    """Decompose the variation of ``values`` over the points.

    Args:
        metric: Name of the values.
        parameters: Where the points are.
        values: (n,) finite.
        seed: Seed of shuffles and resamples; the same arguments give the same result.
        level: Confidence level of the intervals.

    Raises:
        ValueError: Shapes do not agree, or values are not finite.
    """
    n = len(values)
    if any(parameter.places.shape != (n,) for parameter in parameters) or not np.isfinite(values).all():
        raise ValueError(f"needs {n} finite values, and {n} places of every parameter")
    if n < FEWEST:
        return Importances(metric, n, level, 0.0, (), (), (f"only {n} finished points, {FEWEST} are the least",))
    if float(np.ptp(values)) == 0.0:
        return Importances(metric, n, level, 0.0, (), (), ("every point has the same value",))
    all_of_them = with_random_number(parameters, len(values), seed)
    terms = terms_of(all_of_them, paired=len(parameters))
    found = scan(terms, values, alpha=1 - level, seed=derive_seed(seed, "scan"))
    sizes = sizes_of(terms, found, values, seed=derive_seed(seed, "sizes"), replicates=_REPLICATES)
    return _assembled(metric, all_of_them, sizes, n, level)


def metric_importances(
    data: StudyData, trials: Sequence[Trial], metrics: Sequence[MetricInfo], *, seed: int = 0
) -> tuple[Importances, ...]:
    """What each varied setting explains of each metric, from the completed points.

    Args:
        data: The study.
        trials: Its points; the baseline is left out, since it was not drawn from the space.
        metrics: What to decompose; a cost that spans magnitudes by its logarithm.
        seed: Seed of shuffles and resamples.
    """
    axes, decomposed = axes_of(data), []
    by_points: dict[tuple[str, ...], PedAnova] = {}
    for info in metrics:
        judged = [trial for trial in trials if not trial.is_baseline and math.isfinite(trial.value(info.name))]
        shares = unit_places(axes, judged)
        values = np.array([trial.value(info.name) for trial in judged])
        values = np.log10(values) if on_log_scale(info, values.tolist()) else values
        parameters = [
            Parameter(axis.path, shares[:, rank], 0 if axis.numeric else len(axis.categories))
            for rank, axis in enumerate(axes)
        ]
        found = importances(info.name, parameters, values, seed=seed, level=data.level)
        if found.items and any(each.varies for each in parameters):
            asked, arms = with_random_number(parameters, len(values), seed), tuple(trial.arm for trial in judged)
            if info.direction != "none":
                ped = by_points.get(arms) or PedAnova(asked, seed=seed, level=data.level)
                found, by_points[arms] = replace(found, ped=ped.opinion(values, info.direction)), ped
            if not data.study.design.proposer:
                found = replace(found, sobol=first_order_sobol(asked, values, seed=seed, level=data.level))
        decomposed.append(found)
    return tuple(decomposed)


def with_random_number(parameters: Sequence[Parameter], n: int, seed: int) -> list[Parameter]:
    """The parameters at n points, and one that has no effect on anything."""
    return [*parameters, Parameter(RANDOM_NUMBER, numpy_stream(seed, "random number").random(n))]


def _assembled(
    metric: str,
    parameters: Sequence[Parameter],
    sizes: Sizes,
    n: int,
    level: float,
) -> Importances:
    """The result from the terms' sizes and their spread over resamples."""
    reach = float(stats.norm.ppf(0.5 + level / 2))
    names = [parameter.name for parameter in parameters]

    def ends(subject: tuple[int, ...]) -> tuple[float, float, float]:
        share, half = sizes.share[subject], reach * sizes.spread[subject]
        return share, max(0.0, share - half), min(1.0, share + half)

    pairs = [subject for subject in sizes.found if len(subject) == 2]
    items = []
    for rank, name in enumerate(names):
        alone = (rank,)
        main, low, high = ends(alone) if alone in sizes.share else (0.0, 0.0, 0.0)
        joint, joint_chance = sizes.joint(rank)
        partners = tuple(names[other] for pair in pairs if rank in pair for other in pair if other != rank)
        items.append(
            Importance(
                parameter=name,
                main=main,
                low=low,
                high=high,
                chance=sizes.chance.get(alone, math.nan),
                stands_out=alone in sizes.found,
                joint=joint,
                joint_chance=joint_chance,
                partners=partners,
            )
        )
    interactions = [Interaction((names[one], names[two]), *ends((one, two))) for one, two in sorted(pairs)]
    interactions.sort(key=lambda pair: -pair.share)
    doubts = _doubts(n, len(parameters) - 1, items[-1])
    return Importances(metric, n, level, sizes.explained, tuple(items), tuple(interactions), doubts)


def _doubts(n: int, d: int, drawn: Importance) -> tuple[str, ...]:
    doubts = []
    wanted = max(_FEWEST_RELIABLE, _POINTS_PER_PARAMETER * d)
    if n < wanted:
        doubts.append(f"{n} finished points are few for {d} parameters, {wanted} would do")
    if drawn.above_chance:
        doubts.append("a random number stands out too")
    return tuple(doubts)
