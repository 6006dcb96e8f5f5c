"""What the verdicts of a study rest on, read from its folder: pairs, the shape of the seeds, and lost cells."""

from __future__ import annotations

from collections.abc import Sequence

from fgtune.analysis.formatting import MetricInfo
from fgtune.analysis.inputs import PlannedArm, StudyData
from fgtune.analysis.verdicts.judgement import LostCells
from fgtune.analysis.verdicts.shape import Shape, shape_of
from fgtune.analysis.verdicts.statistics import PairedContrast, paired_contrast
from fgtune.results.records import CellState


def arm_contrast(data: StudyData, arm: str, other: str, info: MetricInfo) -> PairedContrast:
    """One arm minus another on a metric, over the seeds that both have."""
    one, two = data.values(arm, info.name), data.values(other, info.name)
    return paired_contrast(one, two, direction=info.direction, level=data.level, limits=info.reach)


def pairs_of(data: StudyData, info: MetricInfo, arms: Sequence[PlannedArm]) -> list[tuple[PlannedArm, PairedContrast]]:
    """Each arm that can be tested, with its paired differences to its baseline."""
    # An arm with the same cells as its baseline cannot be tested.
    tested = [arm for arm in arms if not arm.is_baseline and not data.repeats_baseline(arm)]
    return [(arm, arm_contrast(data, arm.name, data.baseline_of(arm).name, info)) for arm in tested]


def shapes_of(data: StudyData, info: MetricInfo, *, sign: float = 1.0) -> dict[str, Shape]:
    """The shape of each data set's arms by seeds, by its name (empty with a single one); arms by their labels.

    Args:
        data: The study.
        info: The metric.
        sign: What its values are multiplied by.
    """
    shapes = {}
    for baseline in (arm for arm in data.arms if arm.is_baseline):
        values = {
            arm.label: {seed: sign * value for seed, value in data.values(arm.name, info.name).items()}
            for arm in data.arms
            if arm.dataset == baseline.dataset and not data.repeats_baseline(arm)
        }
        shapes[baseline.dataset] = shape_of(values, baseline.label)
    return shapes


def lost_cells(data: StudyData, arm: str, metric: str) -> LostCells:
    """The seeds at which an arm ended without a value of the metric, by what happened."""
    found: dict[str, list[int]] = {"failed": [], "stopped": [], "undefined": []}
    kinds = {CellState.FAIL: "failed", CellState.PRUNED: "stopped", CellState.COMPLETE: "undefined"}
    lost = set(data.lost(arm, metric))
    for cell in data.cells(arm):
        if cell.seed in lost:
            found[kinds[data.results[cell.cell_id].state]].append(cell.seed)
    return LostCells(**{kind: tuple(seeds) for kind, seeds in found.items()})
