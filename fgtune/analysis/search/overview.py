"""Overview of a search: its best points, their gain, their cost, and how its trials ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fgtune.analysis.formatting import MetricInfo
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.search.selection import Selection, select
from fgtune.analysis.trials import UNFINISHED, Trial, criteria_of, pareto_front, shown_infos, trials_of
from fgtune.catalog.metrics import ARM_METRICS
from fgtune.results.records import CellState


def choosing_infos(data: StudyData, selections: Sequence[Selection]) -> tuple[MetricInfo, ...]:
    """The metrics that points were chosen by: of the shown ones, then agreement between seeds."""
    shown, chosen = shown_infos(data), {selection.criterion for selection in selections}
    own = [data.info(name) for name in ARM_METRICS if name not in {info.name for info in shown}]
    return tuple(info for info in (*shown, *own) if info.name in chosen)


@dataclass(frozen=True)
class TrialCounts:
    """How the points of a search ended; a point with several seeds failed or was pruned if one of its cells was.

    Attributes:
        asked: Number that the study asks for; None for every point of the space, and for a population, which grows.
        proposed: Number so far.
        complete: All cells completed.
        pruned: Stopped early.
        failed: Failed.
        unfinished: Not all cells have ended.
    """

    asked: int | None
    proposed: int
    complete: int
    pruned: int
    failed: int
    unfinished: int


@dataclass(frozen=True)
class Savings:
    """Epochs that early stopping did not train, over the cells of the points that completed or were stopped.

    Attributes:
        planned: Epochs of those cells without early stopping.
        trained: Epochs that they ran.
    """

    planned: int
    trained: int

    @property
    def share(self) -> float:
        """Share of the planned epochs that was not trained; 0 without cells."""
        return 1 - self.trained / self.planned if self.planned else 0.0


@dataclass(frozen=True)
class SearchSummary:
    """What a search found; plain data.

    Attributes:
        criteria: What it optimised, each with its direction in the search.
        sampler: The kind of sampler.
        scheduler: What stopped trials early; ``none`` for nothing.
        oracle: Whether a criterion, or what trials were stopped by, reads fine labels or the test split.
        counts: How its points ended.
        savings: What early stopping saved.
        trials: The baseline and every point, in the order of the plan.
        front: With several criteria the Pareto front, in the order of the plan; else empty.
        selections: What choosing by each criterion yields, then by each other shown label-free metric.
    """

    criteria: tuple[MetricInfo, ...]
    sampler: str
    scheduler: str
    oracle: bool
    counts: TrialCounts
    savings: Savings
    trials: tuple[Trial, ...]
    front: tuple[str, ...]
    selections: tuple[Selection, ...]

    @property
    def baseline(self) -> Trial:
        """The arm that points are compared with."""
        return next(trial for trial in self.trials if trial.is_baseline)

    @property
    def searched(self) -> tuple[Selection, ...]:
        """The selections by the search's own criteria."""
        return tuple(selection for selection in self.selections if selection.searched)

    def trial(self, arm: str) -> Trial:
        """The point of this name."""
        return next(trial for trial in self.trials if trial.arm == arm)


def summarise_search(data: StudyData) -> SearchSummary:
    """Summarise a search from its folder, finished or not.

    Raises:
        TypeError: The study's design is not a search.
    """
    design = data.study.design
    if design.plans_cells:
        raise TypeError(f"the design is a {design.kind}, not a search")
    criteria, trials = criteria_of(data), trials_of(data, ARM_METRICS)
    points = [trial for trial in trials if not trial.is_baseline]
    return SearchSummary(
        criteria=criteria,
        sampler=design.proposer,
        scheduler=data.study.scheduler.kind,
        oracle=any(is_oracle(info) for info in (*criteria, *stopping_metric(data))),
        counts=trial_counts(data, trials),
        savings=_savings(data),
        trials=trials,
        front=pareto_front(points, criteria) if len(criteria) > 1 else (),
        selections=selections_of(data, trials),
    )


def is_oracle(info: MetricInfo) -> bool:
    """Whether a metric reads fine labels or the test split."""
    return info.oracle or info.name.startswith("test/")


def stopping_metric(data: StudyData) -> tuple[MetricInfo, ...]:
    """The scheduler's metric, if the study sets one."""
    stopping = data.study.stopping
    return () if stopping is None or stopping.metric is None else (data.info(stopping.metric),)


def selections_of(data: StudyData, trials: Sequence[Trial]) -> tuple[Selection, ...]:
    """What choosing by each criterion of a search yields, then by each other shown label-free metric.

    Metrics of the test split are included, although only those of the validation split are available before a choice
    has to be made; the names tell them apart.
    """
    criteria = criteria_of(data) if data.study.design.criteria else ()
    primary = data.info(data.study.metrics.primary)
    named = {info.name for info in criteria}
    others = [data.info(name) for name in (*data.shown_metrics, *ARM_METRICS) if name not in named]
    label_free = [info for info in others if not info.oracle and info.direction != "none"]
    selections = [select(data, trials, info, primary, searched=True) for info in criteria]
    selections += [select(data, trials, info, primary, searched=False) for info in label_free]
    return tuple(selection for selection in selections if selection is not None)


def trial_counts(data: StudyData, trials: Sequence[Trial]) -> TrialCounts:
    """How the points of a search ended, its baseline aside."""
    states = [trial.state for trial in trials if not trial.is_baseline]
    return TrialCounts(
        asked=None if data.study.scheduler.forks else data.study.design.most_points,
        proposed=len(states),
        complete=states.count(CellState.COMPLETE.value),
        pruned=states.count(CellState.PRUNED.value),
        failed=states.count(CellState.FAIL.value),
        unfinished=states.count(UNFINISHED),
    )


def _savings(data: StudyData) -> Savings:
    pairs = list(_epochs(data))
    return Savings(sum(planned for planned, _ in pairs), sum(trained for _, trained in pairs))


def _epochs(data: StudyData) -> Iterator[tuple[int, int]]:
    """Planned and trained epochs of every cell of a point that completed or was stopped.

    A fork trains what was planned for the cell that it replaces.
    """
    for cell in data.planned:
        result = data.results.get(cell.cell_id)
        if result is None or cell.arm == data.baseline.name or result.state is CellState.FAIL:
            continue
        planned = int(result.config.get("epochs", data.study.trial.planned_epochs))
        fork_epoch = 0 if result.fork is None else result.fork.epoch
        yield (0 if fork_epoch else planned), min(result.epochs, planned) - fork_epoch
