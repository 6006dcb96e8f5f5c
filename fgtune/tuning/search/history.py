"""What a search knows before its first suggestion: its ledger, its baseline, and the ledgers of earlier studies."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fgtune.config.arms.plan import Plan
from fgtune.config.arms.records import Cell, Fork
from fgtune.config.arms.search import SearchPlan, trial_number
from fgtune.config.schema.designs import BASELINE
from fgtune.config.schema.paths import has_path, value_at
from fgtune.config.schema.trial import BaseTrialConfig
from fgtune.config.schema.trial_kinds import trial_from_plain
from fgtune.config.spaces.space import InfeasibleError, Point
from fgtune.errors import ConfigError, StudyFolderError
from fgtune.results.extension import has_earlier_clusters
from fgtune.results.folder import StudyFolder
from fgtune.results.ledger import Ledger
from fgtune.results.records import CellResult, CellState, joint_state
from fgtune.tuning.search.objectives import (
    ArmMeasure,
    Objective,
    mean_values,
    measure_in,
    objectives_of,
    unmeasured,
)
from fgtune.tuning.search.suggestions import KnownTrial

Curve = Callable[[str], Mapping[int, float]]
"""Maps a cell id to the cell's objective by epoch, from its stored curve."""


def ledger_trials(
    plan: Plan,
    results: Iterable[CellResult],
    proposed: Iterable[tuple[str, Mapping[str, object]]] = (),
    curve: Curve | None = None,
    measure: ArmMeasure = unmeasured,
) -> list[KnownTrial]:
    """The search's own trials, as ``Search.restore`` takes them: finished ones in the order in which they ended.

    Args:
        plan: The plan of a search; its cells include the baseline.
        results: The ledger, in the order in which cells finished.
        proposed: Arm and levels of every suggestion so far, in order (rows of the plan file); those without a result
            for every seed come back unfinished.
        curve: For intermediate values; None leaves them out.
        measure: For metrics of an arm.
    """
    if plan.search is None:
        raise TypeError(f"{plan.study.study} is no search")
    search, objectives = plan.search, objectives_of(plan.search.design, plan.study.trial.book)
    by_arm: dict[str, dict[int, CellResult]] = {}
    last: dict[str, int] = {}
    levels = dict(proposed)
    forks = {cell.arm: cell.fork for cell in plan.cells if cell.fork is not None}
    for rank, result in enumerate(results):
        by_arm.setdefault(result.arm, {})[result.seed] = result
        levels[result.arm] = result.levels  # exact, where the plan file has text
        last[result.arm] = rank
        if result.fork is not None:
            forks[result.arm] = result.fork
    known = []
    for arm in sorted(levels, key=lambda arm: last.get(arm, len(last) + 1_000_000)):
        found = by_arm.get(arm, {})
        finished = [found[seed] for seed in plan.study.seed_list if seed in found]
        number, point = trial_number(arm), _own_point(plan, search, arm, levels[arm])
        complete = len(finished) == len(plan.study.seed_list)
        if point is None or (number is None and not (arm == BASELINE and complete)):
            continue
        fork = forks.get(arm)
        cells = _cell_ids(plan, search, arm, point, levels[arm], fork)
        trial = KnownTrial(arm, number, point, None, cell_ids=cells, fork=fork)
        known.append(_finished(trial, finished, objectives, curve, measure) if complete else trial)
    return known


def baseline_trial(plan: Plan, results: Sequence[CellResult], measure: ArmMeasure = unmeasured) -> KnownTrial | None:
    """The baseline, for the search to learn from; None if it lies outside the space or is not finished."""
    known = ledger_trials(plan, [result for result in results if result.arm == BASELINE], measure=measure)
    return known[0] if known else None


