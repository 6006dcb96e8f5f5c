"""Several studies side by side: the arms of each, and the difference between one arm of each if they are comparable.

Two arms of different studies are compared seed by seed if they have the same primary metric, data, splits and number of
epochs; otherwise the reason is given instead. No study file planned such a contrast, so all are exploratory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fgtune.analysis.inputs import StudyData
from fgtune.analysis.records import ArmSummary
from fgtune.analysis.search.held_out import UNDEFINED, HeldOut, choices, folds_of, held_out, judged, table_of
from fgtune.analysis.summary import arm_summaries
from fgtune.analysis.trials import best_arm, criteria_of
from fgtune.analysis.verdicts.statistics import PairedContrast, paired_contrast
from fgtune.arrays import FloatArray
from fgtune.catalog.spec import sign_of
from fgtune.config.schema.base import data_key
from fgtune.errors import StudyFolderError
from fgtune.results.extension import has_earlier_clusters, is_clustered
from fgtune.text import count


@dataclass(frozen=True)
class ComparedStudy:
    """One study of a comparison.

    Attributes:
        name: The study's name; the folder's path if two studies have the same name.
        primary: Its primary metric.
        criterion: What its best arm is chosen by: the primary metric, or the first objective of a search.
        arms: In the order of the plan.
        chosen: The arm that represents the study; None before any arm has a value.
    """

    name: str
    primary: str
    criterion: str
    arms: tuple[ArmSummary, ...]
    chosen: ArmSummary | None


@dataclass(frozen=True)
class Difference:
    """One study's arm against the first study's.

    Attributes:
        study: Its name.
        reasons: Why the two are not comparable; empty if they are.
        notes: Caveats of the difference.
        contrast: The paired differences, study minus first study; None if they are not comparable.
        held_out: The difference of what each study chooses on seeds that did not choose; None where arms were named, or
            where neither study has a choice.
    """

    study: str
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    contrast: PairedContrast | None
    held_out: HeldOut | None = None


@dataclass(frozen=True)
class Comparison:
    """The arms of several studies, and the differences to the first study."""

    studies: tuple[ComparedStudy, ...]
    differences: tuple[Difference, ...]
    level: float
    """Confidence level of the differences' intervals, that of the first study."""

    def rows(self) -> list[dict[str, Any]]:
        """One table row per arm."""
        by_study = {difference.study: difference for difference in self.differences}
        return [
            _row(study, arm, by_study.get(study.name) if arm is study.chosen else None, self.studies[0])
            for study in self.studies
            for arm in study.arms
        ]


def compare_data(data: Sequence[StudyData], arm: str | None = None) -> Comparison:
    """Compare studies side by side.

    Args:
        data: Two or more; the others are compared with the first.
        arm: The arm to compare in every study; None for the best of each.

    Raises:
        StudyFolderError: One has no arm of that name.
    """
    plain = [study.study.study for study in data]
    names = [study.study.study if plain.count(study.study.study) == 1 else str(study.folder.root) for study in data]
    studies = tuple(_study(name, study, arm) for name, study in zip(names, data, strict=True))
    differences = tuple(
        _difference(studies[0], data[0], study, study_data, best=arm is None)
        for study, study_data in zip(studies[1:], data[1:], strict=True)
    )
    return Comparison(studies, differences, data[0].level)


def _study(name: str, data: StudyData, wanted: str | None) -> ComparedStudy:
    arms, primary = arm_summaries(data), data.study.metrics.primary
    known = [arm.arm for arm in arms]
    if wanted is not None and wanted not in known:
        fix = f"its arms are {', '.join(known[:10])}{', ...' * (len(known) > 10)}"
        raise StudyFolderError("has no arm of this name", where=str(data.folder.root), value=wanted, fix=fix)
    named = best_arm(data) if wanted is None else wanted
    chosen = next((arm for arm in arms if arm.arm == named and arm.estimates[primary].n > 0), None)
    return ComparedStudy(name, primary, criteria_of(data)[0].name, arms, chosen)


def _difference(
    first: ComparedStudy, first_data: StudyData, study: ComparedStudy, data: StudyData, *, best: bool
) -> Difference:
    if first.chosen is None or study.chosen is None:
        lacking = first.name if first.chosen is None else study.name
        return Difference(study.name, (f"{lacking} has no finished cell with {study.primary}",), (), None)
    if first.primary != study.primary:
        reason = f"other metrics: {study.primary} here, {first.primary} in {first.name}"
        return Difference(study.name, (reason,), (), None)
    theirs, ours = Side(first, first_data, first.chosen.arm), Side(study, data, study.chosen.arm)
    reasons = reasons_against(theirs, ours)
    if reasons:
        return Difference(study.name, reasons, (), None)
    info, level = first_data.info(first.primary), first_data.level
    contrast = paired_contrast(ours.values, theirs.values, direction=info.direction, level=level, limits=info.reach)
    if contrast.n == 0:
        return Difference(study.name, ("no seed has a value in both, so nothing can be paired",), (), None)
    notes = (*(_choice_notes(first, study) if best else ()), *_notes(theirs, ours, contrast.n))
    chooses = best and max(len(first.arms), len(study.arms)) > 1
    held = _held_out(theirs, ours, contrast, level) if chooses else None
    return Difference(study.name, (), notes, contrast, held)


def _held_out(theirs: Side, ours: Side, contrast: PairedContrast, level: float) -> HeldOut:
    """The difference where each part of the seeds judges what the other parts choose in either study."""
    seeds = contrast.seeds
    if len(seeds) < 2:
        return UNDEFINED
    return held_out(ours.judged(seeds), theirs.judged(seeds), len(seeds), level, contrast.limits)


@dataclass(frozen=True)
class Side:
    """One of the two arms of a comparison."""

    study: ComparedStudy
    data: StudyData
    arm: str

    @property
    def values(self) -> dict[int, float]:
        """The primary metric by seed."""
        return self.data.values(self.arm, self.study.primary)

    def judged(self, seeds: Sequence[int]) -> FloatArray:
        """The primary metric of what the study chooses on the other seeds, for each fold of these."""
        info = criteria_of(self.data)[0]
        scores = {arm.name: self.data.values(arm.name, info.name) for arm in self.data.arms}
        scores = {name: values for name, values in scores.items() if values.keys() >= set(seeds)}
        if not scores:
            return np.full(len(folds_of(len(seeds))), math.nan)
        chosen = choices(sign_of(info.direction) * table_of(scores, seeds))
        return judged(table_of({name: self.data.values(name, self.study.primary) for name in scores}, seeds), chosen)

    @property
    def config(self) -> Mapping[str, Any]:
        """The trial config, from one of its finished cells."""
        return self.data.ended(self.arm)[0].config

    @property
    def is_function(self) -> bool:
        """Whether it was run by a trainer of the user's own."""
        return self.data.study.trial.trial_kind == "function"

    @property
    def is_earlier(self) -> bool:
        """Whether an earlier version found its clusters otherwise than this one."""
        return any(has_earlier_clusters(self.data.provenance, result) for result in self.data.ended(self.arm))

    @property
    def fingerprint(self) -> str | None:
        """The digest of the study's data."""
        found = self.data.provenance.get("data", {}).get(data_key(self.config.get("data") or {}))
        return None if found is None else str(found)

    @property
    def code(self) -> str:
        """Version and commit that the study was started with."""
        record = self.data.provenance
        commit = (record.get("git") or {}).get("commit") or ""
        return f"fgtune {record.get('fgtune', 'unknown')}{f' at {commit[:8]}' if commit else ''}"


def reasons_against(theirs: Side, ours: Side) -> tuple[str, ...]:
    """Why two arms, each with a finished cell, are not comparable seed by seed; empty if they are."""
    if theirs.is_function and ours.is_function:
        return tuple(_function_reasons(theirs, ours))
    for side in (theirs, ours):
        if side.data.study.trial.discovery is None:
            rule = f"nobody recorded data, splits and epochs of the runs of {side.study.name}"
            return (f"{rule}; a table of all runs, imported, compares them",)
        if not isinstance(side.config.get("data"), Mapping) or "epochs" not in side.config:
            return (f"the ledger of {side.study.name} has no settings of a trial for {side.arm}",)
    there, here, first = theirs.config, ours.config, theirs.study.name
    found = []
    if theirs.fingerprint is None or ours.fingerprint is None:
        lacking = first if theirs.fingerprint is None else ours.study.name
        found.append(f"the fingerprint of the data of {lacking} is not in its provenance.json")
    elif theirs.fingerprint != ours.fingerprint:
        found.append(f"other data: {_data_words(here)} here, {_data_words(there)} in {first}")
    if here["data"].get("split") != there["data"].get("split"):
        found.append(f"other splits: {here['data'].get('split')} here, {there['data'].get('split')} in {first}")
    if here["epochs"] != there["epochs"]:
        found.append(f"other epochs: {here['epochs']} here, {there['epochs']} in {first}")
    if theirs.is_earlier != ours.is_earlier and is_clustered(there) and is_clustered(here):
        earlier = first if theirs.is_earlier else ours.study.name
        found.append(f"other clusters: {earlier} was run by an earlier version, which found them otherwise")
    return tuple(found)


