"""The exact solver of the relations beside a compiled minimum-cost flow, that of OR-tools.

    pip install --no-deps ortools absl-py immutabledict
    OMP_NUM_THREADS=1 python benchmarks/min_cost_flow.py --sizes 100x20 608x34 2000x400

The programme is a flow: each fine class sends one unit to a coarse class, and each place in a coarse class has its
marginal cost. OR-tools takes whole numbers for costs, so they are rounded to 2^-28 of the largest range of a row, and
nothing proves that no better choice was rounded away: the last column is how far its choice is from the exact optimum.
Affinities are drawn (Dirichlet(0.3)), or nearly even as early in a training. CPU seconds, the least of three solves.
Those of OR-tools include the normal form and building the arcs, those of ``flow`` its checks and the proof.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from ortools.graph.python.min_cost_flow import SimpleMinCostFlow  # type: ignore[import-not-found]
from pydantic import TypeAdapter
from relations_solvers import parse_size

from fgtune.arrays import IntArray
from fgtune.config.schema.classes import SolverConfig
from fgtune.relations.base import RelationsProblem, objective_value
from fgtune.relations.initial import beta_from_balance
from fgtune.relations.solve import solve
from fgtune.relations.structure import balanced_size, normal_form, size_range

SCALE, FIRST = 2**28, -1e4
"""Whole units of a cost of 1 in normal form, and the cost of the first place in a coarse class, which must be taken."""


def compiled(problem: RelationsProblem) -> IntArray:
    """(num_fine,) parents that OR-tools finds."""
    normal = normal_form(problem).problem
    fine, coarse = normal.affinity.shape
    base, largest = balanced_size(normal)[0], size_range(normal)[1]
    places = np.arange(1, largest + 1)
    costs = np.where(places == 1, FIRST, 2 * normal.beta / coarse * (places - base - 1))
    flow, columns, sink = SimpleMinCostFlow(), fine + np.arange(coarse), fine + coarse
    chosen = flow.add_arcs_with_capacity_and_unit_cost(
        np.repeat(np.arange(fine), coarse), np.tile(columns, fine), np.ones(fine * coarse, dtype=np.int64),
        np.rint(-normal.affinity.ravel() * SCALE).astype(np.int64),
    )  # fmt: skip
    flow.add_arcs_with_capacity_and_unit_cost(
        np.repeat(columns, largest), np.full(coarse * largest, sink), np.ones(coarse * largest, dtype=np.int64),
        np.rint(np.tile(costs, coarse) * SCALE).astype(np.int64),
    )  # fmt: skip
    flow.set_nodes_supplies(np.arange(fine), np.ones(fine, dtype=np.int64))
    flow.set_node_supply(sink, -fine)
    if flow.solve() != flow.OPTIMAL:
        raise SystemExit(f"OR-tools finds no flow for {fine} x {coarse}")
    parents: IntArray = flow.flows(chosen).reshape(fine, coarse).argmax(axis=1)
    return parents


def seconds_of(run: Callable[[], Any]) -> tuple[float, Any]:
    """The least CPU seconds of three runs, and what they return."""
    times = []
    for _ in range(3):
        started = time.process_time()
        found = run()
        times.append(time.process_time() - started)
    return min(times), found


def main() -> None:
    """Print a row a size and kind of affinity."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", type=parse_size, default=[(100, 20), (608, 34)], metavar="K_FxK_C")
    config = TypeAdapter(SolverConfig).validate_python({"kind": "flow"})
    print("| K_F x K_C, affinity | `flow`, CPU s | OR-tools | its objective above the optimum |\n|---|---|---|---|")
    for fine, coarse in parser.parse_args().sizes:
        rng = np.random.default_rng(0)
        drawn = rng.dirichlet(np.full(coarse, 0.3), size=fine) / fine
        even = np.exp(0.02 * rng.standard_normal((fine, coarse))) / fine / coarse
        for name, affinity in {"drawn": drawn, "even": even}.items():
            problem = RelationsProblem(affinity, beta_from_balance(1.0, fine, coarse))
            ours, exact = seconds_of(lambda problem=problem: solve(problem, config))
            theirs, parents = seconds_of(lambda problem=problem: compiled(problem))
            above = objective_value(problem, parents) - objective_value(problem, exact.fine_to_coarse)
            print(f"| {fine:,} x {coarse}, {name} | {ours:.4f} | {theirs / ours:.1f} x | {above:.1e} |", flush=True)


if __name__ == "__main__":
    main()
