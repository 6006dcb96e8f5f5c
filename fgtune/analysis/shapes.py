"""The shape of a study's values over seeds, on each of its data sets."""

from __future__ import annotations

from fgtune.analysis.formatting import MetricInfo
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.shape import Shape, shape_of


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
