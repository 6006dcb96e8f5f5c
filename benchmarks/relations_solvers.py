"""CPU seconds and memory of every relations solver, on affinities that a training meets and on made ones.

    python benchmarks/relations_solvers.py --sizes 100x20 608x34
    python benchmarks/relations_solvers.py --sizes 5000x1000 10000x1000 --repeats 1 --give-up 120

Affinities are `learned` ones, those of the solves of a short training of FALCON on a Gaussian hierarchy of that size:
`early` ones, of the first steps, when every fine class looks like the data as a whole; and `late` ones, of the last
steps, without balance as in the published schedule. `dirichlet` ones are drawn (each row Dirichlet(0.3), total mass 1).
Each solve runs in a process of its own, in turns, with one thread: CPU time of the solve with its checks, and what the
process takes at most. `flow, warm` starts from the prices of the solve before it in the training; for a drawn affinity,
from those of the affinity with 5 % noise. A ratio is to `flow`, cold: above 1 is slower. A solver is ended when its
process has taken the seconds of `--give-up`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from many_cells import peak_mib
from pydantic import TypeAdapter

from fgtune.config.schema.classes import SolverConfig
from fgtune.errors import SolverError
from fgtune.relations import SOLVERS
from fgtune.relations.base import RelationsProblem, RelationsSolution
from fgtune.relations.initial import beta_from_balance
from fgtune.relations.solve import solve

RIVAL = "flow"
WARM = "flow, warm"
CASES = ("early", "late", "dirichlet")
SHORTEST = 0.3
"""Solves are repeated until they took that many CPU seconds together, as a single one may be below the clock's step."""


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="CPU seconds and memory of every relations solver.")
    parser.add_argument("--sizes", nargs="+", type=parse_size, default=[(100, 20), (608, 34)], metavar="K_FxK_C")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--solvers", nargs="+", choices=sorted(SOLVERS), default=sorted(SOLVERS))
    parser.add_argument("--repeats", type=int, default=3, help="solves of each, in turns (default: 3)")
    parser.add_argument(
        "--give-up", type=float, default=60.0, help="seconds after which a solver is ended (default: 60)"
    )
    parser.add_argument("--one", nargs=2, metavar=("PROBLEM", "SOLVER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.repeats < 1 or arguments.give_up <= 0:
        parser.error("--repeats must be >= 1 and --give-up > 0")
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


# --- problems ----------------------------------------------------------------------------------------------------


def training_of(num_fine: int, num_coarse: int) -> Any:
    """A trainer of FALCON on a hierarchy with that many classes, 20 samples a fine class but at most 50,000."""
    from fgtune.config.schema.trial import TrialConfig
    from fgtune.data.load import load_dataset
    from fgtune.training.build import build_trainer
    from fgtune.training.prepared import prepare_split, views

    each = [num_fine // num_coarse + (column < num_fine % num_coarse) for column in range(num_coarse)]
    samples = min(max(20 * num_fine, 4000), 50_000)
    data = {"kind": "hierarchy", "num_samples": samples, "num_coarse": num_coarse, "fine_per_coarse": each, "dim": 64}
    trial = {
        "data": data | {"separation": 6.0, "coarse_separation": 12.0},
        "model": {"backbone": {"kind": "mlp", "hidden": [128, 128], "norm": "batch"}},
        "classes": {"num_fine": num_fine},
        "objective": {"preset": "falcon"},
        "augmentation": {"kind": "noise", "std": 0.1},
        "relations": {"every_steps": 20 if num_fine > 1000 else 5},
        "epochs": 6,
    }
    config = TrialConfig.model_validate_json(json.dumps(trial))
    dataset = load_dataset(config.data)
    prepared = prepare_split(dataset, config, 0, threads=1)
    return lambda: build_trainer(config, *views(dataset, prepared), prepared, 0)


class FinishedError(Exception):
    """Ends a training whose solves are known."""


def learned_problems(num_fine: int, num_coarse: int, wanted: int) -> list[RelationsProblem]:
    """The first ``wanted`` problems that a training solves after its start, each with the prices of the one before."""
    from fgtune.training import relations_state

    problems: list[RelationsProblem] = []

    def recorded(problem: RelationsProblem, config: Any) -> RelationsSolution:
        problems.append(problem)
        if len(problems) > wanted:
            raise FinishedError
        return solve(problem, config)

    relations_state.solve = recorded
    try:
        for _ in training_of(num_fine, num_coarse)():
            pass
    except FinishedError:
        pass
    finally:
        relations_state.solve = solve
    return problems[1:]


def drawn_problem(num_fine: int, num_coarse: int) -> RelationsProblem:
    """A drawn affinity at balance 1, with the prices of a solve of the same affinity with noise."""
    rng = np.random.default_rng(0)
    affinity = rng.dirichlet(np.full(num_coarse, 0.3), size=num_fine) / num_fine
    beta = beta_from_balance(1.0, num_fine, num_coarse)
    noisy = affinity * np.exp(0.05 * rng.standard_normal(affinity.shape))
    return RelationsProblem(affinity, beta, solved(RelationsProblem(noisy, beta), RIVAL).prices)


def problems_of(size: tuple[int, int], cases: list[str]) -> Iterator[tuple[str, RelationsProblem]]:
    """The problems of one size by case."""
    if {"early", "late"} & {*cases}:
        learned = learned_problems(*size, wanted=12 if size[0] > 1000 else 40)
        unbalanced = [problem for problem in learned if problem.beta == 0.0]
        if "early" in cases:
            yield "early", learned[min(1, len(learned) - 1)]
        if "late" in cases and len(unbalanced) > 1:
            yield "late", unbalanced[-1]
    if "dirichlet" in cases:
        yield "dirichlet", drawn_problem(*size)


# --- measuring ---------------------------------------------------------------------------------------------------


def solved(problem: RelationsProblem, name: str, limit: float | None = None) -> RelationsSolution:
    """The solution by the solver called ``name``."""
    settings = {"kind": name} | ({} if limit is None or name == RIVAL else {"time_limit_s": limit})
    config: SolverConfig = TypeAdapter(SolverConfig).validate_json(json.dumps(settings))
    return solve(problem, config)


def measure_one(path: str, name: str, limit: float) -> None:
    """In a process of its own: print the CPU time of a solve of the problem of a file, and the peak."""
    with np.load(path) as stored:
        problem = RelationsProblem(stored["affinity"], float(stored["beta"]), stored["prices"])
    if name != WARM:
        problem = replace(problem, prices=None)
    solver = RIVAL if name == WARM else name
    solved(RelationsProblem(np.eye(3), 0.1), solver)  # imports
    solves, started = 0, time.process_time()
    outcome: dict[str, Any] = {}
    while solves == 0 or time.process_time() - started < SHORTEST:
        try:
            solution = solved(problem, solver, limit)
            outcome = {"status": solution.status.value, "objective": solution.objective}
        except SolverError as error:
            outcome = {"status": str(error)}
        solves += 1
    cpu = (time.process_time() - started) / solves
    print(json.dumps(outcome | {"cpu": cpu, "peak": peak_mib()}))


def run_one(path: Path, name: str, give_up: float) -> dict[str, Any]:
    """What ``measure_one`` found; without ``cpu`` if the process was ended."""
    command = [sys.executable, __file__, "--one", str(path), name, "--give-up", str(give_up)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}

    def limited() -> None:  # its CPU seconds, so that a busy machine ends nothing early
        seconds = int(give_up) + 10
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))

    done = subprocess.run(command, env=environment, preexec_fn=limited, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return dict(json.loads(done.stdout.splitlines()[-1]))
    if done.returncode < 0:
        return {"status": f"gave up after {give_up:g} CPU s"}
    raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")


def report(size: tuple[int, int], case: str, runs: dict[str, list[dict[str, Any]]]) -> None:
    """One line a solver."""
    times = {name: [run["cpu"] for run in found if "cpu" in run and "objective" in run] for name, found in runs.items()}
    rival = median(times[RIVAL])
    best = runs[RIVAL][0]["objective"]
    for name, found in runs.items():
        last = found[-1]
        place = f"{size[0]:>6}x{size[1]:<5} {case:<10} {name:<11}"
        if not times[name]:
            print(
                f"{place} {'-':>10} {'-':>8} {last.get('peak', float('nan')):>9.0f}  {last['status'][:70]}", flush=True
            )
            continue
        seconds = median(times[name])
        spread = f"{min(times[name]):.4g} to {max(times[name]):.4g} s"
        excess = last["objective"] - best
        told = f"{last['status']}, {spread}, objective {excess:+.1e}"
        print(f"{place} {seconds:>10.4f} {seconds / rival:>8.2f} {last['peak']:>9.0f}  {told}", flush=True)


def main() -> None:
    """Print one line a size, affinity and solver."""
    arguments = parse_arguments()
    if arguments.one:
        measure_one(*arguments.one, arguments.give_up)
        return
    names = [RIVAL, WARM, *(name for name in arguments.solvers if name != RIVAL)]
    print(f"{'K_F x K_C':>12} {'affinity':<10} {'solver':<11} {'CPU s':>10} {'x ' + RIVAL:>8} {'peak MiB':>9}  result")
    with tempfile.TemporaryDirectory() as folder:
        for size in arguments.sizes:
            for case, problem in problems_of(size, arguments.cases):
                path = Path(folder, "problem.npz")
                prices = np.zeros(size[1]) if problem.prices is None else problem.prices
                np.savez(path, affinity=problem.affinity, beta=problem.beta, prices=prices)
                runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
                for _ in range(arguments.repeats):
                    for name in names:
                        if not any("cpu" not in run for run in runs[name]):  # what gave up once is not tried again
                            runs[name].append(run_one(path, name, arguments.give_up))
                report(size, case, runs)


if __name__ == "__main__":
    main()
