"""Searches over toy objectives, without data, trainer or Ray: plans made of small studies."""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from fgtune.config.arms.expand import expand
from fgtune.config.arms.plan import Plan
from fgtune.config.arms.records import Cell, DataShape
from fgtune.config.reading.load import load_study
from fgtune.results.records import CellResult, CellState
from fgtune.tuning.cell_queue import CellQueue
from fgtune.tuning.search.search import Search

SHAPE = DataShape(num_coarse=(2,), num_fine=10, fingerprint="f00d")

NUMBERS = {
    "objective.lambda_nn": {"kind": "log_uniform", "low": 0.1, "high": 2.0},
    "objective.lambda_reg": {"kind": "uniform", "low": 0.0, "high": 6.0},
}
"""Two continuous parameters."""
CONDITIONAL = {
    "relations.solver.kind": {"kind": "choice", "values": ["flow", "scip"]},
    "relations.solver.time_limit_s": {
        "kind": "log_uniform", "low": 1.0, "high": 60.0, "when": "relations.solver.kind == 'scip'",
    },
    "relations.every_steps": {"kind": "int", "low": 1, "high": 50},
}  # fmt: skip
"""A choice, a parameter that exists under one of its values only, and a whole number."""
FINITE = {
    "objective.pseudo_labels.hardening": {"kind": "choice", "values": ["cosine", "none", "hard"]},
    "objective.pseudo_labels.soft_fraction": {
        "kind": "quantized", "low": 0.1, "high": 0.3, "step": 0.1,
        "when": "objective.pseudo_labels.hardening == 'cosine'",
    },
    "neighbors.sampled": {"kind": "choice", "values": [1, 5, 20, 30]},
}  # fmt: skip
"""5 x 4 points, of which those with 30 sampled of 20 stored neighbours are no valid trials and one is the baseline."""

SAMPLERS = {
    "tpe": {"kind": "tpe", "startup_trials": 4},
    "gp": {"kind": "gp", "startup_trials": 4},
    "cmaes": {"kind": "cmaes", "population": 4},
    "nsga2": {"kind": "nsga2", "population": 4},
    "qmc": {"kind": "qmc"},
    "random": {"kind": "random"},
    "brute_force": {"kind": "brute_force"},
}
"""Every sampler that ships, with settings for a short search."""


def sampler(*names: str, slow: str = "") -> pytest.MarkDecorator:
    """Run a test with each of these samplers, of which one may be slow; one whose package is missing is skipped."""
    without = importlib.util.find_spec("cmaes") is None
    skip = pytest.mark.skipif(without, reason="the package cmaes is not installed")
    marks = {name: [skip] * (name == "cmaes") + [pytest.mark.slow] * (name == slow) for name in names}
    marked = [pytest.param(SAMPLERS[name], id=name, marks=marks[name]) for name in names]
    return pytest.mark.parametrize("sampler", marked)


def search_plan(folder: Path, parameters: Mapping[str, Any], **design: Any) -> Plan:
    """The plan of a search over some parameters; what is in ``space`` goes beside them, ``scheduler`` to the study."""
    space = {"parameters": dict(parameters), **design.pop("space", {})}
    study = {
        "study": "search",
        "question": "q",
        "seeds": design.pop("seeds", 1),
        "scheduler": design.pop("scheduler", {"kind": "none"}),
        "design": {"kind": "search", "trials": 12, "metric": "val/silhouette", "space": space, **design},
        "trial": {"data": {"kind": "digits"}, "classes": {"num_fine": 10}},
    }
    path = folder / "s.yaml"
    path.write_text(json.dumps(study, indent=1))
    return expand(load_study(path), lambda _: SHAPE)


def base_point(plan: Plan) -> dict[str, Any]:
    """The baseline as a point of the space."""
    assert plan.search is not None
    point = plan.search.space.point_of(plan.baseline.config.to_plain())
    assert point is not None
    return dict(point)


def valley(point: Mapping[str, Any]) -> float:
    """A smooth objective, 0 at its maximum (lambda_nn 0.5, lambda_reg 2)."""
    off_nn = math.log(point["objective.lambda_nn"] / 0.5)
    return -(off_nn**2) - (point["objective.lambda_reg"] - 2.0) ** 2 / 4.0


def run_all(
    search: Search,
    objective: Callable[[Mapping[str, Any]], float | Sequence[float]] = lambda point: float(len(str(sorted(point)))),
) -> list[dict[str, Any]]:
    """Suggest and record one by one until the search ends; returns the points."""
    points = []
    while (suggestion := search.suggest()) is not None:
        found = objective(suggestion.point)
        search.record(suggestion.number, CellState.COMPLETE, [found] if isinstance(found, float) else list(found))
        points.append(dict(suggestion.point))
    return points


def result_of(cell: Cell, value: float = 0.5, state: CellState = CellState.COMPLETE, epochs: int = 3) -> CellResult:
    """The ledger's line of a cell."""
    return CellResult(
        cell_id=cell.cell_id,
        arm=cell.arm,
        seed=cell.seed,
        config_hash=cell.config_hash,
        state=state,
        metrics={"val/silhouette": value} if state is CellState.COMPLETE else {},
        seconds=1.0,
        epochs=epochs,
        levels=dict(cell.levels),
        config=cell.config.to_plain(),
    )


def drained(queue: CellQueue, result: Callable[[Cell], CellResult] = result_of) -> list[Cell]:
    """Run every cell at once; the cells in their order."""
    cells = []
    while (cell := queue.take()) is not None:
        cells.append(cell)
        queue.on_result(result(cell))
    return cells
