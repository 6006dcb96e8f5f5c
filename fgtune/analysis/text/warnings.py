"""What a reader must know before believing the numbers: oracle settings, few seeds, undefined metrics, open gaps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fgtune.analysis.formatting import MetricInfo
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.records import ContrastSummary
from fgtune.config.arms.variance import stream_warnings
from fgtune.config.reading.load import SMOKE_SUFFIX
from fgtune.results.folder import REBUILT
from fgtune.text import count


def study_warnings(
    data: StudyData,
    metrics: Sequence[MetricInfo],
    contrasts: Sequence[ContrastSummary],
) -> tuple[str, ...]:
    """All warnings of a study, the most consequential first.

    Args:
        data: The study.
        metrics: The shown metrics, the primary first.
        contrasts: The planned contrasts.
    """
    return (
        *_smoke_warning(data),
        *_margin_warning(data, metrics[0], contrasts),
        *_oracle_settings(data),
        *stream_warnings(data.study),
        *_metric_warnings(data, metrics),
        *_ledger_warnings(data),
    )


def _margin_warning(data: StudyData, primary: MetricInfo, contrasts: Sequence[ContrastSummary]) -> Iterator[str]:
    if contrasts and primary.direction != "none" and data.study.metrics.margin(1.0) is None:
        yield (
            f"The study file states no metrics.equivalence_margin, and {primary.title} is not a share between 0 and 1: "
            "nobody can know which differences matter, so no arm is called equivalent."
        )


def _smoke_warning(data: StudyData) -> Iterator[str]:
    if data.study.study.endswith(SMOKE_SUFFIX):
        yield "A smoke run: few epochs, few samples, few seeds. It shows that the study works, not what it finds."


def _oracle_settings(data: StudyData) -> Iterator[str]:
    paths, own = set(data.factors), data.study.trial.discovery
    if own is None:
        return
    if "classes.num_fine_ratio" in paths or own.classes.num_fine_ratio is not None:
        yield (
            "K_F is given relative to the true number of fine classes K_F*, which reads fine labels: an oracle setting "
            "that a user without fine labels cannot make."
        )
    modes = {arm.levels.get("relations.mode", own.relations.mode) for arm in data.arms}
    if "oracle" in modes:
        yield "At least one arm is given the true relations, which reads fine labels: an upper bound, not a method."


def _metric_warnings(data: StudyData, metrics: Sequence[MetricInfo]) -> Iterator[str]:
    if metrics[0].direction == "none":
        yield f"{metrics[0].title} has no better direction, so no arm can help or hurt; name another primary metric."
    for name in data.unmeasured:
        info = data.info(name)
        why = "it reads fine labels, which this data may not have" if info.oracle else "no cell reports it"
        yield f"{info.title} was asked for and is in no finished cell: {why}."
    for info in metrics[1:]:
        lost = [
            (arm.name, seed)
            for arm in data.arms
            for seed in data.lost(arm.name, info.name)
            if seed not in data.lost(arm.name, metrics[0].name)
        ]
        if lost:
            yield f"{info.title} is undefined in {count(len(lost), 'complete cell')}, which its means leave out."


def _ledger_warnings(data: StudyData) -> Iterator[str]:
    if data.provenance.get(REBUILT):
        yield "provenance.json was lost and written anew: looks at the results before that are not known, nor paid for."
    if data.unplanned:
        yield f"The ledger has {count(data.unplanned, 'line')} of cells that are not in the plan; they are left out."
