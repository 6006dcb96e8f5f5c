"""Solving for relations: one check of the problem, any solver, one post-condition for all.

The rest of fgtune calls ``solve``. It brings the problem into normal form, passes it to the solver of the config, and
recomputes everything that the solver claims: a solver returns evidence, not only an answer.
"""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from fgtune.arrays import FloatArray
from fgtune.config.reading.load import load_plugin
from fgtune.config.schema.classes import SolverConfig
from fgtune.config.schema.plugin import PluginConfig
from fgtune.errors import SolverError
from fgtune.relations import SOLVERS
from fgtune.relations.base import RawSolution, RelationsProblem, RelationsSolution, SolveStatus, objective_value
from fgtune.relations.structure import normal_form

CLAIM_TOLERANCE = 1e-6
"""Allowed error of a solver's claims, relative to the sum of what the fine classes can lose."""
CLAIM_FLOOR = 1e-30
"""Allowed absolute error: a normal form has size 1, or consists of a beta that no solver can distinguish from 0."""

Backend = Callable[[RelationsProblem, Any], RawSolution]
"""A solver: takes a problem in normal form and the solver's config."""


def solve(problem: RelationsProblem, config: SolverConfig) -> RelationsSolution:
    """Choose the parents of all fine classes with the solver of ``config``.

    Args:
        problem: The programme; ``affinity`` may have any real dtype and is converted to float64.
        config: Solver kind and its settings.

    Returns:
        A checked solution; ``status`` is ``TIME_LIMIT`` if it is only the best found in time.

    Raises:
        SolverError: The problem is malformed, no solution was found, or the solution violates the post-condition.
        ConfigError: A plugin solver cannot be imported, or its options are wrong.

    Example:
        >>> from fgtune.config.schema.classes import FlowSolverConfig
        >>> problem = RelationsProblem(np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]]), beta=0.0)
        >>> solution = solve(problem, FlowSolverConfig())
        >>> solution.fine_to_coarse.tolist(), round(solution.objective, 6), solution.status.value
        ([0, 0, 1], -2.0, 'optimal')
    """
    backend, settings = solver_of(config)
    started = time.perf_counter()
    problem = checked_problem(problem)
    normal = normal_form(problem)
    raw = backend(normal.problem, settings)
    check_solution(normal.problem, raw, config.kind)
    objective = objective_value(problem, raw.fine_to_coarse)
    return RelationsSolution(
        fine_to_coarse=raw.fine_to_coarse,
        status=raw.status,
        objective=objective,
        bound=min(objective, normal.restore(raw.bound)),  # above it only by rounding
        seconds=time.perf_counter() - started,
        solver=config.kind,
        prices=None if raw.prices is None else np.ldexp(raw.prices, normal.exponent),
    )


def solver_of(config: SolverConfig) -> tuple[Backend, Any]:
    """The solver of ``config`` and the config that it takes: for a plugin, its options.

    Raises:
        ConfigError: As for ``load_plugin``.
    """
    if isinstance(config, PluginConfig):
        return load_plugin(config, "trial.relations.solver", takes=("problem", "options"))
    return load_solver(config.kind), config


def load_solver(name: str) -> Backend:
    """Import the solver called ``name`` in ``SOLVERS``.

    Raises:
        SolverError: There is no solver of that name.

    Example:
        >>> load_solver("flow").__name__
        'solve_flow'
    """
    if name not in SOLVERS:
        raise SolverError(f"relations solver must be one of {', '.join(sorted(SOLVERS))}, got {name!r}")
    module, _, function = SOLVERS[name].partition(":")
    return cast(Backend, getattr(importlib.import_module(module), function))


