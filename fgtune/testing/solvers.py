"""The contract of relations solvers: an exhaustive search that shares no code with them, and hard problems."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import TypeAdapter

from fgtune.config.schema.classes import SolverConfig
from fgtune.relations.base import RelationsProblem, RelationsSolution, SolveStatus
from fgtune.relations.solve import solve
from fgtune.testing import Plain, permitted, require

_CONFIGS: TypeAdapter[SolverConfig] = TypeAdapter(SolverConfig)


def naive_value(problem: RelationsProblem, parents: Sequence[int]) -> float:
    """The objective of FALCON eq. 8, in plain loops."""
    num_fine, num_coarse = problem.affinity.shape
    gained = sum(float(problem.affinity[fine, parent]) for fine, parent in enumerate(parents))
    squares = sum(list(parents).count(coarse) ** 2 for coarse in range(num_coarse))
    return float(-gained + problem.beta * (squares / num_coarse - (num_fine / num_coarse) ** 2))


@dataclass(frozen=True)
class BruteForce:
    """The best value, and every assignment within rounding of it."""

    optimum: float
    optima: list[tuple[int, ...]]


def enumerate_all(problem: RelationsProblem) -> BruteForce:
    """Try every assignment that leaves no coarse class empty."""
    num_fine, num_coarse = problem.affinity.shape
    choices = itertools.product(range(num_coarse), repeat=num_fine)
    values = {choice: naive_value(problem, choice) for choice in choices if len(set(choice)) == num_coarse}
    optimum = min(values.values())
    tolerance = 1e-9 * (1 + abs(optimum))
    return BruteForce(optimum, [choice for choice, value in values.items() if value <= optimum + tolerance])


def _random(num_fine: int, num_coarse: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(num_fine, num_coarse))


CASES = {
    "random": RelationsProblem(_random(6, 3), 0.4),
    "all affinities tie": RelationsProblem(np.ones((6, 3)), 0.3),
    "many affinities tie": RelationsProblem(np.random.default_rng(1).integers(0, 2, (6, 3)).astype(float), 0.5),
    "penalty and affinity tie": RelationsProblem(np.repeat([[1.0, 0.0]], 4, axis=0), 1.0),
    "beta 0": RelationsProblem(_random(6, 3, 2), 0.0),
    "beta 0, nobody wants the last class": RelationsProblem(np.repeat([[9.0, 5.0, -50.0]], 5, axis=0), 0.0),
    "nothing to choose by": RelationsProblem(np.zeros((5, 3)), 0.0),
    "huge beta, equal sizes": RelationsProblem(_random(6, 3, 3), 1e6),
    "huge beta, unequal sizes": RelationsProblem(_random(5, 3, 4), 1e6),
    "as many fine as coarse": RelationsProblem(_random(3, 3, 5), 0.7),
    "as many fine as coarse, beta 0": RelationsProblem(np.repeat([[3.0, 2.0, 1.0]], 3, axis=0), 0.0),
    "one coarse class": RelationsProblem(_random(4, 1, 6), 0.9),
    "one of each": RelationsProblem(np.array([[-2.0]]), 3.0),
    "negative affinities": RelationsProblem(-np.abs(_random(6, 2, 7)), 0.1),
    "tiny numbers": RelationsProblem(_random(6, 3, 8) * 1e-9, 1e-10),
    "large numbers": RelationsProblem(_random(6, 3, 9) * 1e9, 1e8),
    "large offset": RelationsProblem(_random(6, 3, 10) + 1e6, 0.4),
}
"""Problems that an exhaustive search can solve and that solvers get wrong."""


def solve_with(solver: Plain, problem: RelationsProblem) -> RelationsSolution:
    """The checked solution by the solver of a section ``relations.solver``."""
    with permitted([solver]):
        return solve(problem, _CONFIGS.validate_json(json.dumps(dict(solver))))


def keeps_the_evidence(solver: Plain, problem: RelationsProblem) -> None:
    """Claims of optimality and bounds are true, as an exhaustive search shows.

    What is only the best found in time (``TIME_LIMIT``) may be worse than the optimum, but not better, and its bound
    may not exceed the optimum.
    """
    solution = solve_with(solver, problem)
    optimum = enumerate_all(problem).optimum
    tolerance = 1e-9 * (abs(optimum) + float(np.abs(problem.affinity).max()))
    value = naive_value(problem, solution.fine_to_coarse.tolist())
    require(abs(value - solution.objective) <= tolerance, f"claims {solution.objective:g}, its parents give {value:g}")
    low = solution.bound
    require(low <= optimum + 10 * tolerance, f"claims the bound {low:g}, above the optimum {optimum:g}")
    if solution.status is SolveStatus.OPTIMAL:
        require(abs(value - optimum) <= tolerance, f"claims optimality at {value:g}, and the optimum is {optimum:g}")
        require(abs(low - optimum) <= 10 * tolerance, f"proves the bound {low:g} only, the optimum is {optimum:g}")


def keeps_the_evidence_of_every_case(solver: Plain) -> None:
    """``keeps_the_evidence`` on all of ``CASES``, and on small random problems."""
    rng = np.random.default_rng(0)
    for problem in CASES.values():
        keeps_the_evidence(solver, problem)
    for _ in range(30):
        num_coarse = int(rng.integers(1, 4))
        affinity = rng.normal(size=(int(rng.integers(num_coarse, 6)), num_coarse))
        keeps_the_evidence(solver, RelationsProblem(affinity, float(rng.choice([0.0, 0.5, 4.0]))))


def answers_alike_each_time(solver: Plain) -> None:
    """The parents are a function of the problem: no global random state, and ties always broken in the same way."""
    problem = RelationsProblem(np.random.default_rng(0).integers(0, 3, (30, 5)).astype(float), 0.8)
    state = np.random.get_state()  # noqa: NPY002 (the global state must not matter)
    try:
        np.random.seed(1)  # noqa: NPY002
        first = solve_with(solver, problem).fine_to_coarse
        np.random.seed(2)  # noqa: NPY002
        again = solve_with(solver, problem).fine_to_coarse
    finally:
        np.random.set_state(state)  # noqa: NPY002
    require(np.array_equal(first, again), "the same problem must give the same parents")


def leaves_the_affinity_as_it_is(solver: Plain) -> None:
    """The affinity array may be read-only, and is not changed."""
    affinity = _random(8, 3)
    before = affinity.copy()
    solve_with(solver, RelationsProblem(affinity, 0.2))
    require(np.array_equal(affinity, before), "the affinity must not be changed")
    affinity.setflags(write=False)
    solve_with(solver, RelationsProblem(affinity, 0.2))


CHECKS: tuple[Callable[[Plain], None], ...] = (
    keeps_the_evidence_of_every_case,
    answers_alike_each_time,
    leaves_the_affinity_as_it_is,
)


def check_solver(solver: Plain) -> None:
    """Check the whole contract of a relations solver.

    Args:
        solver: The section ``relations.solver`` of a study file: kind and settings.

    Raises:
        ContractError: The first rule that does not hold.
        SolverError: A solution breaks the post-condition of every solve.
        ConfigError: The section is not valid.
    """
    for check in CHECKS:
        check(solver)
