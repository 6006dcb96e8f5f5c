"""The whole study in plain records: arms with estimates, planned contrasts with verdicts, failures, solvers, warnings.

``summarise`` is what a report, a command line and a script read; ``to_plain`` makes JSON of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fgtune.analysis.answer import answer_sentence, contrast_sentence
from fgtune.analysis.cautions import study_warnings
from fgtune.analysis.failures import count_cells, failure_bounds, failure_rows
from fgtune.analysis.inputs import PlannedArm, StudyData, read_study
from fgtune.analysis.records import ArmSummary, Bounds, ContrastSummary, Counts, FailureRow, SolverRow
from fgtune.analysis.solver_usage import solver_rows
from fgtune.analysis.statistics import PairedContrast, bootstrap_interval, holm, mean_interval, paired_contrast
from fgtune.analysis.table import num_fine
from fgtune.analysis.verdicts import Judgement, judge
from fgtune.analysis.wording import MetricInfo, metric_info
from fgtune.results.folder import StudyFolder
from fgtune.streams import numpy_stream


@dataclass(frozen=True)
class StudySummary:
    """What a study found; plain data throughout.

    Attributes:
        answer: The study's question answered in a sentence with numbers.
        metrics: What each shown metric means, the primary first.
        level: Confidence level of the intervals.
        arms: In the order of the plan.
        contrasts: Planned: every other arm against the baseline on the primary metric, Holm-corrected together.
        exploratory: The same arms on the other metrics; uncorrected, without verdicts.
        bounds: What the lost cells could have changed, for arms that lost some.
        warnings: What a reader must know before believing the numbers.
    """

    study: str
    question: str
    expectation: str
    source: str
    design: str
    answer: str
    primary: str
    metrics: tuple[MetricInfo, ...]
    alpha: float
    level: float
    margin: float
    seeds: tuple[int, ...]
    factors: tuple[str, ...]
    counts: Counts
    arms: tuple[ArmSummary, ...]
    contrasts: tuple[ContrastSummary, ...]
    exploratory: tuple[ContrastSummary, ...]
    bounds: tuple[Bounds, ...]
    failures: tuple[FailureRow, ...]
    solvers: tuple[SolverRow, ...]
    warnings: tuple[str, ...]

    @property
    def baseline(self) -> ArmSummary:
        """The arm that others are compared with."""
        return next(arm for arm in self.arms if arm.is_baseline)

    def contrast_of(self, arm: str) -> ContrastSummary | None:
        """The planned contrast of an arm; None for the baseline."""
        return next((contrast for contrast in self.contrasts if contrast.arm == arm), None)

    def to_plain(self) -> dict[str, Any]:
        """The summary as JSON data; numbers that are undefined or unbounded become None."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def summarise(folder: StudyFolder | StudyData) -> StudySummary:
    """Summarise a study from its folder alone, finished or not."""
    data = folder if isinstance(folder, StudyData) else read_study(folder)
    metrics = tuple(metric_info(name) for name in data.shown_metrics)
    primary, others = metrics[0], metrics[1:]
    study = data.study
    arms = tuple(_arm(data, arm) for arm in data.arms)
    contrasts = _planned(data, primary)
    exploratory = tuple(item for info in others for item in _exploratory(data, info))
    bounds = failure_bounds(data, primary)
    solvers = solver_rows(data)
    return StudySummary(
        study=study.study,
        question=study.question,
        expectation=study.expectation,
        source=study.source,
        design=study.design.kind,
        answer=answer_sentence(arms, contrasts, primary, data.level),
        primary=primary.name,
        metrics=metrics,
        alpha=study.metrics.alpha,
        level=data.level,
        margin=study.metrics.equivalence_margin,
        seeds=tuple(dict.fromkeys(cell.seed for cell in data.planned)),
        factors=data.factors,
        counts=count_cells(data),
        arms=arms,
        contrasts=contrasts,
        exploratory=exploratory,
        bounds=bounds,
        failures=failure_rows(data),
        solvers=solvers,
        warnings=study_warnings(data, metrics, contrasts, solvers),
    )


def _arm(data: StudyData, arm: PlannedArm) -> ArmSummary:
    finished = [data.results[cell.cell_id] for cell in data.cells(arm.name) if cell.cell_id in data.results]
    sizes = {size for size in map(num_fine, finished) if size is not None}
    return ArmSummary(
        arm=arm.name,
        label=arm.label,
        is_baseline=arm.is_baseline,
        levels=dict(arm.levels),
        num_fine=tuple(sorted(sizes)),
        counts=count_cells(data, arm.name),
        estimates={
            name: mean_interval(list(data.values(arm.name, name).values()), data.level) for name in data.shown_metrics
        },
        seconds=mean_interval([result.seconds for result in finished if math.isfinite(result.seconds)], data.level),
    )


def _planned(data: StudyData, info: MetricInfo) -> tuple[ContrastSummary, ...]:
    pairs = _contrasts(data, info)
    adjusted = holm([contrast.p_value for _, contrast in pairs])
    settings = data.study.metrics
    made = []
    for (arm, contrast), p_adjusted in zip(pairs, adjusted, strict=True):
        judgement = judge(
            contrast,
            p_adjusted,
            direction=info.direction,
            alpha=settings.alpha,
            margin=settings.equivalence_margin,
            contrasts=len(pairs),
        )
        made.append(_contrast_summary(data, arm, info, contrast, judgement))
    return tuple(made)


def _exploratory(data: StudyData, info: MetricInfo) -> tuple[ContrastSummary, ...]:
    return tuple(_contrast_summary(data, arm, info, contrast, None) for arm, contrast in _contrasts(data, info))


def _contrast_summary(
    data: StudyData, arm: PlannedArm, info: MetricInfo, contrast: PairedContrast, judgement: Judgement | None
) -> ContrastSummary:
    rng = numpy_stream(0, "bootstrap", arm.name, info.name)
    margin = data.study.metrics.equivalence_margin
    return ContrastSummary(
        arm=arm.name,
        label=arm.label,
        metric=info.name,
        planned=judgement is not None,
        contrast=contrast,
        bootstrap=bootstrap_interval(contrast.differences, rng, data.level),
        judgement=judgement,
        sentence=contrast_sentence(arm.label, contrast, judgement, info, data.level, margin),
    )


def _contrasts(data: StudyData, info: MetricInfo) -> list[tuple[PlannedArm, PairedContrast]]:
    pairs = []
    for arm in data.arms:
        if not arm.is_baseline:
            own = data.values(arm.name, info.name)
            baseline = data.values(data.baseline_of(arm).name, info.name)
            pairs.append((arm, paired_contrast(own, baseline, direction=info.direction, level=data.level)))
    return pairs
