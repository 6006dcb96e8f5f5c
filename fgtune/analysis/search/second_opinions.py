"""Other importances of the same points, each with what chance reaches: PED-ANOVA, and Sobol indices of first order.

Both come from libraries (Optuna, SALib), which give them without saying what a parameter without effect would have. The
outcomes are shuffled for that, and the largest of all parameters is the yardstick, as for the shares of the page.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from fgtune.analysis.formatting import DASH
from fgtune.analysis.search.effect_terms import Parameter
from fgtune.arrays import FloatArray
from fgtune.catalog.spec import Direction
from fgtune.streams import numpy_stream

if TYPE_CHECKING:
    import optuna

PED_SHUFFLES, SOBOL_SHUFFLES = 99, 199
_TOP, _FEWEST_TOP = 0.1, 5  # PED-ANOVA looks at the best tenth, and at five points at least
_HARMONICS = 3


@dataclass(frozen=True)
class Opinion:
    """Importances by one method.

    Attributes:
        importance: By parameter, without those that the method cannot judge.
        chance: What the importance of each has to exceed. Chance lifts any of them above it in at most 1 - level of
            studies.
    """

    importance: Mapping[str, float]
    chance: Mapping[str, float]

    @property
    def standing(self) -> tuple[str, ...]:
        """The parameters above chance, the largest importance first."""
        found = [name for name, value in self.importance.items() if value > self.chance[name]]
        return tuple(sorted(found, key=lambda name: -self.importance[name]))

    def text(self, parameter: str) -> str:
        """An importance in units of what chance reaches: ``3.7×``; a dash if there is none."""
        if parameter not in self.importance or self.chance[parameter] <= 0:
            return DASH
        return f"{max(0.0, self.importance[parameter] / self.chance[parameter]):.1f}×"


class PedAnova:
    """PED-ANOVA (Watanabe, Bansal and Hutter 2023): what sets the best tenth of points apart from all of them.

    A parameter's importance is the divergence of its density among the best points from that among all points. A random
    set of as many points stands for chance; it is the same for every metric of the same points.

    Args:
        parameters: Where the points are.
        seed: Seed of the shuffles.
        level: 1 minus the largest probability that any parameter without effect is above chance.
    """

    def __init__(self, parameters: Sequence[Parameter], *, seed: int, level: float = 0.95) -> None:
        from optuna.importance import PedAnovaImportanceEvaluator

        self._n = len(parameters[0].places)
        self._parameters = [each for each in parameters if each.varies]
        top = max(_TOP, min(_FEWEST_TOP, self._n - 1) / self._n)
        with _quietly():
            self._evaluator = PedAnovaImportanceEvaluator(target_quantile=top)
            self._study = _study_of(self._parameters, self._n)
        self._wanted, self._seed, self._level = math.ceil(top * self._n), seed, level
        self._by_chance: dict[int, list[dict[str, float]]] = {}

    def opinion(self, values: FloatArray, direction: Direction) -> Opinion:
        """What sets the best points by a metric apart.

        Args:
            values: (n,) finite.
            direction: Which way they are better.
        """
        losses = values if direction == "minimize" else -values
        best = int(np.sum(losses <= np.sort(losses)[self._wanted - 1]))  # more than wanted if the last ones are tied
        if best not in self._by_chance:
            self._by_chance[best] = [self._importances(each) for each in self._random_sets(best)]
        return _judged(self._importances(losses), self._by_chance[best], self._level)

    def _random_sets(self, size: int) -> list[FloatArray]:
        """Losses (n,) of which ``size`` at random are the best."""
        losses = (np.arange(self._n) >= size).astype(np.float64)
        return [numpy_stream(self._seed, "ped", rank).permutation(losses) for rank in range(PED_SHUFFLES)]

    def _importances(self, losses: FloatArray) -> dict[str, float]:
        def loss(trial: optuna.trial.FrozenTrial) -> float:
            return float(losses[trial.number])

        with _quietly():
            found = self._evaluator.evaluate(self._study, [each.name for each in self._parameters], target=loss)
        return {each.name: float(found.get(each.name, 0.0)) for each in self._parameters}


def first_order_sobol(
    parameters: Sequence[Parameter],
    values: FloatArray,
    *,
    seed: int,
    level: float = 0.95,
    shuffles: int = SOBOL_SHUFFLES,
) -> Opinion:
    """Sobol indices of first order from given points: RBD-FAST (Tarantola et al. 2006; Plischke 2010; Tissot 2012).

    Unordered levels and parameters that are inactive at some points are left out: the method sorts points along a
    parameter.

    Args:
        parameters: Where the points are.
        values: (n,) finite, not all the same.
        seed: Seed of the shuffles.
        level: 1 minus the largest probability that any parameter without effect is above chance.
        shuffles: Number of shuffles.
    """
    from SALib.analyze import rbd_fast

    sorted_along = [each for each in parameters if not each.levels and not np.isnan(each.places).any()]

    def indices(outcomes: FloatArray) -> dict[str, float]:
        found = {}
        for each in sorted_along:
            share = rbd_fast.compute_first_order(rbd_fast.permute_outputs(each.places, outcomes), _HARMONICS)
            found[each.name] = float(rbd_fast.unskew_S1(share, _HARMONICS, len(outcomes)))
        return found

    shuffled = [numpy_stream(seed, "sobol", rank).permutation(values) for rank in range(shuffles)]
    return _judged(indices(values), [indices(each) for each in shuffled], level)


def _judged(found: Mapping[str, float], by_chance: Sequence[Mapping[str, float]], level: float) -> Opinion:
    """Importances with what each has to exceed.

    Cube roots, which are nearly normal, are set in units of the parameter's own spread, over the shuffles and the study
    itself, so that under no effect all of these are alike. A shuffle counts by its largest.
    """
    names = list(found)
    if not names:
        return Opinion({}, {})
    table = np.cbrt([[each[name] for name in names] for each in (*by_chance, found)])  # (shuffles + 1, d)
    centre, spread = table.mean(axis=0), table.std(axis=0, ddof=1)
    largest = np.sort(((table[:-1] - centre) / np.where(spread > 0, spread, 1.0)).max(axis=1))
    allowed = max(1, math.floor((1 - level) * len(table) + 1e-9))
    reach = (centre + largest[-allowed] * spread) ** 3
    return Opinion(dict(found), dict(zip(names, reach.tolist(), strict=True)))


class _ComparedAsObject:
    """A domain that all trials share: Optuna compares those of all trials each time, which took half of its time."""

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def __deepcopy__(self, memo: object) -> Self:
        return self


def _study_of(parameters: Sequence[Parameter], n: int) -> optuna.Study:
    """The points as trials in memory; their values do not matter."""
    from optuna import create_study
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
    from optuna.trial import create_trial

    class Levels(_ComparedAsObject, CategoricalDistribution):
        pass

    class Scale(_ComparedAsObject, FloatDistribution):
        pass

    domains: dict[str, BaseDistribution] = {
        each.name: Levels(range(each.levels)) if each.levels else Scale(0.0, 1.0) for each in parameters
    }
    values = {each.name: (each.codes if each.levels else each.places).tolist() for each in parameters}
    study = create_study()
    for rank in range(n):
        params = {each.name: values[each.name][rank] for each in parameters if not math.isnan(each.places[rank])}
        study.add_trial(create_trial(params=params, distributions={k: domains[k] for k in params}, value=0.0))
    return study


@contextmanager
def _quietly() -> Iterator[None]:
    """Without Optuna's log lines and warnings, which are about uses by hand."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)
