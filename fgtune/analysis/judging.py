"""The planned contrasts of a study: paired, corrected together, and judged with all that bears on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from fgtune.analysis.cells import possible_differences
from fgtune.analysis.formatting import MetricInfo
from fgtune.analysis.inputs import PlannedArm, StudyData
from fgtune.analysis.records import ContrastSummary
from fgtune.analysis.text.answer import contrast_sentence
from fgtune.analysis.verdicts.deciding import corrected_together, judge
from fgtune.analysis.verdicts.grounds import lost_cells, pairs_of, shapes_of
from fgtune.analysis.verdicts.judgement import Case, Judgement, Rules, Verdict
from fgtune.analysis.verdicts.look_tests import LookTests, last_look, sequential_p_values, spent_shares, tests_of
from fgtune.analysis.verdicts.power import (
    FEWEST_PILOT,
    SeedAdvice,
    detectable_difference,
    seed_advice,
    seeds_for_exact_test,
)
from fgtune.analysis.verdicts.robust import KINDS, summary_of
from fgtune.analysis.verdicts.shape import Shape
from fgtune.analysis.verdicts.statistics import PairedContrast, paired_contrast


def planned_contrasts(data: StudyData, info: MetricInfo) -> tuple[ContrastSummary, ...]:
    """Every arm but the baselines against its baseline on the primary metric, Holm-corrected together."""
    pairs = pairs_of(data, info, data.arms)
    settings = data.study.metrics
    shares = spent_shares(data)
    common = Rules(
        direction=info.direction,
        alpha=settings.alpha,
        contrasts=max(1, len(pairs)),
        kind=settings.summary,
        low=info.low,
        high=info.high,
        collapse_rate=settings.collapse_rate,
        first_share=shares[0],
    )
    shapes = shapes_of(data, info)
    by_dataset = {dataset: replace(common, grain=data.grain(info, dataset)) for dataset in shapes}
    cases = [
        _case(data, arm, contrast, info, by_dataset[arm.dataset], shapes[arm.dataset], shares)
        for arm, contrast in pairs
    ]

    @cache
    def at_look(look: int) -> dict[str, ContrastSummary]:
        return {each.arm: each for each in planned_contrasts(data.at_look(look), info)}

    found = []
    for (arm, contrast), case in zip(pairs, corrected_together(cases), strict=True):
        rules, shape = by_dataset[arm.dataset], shapes[arm.dataset]
        needed = shape.pairs_needed(rules.alpha, rules.collapse_rate)
        judgement = judge(case, rules)
        if judgement.earlier and judgement.verdict is not Verdict.UNDECIDED:  # rare: earlier looks are judged anew
            then = [at_look(look).get(arm.name) for look in range(len(data.looks) - 1)]
            judgement = _unless_held_back(judgement, then, contrast.n)
        found.append(_summary(data, arm, info, contrast, judgement, rules, needed))
    return tuple(found)


def _unless_held_back(judgement: Judgement, looks: Sequence[ContrastSummary | None], pairs: int) -> Judgement:
    """The judgement, undecided where it comes from an earlier look at which a doubt held the same answer back.

    The pairs that were added since could have dispelled the doubt, and by themselves, with those before, they do not.

    Args:
        judgement: An answer of an earlier look.
        looks: The contrast at each earlier look; None where it was not tested.
        pairs: Those of all looks.
    """
    for then in looks:
        if then is None or then.judgement is None or then.contrast.n != judgement.earlier:
            continue
        if then.judgement.verdict is Verdict.UNDECIDED and then.judgement.doubt:
            showed = f"what {judgement.earlier} pairs showed was held back then"
            reason = f"{showed}, and all {pairs} by themselves do not show it"
            return replace(judgement, verdict=Verdict.UNDECIDED, doubt=then.judgement.doubt, reason=reason)
    return judgement


def exploratory_contrasts(data: StudyData, info: MetricInfo, arms: Sequence[PlannedArm]) -> tuple[ContrastSummary, ...]:
    """Arms against their baselines on a metric, uncorrected and without verdicts."""
    rules = Rules(direction=info.direction, alpha=data.study.metrics.alpha, kind=data.study.metrics.summary)
    return tuple(_summary(data, arm, info, contrast, None, rules) for arm, contrast in pairs_of(data, info, arms))


def _case(
    data: StudyData,
    arm: PlannedArm,
    contrast: PairedContrast,
    info: MetricInfo,
    rules: Rules,
    shape: Shape,
    shares: Sequence[float],
) -> Case:
    """A contrast with what bears on its verdict; its p-values are not corrected yet."""
    baseline = data.baseline_of(arm)
    summary = summary_of(rules.kind, contrast, info.direction, data.level)
    tests = _look_tests(data, arm, contrast, info, rules)
    different, close = sequential_p_values(tests, shares)
    values = data.values(arm.name, info.name)
    lost, baseline_lost = (lost_cells(data, name, info.name) for name in (arm.name, baseline.name))
    lowest, highest = possible_differences(data, arm, info) if len(lost) or len(baseline_lost) else ([], [])
    return Case(
        contrast=contrast,
        summary=summary,
        margin=data.study.metrics.margin(contrast.baseline_mean),
        p_adjusted=different,
        p_equivalent=close,
        arm_mean=math.fsum(values[seed] for seed in contrast.seeds) / contrast.n if contrast.n else math.nan,
        lost=lost,
        baseline_lost=baseline_lost,
        lowest=tuple(lowest),
        highest=tuple(highest),
        shape=shape,
        same_run=data.same_run(arm),
        names=(arm.label, baseline.label),
        last_look=last_look(tests, shares),
    )


def _look_tests(
    data: StudyData, arm: PlannedArm, contrast: PairedContrast, info: MetricInfo, rules: Rules
) -> list[LookTests]:
    """The tests at every look, each from the seeds that there were then; those of the last are all in ``contrast``."""
    values, baseline = (data.values(name, info.name) for name in (arm.name, data.baseline_of(arm).name))
    then = [{seed: value for seed, value in values.items() if seed in seeds} for seeds in data.looks[:-1]]
    earlier = [paired_contrast(known, baseline, direction=info.direction, level=data.level) for known in then]
    return [tests_of(each, rules, data.study.metrics.margin(each.baseline_mean)) for each in (*earlier, contrast)]


def _summary(
    data: StudyData,
    arm: PlannedArm,
    info: MetricInfo,
    contrast: PairedContrast,
    judgement: Judgement | None,
    rules: Rules,
    pairs_needed: int = 0,
) -> ContrastSummary:
    decides = summary_of(rules.kind, contrast, info.direction, data.level)
    kinds = [kind for kind in KINDS if kind != rules.kind] if judgement is not None else []
    fresh = rules.first_share * rules.level  # of a study that has so many pairs at its first look
    advice = None if judgement is None else _advice(contrast, judgement, rules, pairs_needed, fresh)
    return ContrastSummary(
        arm=arm.name,
        label=arm.label,
        metric=info.name,
        planned=judgement is not None,
        contrast=contrast,
        summary=decides,
        others=tuple(summary_of(kind, contrast, info.direction, data.level) for kind in kinds),
        judgement=judgement,
        advice=advice,
        detectable=detectable_difference(contrast.estimate.sd, contrast.n, fresh),
        sentence=contrast_sentence(arm.label, contrast, decides, judgement, advice, info, data.level),
    )


def _advice(
    contrast: PairedContrast, judgement: Judgement, rules: Rules, pairs_needed: int, level: float
) -> SeedAdvice | None:
    """How many pairs would decide what is undecided for want of pairs alone.

    Args:
        contrast: The paired differences.
        judgement: The verdict on them.
        rules: What it was judged by.
        pairs_needed: Pairs that show collapses, below which a small difference would stay undecided all the same.
        level: What the first look at so many pairs spends on one contrast.
    """
    if judgement.verdict is not Verdict.UNDECIDED or judgement.doubt or contrast.n < 2:
        return None
    difference = judgement.margin or abs(contrast.estimate.mean)
    if contrast.estimate.sd == 0.0:
        needed = max(seeds_for_exact_test(level, 1), pairs_needed)
        return SeedAdvice(needed, needed) if needed > contrast.n else None
    if contrast.n < FEWEST_PILOT or difference == 0.0 or rules.kind != "mean":
        return None
    advice = seed_advice(contrast.estimate.sd, contrast.n, difference, level)
    low, high = (None if each is None else max(each, pairs_needed) for each in (advice.low, advice.high))
    return SeedAdvice(low, high)
