"""Which cells keep a portrait, which one is shown, where its samples lie in the plane, and how calibrated all are."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fgtune.analysis.formatting import MetricInfo
from fgtune.analysis.inputs import PlannedArm, StudyData
from fgtune.analysis.trials import criteria_of
from fgtune.arrays import AnyArray, FloatArray
from fgtune.catalog import is_of_cells
from fgtune.errors import ConfigError
from fgtune.metrics.calibration import Reliability
from fgtune.results.records import CellResult, CellState, MapRecord, best_by_mean
from fgtune.text import first_of
from fgtune.tsne import tsne_embedding

_LEAST_ON_MAP, _MOST_ON_MAP, _PERPLEXITY, _STEPS = 12, 2000, 30.0, 500


ASK_BEST = "best"
"""What a user writes to see the best arm again."""


@dataclass(frozen=True)
class ChosenPortrait:
    """Whose portrait the report shows.

    Attributes:
        arm: The arm.
        result: The cell.
        metric: What arms are compared by.
        seeds: Over how many seeds.
        is_only: Whether no other arm has a portrait.
        is_asked: Whether a user chose this one, which need not be the best.
    """

    arm: PlannedArm
    result: CellResult
    metric: MetricInfo
    seeds: int
    is_only: bool
    is_asked: bool = False


def stored_portraits(data: StudyData) -> list[tuple[PlannedArm, CellResult]]:
    """All cells with a portrait, by arm as planned and then by seed."""
    stored = {path.stem for path in data.folder.portraits_dir.glob("*.npz")}
    return [
        (arm, result)
        for arm in data.arms
        for result in sorted(data.ended(arm.name), key=lambda each: each.seed)
        if result.state is CellState.COMPLETE and result.cell_id in stored
    ]


def kept_portraits(data: StudyData) -> dict[str, tuple[PlannedArm, CellResult]]:
    """The arms with a portrait on the baseline's data set, each with the cell of its first seed that has one."""
    kept: dict[str, tuple[PlannedArm, CellResult]] = {}
    for arm, result in stored_portraits(data):
        if arm.dataset == data.baseline.dataset:
            kept.setdefault(arm.name, (arm, result))
    return kept


def choose_portrait(data: StudyData, wanted: str) -> None:
    """Store whose portrait the report shows from now on.

    Args:
        data: The study.
        wanted: ``ARM``, of which the first seed with a portrait is shown; ``ARM:SEED``; or ``best``, as without a
            choice.

    Raises:
        ConfigError: No such cell has a portrait.
    """
    arm, has_seed, seed = wanted.rpartition(":") if ":" in wanted else (wanted, "", "")
    if wanted == ASK_BEST:
        data.folder.shown_file.unlink(missing_ok=True)
        return
    found = stored_portraits(data)
    cell = next((each for each in found if each[0].name == arm and (not has_seed or str(each[1].seed) == seed)), None)
    if cell is None:
        rule = "names no cell that keeps a portrait"
        have = first_of([f"{each.name}:{result.seed}" for each, result in found])
        fix = f"portraits are kept of {have}" if have else "no cell of this study keeps one"
        fix += "; execution.show_seeds: all keeps every seed of these arms in a study that is run anew"
        raise ConfigError(rule, path="--portraits", value=wanted, fix=fix)
    data.folder.write_shown(cell[0].name, cell[1].seed)


def chosen_portrait(data: StudyData) -> ChosenPortrait | None:
    """The portrait that the user asked for, while it is there, or else that of the best arm."""
    wanted = data.folder.read_shown()
    criterion = criteria_of(data)[0]
    metric = criterion if is_of_cells(criterion.name) else data.info(data.study.metrics.primary)
    kept = kept_portraits(data)
    values = {arm: list(data.values(arm, metric.name).values()) for arm in kept}
    scores = {arm: (float(np.mean(each)) if each else np.nan, len(each)) for arm, each in values.items()}
    best = best_by_mean(scores, "minimize" if metric.direction == "minimize" else "maximize")
    for arm, result in stored_portraits(data) if wanted is not None else ():
        if (arm.name, result.seed) == wanted:
            return ChosenPortrait(arm, result, metric, len(data.values(arm.name, metric.name)), len(kept) == 1, True)
    return None if best is None else ChosenPortrait(*kept[best], metric, scores[best][1], len(kept) == 1)


def find_map(data: StudyData) -> None:
    """Find where the samples of the shown portrait lie in the plane, by t-SNE, and store it; once a cell."""
    chosen = chosen_portrait(data)
    if chosen is None:
        return
    cell_id = chosen.result.cell_id
    if data.folder.read_map(cell_id) is not None:
        return
    record = data.folder.read_portrait(cell_id)
    points = None if record is None else layout(record.features)
    if points is not None:
        with contextlib.suppress(OSError):  # a folder that is only read has a page without a map
            data.folder.write_map(cell_id, MapRecord(points))


def layout(features: AnyArray) -> AnyArray | None:
    """(m, 2) float32 t-SNE embedding of samples, from their first two principal components.

    Args:
        features: (m, p) their features.

    Returns:
        None for fewer than 12 samples or more than 2,000, or where all are alike.
    """
    points: FloatArray = features.astype(np.float64)
    if not _LEAST_ON_MAP <= len(points) <= _MOST_ON_MAP or not points.shape[1] or not points.std(axis=0).any():
        return None
    found = tsne_embedding(points, _PERPLEXITY, _STEPS)
    return found if np.isfinite(found).all() else None


@dataclass(frozen=True)
class ReliabilityLine:
    """How often coarse predictions of an arm are right, by their confidence; bins without samples left out.

    Attributes:
        arm: Name in the plan.
        label: Name for readers.
        seed: Of its predictions.
        counts: Samples of each bin.
        confidence: Mean confidence.
        accuracy: Share that is right.
        error: Mean gap between the two over samples.
    """

    arm: str
    label: str
    seed: int
    counts: tuple[int, ...]
    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    error: float


def reliability_lines(data: StudyData, order: Sequence[str], most: int) -> tuple[tuple[ReliabilityLine, ...], int]:
    """A line an arm that keeps a portrait, of its first seed that has one; of several data sets, the first.

    Args:
        data: The study.
        order: Names of arms; the first ones that keep a portrait have lines.
        most: The most lines.

    Returns:
        The lines in the order of the plan, and the number of arms that keep a portrait.
    """
    lines, kept = [], kept_portraits(data)
    chosen = {*[name for name in order if name in kept][:most]}
    for arm, result in (each for name, each in kept.items() if name in chosen):
        record = data.folder.read_portrait(result.cell_id)
        if record is None or record.reliability is None:
            continue
        counts, confidence, accuracy = record.reliability[:, record.reliability[0] > 0].astype(np.float64)
        if not len(counts):
            continue
        bins = Reliability(counts.astype(np.int64), confidence, accuracy)
        found = (tuple(bins.counts.tolist()), tuple(confidence.tolist()), tuple(accuracy.tolist()))
        lines.append(ReliabilityLine(arm.name, data.shown_name(arm), result.seed, *found, bins.expected_error))
    return tuple(lines), len(kept)
