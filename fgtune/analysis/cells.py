"""How the cells of a study ended (failures, bounds), and how their solver performed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from fgtune.analysis.formatting import MetricInfo
from fgtune.analysis.inputs import PlannedArm, StudyData
from fgtune.analysis.records import Bounds, FailureRow, PrunedGroup, SolverRow
from fgtune.results.records import CellResult, CellState
from fgtune.visible import visible


def failure_rows(data: StudyData, *, pruned: bool = True) -> tuple[FailureRow, ...]:
    """Every cell that ended without a usable value of the primary metric, in the order of the plan.

    Args:
        data: The study.
        pruned: Whether to include cells that were stopped early; if not, use ``pruned_groups``.
    """
    primary = data.study.metrics.primary
    arms = {arm.name: arm for arm in data.arms}
    lost = {(arm, seed) for arm in arms for seed in data.lost(arm, primary)}
    rows = []
    for cell in data.planned:
        if (cell.arm, cell.seed) in lost:
            result = data.results[cell.cell_id]
            if result.state is CellState.PRUNED and not pruned:
                continue
            rows.append(
                FailureRow(
                    cell_id=cell.cell_id,
                    arm=cell.arm,
                    label=arms[cell.arm].label,
                    seed=cell.seed,
                    state=result.state.value,
                    attempts=result.attempts,
                    epochs=result.epochs,
                    seconds=result.seconds,
                    cause=visible(result.cause or _unrecorded(result.state, primary)),
                )
            )
    return tuple(rows)


def pruned_groups(data: StudyData) -> tuple[PrunedGroup, ...]:
    """The cells that were stopped early, grouped by their last epoch."""
    by_epoch: dict[int, list[tuple[str, str]]] = {}
    for cell in data.planned:
        result = data.results.get(cell.cell_id)
        if result is not None and result.state is CellState.PRUNED:
            cause = visible(result.cause or _unrecorded(result.state, ""))
            by_epoch.setdefault(result.epochs, []).append((cell.arm, cause))
    return tuple(
        PrunedGroup(epoch, tuple(dict.fromkeys(arm for arm, _ in cells)), len(cells), cells[0][1])
        for epoch, cells in sorted(by_epoch.items())
    )


def _unrecorded(state: CellState, primary: str) -> str:
    return f"{primary} is missing" if state is CellState.COMPLETE else "no cause was recorded"


def failure_bounds(data: StudyData, info: MetricInfo) -> tuple[Bounds, ...]:
    """Worst and best case of every arm that lost cells, and of every arm if the baseline lost some."""
    bounds = []
    for arm in data.arms:
        baseline = data.baseline_of(arm)
        lost = data.lost(arm.name, info.name)
        if not lost and (arm.is_baseline or not data.lost(baseline.name, info.name)):
            continue
        cases = _cases(data, arm, info)
        low, high = _mean([case[0] for case in cases.values()]), _mean([case[1] for case in cases.values()])
        difference = (math.nan, math.nan)
        if not arm.is_baseline:
            lowest, highest = possible_differences(data, arm, info)
            difference = _mean(lowest), _mean(highest)
        bounds.append(Bounds(arm.name, arm.label, info.name, lost, low, high, *difference))
    return tuple(bounds)


def possible_differences(data: StudyData, arm: PlannedArm, info: MetricInfo) -> tuple[list[float], list[float]]:
    """Smallest and largest possible difference of each pair that ended, whatever the lost cells would have had."""
    cases, baseline = _cases(data, arm, info), _cases(data, data.baseline_of(arm), info)
    seeds = sorted(cases.keys() & baseline.keys())
    lowest = [cases[seed][0] - baseline[seed][1] for seed in seeds]
    return lowest, [cases[seed][1] - baseline[seed][0] for seed in seeds]


def _cases(data: StudyData, arm: PlannedArm, info: MetricInfo) -> dict[int, tuple[float, float]]:
    """Lowest and highest possible value by seed, over the cells that ended."""
    known = {seed: (value, value) for seed, value in data.values(arm.name, info.name).items()}
    return known | dict.fromkeys(data.lost(arm.name, info.name), info.limits)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def solver_rows(data: StudyData, *, together: bool = False) -> tuple[SolverRow, ...]:
    """One row per arm and solver, in the order of the plan; empty if no relations were solved.

    Args:
        data: The study.
        together: Whether to pool all arms, for studies with too many arms for a table.
    """
    groups: dict[tuple[str, str, str], list[CellResult]] = {}
    for arm in data.arms:
        name, label = ("", "all arms") if together else (arm.name, arm.label)
        for cell in data.cells(arm.name):
            result = data.results.get(cell.cell_id)
            if result is not None and result.solver is not None:
                groups.setdefault((name, label, result.solver.solver), []).append(result)
    return tuple(_solver_row(*names, results) for names, results in groups.items())


def _solver_row(arm: str, label: str, solver: str, results: list[CellResult]) -> SolverRow:
    uses = [result.solver for result in results if result.solver is not None]
    solves, seconds = sum(use.solves for use in uses), math.fsum(use.seconds for use in uses)
    trainer = math.fsum(result.seconds for result in results)
    statuses: Counter[str] = Counter()
    for use in uses:
        statuses.update(use.statuses)
    return SolverRow(
        arm=arm,
        label=label,
        solver=solver,
        cells=len(results),
        solves=solves,
        seconds=seconds,
        seconds_per_solve=seconds / solves if solves else math.nan,
        share=seconds / trainer if trainer > 0 else math.nan,
        statuses=dict(sorted(statuses.items())),
        max_gap=max(use.max_gap for use in uses),
        resolves=sum(use.resolves for use in uses),
        changes=sum(use.changes for use in uses),
    )
