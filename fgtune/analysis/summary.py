"""The whole study in plain records: arms with estimates, planned contrasts with verdicts, failures, solvers, warnings.

``summarise`` is what a report, a command line and a script read; ``to_plain`` makes JSON of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fgtune.analysis.failures import count_cells
from fgtune.analysis.inputs import PlannedArm, StudyData, read_study
from fgtune.analysis.published import PublishedComparison, published_comparisons
from fgtune.analysis.records import ArmSummary, Bounds, ContrastSummary, Counts, FailureRow, PrunedGroup, SolverRow
from fgtune.analysis.search.arm_search_summary import GivenSummary, given_to_arms
from fgtune.analysis.search.label_free_choice import Choice, choices_of
from fgtune.analysis.search.overview import SearchSummary
from fgtune.analysis.statistics import mean_interval
from fgtune.analysis.table import num_fine
from fgtune.analysis.text.findings import FINDERS
from fgtune.analysis.text.formatting import MetricInfo, metric_info
from fgtune.results.folder import StudyFolder


@dataclass(frozen=True)
class StudySummary:
    """What a study found; plain data throughout.

    Attributes:
        answer: The study's question answered in a sentence with numbers.
        metrics: What each shown metric means, the primary first.
        level: Confidence level of the intervals.
        arms: In the order of the plan.
        contrasts: Planned: every other arm against the baseline on the primary metric, Holm-corrected together; none
            in a search, whose points follow from its results.
        exploratory: The same arms on the other metrics, and the chosen points of a search; uncorrected, no verdicts.
        pruned: Cells stopped early by their last epoch, where they are too many to stand among the failures.
        bounds: What the lost cells could have changed, for arms that lost some.
        warnings: What a reader must know before believing the numbers.
        choices: What choosing an arm by each label-free metric would cost; empty for few arms, and for points of a
            space, whose own part has it.
        published: What papers report for some of the arms, beside our numbers.
        search: What a search found; None for other designs.
        given: What the searches inside the arms of a comparison were given; None where there are none.
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
    pruned: tuple[PrunedGroup, ...]
    solvers: tuple[SolverRow, ...]
    warnings: tuple[str, ...]
    published: tuple[PublishedComparison, ...] = ()
    choices: tuple[Choice, ...] = ()
    search: SearchSummary | None = None
    given: GivenSummary | None = None

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
    study = data.study
    arms = tuple(_arm(data, arm) for arm in data.arms)
    found = FINDERS[study.design.kind](data, arms, metrics)
    given = given_to_arms(data)
    return StudySummary(
        study=study.study,
        question=study.question,
        expectation=study.expectation,
        source=study.source,
        design=study.design.kind,
        answer=found.answer,
        primary=metrics[0].name,
        metrics=metrics,
        alpha=study.metrics.alpha,
        level=data.level,
        margin=study.metrics.equivalence_margin,
        seeds=tuple(dict.fromkeys(cell.seed for cell in data.planned)),
        factors=data.factors,
        counts=count_cells(data),
        arms=arms,
        contrasts=found.contrasts,
        exploratory=found.exploratory,
        bounds=found.bounds,
        failures=found.failures,
        pruned=found.pruned,
        solvers=found.solvers,
        warnings=(*(() if given is None else given.warnings), *found.warnings),
        search=found.search,
        given=given,
        published=published_comparisons(data),
        choices=choices_of(data),
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