def checked_problem(problem: RelationsProblem) -> RelationsProblem:
    """The problem with a float64 affinity.

    Raises:
        SolverError: The affinity is not a finite real matrix with at least as many rows as columns, beta is not a
            finite number >= 0, or the values are so large that sums of them overflow.
    """
    values = np.asarray(problem.affinity)
    if values.ndim != 2:
        raise SolverError(f"relations: affinity must have shape (num_fine, num_coarse), got {values.shape}")
    num_fine, num_coarse = values.shape
    if not num_fine >= num_coarse >= 1:
        raise SolverError(f"relations: num_fine >= num_coarse >= 1 must hold, got {num_fine} x {num_coarse}")
    if values.dtype.kind not in "fiu":
        raise SolverError(f"relations: affinity must hold real numbers, got dtype {values.dtype}")
    affinity = values.astype(np.float64)
    bad = np.argwhere(~np.isfinite(affinity))
    if bad.size:
        fine, coarse = (int(index) for index in bad[0])
        raise SolverError(
            f"relations: affinity must be finite, got {affinity[fine, coarse]} for fine class {fine} and coarse class "
            f"{coarse} ({len(bad)} such entries)"
        )
    beta = float(problem.beta)
    if not (math.isfinite(beta) and beta >= 0.0):
        raise SolverError(f"relations: beta must be finite and >= 0, got {beta}")
    largest = max(float(np.abs(affinity).max()), beta)
    if largest > np.finfo(np.float64).max / (4 * num_fine**2):
        raise SolverError(f"relations: affinity and beta must be small enough to be added, got {largest:g}")
    return RelationsProblem(affinity, beta, checked_prices(problem.prices, num_coarse))


def checked_prices(prices: FloatArray | None, num_coarse: int) -> FloatArray | None:
    """Prices as (num_coarse,) float64, or None.

    Raises:
        SolverError: Another shape, or a price that is not finite.

    Example:
        >>> checked_prices(np.array([1, 2]), num_coarse=2).tolist()
        [1.0, 2.0]
    """
    if prices is None:
        return None
    values = np.asarray(prices, dtype=np.float64)
    if values.shape != (num_coarse,) or not np.isfinite(values).all():
        raise SolverError(f"relations: prices must be ({num_coarse},) finite numbers, got shape {values.shape}")
    return values


def check_solution(problem: RelationsProblem, raw: RawSolution, solver: str) -> None:
    """The post-condition of every solver, for a problem in normal form.

    Each fine class has one parent in range and each coarse class at least one member; the objective recomputed from the
    parents is what the solver claims; the bound does not exceed it, and equals it if the solver claims optimality.

    Raises:
        SolverError: The post-condition is violated.
    """
    if not isinstance(raw, RawSolution):
        raise SolverError(f"{solver}: must return a RawSolution, got {type(raw).__name__}")
    num_fine, num_coarse = problem.affinity.shape
    checked_prices(raw.prices, num_coarse)
    parents = raw.fine_to_coarse
    if parents.shape != (num_fine,) or parents.dtype != np.int64:
        raise SolverError(f"{solver}: parents must be ({num_fine},) int64, got {parents.shape} {parents.dtype}")
    if parents.min() < 0 or parents.max() >= num_coarse:
        raise SolverError(f"{solver}: parents must be in 0..{num_coarse - 1}, got {parents.min()}..{parents.max()}")
    empty = np.flatnonzero(np.bincount(parents, minlength=num_coarse) == 0)
    if empty.size:
        raise SolverError(f"{solver}: every coarse class needs a fine class, got none for {empty.tolist()}")
    objective = objective_value(problem, parents)
    scale = float(np.ptp(problem.affinity, axis=1).sum()) + problem.beta + abs(objective)
    tolerance = CLAIM_TOLERANCE * scale + CLAIM_FLOOR
    if not abs(raw.objective - objective) <= tolerance:
        raise SolverError(f"{solver}: claims the objective {raw.objective:.12g}, but the parents give {objective:.12g}")
    if not raw.bound <= objective + tolerance:
        raise SolverError(f"{solver}: claims the bound {raw.bound:.12g}, above its own objective {objective:.12g}")
    if raw.status is SolveStatus.OPTIMAL and not objective - raw.bound <= tolerance:
        raise SolverError(f"{solver}: claims optimality, but objective {objective:.12g} > bound {raw.bound:.12g}")
