"""Relations solvers that find nothing in time, never return or take their process with them cost their cell alone."""

from __future__ import annotations

import io
import re
import sys

import pytest
import yaml
from rich.console import Console

from fgtune.engine.run import execute
from fgtune.results.folder import StudyFolder
from fgtune.results.options import RunOptions
from fgtune.results.records import CellState

SOLVERS = '''
"""The exact solver, which the first time in a study does something else before."""

import ctypes
import os
import signal
from typing import Literal

from fgtune.config.schema.base import Config
from fgtune.config.schema.classes import FlowSolverConfig
from fgtune.plugins import takes
from fgtune.relations.flow import solve_flow


class Options(Config):
    way: Literal["sleeps", "searches", "crashes"]
    mark: str


def market_split():
    """An equation system that SCIP searches for hours: 6 equations in 50 binary variables without a solution."""
    import numpy as np
    import pyscipopt

    rng = np.random.default_rng(0)
    weights = rng.integers(0, 100, size=(6, 50))
    model = pyscipopt.Model()
    model.hideOutput()
    chosen = [model.addVar(vtype="B") for _ in range(50)]
    for row in weights:
        model.addCons(pyscipopt.quicksum(int(w) * x for w, x in zip(row, chosen)) == int(row.sum()) // 2)
    model.optimize()


@takes(Options)
def faulty(problem, options: Options):
    try:
        os.close(os.open(options.mark, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return solve_flow(problem, FlowSolverConfig())
    if options.way == "crashes":
        os.kill(os.getpid(), signal.SIGSEGV)
    if options.way == "searches":
        market_split()
    ctypes.PyDLL(None).sleep(10**6)  # a C function that keeps the interpreter's lock
'''


@pytest.mark.long
def test_a_solver_that_fails_hangs_or_crashes_costs_its_cell_alone(
    tmp_path, small_study_text, monkeypatch, ray_started
):
    package = f"solvers_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{package}.py").write_text(SOLVERS, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    study = yaml.safe_load(small_study_text)
    ways = ("sleeps", "searches", "crashes")
    own = {
        way: {"kind": f"{package}:faulty", "options": {"way": way, "mark": str(tmp_path / f"mark-{way}")}}
        for way in ways
    }
    solvers = {"exact": {"kind": "flow"}, "no_time": {"kind": "scip", "time_limit_s": 1e-9}, **own}
    arms = [{"name": name, "set": {"relations.solver": solver}} for name, solver in solvers.items()]
    study["design"] = {"kind": "comparison", "arms": arms}
    study["trial"] |= {"epochs": 6, "batch_size": 64}
    study["seeds"] = 1
    study["execution"] = {
        "checkpoint_every_epochs": 1, "max_concurrent": 1, "silence": {"factor": 1, "floor_s": 5, "then": "retry"},
    }  # fmt: skip
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(study), encoding="utf-8")
    shown = io.StringIO()
    try:
        call = RunOptions(path, out=tmp_path / "out", tracking_uri="none", plugins=(package,))
        code = execute(call, Console(file=shown, width=300))
    finally:
        sys.modules.pop(package, None)
    text, folder = shown.getvalue(), StudyFolder(tmp_path / "out" / "small")
    assert code == 3, text
    found = {each.arm: each for each in folder.ledger.read()}
    assert found.keys() == solvers.keys()
    lost = found.pop("no_time")
    assert lost.state is CellState.FAIL
    assert re.search(r"scip: no solution within the time limit of 1e-09 s .* raise relations\.solver\.time", lost.cause)
    assert {name: each.state for name, each in found.items()} == dict.fromkeys(found, CellState.COMPLETE)
    assert {name: each.attempts for name, each in found.items()} == {"exact": 1, **dict.fromkeys(ways, 2)}
    faults = folder.faults_file.read_text()
    assert len(re.findall(r"(sleeps|searches), seed 0: crashed \(no epoch for .*; its worker was ended\)", faults)) == 2
    assert re.search(r"crashes, seed 0: crashed \(.*\) and is started again from its checkpoint", faults)
    same = {each.metrics["test/clustering_accuracy"] for each in found.values()}
    assert len(same) == 1, "an exact solver that was begun again gives what the others give"
