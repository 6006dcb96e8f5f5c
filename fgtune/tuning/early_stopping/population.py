"""Population based training: which trials are replaced, by a copy of which one, and with which settings.

No trial is changed under way, so that a cell's id says how it was trained: a trial that is replaced ends there, and a
new one, a fork, begins from what its donor had learned at that epoch, with the donor's settings nudged or drawn anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fgtune.config.arms.records import Cell, Fork
from fgtune.config.arms.search import SearchPlan
from fgtune.config.schema.domains import SIGNIFICANT, Domain, LogUniformDomain, UniformDomain
from fgtune.config.schema.objective import WEIGHTS
from fgtune.config.schema.scheduling import PbtConfig
from fgtune.config.schema.trial import TrialConfig
from fgtune.config.spaces.operations import EvaluationError
from fgtune.config.spaces.space import InfeasibleError, Point, SearchSpace
from fgtune.streams import numpy_stream
from fgtune.tuning.early_stopping.rules import Candidate, Verdict
from fgtune.tuning.search.suggestion import Suggestion

FACTORS = (0.8, 1.2)
"""A number is multiplied by one of these (Jaderberg et al. 2017)."""
MAX_TRIES = 100
"""Points looked at for one that the space allows and that no other fork of the same donor has."""


class Population:
    """Truncation selection (Jaderberg et al. 2017): at milestones the worst share is replaced by copies of the best.

    A trial is compared with those of its block that came to the milestone before it, itself included: of n, the worst
    ``floor(n * quantile)`` are replaced and the best as many may be copied. Nobody waits for the others, so the first
    few that come to a milestone go on whatever they score. A fork is not judged again where it begins.

    Args:
        interval: Epochs from milestone to milestone.
        quantile: Share that is replaced, and share that is copied; 0.5 at most, so that they never meet.
        seed: Of the draw among those that may be copied.
    """

    def __init__(self, interval: int, quantile: float, seed: int) -> None:
        self._interval, self._quantile, self._seed = interval, quantile, seed
        self._reached: dict[tuple[int, int], dict[str, tuple[float, int]]] = {}

    def decides_at(self, candidate: Candidate, epoch: int) -> bool:
        """At every milestone after the trial's beginning."""
        return epoch % self._interval == 0 and candidate.begins < epoch < candidate.epochs

    def observe(self, candidate: Candidate, epoch: int, score: float) -> Verdict | None:
        """Judge at the last milestone passed, once."""
        milestone = epoch // self._interval * self._interval
        if milestone <= candidate.begins:
            return None
        reached = self._reached.setdefault((candidate.block, milestone), {})
        if candidate.cell_id in reached:
            return None
        reached[candidate.cell_id] = (score, epoch)
        share = int(len(reached) * self._quantile + 1e-9)
        better = sum(other > score for other, _ in reached.values())
        if better < len(reached) - share:
            return Verdict(False)
        best = sorted(reached, key=lambda cell_id: -reached[cell_id][0])[:share]  # of equals, those that came first
        donors = [cell_id for cell_id in best if math.isfinite(reached[cell_id][0])]
        if not donors:
            return Verdict(False)
        rng = numpy_stream(self._seed, "donor", candidate.cell_id, milestone)
        donor = donors[int(rng.integers(len(donors)))]
        reason = f"rank {better + 1} of {len(reached)} at epoch {milestone}"
        return Verdict(True, reason, Fork(donor, reached[donor][1]))


def explored(space: SearchSpace, point: Point, resample: float, rng: np.random.Generator) -> Point:
    """A point near another one, feasible or not.

    Args:
        space: What is searched.
        point: Of the donor.
        resample: Probability of drawing a parameter anew, for each.
        rng: Where draws come from.

    Raises:
        EvaluationError: A condition cannot be evaluated.
    """

    def choose(path: str, domain: Domain) -> Any:
        anew, share, up = rng.random(), float(rng.random()), bool(rng.random() < 0.5)
        if path not in point or anew < resample:
            return domain.at(share)
        return nudged(domain, point[path], up)

    return space.walk(choose)


