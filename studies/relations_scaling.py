"""The trial of ``relations_scaling.yaml``: one solver on programmes of one size, timed."""

from __future__ import annotations

import time

import numpy as np
from pydantic import TypeAdapter

from fgtune.config.schema.classes import SolverConfig
from fgtune.errors import SolverError
from fgtune.relations.base import RelationsProblem, SolveStatus
from fgtune.relations.initial import beta_from_balance
from fgtune.relations.solve import solve


def affinity_of(kind: str, num_fine: int, num_coarse: int, rng: np.random.Generator) -> np.ndarray:
    """(K_F, K_C) of total mass 1: rows drawn from Dirichlet(0.3), or nearly the same row, as early in a training."""
    if kind == "drawn":
        return rng.dirichlet(np.full(num_coarse, 0.3), size=num_fine) / num_fine
    shares = rng.dirichlet(np.full(num_coarse, 50.0))
    rows = shares * np.exp(0.02 * rng.standard_normal((num_fine, num_coarse)))
    return rows / rows.sum()


def solves(config, seed, report):
    """Solve a drawn programme once a repeat; a solver that runs out of time is told by its seconds and ``proven``."""
    fine = config["num_fine"]
    coarse = max(2, fine // config["fine_per_coarse"])
    limit = {} if config["solver"] == "flow" else {"time_limit_s": config["time_limit_s"]}
    solver = TypeAdapter(SolverConfig).validate_python({"kind": config["solver"], **limit})
    solve(RelationsProblem(np.full((4, 2), 0.125), beta=0.0), solver)  # imports are not what is measured
    for repeat in range(1, report.epochs + 1):
        rng = np.random.default_rng([seed, repeat])
        affinity = affinity_of(config["affinity"], fine, coarse, rng)
        problem = RelationsProblem(affinity, beta_from_balance(1.0, fine, coarse))
        begun = time.process_time()
        try:
            is_proven = solve(problem, solver).status is SolveStatus.OPTIMAL
        except SolverError as error:
            if "time limit" not in str(error):
                raise
            is_proven = False
        report(cpu_seconds=time.process_time() - begun, proven=float(is_proven))
