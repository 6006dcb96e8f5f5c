"""What a page over several studies shows: what differs between them, the same arms in all, and each study's effects.

Every arm that the first study and another one have under the same name is compared seed by seed where that is fair, and
all these contrasts are corrected together. No study file planned them, so they carry no verdict. The verdicts beside
are those of each study about its own arms.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fgtune.analysis.across.comparing import ComparedStudy, Comparison, Side, reasons_against
from fgtune.analysis.formatting import DASH, MetricInfo
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.records import ContrastSummary
from fgtune.analysis.summary import StudySummary, summarise
from fgtune.analysis.text.subject import data_facts
from fgtune.analysis.verdicts.judgement import Judgement
from fgtune.analysis.verdicts.statistics import PairedContrast, holm, paired_contrast
from fgtune.results.records import CellState
from fgtune.text import count, first_of

MOST_SETTINGS = 100
"""Settings that are listed where studies differ in more."""
_NAMES = ("study", "question", "expectation", "expect", "source", "smoke", "published")
"""Parts of a study that say what it is called and what was thought beforehand."""


@dataclass(frozen=True)
class Row:
    """What every study has of one thing.

    Attributes:
        name: The thing.
        values: One a study, as text; a dash where a study has none, or nobody recorded it.
    """

    name: str
    values: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether not all studies that have it have the same."""
        return len({*self.values} - {DASH}) > 1


@dataclass(frozen=True)
class SameArm:
    """An arm of the first study that another study has too, by its name.

    Attributes:
        arm: Its name.
        label: Its name for readers.
        study: The other study.
        reasons: Why the two are not comparable; empty if they are.
        contrast: The other study's arm minus the first one's; without pairs if they are not comparable.
        p_adjusted: Its p-value, corrected over all arms of the page; nan if there is none.
        settings: In which settings the two differ, in words; empty for none.
        repeated: Seeds at which both trained the very same cell.
        identical: How many of these ended with the same values to the last bit.
    """

    arm: str
    label: str
    study: str
    reasons: tuple[str, ...]
    contrast: PairedContrast
    p_adjusted: float
    settings: str
    repeated: int
    identical: int


@dataclass(frozen=True)
class Effect:
    """What one study says of one of its arms against its own baseline.

    Attributes:
        arm: The arm's name.
        label: Its name for readers.
        study: The study.
        summary: The planned contrast.
    """

    arm: str
    label: str
    study: str
    summary: ContrastSummary

    @property
    def contrast(self) -> PairedContrast:
        """Its paired differences."""
        return self.summary.contrast

    @property
    def judgement(self) -> Judgement | None:
        """The study's own verdict."""
        return self.summary.judgement


@dataclass(frozen=True)
class SideBySide:
    """All that the page shows.

    Attributes:
        comparison: An arm of each study, as ``fgtune compare`` prints it.
        metric: The primary metric of the first study.
        answers: Each study's name, question and answer.
        facts: What the studies are about, and what ran them.
        settings: The settings in which they differ; the first ones if there are too many.
        more_settings: How many more there are.
        same_arms: Arms that the first study and others have under one name.
        effects: The effects of arms that at least two studies compare with their baselines, by arm.
        lone: Number of arms that one study alone compares.
        other_metrics: Studies that are judged by another metric than the first.
        margin: The margin of unimportant differences that all studies state; None if they differ or state none.
        arms: Every arm of the page, its label, and whether it is a baseline everywhere.
    """

    comparison: Comparison
    metric: MetricInfo
    answers: tuple[tuple[str, str, str], ...]
    facts: tuple[Row, ...]
    settings: tuple[Row, ...]
    more_settings: int
    same_arms: tuple[SameArm, ...]
    effects: tuple[Effect, ...]
    lone: int
    other_metrics: tuple[str, ...]
    margin: float | None
    arms: tuple[tuple[str, str, bool], ...]

    @property
    def paired(self) -> list[SameArm]:
        """The same arms that have pairs."""
        return [each for each in self.same_arms if each.contrast.n]