def nudged(domain: Domain, value: Any, up: bool) -> Any:
    """A value beside another one: 1.2 or 0.8 times as much within the bounds, or the next or last one of a list."""
    if isinstance(domain, UniformDomain | LogUniformDomain):
        product = float(f"{value * FACTORS[up]:.{SIGNIFICANT}g}")
        return min(max(product, domain.low), domain.high)
    listed = domain.values_in_order()
    rank = next(rank for rank, each in enumerate(listed) if each == value and type(each) is type(value))
    return listed[min(max(rank + (1 if up else -1), 0), len(listed) - 1)]


class Nursery:
    """Makes forks and remembers those there are; used from the driver's thread alone.

    Args:
        search: Space and design of the search.
        config: Of the scheduler.
        cells: Cells of the study by id, which grow while it runs.
    """

    def __init__(self, search: SearchPlan, config: PbtConfig, cells: Mapping[str, Cell]) -> None:
        self._search, self._config, self._cells = search, config, cells
        self._known: dict[str, Suggestion] = {}
        self._next_number: Callable[[], int] | None = None
        self._adopt: Callable[[Suggestion], None] | None = None

    @property
    def known(self) -> tuple[Suggestion, ...]:
        """All forks, in the order in which they were made."""
        return tuple(self._known.values())

    def judge(self) -> Population:
        """The rule that says who is replaced."""
        return Population(self._config.interval_epochs, self._config.quantile, self._search.design.design_seed)

    def attach(self, next_number: Callable[[], int], adopt: Callable[[Suggestion], None]) -> None:
        """Say how forks are numbered and who runs them."""
        self._next_number, self._adopt = next_number, adopt

    def make(self, loser: Candidate, origin: Fork) -> Suggestion | None:
        """A fork that takes a trial's place; None where no point near the donor's is allowed and new.

        It differs from its donor in some setting, or it would only repeat it, and has the same terms in its objective:
        what a term of weight 0 would have learned, the donor did not.
        """
        if self._next_number is None:
            raise RuntimeError("nothing is attached that runs forks")
        donor = self._cells[origin.donor]
        point = self._search.point(dict(donor.levels))
        if point is None:
            raise ValueError(f"{donor.arm} is no point of the space")
        number = self._next_number()
        rng = numpy_stream(self._search.design.design_seed, "explore", loser.cell_id, origin.epoch)
        for _ in range(MAX_TRIES):
            try:
                found = explored(self._search.space, point, self._config.resample_probability, rng)
                fork = self.again(number, found, loser.block, origin)
            except (InfeasibleError, EvaluationError):
                continue
            cell = fork.cells[0]
            is_new = cell.config_hash != donor.config_hash and cell.cell_id not in self._known
            if is_new and _terms(cell.config) == _terms(donor.config):
                self._known[cell.cell_id] = fork
                return fork
        return None

    def again(self, number: int, point: Point, seed: int, origin: Fork) -> Suggestion:
        """The fork at a point.

        Raises:
            InfeasibleError: The point is forbidden.
        """
        arm, cell = self._search.fork(number, point, seed, origin)
        return Suggestion(number, point, arm, (cell,))

    def remember(self, fork: Suggestion) -> None:
        """Take up a fork of an earlier call."""
        self._known[fork.cells[0].cell_id] = fork

    def deliver(self, fork: Suggestion) -> None:
        """Hand a fork, written down by now, to those who run it."""
        if self._adopt is None:
            raise RuntimeError("nothing is attached that runs forks")
        self._adopt(fork)

    def arm_of(self, cell_id: str) -> str:
        """The arm of a cell."""
        return self._cells[cell_id].arm


def _terms(config: TrialConfig) -> frozenset[str]:
    """The terms of an objective that are on."""
    return frozenset(name for name in WEIGHTS if name.startswith("lambda_") and getattr(config.objective, name) > 0)
