"""The content of ``verdicts.json`` from the summary of a study, and the file in the study folder."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import scipy

from fgtune import __version__
from fgtune.analysis.datasets.together import DatasetsSummary
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.records import ContrastSummary, Look
from fgtune.analysis.search.overview import SearchSummary
from fgtune.analysis.search.selection import Selection
from fgtune.analysis.summary import StudySummary
from fgtune.analysis.verdict_file import (
    SCHEMA_VERSION,
    Advice,
    Cells,
    Chosen,
    Contrast,
    Decision,
    Expected,
    HealthCheck,
    LookAtResults,
    Lost,
    Together,
    Verdicts,
)
from fgtune.analysis.verdict_joint import parts_record, profiles_record, variance_record
from fgtune.analysis.verdicts.judgement import Judgement
from fgtune.files import write_atomically


def versions() -> dict[str, str]:
    """What made the numbers: with the same versions, the same folder gives the same bytes."""
    return {"fgtune": __version__, "numpy": np.__version__, "scipy": scipy.__version__}


def verdicts_of(data: StudyData, summary: StudySummary) -> Verdicts:
    """The answer of a study for programs.

    Args:
        data: The study folder's content.
        summary: Its summary.
    """
    primary = summary.metrics[0]
    return Verdicts(
        schema_version=SCHEMA_VERSION,
        made_by=versions(),
        study=summary.study,
        study_hash=data.provenance.get("study_hash"),
        design=summary.design,
        question=summary.question,
        answer=summary.answer,
        metric=summary.primary,
        direction=primary.direction,
        judged_by=summary.judged_by,
        alpha=summary.alpha,
        margin=summary.margin,
        seeds=summary.seeds,
        cells=Cells(**asdict(summary.counts)),
        contrasts=tuple(
            _contrast(data, item, item.judgement) for item in summary.contrasts if item.judgement is not None
        ),
        together=() if summary.datasets is None else _together(summary.datasets),
        expected=tuple(Expected(**asdict(each)) for each in summary.expected),
        chosen=() if summary.search is None else _chosen(summary.search),
        parts=parts_record(summary.parts),
        profiles=profiles_record(summary.profiles),
        variance=variance_record(summary.variance),
        looks=tuple(map(_look, summary.looks)),
        saved_cells=summary.saved_cells,
        warnings=summary.warnings,
        checks=tuple(HealthCheck(**asdict(check)) for check in summary.checks),
    )


def _look(look: Look) -> LookAtResults:
    decided = tuple(Decision(label=label, verdict=verdict) for label, verdict in look.verdicts)
    return LookAtResults(seeds=look.seeds, spent=look.spent, level=look.level, decided=decided, open=look.open)


def write_verdicts(data: StudyData, summary: StudySummary) -> Path:
    """Write ``verdicts.json`` into the folder of ``data``, whole or not at all; returns the file."""
    path = data.folder.verdicts_file
    write_atomically(path, verdicts_of(data, summary).to_bytes())
    return path


def _contrast(data: StudyData, item: ContrastSummary, judgement: Judgement) -> Contrast:
    arm = next(each for each in data.arms if each.name == item.arm)
    lost, baseline_lost = judgement.lost, judgement.baseline_lost
    summary, contrast = item.summary, item.contrast
    return Contrast(
        arm=arm.name,
        label=arm.label,
        dataset=arm.dataset or None,
        baseline=data.baseline_of(arm).name,
        metric=item.metric,
        n=contrast.n,
        lost=len({*lost.seeds, *baseline_lost.seeds}),
        lost_in_arm=Lost(**asdict(lost)),
        lost_in_baseline=Lost(**asdict(baseline_lost)),
        difference=summary.value,
        low=summary.low,
        high=summary.high,
        p=summary.p,
        p_adjusted=judgement.p_adjusted,
        p_equivalent=judgement.p_equivalent,
        margin=judgement.margin,
        verdict=judgement.verdict,
        reason=judgement.reason,
        doubt=judgement.doubt,
        tests_say=judgement.tests_say,
        advice=None if item.advice is None else Advice(**asdict(item.advice)),
        detectable=item.detectable,
        sentence=item.sentence,
    )


def _together(found: DatasetsSummary) -> tuple[Together, ...]:
    return tuple(
        Together(
            arm=item.arm,
            baseline=found.baseline,
            n=len(item.measured),
            difference=item.pooled.estimate.mean,
            low=item.pooled.estimate.low,
            high=item.pooled.estimate.high,
            p_adjusted=item.p_adjusted,
            p_equivalent=item.p_equivalent,
            verdict=item.verdict,
            reason=item.reason,
        )
        for item in found.contrasts
    )


def _chosen(search: SearchSummary) -> tuple[Chosen, ...]:
    return tuple(_choice(search, selection) for selection in search.searched)


def _choice(search: SearchSummary, selection: Selection) -> Chosen:
    held_out = selection.primary.held_out
    return Chosen(
        criterion=selection.criterion,
        arm=selection.arm,
        levels=dict(search.trial(selection.arm).levels),
        among=selection.n,
        difference=selection.primary.contrast.estimate.mean,
        held_out_seeds=held_out.n,
        held_out_difference=held_out.mean,
        held_out_low=held_out.low,
        held_out_high=held_out.high,
        chance=selection.chance,
    )