def _function_reasons(theirs: Side, ours: Side) -> Iterator[str]:
    """Why arms of users' own trainers are not comparable, as far as their settings tell."""
    for name, words in (("call", "trainers"), ("epochs", "epochs")):
        there, here = theirs.config.get(name), ours.config.get(name)
        if there != here:
            yield f"other {words}: {here} here, {there} in {theirs.study.name}"


def _choice_notes(first: ComparedStudy, study: ComparedStudy) -> Iterator[str]:
    """How the choice of the best arms affects their difference."""
    if first.primary in (first.criterion, study.criterion) and max(len(first.arms), len(study.arms)) > 1:
        yield "the best arms were chosen by these very numbers, which flatters the study with more of them"
    for compared in (first, study):
        if compared.criterion != compared.primary:
            yield f"the best arm of {compared.name} is that by {compared.criterion}, as it was searched for"


def _notes(theirs: Side, ours: Side, pairs: int) -> Iterator[str]:
    """Caveats of a difference."""
    unpaired = theirs.values.keys() ^ ours.values.keys()
    if unpaired:
        yield f"{count(len(unpaired), 'seed')} left out, which only one of the two has"
    for side, other in ((theirs, ours), (ours, theirs)):
        if side.is_earlier and not other.is_earlier:
            yield (
                f"{side.arm} of {side.study.name} was run by an earlier version, which put a sample into the nearest "
                "of all clusters; this one puts it into one of its own coarse class, often to the better"
            )
    if theirs.is_function:
        yield "a function reads its own data, of which nothing is recorded: pairs mean what its seeds mean"
    if _same(theirs, ours):
        yield "both arms have the same configuration: they can differ by machine and code alone"
    if pairs == 1:
        yield "one pair gives no interval"
    if theirs.code != ours.code:
        yield f"made by different code ({ours.code} here, {theirs.code} in {theirs.study.name})"


def _same(theirs: Side, ours: Side) -> bool:
    """Whether the cells of two arms have the same ids at the seeds that both have."""
    known = {cell.seed: cell.cell_id for cell in theirs.data.cells(theirs.arm)}
    return all(known.get(cell.seed, cell.cell_id) == cell.cell_id for cell in ours.data.cells(ours.arm))


def _data_words(config: Mapping[str, Any]) -> str:
    settings = config["data"]
    extra = ", ".join(f"{key} {settings[key]}" for key in ("path", "limit") if settings.get(key) is not None)
    return f"{settings.get('kind')}{f' ({extra})' if extra else ''}"


def _row(study: ComparedStudy, arm: ArmSummary, difference: Difference | None, first: ComparedStudy) -> dict[str, Any]:
    estimate = arm.estimates[study.primary]
    contrast = None if difference is None else difference.contrast
    held = None if difference is None else difference.held_out
    compared = None if contrast is None or first.chosen is None else f"{first.name}: {first.chosen.arm}"
    return {
        "study": study.name,
        "arm": arm.arm,
        "label": arm.label,
        "is_baseline": arm.is_baseline,
        "metric": study.primary,
        "n": estimate.n,
        "mean": estimate.mean,
        "low": estimate.low,
        "high": estimate.high,
        "num_fine": ", ".join(map(str, arm.num_fine)),
        "seconds": arm.seconds.mean,
        "failed": arm.counts.failed,
        "compared_with": compared,
        "pairs": 0 if contrast is None else contrast.n,
        "difference": math.nan if contrast is None else contrast.estimate.mean,
        "difference_low": math.nan if contrast is None else contrast.estimate.low,
        "difference_high": math.nan if contrast is None else contrast.estimate.high,
        "held_out": math.nan if held is None else held.mean,
        "held_out_low": math.nan if held is None else held.low,
        "held_out_high": math.nan if held is None else held.high,
        "reasons": None if difference is None or not difference.reasons else "; ".join(difference.reasons),
    }
