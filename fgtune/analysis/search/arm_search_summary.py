"""The searches inside the arms of a comparison: their budget, their cost and what they chose."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fgtune.analysis.formatting import MetricInfo, number
from fgtune.analysis.inputs import PlannedArm, StudyData
from fgtune.analysis.search.axes import axes_of, end_of
from fgtune.analysis.search.held_out import FEWEST_SEEDS, HeldOut, held_out_words
from fgtune.analysis.search.overview import TrialCounts, trial_counts
from fgtune.analysis.search.selection import held_out_gain
from fgtune.analysis.trials import Trial, criteria_of, trials_of
from fgtune.catalog.spec import sign_of
from fgtune.config.arms.arm_search import arm_search_folders
from fgtune.text import count, listed


@dataclass(frozen=True)
class Setting:
    """A searched setting of an arm.

    Attributes:
        path: Below ``trial``.
        own: Its value in the study file.
        chosen: What the search chose; the same as ``own`` if it chose the arm's own settings.
        at_end: The end of its range at which the choice lies, ``lower`` or ``upper``; else empty.
    """

    path: str
    own: Any
    chosen: Any
    at_end: str


@dataclass(frozen=True)
class ArmSearchSummary:
    """The search inside one arm, and what it chose.

    Attributes:
        arm: Its name.
        report: The report of its search, relative to the study folder.
        counts: How the points of its search ended.
        cells: Number of cells of its search that ended, including those with its own settings.
        epochs: Epochs that they trained.
        seconds: Their trainer seconds.
        chosen: The trial that its search chose; ``baseline`` for its own settings, empty before there is a choice.
        values: By metric (the search's criterion, then the primary metric): the mean with its own settings and with the
            chosen ones, over the seeds of the search; nan if undefined.
        gains: By metric: what choosing among the arm's own settings and the trials has more than its own settings, on
            seeds that did not choose.
        settings: The searched settings; empty before there is a choice.
    """

    arm: str
    report: str
    counts: TrialCounts
    cells: int
    epochs: int
    seconds: float
    chosen: str
    values: Mapping[str, tuple[float, float]]
    gains: Mapping[str, HeldOut]
    settings: tuple[Setting, ...]


@dataclass(frozen=True)
class ArmSearchesSummary:
    """The searches inside the arms of a comparison.

    Attributes:
        criterion: What settings were chosen by, with its direction in the search.
        sampler: The kind of sampler.
        scheduler: What stopped trials early; ``none`` for nothing.
        seeds: Seeds of the searches.
        asked: Number of trials per arm; None for every point of its space.
        arms: Searched arms in the order of the plan, without those whose search has not started.
        waiting: Arms whose search has not started.
        fixed: Arms without a search.
        warnings: What a reader must know before taking the comparison as fair.
    """

    criterion: MetricInfo
    sampler: str
    scheduler: str
    seeds: tuple[int, ...]
    asked: int | None
    arms: tuple[ArmSearchSummary, ...]
    waiting: tuple[str, ...]
    fixed: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """Trainer seconds of all searches."""
        return math.fsum(arm.seconds for arm in self.arms)


def summarise_arm_searches(data: StudyData) -> ArmSearchesSummary | None:
    """Summarise the searches inside the arms of a comparison; None if there are none."""
    search = data.study.design.arm_search
    if search is None:
        return None
    parts = arm_search_folders(data.study.design)
    settled = {arm.name for arm in data.arms if data.cells(arm.name)}
    started = [(arm, found) for arm in data.arms if (found := data.arm_searches.get(arm.name)) is not None]
    arms = tuple(_arm_search(data, arm, found, parts[arm.name]) for arm, found in started)
    absent = [name for name, arm_search in data.arm_searches.items() if arm_search is None]
    waiting = tuple(name for name in absent if name not in settled)
    lost = [name for name in absent if name in settled]
    fixed = tuple(arm.name for arm in data.arms if arm.name not in parts)
    info = data.info(search.metric)
    return ArmSearchesSummary(
        criterion=info if search.mode is None else replace(info, direction=search.mode),
        sampler=search.sampler.kind,
        scheduler=data.study.scheduler.kind,
        seeds=search.seed_list,
        asked=search.trials,
        arms=arms,
        waiting=waiting,
        fixed=fixed,
        warnings=(*_lost(lost), *_warnings(data, info, arms, waiting, fixed)),
    )


def _arm_search(data: StudyData, arm: PlannedArm, search_data: StudyData, part: str) -> ArmSearchSummary:
    trials, criterion = trials_of(search_data), criteria_of(search_data)[0]
    by_arm = {trial.arm: trial for trial in trials}
    chosen, own = _chosen(data, arm, search_data), by_arm[search_data.baseline.name]
    best = None if chosen is None else by_arm[chosen.name]
    names = dict.fromkeys([criterion.name, data.study.metrics.primary])
    ended = search_data.results.values()
    return ArmSearchSummary(
        arm=arm.name,
        report=f"{data.folder.tuning_dir.name}/{part}/{search_data.folder.report_file.name}",
        counts=trial_counts(search_data, trials),
        cells=len(ended),
        epochs=sum(result.epochs for result in ended),
        seconds=math.fsum(result.seconds for result in ended if math.isfinite(result.seconds)),
        chosen="" if chosen is None else chosen.name,
        values={name: (own.value(name), math.nan if best is None else best.value(name)) for name in names},
        gains={name: _gain(search_data, trials, criterion, name) for name in names},
        settings=() if chosen is None else tuple(_settings(search_data, chosen)),
    )


def _gain(data: StudyData, trials: Sequence[Trial], criterion: MetricInfo, name: str) -> HeldOut:
    """What its choice has more of a metric than its own settings, which it may choose too."""
    candidates = [trial.arm for trial in trials if math.isfinite(trial.value(criterion.name))]
    info = criterion if name == criterion.name else data.info(name)
    return held_out_gain(data, candidates, data.baseline.name, criterion, info)


def _chosen(data: StudyData, arm: PlannedArm, search: StudyData) -> PlannedArm | None:
    """The arm of the search whose settings the comparison runs; None before there is a choice."""
    if not data.cells(arm.name):
        return None
    same = (point for point in search.arms if all(arm.levels.get(p) == point.levels[p] for p in search.factors))
    return next(same, None)


def _settings(search: StudyData, chosen: PlannedArm) -> Iterator[Setting]:
    axes = {axis.path: axis for axis in axes_of(search)}
    for path in search.factors:
        before, after = search.baseline.levels[path], chosen.levels[path]
        at_end = "" if chosen.is_baseline or path not in axes else end_of(axes[path], after)
        yield Setting(path, before, after, at_end)


def _lost(arms: list[str]) -> Iterator[str]:
    if arms:
        yield f"The folder lacks the searches inside {listed(arms)}: what these arms were given is not known."


def _warnings(
    data: StudyData,
    info: MetricInfo,
    arms: tuple[ArmSearchSummary, ...],
    waiting: tuple[str, ...],
    fixed: tuple[str, ...],
) -> Iterator[str]:
    unfinished = [*(arm.arm for arm in arms if not arm.chosen), *waiting]
    if unfinished:
        yield f"Not over, so without settings and cells so far: the search inside {listed(unfinished)}."
    if fixed:
        yield f"Beside arms that were searched, these run as the study file sets them: {listed(fixed)}."
    over = [arm for arm in arms if arm.chosen]
    for arm in over:
        yield from _little_choice(arm)
    yield from _worse(data, over, info)


def _little_choice(arm: ArmSearchSummary) -> Iterator[str]:
    """For an arm with trials that could not be chosen."""
    counts = arm.counts
    if counts.complete == counts.proposed:
        return
    parts = [(counts.failed, "failed"), (counts.pruned, "stopped early on some seed")]
    why = " and ".join(f"{n} {word}" for n, word in parts if n)
    if counts.complete == 0:
        yield f"{arm.arm} was not tuned: none of its {count(counts.proposed, 'trial')} could be chosen, {why}."
    else:
        yield f"{arm.arm} could choose among {counts.complete} of its {count(counts.proposed, 'trial')}: {why}."


def _worse(data: StudyData, arms: list[ArmSearchSummary], info: MetricInfo) -> Iterator[str]:
    """For arms that became better by the search's metric and worse by the primary one, as far as the seeds show."""
    primary = data.info(data.study.metrics.primary)
    if primary.name == info.name or primary.direction == "none":
        return
    level = 1 - data.study.metrics.alpha / max(1, len(arms))
    few = []
    for arm in arms:
        own, chosen = arm.values[primary.name]
        lost, gain = sign_of(primary.direction) * (own - chosen), arm.gains[primary.name]
        if gain.n < FEWEST_SEEDS and lost > 0:
            few.append(f"{arm.arm} from {number(own)} to {number(chosen)}")
        elif gain.times(sign_of(primary.direction)).at(level)[1] < 0:
            words = held_out_words(gain, level, sign=True)
            yield (
                f"Tuning by {info.title} took {arm.arm} from {number(own)} to {number(chosen)} in {primary.title}; on "
                f"seeds that did not choose, {number(gain.mean, sign=True)} ({words}): the metric that chooses is no "
                "guide here."
            )
    if few:
        yield (
            f"Tuning by {info.title} took {listed(few)} in {primary.title}, on the seeds of the search, which are too "
            f"few to say whether that is chance: {FEWEST_SEEDS} or more would."
        )