def side_by_side(comparison: Comparison, data: Sequence[StudyData]) -> SideBySide:
    """Put studies side by side.

    Args:
        comparison: Of the same studies, in the same order.
        data: Their folders' content.
    """
    studies, metric = comparison.studies, comparison.studies[0].primary
    summaries = [summarise(each) for each in data]
    settings = list(_settings(data))
    effects, lone = _effects(studies, summaries, metric)
    same = _same_arms(studies, data)
    margins = {each.margin for each, study in zip(summaries, studies, strict=True) if study.primary == metric}
    return SideBySide(
        comparison=comparison,
        metric=data[0].info(metric),
        answers=tuple((s.name, each.question, each.answer) for s, each in zip(studies, summaries, strict=True)),
        facts=tuple(_facts(studies, data, summaries)),
        settings=tuple(settings[:MOST_SETTINGS]),
        more_settings=max(0, len(settings) - MOST_SETTINGS),
        same_arms=same,
        effects=effects,
        lone=lone,
        other_metrics=tuple(each.name for each in studies if each.primary != metric),
        margin=margins.pop() if len(margins) == 1 else None,
        arms=tuple(_arms(studies, {each.arm for each in same} | {each.arm for each in effects})),
    )


def _arms(studies: Sequence[ComparedStudy], shown: set[str]) -> Iterator[tuple[str, str, bool]]:
    """The arms of the page in the order in which the studies have them."""
    known: dict[str, list[Any]] = {}
    for study in studies:
        for arm in study.arms:
            known.setdefault(arm.arm, []).append(arm)
    for name, arms in known.items():
        if name in shown:
            yield name, arms[0].label, all(arm.is_baseline for arm in arms)


def _facts(
    studies: Sequence[ComparedStudy], data: Sequence[StudyData], summaries: Sequence[StudySummary]
) -> Iterator[Row]:
    """What the studies are about, and what ran them."""
    yield Row("design", tuple(each.study.design.kind for each in data))
    yield Row("data", tuple(" and ".join(data_facts(each)) or DASH for each in data))
    yield Row("judged by", tuple(each.info(study.primary).title for each, study in zip(data, studies, strict=True)))
    yield Row("arms", tuple(str(len(study.arms)) for study in studies))
    yield Row("seeds", tuple(str(len(each.seeds)) for each in summaries))
    yield Row("cells", tuple(f"{each.counts.complete} of {each.counts.planned}" for each in summaries))
    yield Row("failed cells", tuple(str(each.counts.failed) for each in summaries))
    records = [each.provenance for each in data]
    yield Row("fgtune", tuple(str(record.get("fgtune", DASH)) for record in records))
    yield Row("commit", tuple(_commit(record) for record in records))
    yield Row("machine", tuple(_machine(record) for record in records))
    yield Row("Python", tuple(str(record.get("python", DASH)) for record in records))
    packages = [record.get("packages") or {} for record in records]
    for name in sorted({name for each in packages for name in each}):
        row = Row(name, tuple(str(each.get(name) or DASH) for each in packages))
        if row.differs:
            yield row


def _commit(record: Mapping[str, Any]) -> str:
    git = record.get("git") or {}
    commit = str(git.get("commit") or "")[:8]
    return f"{commit}{' with changes' if git.get('dirty') else ''}" if commit else DASH


def _machine(record: Mapping[str, Any]) -> str:
    host = record.get("host") or {}
    known = [str(host[key]) for key in ("name", "machine") if host.get(key)]
    return ", ".join([*known, count(int(host["cpus"]), "core")] if host.get("cpus") else known) or DASH


def _settings(data: Sequence[StudyData]) -> Iterator[Row]:
    """The settings in which the studies differ; those of a trial of another kind than the first are not compared."""
    plain = [{key: value for key, value in each.study.to_plain().items() if key not in _NAMES} for each in data]
    trials = [each.pop("trial") for each in plain]
    yield from differing(plain)
    alike = [rank for rank, each in enumerate(data) if each.study.trial.trial_kind == data[0].study.trial.trial_kind]
    for row in differing([trials[rank] for rank in alike], "trial"):
        values = dict(zip(alike, row.values, strict=True))
        yield Row(row.name, tuple(values.get(rank, DASH) for rank in range(len(data))))


def differing(sides: Sequence[Any], path: str = "") -> Iterator[Row]:
    """The leaves in which plain data differ, by dotted path; a dash where one has no such leaf."""
    if any(isinstance(side, dict) for side in sides) and all(isinstance(side, dict) or side is None for side in sides):
        for key in dict.fromkeys(key for side in sides if side for key in side):
            below = [(side or {}).get(key) for side in sides]
            yield from differing(below, f"{path}.{key}" if path else str(key))
        return
    row = Row(path, tuple(_text(side) for side in sides))
    if len(set(row.values)) > 1:
        yield row


def _text(value: Any) -> str:
    if value is None:
        return DASH
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _same_arms(studies: Sequence[ComparedStudy], data: Sequence[StudyData]) -> tuple[SameArm, ...]:
    """The first study's arms against those of the same name in the others, corrected together."""
    first, first_data = studies[0], data[0]
    others = [
        (study, each, {arm.arm for arm in study.arms})
        for study, each in zip(studies[1:], data[1:], strict=True)
        if study.primary == first.primary
    ]
    found = [
        _same_arm(Side(first, first_data, arm.arm), Side(study, each, arm.arm), arm.label)
        for arm in first.arms
        for study, each, known in others
        if arm.arm in known
    ]
    adjusted = iter(holm([each.contrast.p_value for each in found if each.contrast.n]))
    return tuple(replace(each, p_adjusted=next(adjusted)) if each.contrast.n else each for each in found)


def _same_arm(theirs: Side, ours: Side, label: str) -> SameArm:
    info = theirs.data.info(theirs.study.primary)
    unfinished = [side.study.name for side in (theirs, ours) if not side.data.ended(side.arm)]
    reasons = tuple(f"{name} has no finished cell of it" for name in unfinished) or reasons_against(theirs, ours)
    values = ({}, {}) if reasons else (ours.values, theirs.values)
    contrast = paired_contrast(*values, direction=info.direction, level=theirs.data.level, limits=info.reach)
    if not reasons and not contrast.n:
        reasons = ("no seed has a value in both",)
    repeated = _repeated(theirs, ours)
    return SameArm(
        arm=theirs.arm,
        label=label,
        study=ours.study.name,
        reasons=reasons,
        contrast=contrast,
        p_adjusted=math.nan,
        settings="" if unfinished else _settings_words(theirs, ours),
        repeated=len(repeated),
        identical=sum(repeated),
    )


def _settings_words(theirs: Side, ours: Side) -> str:
    rows = list(differing([_config(theirs), _config(ours)]))
    return first_of([f"{row.name} {row.values[0]} → {row.values[1]}" for row in rows], 3)


def _config(side: Side) -> dict[str, Any]:
    """The arm's settings, those that came with later versions at their defaults, which mean the same."""
    stored = dict(side.config)
    try:
        return type(side.data.study.trial).from_plain(stored).to_plain()
    except ValueError:  # of a version that knew other settings
        return stored


def _repeated(theirs: Side, ours: Side) -> list[bool]:
    """Of every cell that both studies completed, whether the metrics that both have are the same to the last bit."""
    known, cells = (
        {each.cell_id: each for each in side.data.ended(side.arm) if each.state is CellState.COMPLETE}
        for side in (theirs, ours)
    )
    return [
        all(value == known[each].metrics.get(name, value) for name, value in cells[each].metrics.items())
        for each in cells
        if each in known
    ]


def _effects(
    studies: Sequence[ComparedStudy], summaries: Sequence[StudySummary], metric: str
) -> tuple[tuple[Effect, ...], int]:
    """What the studies say of the arms that at least two of them compare, and how many arms one alone compares."""
    by_arm: dict[str, list[Effect]] = {}
    for study, summary in zip(studies, summaries, strict=True):
        for item in summary.contrasts if study.primary == metric else ():
            by_arm.setdefault(item.arm, []).append(Effect(item.arm, item.label, study.name, item))
    shared = [each for effects in by_arm.values() if len(effects) > 1 for each in effects]
    return tuple(shared), sum(len(effects) == 1 for effects in by_arm.values())
