"""Every cell of a study as a row with links to what it left in the folder; arms instead where cells are very many."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from fgtune.analysis.inputs import PlannedCell, StudyData
from fgtune.results.folder import StudyFolder
from fgtune.results.tracked import tracked_runs

MOST_CELLS = 2000
"""With more cells than this the page lists arms."""
CURVES = "learning-cells"
"""Id of the part of the page that draws the curve of every cell."""
_PLANNED = "PLANNED"


@dataclass(frozen=True)
class CellRow:
    """A cell on the page.

    Attributes:
        cell_id: Its id.
        arm: Name of its arm in the plan.
        label: Name of its arm for readers.
        seed: Its seed.
        state: How it ended; ``PLANNED`` before that.
        value: Its primary metric; nan without one.
        seconds: Trainer seconds; nan before it ended.
        epochs: Epochs that it trained.
        run: The id of its run in MLflow; empty where that is not known.
        run_link: The page of that run; empty where the store has no address of its own.
        links: What to call each of its places, and where that is: files relative to the page, or parts of the page;
            none that is not there.
    """

    cell_id: str
    arm: str
    label: str
    seed: int
    state: str
    value: float
    seconds: float
    epochs: int
    links: Mapping[str, str]
    run: str = ""
    run_link: str = ""


@dataclass(frozen=True)
class CellGroup:
    """The cells of an arm together: how many there are, how many are complete, and their trainer seconds."""

    arm: str
    label: str
    cells: int
    complete: int
    seconds: float


def cell_rows(data: StudyData, curves: Collection[str] = (), settings: str = "") -> tuple[CellRow, ...]:
    """Every planned cell in the order of the plan; none where there are more than ``MOST_CELLS``.

    Args:
        data: The study.
        curves: Ids of the cells whose curves the page draws.
        settings: Id of the part of the page that has the settings of every arm; empty without one.
    """
    if len(data.planned) > MOST_CELLS:
        return ()
    primary, files = data.study.metrics.primary, _files(data.folder)
    labels, runs = {arm.name: data.shown_name(arm) for arm in data.arms}, tracked_runs(data.folder)
    rows = []
    for cell in data.planned:
        row = CellRow(cell.cell_id, cell.arm, labels[cell.arm], cell.seed, _PLANNED, math.nan, math.nan, 0, {})
        result = data.results.get(cell.cell_id)
        if result is not None:
            run = runs.get(cell.cell_id)
            left = {name: path for name, paths in files.items() if (path := paths.get(cell.cell_id))}
            row = replace(
                row,
                state=result.state.value,
                value=result.value(primary),
                seconds=result.seconds if data.is_timed(result) else math.nan,
                epochs=result.epochs,
                links=_places(cell, cell.cell_id in curves, settings) | left,
                run="" if run is None else run.run_id,
                run_link="" if run is None else run.link,
            )
        rows.append(row)
    return tuple(rows)


def cell_groups(data: StudyData) -> tuple[CellGroup, ...]:
    """Every arm with its cells together, in the order of the plan; none of more than ``MOST_CELLS`` arms."""
    if len(data.arms) > MOST_CELLS:
        return ()
    found = []
    for arm in data.arms:
        counts = data.count(arm.name)
        timed = [result.seconds for result in data.ended(arm.name) if data.is_timed(result)]
        seconds = math.fsum(timed) if timed else math.nan
        found.append(CellGroup(arm.name, data.shown_name(arm), counts.planned, counts.complete, seconds))
    return tuple(found)


def _places(cell: PlannedCell, has_curve: bool, settings: str) -> dict[str, str]:
    """The parts of the page that show a cell, and its arm beside the baseline."""
    choice = f"&arms={quote(cell.arm, safe='')}"
    places = {"curve": f"#{CURVES}{choice}&cell={cell.cell_id}"} if has_curve else {}
    return places | ({"settings": f"#{settings}{choice}"} if settings else {})


def _files(folder: StudyFolder) -> dict[str, dict[str, str]]:
    """The files of every cell, by what they hold and by cell, relative to the page."""
    kinds = {
        "relations": folder.relations_dir,
        "predictions": folder.predictions_dir,
        "attention": folder.attention_dir,
        "failure": folder.failures_dir,
    }
    return {kind: {path.stem: f"{path.parent.name}/{path.name}" for path in _listed(at)} for kind, at in kinds.items()}


def _listed(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []
