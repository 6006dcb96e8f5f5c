"""A whole study as plain records: arms with estimates, planned contrasts with verdicts, failures, solvers, warnings.

Reports, the command line and scripts read what ``summarise`` returns; ``to_plain`` turns it into JSON. Enumerated arms
are compared one by one, a search is summarised as a search: ``SUMMARISERS`` has a function for each kind of design.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from fgtune.analysis.cells import failure_bounds, failure_rows, pruned_groups, solver_rows
from fgtune.analysis.checks.health import health_checks
from fgtune.analysis.checks.record import Check, Material
from fgtune.analysis.class_numbers import NumberChoice, choose_numbers
from fgtune.analysis.datasets.together import DatasetsSummary, summarise_datasets
from fgtune.analysis.estimates import arm_estimate
from fgtune.analysis.expectations import JudgedExpectation, judge_expectations
from fgtune.analysis.formatting import MetricInfo, plain_json
from fgtune.analysis.inputs import Counts, PlannedArm, StudyData, read_study
from fgtune.analysis.judging import exploratory_contrasts, planned_contrasts
from fgtune.analysis.look_history import look_records
from fgtune.analysis.parts.effects import PartsSummary, summarise_parts
from fgtune.analysis.parts.side_by_side import component_arms
from fgtune.analysis.profiles.profile import ProfilesSummary, summarise_profiles
from fgtune.analysis.published import PublishedComparison, published_comparisons
from fgtune.analysis.records import ArmSummary, Bounds, ContrastSummary, FailureRow, Look, PrunedGroup, SolverRow
from fgtune.analysis.search.arm_search_summary import ArmSearchesSummary, summarise_arm_searches
from fgtune.analysis.search.joint_choice import JointChoice, joint_choices, joint_sentences
from fgtune.analysis.search.overview import SearchSummary, summarise_search
from fgtune.analysis.search.selection import LabelFreeChoice, label_free_choices
from fgtune.analysis.table import num_fine
from fgtune.analysis.text.answer import answer_sentence
from fgtune.analysis.text.datasets_answer import datasets_sentence, datasets_warnings
from fgtune.analysis.text.looks import looks_text, saved_cells
from fgtune.analysis.text.parts import describe_parts, parts_answer
from fgtune.analysis.text.profiles import describe_profiles, profiles_answer
from fgtune.analysis.text.search_answer import search_answer
from fgtune.analysis.text.search_warnings import search_warnings
from fgtune.analysis.text.variance import describe_variance
from fgtune.analysis.text.warnings import study_warnings
from fgtune.analysis.variance.parts import VarianceSummary, summarise_variance
from fgtune.analysis.verdicts.combining import gains_of
from fgtune.analysis.verdicts.grounds import shapes_of
from fgtune.analysis.verdicts.robust import SummaryKind
from fgtune.analysis.verdicts.statistics import mean_interval
from fgtune.results.folder import StudyFolder

_MOST_PRUNED = 12  # more cells stopped early than this are grouped instead of listed with the failures


@dataclass(frozen=True)
class StudySummary:
    """What a study found; plain data throughout.

    Attributes:
        answer: The answer to the study's question, with numbers.
        metrics: The shown metrics, the primary first.
        level: Confidence level of the intervals.
        margin: Equivalence margin in the primary metric's unit, for the (first) baseline; None if there is none.
        judged_by: The summary of the paired differences that decides.
        arms: In the order of the plan.
        contrasts: Planned: every other arm against the baseline on the primary metric, Holm-corrected together; none
            in a search, whose points depend on its results.
        exploratory: The same arms on the other metrics, and the chosen points of a search; uncorrected, no verdicts.
        pruned: Cells stopped early by last epoch, if there are too many to list with the failures.
        bounds: How the lost cells could have changed the result, for arms that lost some.
        warnings: What a reader must know before believing the numbers.
        checks: What speaks for or against the numbers: what failed first, then what warns, then what passed.
        choices: What choosing an arm by each label-free metric would cost; empty with few arms, and for points of a
            space, which have selections.
        joint_choices: What agreement of seeds and the shared judge choose together, on each data set; empty with few
            arms, or where no predictions are stored.
        published: Published results for some of the arms, beside ours.
        looks: Every look at the planned contrasts that the folder records, the last one being this; empty without
            contrasts.
        looks_text: What a reader must know about them; empty where there was one look, of fixed seeds.
        saved_cells: Cells that adaptive seeds have not needed so far.
        search: What a search found; None for other designs.
        arm_searches: The searches inside the arms of a comparison; None if there are none.
        datasets: Each arm of a comparison over all its data sets together; None with a single one.
        parts: What the parts of an ablation are worth together; None where its arms do not show it.
        class_numbers: What a study over K_F says about their number, on each data set; empty for other studies.
        expected: What the study file expects of its arms, held against the verdicts.
        profiles: What the levels of each numeric factor of a sensitivity study say together; None where there are none.
        variance: What the spread over seeds consists of; None for other designs.
    """

    study: str
    question: str
    expectation: str
    source: str
    design: str
    primary: str
    metrics: tuple[MetricInfo, ...]
    alpha: float
    level: float
    margin: float | None
    judged_by: SummaryKind
    seeds: tuple[int, ...]
    factors: tuple[str, ...]
    counts: Counts
    arms: tuple[ArmSummary, ...]
    answer: str = ""
    contrasts: tuple[ContrastSummary, ...] = ()
    exploratory: tuple[ContrastSummary, ...] = ()
    bounds: tuple[Bounds, ...] = ()
    failures: tuple[FailureRow, ...] = ()
    pruned: tuple[PrunedGroup, ...] = ()
    solvers: tuple[SolverRow, ...] = ()
    warnings: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    published: tuple[PublishedComparison, ...] = ()
    choices: tuple[LabelFreeChoice, ...] = ()
    joint_choices: tuple[JointChoice, ...] = ()
    looks: tuple[Look, ...] = ()
    looks_text: str = ""
    saved_cells: int = 0
    search: SearchSummary | None = None
    arm_searches: ArmSearchesSummary | None = None
    datasets: DatasetsSummary | None = None
    parts: PartsSummary | None = None
    profiles: ProfilesSummary | None = None
    class_numbers: tuple[NumberChoice, ...] = ()
    variance: VarianceSummary | None = None
    expected: tuple[JudgedExpectation, ...] = ()

    @property
    def baseline(self) -> ArmSummary:
        """The arm that others are compared with."""
        return next(arm for arm in self.arms if arm.is_baseline)

    def contrast_of(self, arm: str) -> ContrastSummary | None:
        """The planned contrast of an arm; None for the baseline."""
        return self._planned.get(arm)

    def exploratory_of(self, arm: str, metric: str) -> ContrastSummary | None:
        """The exploratory contrast of an arm on a metric; None where it has none."""
        return self._exploratory.get((arm, metric))

    @property
    def joint_sentences(self) -> tuple[str, ...]:
        """What agreement and the shared judge choose together, in sentences."""
        return joint_sentences(self.joint_choices, self.level)

    @cached_property
    def _exploratory(self) -> dict[tuple[str, str], ContrastSummary]:
        """The exploratory contrasts by arm and metric, indexed once: of many arms a page asks for each."""
        return {(item.arm, item.metric): item for item in self.exploratory}

    @cached_property
    def _planned(self) -> dict[str, ContrastSummary]:
        """The planned contrasts by arm."""
        return {item.arm: item for item in self.contrasts}

    def to_plain(self) -> dict[str, Any]:
        """The summary as JSON data; undefined or infinite numbers become None."""
        plain: dict[str, Any] = plain_json(asdict(self))
        plain["given"] = plain.pop("arm_searches")  # the key in existing reports, which ``verify`` reads
        return plain


def summarise(folder: StudyFolder | StudyData) -> StudySummary:
    """Summarise a study from its folder, finished or not."""
    data = folder if isinstance(folder, StudyData) else read_study(folder)
    metrics = tuple(data.info(name) for name in data.shown_metrics)
    study = data.study
    arm_searches = summarise_arm_searches(data)
    summary = StudySummary(
        study=study.study,
        question=study.question,
        expectation=study.expectation,
        source=study.source,
        design=study.design.kind,
        primary=metrics[0].name,
        metrics=metrics,
        alpha=study.metrics.alpha,
        level=data.level,
        margin=study.metrics.margin(_baseline_mean(data, metrics[0].name)),
        judged_by=study.metrics.summary,
        seeds=tuple(dict.fromkeys(cell.seed for cell in data.planned)),
        factors=data.factors,
        counts=data.count(),
        arms=arm_summaries(data),
        warnings=() if arm_searches is None else arm_searches.warnings,
        published=published_comparisons(data),
        choices=label_free_choices(data),
        joint_choices=joint_choices(data),
        arm_searches=arm_searches,
        class_numbers=choose_numbers(data),
    )
    made = SUMMARISERS[study.design.kind](data, summary)
    expected = judge_expectations(study.expect, made.contrasts, made.datasets)
    return replace(made, checks=_checks(data, made), expected=expected)


def _checks(data: StudyData, summary: StudySummary) -> tuple[Check, ...]:
    primary = summary.metrics[0]
    return health_checks(
        Material(
            data=data,
            primary=primary,
            contrasts=summary.contrasts,
            shapes=shapes_of(data, primary) if summary.contrasts else {},
            looks=summary.looks,
            solvers=summary.solvers,
            choices=summary.choices,
            joint_choices=summary.joint_choices,
            search=summary.search,
            arm_searches=summary.arm_searches,
        )
    )


def _baseline_mean(data: StudyData, metric: str) -> float:
    return mean_interval(list(data.values(data.baseline.name, metric).values())).mean


def arm_summaries(data: StudyData) -> tuple[ArmSummary, ...]:
    """Every arm with its shown metrics, in the order of the plan."""
    return tuple(_arm(data, arm) for arm in data.arms)


def _arm(data: StudyData, arm: PlannedArm) -> ArmSummary:
    finished = data.ended(arm.name)
    sizes = {size for size in map(num_fine, finished) if size is not None}
    return ArmSummary(
        arm=arm.name,
        label=arm.label,
        is_baseline=arm.is_baseline,
        levels=dict(arm.levels),
        num_fine=tuple(sorted(sizes)),
        counts=data.count(arm.name),
        estimates={name: arm_estimate(data, arm.name, name) for name in data.shown_metrics},
        seconds=mean_interval([result.seconds for result in finished if data.is_timed(result)], data.level),
    )


def _compared(data: StudyData, summary: StudySummary) -> StudySummary:
    """Every arm is a planned contrast with the baseline on the primary metric, corrected together."""
    primary, others = summary.metrics[0], summary.metrics[1:]
    contrasts = planned_contrasts(data, primary)
    looks = look_records(data, contrasts, lambda earlier: planned_contrasts(earlier, primary))
    solvers = solver_rows(data, together=data.study.design.samples_points)
    many = summary.counts.pruned > _MOST_PRUNED
    return replace(
        summary,
        answer=answer_sentence(summary.arms, contrasts, primary, data.level),
        contrasts=contrasts,
        exploratory=tuple(item for info in others for item in exploratory_contrasts(data, info, data.arms)),
        bounds=failure_bounds(data, primary),
        failures=failure_rows(data, pruned=not many),
        pruned=pruned_groups(data) if many else (),
        solvers=solvers,
        warnings=(*summary.warnings, *study_warnings(data, summary.metrics, contrasts)),
        looks=looks,
        looks_text=looks_text(data, looks),
        saved_cells=saved_cells(data)[0],
    )


def _compared_over_datasets(data: StudyData, summary: StudySummary) -> StudySummary:
    """The arms on each data set, then over all of them together, which is a planned family of its own."""
    summary = _compared(data, summary)
    found = summarise_datasets(data)
    if found is None:
        return summary
    answer = f"{datasets_sentence(found, summary.level)} {summary.answer}"
    return replace(summary, datasets=found, answer=answer, warnings=(*summary.warnings, *datasets_warnings(found)))


def _ablated(data: StudyData, summary: StudySummary) -> StudySummary:
    """The arms, then their parts together: a planned family of its own, or exploratory."""
    summary, design = _compared(data, summary), data.study.design
    gains = gains_of(data, summary.metrics[0], summary.margin)
    found = summarise_parts(
        gains, component_arms(data), design.parts, design.combined_parts, planned=design.plans_joint_effects
    )
    if found is None:
        return summary
    found = describe_parts(found, summary.level)
    return replace(summary, parts=found, answer=f"{summary.answer} {parts_answer(found)}".rstrip())


def _varied(data: StudyData, summary: StudySummary) -> StudySummary:
    """The arms, then the levels of each factor together: planned, or exploratory."""
    summary, info = _compared(data, summary), summary.metrics[0]
    found = summarise_profiles(data, info, summary.margin) if info.direction != "none" else None
    if found is None:
        return summary
    found = describe_profiles(found, info, summary.level, data.study.metrics.collapse_rate)
    return replace(summary, profiles=found, answer=f"{summary.answer} {profiles_answer(found)}".rstrip())


def _searched(data: StudyData, summary: StudySummary) -> StudySummary:
    """No contrast is planned, since the points depend on the results; those of the chosen points are exploratory."""
    search = summarise_search(data)
    chosen = {selection.arm for selection in search.searched} | set(search.front)
    points = [arm for arm in data.arms if arm.name in chosen]
    solvers = solver_rows(data, together=True)
    return replace(
        summary,
        answer=search_answer(search, summary.metrics[0], data.level),
        exploratory=tuple(item for info in summary.metrics for item in exploratory_contrasts(data, info, points)),
        failures=failure_rows(data, pruned=False),
        pruned=pruned_groups(data),
        solvers=solvers,
        warnings=(*search_warnings(data, search), *study_warnings(data, summary.metrics, ())),
        search=search,
    )


def _decomposed(data: StudyData, summary: StudySummary) -> StudySummary:
    """No arm is better than another: they are the same method, and differ in what moves it."""
    info, study = summary.metrics[0], data.study
    arms = [arm.name for arm in data.arms]
    around = next(level for level in data.arms[-1].levels.values() if level is not None)
    found = summarise_variance(
        {arm: data.values(arm, info.name) for arm in arms},
        {arm: len(data.lost(arm, info.name)) for arm in arms},
        around=around,
        alpha=study.metrics.alpha,
        looks=len(data.looks),
    )
    found = describe_variance(found, info, data.level)
    return replace(
        summary,
        answer=f"{found.sentence} {found.advice}".rstrip(),
        failures=failure_rows(data, pruned=True),
        solvers=solver_rows(data, together=False),
        warnings=(*summary.warnings, *study_warnings(data, summary.metrics, ())),
        variance=found,
    )


SUMMARISERS: Mapping[str, Callable[[StudyData, StudySummary], StudySummary]] = {
    "sensitivity": _varied,
    "ablation": _ablated,
    "comparison": _compared_over_datasets,
    "search": _searched,
    "variance": _decomposed,
    "imported": _compared,
}
"""What each kind of design adds to the summary: answer, contrasts, failures, solvers, warnings."""
