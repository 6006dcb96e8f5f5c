"""The plan: its rows against the ledger and the study's seeds, and all of it against the study planned once more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fgtune.app.verification.findings import Finding, Subject, agree, first_difference
from fgtune.config.arms.plan import Plan
from fgtune.config.schema.paths import value_at
from fgtune.engine.designs import grown_plan
from fgtune.files import read_text
from fgtune.results.rebuilding import MOST_PLAN
from fgtune.results.records import CellResult
from fgtune.results.texts import CELL_COLUMNS, FORK, csv_level, plan_text


def check_rows(subject: Subject) -> Iterator[Finding]:
    """Every planned cell once, in every arm the study's seeds, and in the ledger no other cells."""
    folder, data = subject.folder, subject.data
    file, rows = subject.name(folder.plan_file), folder.read_plan()
    seeds: dict[str, list[int]] = {}
    for row in rows:
        seeds.setdefault(row["arm"], []).append(row["seed"])
    forked = {row["arm"] for row in rows if row.get(FORK)}  # a copy in a population has one cell
    adaptive = data.study.adaptive_seeds
    for arm, found in seeds.items():
        expected = list(data.study.seed_list)
        if adaptive is not None and len(found) in adaptive.sizes:
            expected = list(range(len(found)))
        same = sorted(found) == sorted(expected) or (arm in forked and len(found) == 1)
        yield agree(same, f"{file}: arm {arm} has the seeds {sorted(found)}, the study has {sorted(expected)}")
    by_id: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_id.setdefault(row["cell_id"], []).append(row)
    for result in subject.finished.values():
        name = f"{subject.name(folder.ledger_file)}: {subject.cell(result)}"
        planned = by_id.get(result.cell_id, [])
        yield agree(bool(planned), f"{name} is not in the plan")
        if planned:
            yield from _row(planned, result.arm, result.seed, name)
            yield from _levels(planned[0], result, file, name)


def _row(planned: list[Mapping[str, Any]], arm: str, seed: int, name: str) -> Iterator[Finding]:
    """A cell has the arm and the seed that it was planned with; two arms with the same settings share their cells."""
    places = [(row["arm"], row["seed"]) for row in planned]
    said = ", ".join(f"{planned_arm}, seed {planned_seed}" for planned_arm, planned_seed in places)
    yield agree((arm, seed) in places, f"{name} was planned as {said}")


def _levels(row: Mapping[str, Any], result: CellResult, file: str, name: str) -> Iterator[Finding]:
    """The levels in the plan are those of the ledger, and those that the cell ran with, as far as they are settings."""
    for path, level in row.items():
        if path in {*CELL_COLUMNS, FORK}:
            continue
        stored = result.levels.get(path)
        same = level == stored or csv_level(level) == csv_level(stored)
        yield agree(same, f"{name} has {path} = {stored!r}, {file} says {level!r}")
        ran = value_at(dict(result.config), path) if "." in path else None
        if _is_number(level) and _is_number(ran):
            yield agree(level == ran, f"{name} ran with {path} = {ran!r}, {file} says {level!r}")


def _is_number(level: Any) -> bool:
    """Whether a level can be compared with the config: a number of classes is resolved there, and a ratio is None."""
    return isinstance(level, bool | int | float)


def check_again(subject: Subject, again: Plan) -> Iterator[Finding]:
    """``plan.csv`` is what the study as given and its data give: ids, arms, seeds, levels, order."""
    file = subject.folder.plan_file
    expected, found = plan_text(grown_plan(again, subject.folder)), read_text(file, MOST_PLAN)
    if expected == found:
        yield Finding(len(subject.data.planned))
        return
    ours, theirs = expected.splitlines(), found.splitlines()
    place = first_difference(ours, theirs)
    shown = theirs[place] if place < len(theirs) else "nothing"
    wanted = ours[place] if place < len(ours) else "nothing"
    yield Finding(1, f"{subject.name(file)}: line {place + 1} is {shown!r}, the study and its data give {wanted!r}")