def earlier_trials(search: SearchPlan, folders: Sequence[str]) -> tuple[list[KnownTrial], list[str]]:
    """Finished trials of earlier studies that this search may learn from, and one sentence per folder on what was used.

    A trial is used if it differs from this study's trial only in searched settings, lies in the space, and is complete
    in every objective; with other settings (data, epochs) its values would mean something else, as do those of an
    earlier version that this one would not reach.

    Raises:
        ConfigError: A folder holds no readable ledger.
    """
    objectives, known = objectives_of(search.design, search.space.base.book), list[KnownTrial]()
    notes = []
    for rank, folder in enumerate(folders):
        by_config: dict[str, list[CellResult]] = {}
        results = _ledger(folder, f"design.warm_start[{rank}]")
        for result in results:
            if result.state is CellState.COMPLETE and result.fork is None:
                by_config.setdefault(result.config_hash, []).append(result)
        record, taken, earlier = _provenance(folder), 0, 0
        measure = measure_in(StudyFolder(Path(folder)))
        for group in by_config.values():
            point = _foreign_point(search, group[0])
            if point is None:
                continue
            values = tuple(mean_values(objectives, group, measure))
            if all(map(math.isfinite, values)):
                if any(has_earlier_clusters(record, result) for result in group):
                    earlier += 1
                    continue
                taken += 1
                arm, cells = f"{Path(folder).name}/{group[0].arm}", tuple(each.cell_id for each in group)
                known.append(KnownTrial(arm, None, point, CellState.COMPLETE, values, cell_ids=cells))
        note = f"{folder}: {taken} of {len(by_config)} finished settings are of use to this search"
        left_out = f"; {earlier} left out, whose clusters an earlier version found otherwise" if earlier else ""
        notes.append(note + left_out)
    return known, notes


def _ledger(folder: str, path: str) -> list[CellResult]:
    file = Path(folder) / "results.jsonl"
    fix = "name the folder of a study that was run"
    if not file.is_file():
        raise ConfigError("holds no results", path=path, value=folder, fix=fix)
    try:
        return Ledger(file).read()
    except StudyFolderError as error:
        raise ConfigError(str(error), path=path, value=folder, fix=fix) from error


def _provenance(folder: str) -> dict[str, Any]:
    """What is known of the study in a folder; nothing if it has a ledger alone."""
    own = StudyFolder(Path(folder))
    return own.record()


def _own_point(plan: Plan, search: SearchPlan, arm: str, levels: Mapping[str, object]) -> Point | None:
    if arm == BASELINE:
        point = search.space.point_of(plan.baseline.config.to_plain())
        return None if point is None or not _is_same(search, point, plan.baseline.config) else point
    return search.point(dict(levels))


def _cell_ids(
    plan: Plan, search: SearchPlan, arm: str, point: Point, levels: Mapping[str, object], fork: Fork | None
) -> tuple[str, ...]:
    config = search.space.resolve(search.space.config(point))
    return tuple(Cell(arm, seed, config, levels, fork).cell_id for seed in plan.study.seed_list)


def _finished(
    trial: KnownTrial,
    results: Sequence[CellResult],
    objectives: Sequence[Objective],
    curve: Curve | None,
    measure: ArmMeasure,
) -> KnownTrial:
    """The trial, completed by the outcome of its cells."""
    state = joint_state(results)
    values = tuple(mean_values(objectives, results, measure)) if state is CellState.COMPLETE else ()
    intermediate = mean_curve([curve(result.cell_id) for result in results]) if curve is not None else {}
    return replace(trial, state=state, values=values, intermediate=intermediate)


def mean_curve(curves: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """Mean over cells by epoch, for the epochs that all of them have."""
    shared = set.intersection(*map(set, curves)) if curves else set()
    return {epoch: math.fsum(curve[epoch] for curve in curves) / len(curves) for epoch in sorted(shared)}


def _foreign_point(search: SearchPlan, result: CellResult) -> Point | None:
    """The point of another study's cell; None if it is not a point of this search."""

    def value(path: str) -> object:
        level = result.levels.get(path)
        if level is None and not has_path(result.config, path):
            raise LookupError(path)
        return value_at(result.config, path) if level is None else level

    try:
        point = search.space.walk(lambda path, domain: domain.canonical(value(path)))
        config = trial_from_plain(result.config)
    except (LookupError, ValidationError):
        return None
    return point if _is_same(search, point, config) else None


def _is_same(search: SearchPlan, point: Point, config: BaseTrialConfig) -> bool:
    """Whether the point's trial is this one once the numbers of classes are resolved."""
    try:
        here = search.space.config(point)
        return search.space.resolve(here) == search.space.resolve(config)
    except (InfeasibleError, ConfigError):
        return False
