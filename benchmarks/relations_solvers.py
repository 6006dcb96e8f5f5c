"""How long each relations solver takes, as a multiple of the flow solver, all measured in one run.

    python benchmarks/relations_solvers.py --sizes 100x20 240x30 --repeats 5

Affinities look like learned ones (each row Dirichlet(0.3), total mass 1). The solvers take turns within a repeat, each
repeat is a new problem, and the first call of a solver (imports) is not counted. A ratio above 1: slower than flow.
"""

from __future__ import annotations

import argparse
from statistics import median

import numpy as np
from pydantic import TypeAdapter

from fgtune.config.schema.classes import SolverConfig
from fgtune.relations import SOLVERS
from fgtune.relations.base import RelationsProblem
from fgtune.relations.initial import beta_from_balance
from fgtune.relations.solve import solve

RIVAL = "flow"


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Seconds of every relations solver against the flow solver.")
    parser.add_argument("--sizes", nargs="+", type=parse_size, default=[(100, 20), (240, 30)], metavar="K_FxK_C")
    parser.add_argument("--repeats", type=int, default=5, help="problems a size (default: 5)")
    parser.add_argument("--balance", type=float, default=1.0, help="b = beta / beta* (default: 1)")
    parser.add_argument("--solvers", nargs="+", choices=sorted(SOLVERS), default=sorted(SOLVERS))
    arguments = parser.parse_args()
    if arguments.repeats < 1:
        parser.error(f"--repeats must be >= 1, got {arguments.repeats}")
    return arguments


def parse_size(text: str) -> tuple[int, int]:
    """``100x20`` as (num_fine, num_coarse)."""
    parts = text.split("x")
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"a size must look like 100x20, got {text!r}")
    num_fine, num_coarse = map(int, parts)
    if not num_fine >= num_coarse >= 1:
        raise argparse.ArgumentTypeError(f"K_F >= K_C >= 1 must hold, got {text!r}")
    return num_fine, num_coarse


def measure(size: tuple[int, int], names: list[str], repeats: int, balance: float) -> dict[str, list[float]]:
    """Seconds of each solver on the same ``repeats`` problems of one size."""
    num_fine, num_coarse = size
    adapter: TypeAdapter[SolverConfig] = TypeAdapter(SolverConfig)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for repeat in range(repeats + 1):
        affinity = np.random.default_rng(repeat).dirichlet(np.full(num_coarse, 0.3), size=num_fine) / num_fine
        problem = RelationsProblem(affinity, beta_from_balance(balance, num_fine, num_coarse))
        solutions = {name: solve(problem, adapter.validate_python({"kind": name})) for name in names}
        for name, solution in solutions.items():
            if repeat > 0:
                seconds[name].append(solution.seconds)
            if solution.status == "time_limit":
                print(f"{name} at {num_fine}x{num_coarse}: time limit, gap {solution.gap:.2g}")
    return seconds


def main() -> None:
    """Print one line a size and solver."""
    arguments = parse_arguments()
    names = sorted({*arguments.solvers, RIVAL})
    print(f"{'K_F x K_C':>10}  {'solver':<7} {'median s':>10} {'x ' + RIVAL:>8}")
    for size in arguments.sizes:
        seconds = measure(size, names, arguments.repeats, arguments.balance)
        for name in names:
            ratio = median(seconds[name]) / median(seconds[RIVAL])
            print(f"{size[0]:>5}x{size[1]:<4}  {name:<7} {median(seconds[name]):>10.4f} {ratio:>8.1f}")


if __name__ == "__main__":
    main()
