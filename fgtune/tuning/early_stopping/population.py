"""Population based training: which trials are replaced, by a fork of which donor, and with which settings.

No running trial is changed, so a cell's id determines how it was trained: a replaced trial ends, and a new one, the
fork, starts from the donor's state at that epoch, with the donor's settings perturbed or resampled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fgtune.config.arms.records import Cell, Fork
from fgtune.config.arms.search import SearchPlan
from fgtune.config.schema.domains import SIGNIFICANT, Domain, LogUniformDomain, UniformDomain
from fgtune.config.schema.tuning import PbtConfig
from fgtune.config.spaces.expression import EvaluationError
from fgtune.config.spaces.space import InfeasibleError, Point, SearchSpace
from fgtune.streams import numpy_stream
from fgtune.tuning.early_stopping.rules import Candidate, Decision
from fgtune.tuning.search.suggestions import Suggestion

if TYPE_CHECKING:
    from fgtune.tuning.search.search import Search

FACTORS = (0.8, 1.2)
"""A number is multiplied by one of these (Jaderberg et al. 2017)."""
MAX_TRIES = 100
"""Points tried for one that is feasible and that no other fork of the same donor has."""


class TruncationSelection:
    """Truncation selection (Jaderberg et al. 2017): at milestones, forks of the best trials replace the worst.

    A trial is compared with those of its block that reached the milestone so far, itself included: of n, the worst
    ``floor(n * quantile)`` are replaced and as many of the best may be donors. No trial waits for the others, so the
    first few at a milestone continue whatever they score. A fork is not judged again at the epoch where it starts.

    Args:
        interval: Epochs between milestones.
        quantile: Share replaced, and share of donors; at most 0.5, so that they do not overlap.
        seed: Seed of the draw of a donor.
    """

    reads_every_epoch = False

    def __init__(self, interval: int, quantile: float, seed: int) -> None:
        self._interval, self._quantile, self._seed = interval, quantile, seed
        self._reached: dict[tuple[int, int], dict[str, tuple[float, int]]] = {}

    def decides_at(self, candidate: Candidate, epoch: int) -> bool:
        """At every milestone after the trial's start."""
        return epoch % self._interval == 0 and candidate.fork_epoch < epoch < candidate.epochs

    def observe(self, candidate: Candidate, epoch: int, score: float) -> Decision | None:
        """Decide at the last milestone passed, once."""
        milestone = epoch // self._interval * self._interval
        if milestone <= candidate.fork_epoch:
            return None
        reached = self._reached.setdefault((candidate.block, milestone), {})
        if candidate.cell_id in reached:
            return None
        reached[candidate.cell_id] = (score, epoch)
        share = int(len(reached) * self._quantile + 1e-9)
        better = sum(other > score for other, _ in reached.values())
        if better < len(reached) - share:
            return Decision(False)
        best = sorted(reached, key=lambda cell_id: -reached[cell_id][0])[:share]  # ties: first come first
        donors = [cell_id for cell_id in best if math.isfinite(reached[cell_id][0])]
        if not donors:
            return Decision(False)
        rng = numpy_stream(self._seed, "donor", candidate.cell_id, milestone)
        donor = donors[int(rng.integers(len(donors)))]
        reason = f"rank {better + 1} of {len(reached)} at epoch {milestone}"
        return Decision(True, reason, Fork(donor, reached[donor][1]))


def truncation_rule(config: PbtConfig, design_seed: int) -> TruncationSelection:
    """The rule of population based training in a search with this seed."""
    return TruncationSelection(config.interval_epochs, config.quantile, design_seed)


def explored(space: SearchSpace, point: Point, resample: float, rng: np.random.Generator) -> Point:
    """A point near another one, feasible or not.

    Args:
        space: The search space.
        point: The donor's point.
        resample: Probability of resampling, per parameter.
        rng: Source of all draws.

    Raises:
        EvaluationError: A condition cannot be evaluated.
    """

    def choose(path: str, domain: Domain) -> Any:
        chance, share, up = rng.random(), float(rng.random()), bool(rng.random() < 0.5)
        if path not in point or chance < resample:
            return domain.at(share)
        return perturbed(domain, point[path], up)

    return space.walk(choose)


def perturbed(domain: Domain, value: Any, up: bool) -> Any:
    """A neighbouring value: 1.2 or 0.8 times it, clipped to the bounds, or the next or previous one of a list."""
    if isinstance(domain, UniformDomain | LogUniformDomain):
        product = float(f"{value * FACTORS[up]:.{SIGNIFICANT}g}")
        return min(max(product, domain.low), domain.high)
    listed = domain.values_in_order()
    rank = next(rank for rank, other in enumerate(listed) if other == value and type(other) is type(value))
    return listed[min(max(rank + (1 if up else -1), 0), len(listed) - 1)]


class ForkPool:
    """Makes and remembers forks, and hands them to the search; used from the driver's thread only.

    Args:
        search: Runs them.
        plan: Space and design of the search.
        config: The scheduler's config.
        cells: Cells of the study by id; their number grows during the run.
    """

    def __init__(self, search: Search, plan: SearchPlan, config: PbtConfig, cells: Mapping[str, Cell]) -> None:
        self._search, self._plan, self._config, self._cells = search, plan, config, cells
        self._known: dict[str, Suggestion] = {}

    @property
    def known(self) -> tuple[Suggestion, ...]:
        """All forks in the order of their making."""
        return tuple(self._known.values())

    def rule(self) -> TruncationSelection:
        """The rule that decides which trials are replaced."""
        return truncation_rule(self._config, self._plan.design.design_seed)

    def make(self, loser: Candidate, origin: Fork) -> Suggestion | None:
        """A fork that replaces a trial; None if no point near the donor's is feasible and new.

        It differs from its donor in some setting, or it would only repeat it, but its objective has the same terms:
        the donor did not learn what a term of weight 0 would have taught.
        """
        donor = self._cells[origin.donor]
        point = self._plan.point(dict(donor.levels))
        if point is None:
            raise ValueError(f"{donor.arm} is no point of the space")
        number = self._search.next_number
        rng = numpy_stream(self._plan.design.design_seed, "explore", loser.cell_id, origin.epoch)
        for _ in range(MAX_TRIES):
            try:
                found = explored(self._plan.space, point, self._config.resample_probability, rng)
                fork = self._at(number, found, loser.block, origin)
            except (InfeasibleError, EvaluationError):
                continue
            cell = fork.cells[0]
            is_new = cell.config_hash != donor.config_hash and cell.cell_id not in self._known
            if is_new and _terms(cell) == _terms(donor):
                self._known[cell.cell_id] = fork
                return fork
        return None

    def restore(self, number: int, point: Point, seed: int, origin: Fork) -> Suggestion:
        """The fork of an earlier call, to run if it has no result yet."""
        fork = self._at(number, point, seed, origin)
        self._known[fork.cells[0].cell_id] = fork
        self._search.add_fork(fork)
        return fork

    def _at(self, number: int, point: Point, seed: int, origin: Fork) -> Suggestion:
        arm, cell = self._plan.fork(number, point, seed, origin)
        return Suggestion(number, point, arm, (cell,))

    def run(self, fork: Suggestion) -> None:
        """Queue a new fork; its decision has been written."""
        self._search.add_fork(fork)

    def arm_of(self, cell_id: str) -> str:
        """The arm of a cell."""
        return self._cells[cell_id].arm


def _terms(cell: Cell) -> object:
    """The terms of its objective; of a trainer of the user's own, nothing that can be known."""
    own = cell.config.discovery
    return None if own is None else own.objective.terms
