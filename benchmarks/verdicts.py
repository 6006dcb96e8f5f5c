"""How often verdicts are wrong where the truth is known: null studies of many kinds, at 3 to 20 seeds.

Each simulated study has a baseline and some arms on an accuracy, all without any true mean difference (or, for
equivalence, with one of exactly the margin). Prints the share of studies with at least one wrong verdict, the same for
the t-tests alone (Holm-corrected, with their two one-sided tests uncorrected), the coverage of the intervals, and of
the intervals that miss the share whose study carries a doubt or a warning about the shape of its seeds.

    python benchmarks/verdicts.py [--studies 1000] [--arms 5] [--kinds normal collapse]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from fgtune.analysis.verdicts.deciding import judge_together
from fgtune.analysis.verdicts.judgement import Case, Judgement, LostCells, Rules, Verdict
from fgtune.analysis.verdicts.robust import equivalence_p, summary_of
from fgtune.analysis.verdicts.shape import Shape, shape_of
from fgtune.analysis.verdicts.statistics import PairedContrast, paired_contrast

MARGIN = 0.02
KEPT = 0.2  # share of alpha that a study keeps for later looks
_MEAN, _SD, _BLOCK = 0.8, 0.02, 0.02
_FALL = 0.5  # accuracy that a collapsed seed loses


@dataclass(frozen=True)
class NullStudy:
    """One simulated study.

    Attributes:
        values: (arms, n) values of the arms; nan where the cell was lost.
        baseline: (n,) values of the baseline.
    """

    values: np.ndarray
    baseline: np.ndarray


def _block(rng: np.random.Generator, n: int) -> np.ndarray:
    return _MEAN + _BLOCK * rng.standard_normal(n)


def normal(rng: np.random.Generator, arms: int, n: int, difference: float = 0.0) -> NullStudy:
    """Normal values that share what a seed does to all arms."""
    block = _block(rng, n)
    values = block + difference + _SD * rng.standard_normal((arms, n))
    return NullStudy(values, block + _SD * rng.standard_normal(n))


def at_margin(rng: np.random.Generator, arms: int, n: int) -> NullStudy:
    """Every arm exactly one margin better: no arm is equivalent."""
    return normal(rng, arms, n, MARGIN)


def half_at_margin(rng: np.random.Generator, arms: int, n: int) -> NullStudy:
    """Half of the arms without a difference, the others at the margin: both kinds of wrong answers are possible."""
    study = normal(rng, arms, n)
    values = study.values.copy()
    values[: arms // 2] += MARGIN
    return NullStudy(values, study.baseline)


def heavy_tails(rng: np.random.Generator, arms: int, n: int) -> NullStudy:
    """Student-t values with three degrees of freedom."""
    block = _block(rng, n)
    drawn = _SD / np.sqrt(3.0) * rng.standard_t(3, (arms + 1, n))
    return NullStudy(block + drawn[1:], block + drawn[0])


def unequal(rng: np.random.Generator, arms: int, n: int) -> NullStudy:
    """Normal values, each arm twice as variable as the one before."""
    block = _block(rng, n)
    sizes = _SD * 2.0 ** np.arange(arms)[:, None] / 4.0
    return NullStudy(block + sizes * rng.standard_normal((arms, n)), block + _SD * rng.standard_normal(n))


def lognormal_up(rng: np.random.Generator, arms: int, n: int) -> NullStudy:
    """Arms with a long tail of good seeds."""
    block = _block(rng, n)
    tail = _SD * (np.exp(rng.standard_normal((arms, n))) - np.exp(0.5))
    return NullStudy(block + tail, block + 0.2 * _SD * rng.standard_normal(n))


def lognormal_down(rng: np.random.Generator, arms: int, n: int) -> NullStudy:
    """Arms with a long tail of bad seeds."""
    study = lognormal_up(rng, arms, n)
    return NullStudy(2 * _MEAN - study.values, 2 * _MEAN - study.baseline)


def ceiling(rng: np.random.Generator, arms: int, n: int) -> NullStudy:
    """Arms that reach 1 in every other seed, and a baseline of the same mean that does not."""
    drawn = 0.995 + 0.03 * rng.standard_normal((arms, n))
    z = (1.0 - 0.995) / 0.03
    mean = 1.0 - 0.03 * (z * stats.norm.cdf(z) + stats.norm.pdf(z))  # of min(1, drawn)
    return NullStudy(np.minimum(drawn, 1.0), mean + 0.006 * rng.standard_normal(n))


def collapse(rng: np.random.Generator, arms: int, n: int) -> NullStudy:
    """Arms that collapse on one seed in ten and are better on the others, so that the means agree."""
    study = normal(rng, arms, n)
    fallen = rng.random((arms, n)) < 0.1
    return NullStudy(study.values + np.where(fallen, -_FALL, 0.1 * _FALL / 0.9), study.baseline)


def collapse_of_baseline(rng: np.random.Generator, arms: int, n: int) -> NullStudy:
    """The same for the baseline alone: what only its own few cells can show."""
    study = collapse(rng, 1, n)
    return NullStudy(normal(rng, arms, n).values, study.values[0])


def lost(rng: np.random.Generator, arms: int, n: int) -> NullStudy:
    """The worst 30 % of each arm's cells crash."""
    study = normal(rng, arms, n)
    values = study.values.copy()
    gone = max(1, round(0.3 * n))
    order = np.argsort(values, axis=1)[:, :gone]
    np.put_along_axis(values, order, np.nan, axis=1)
    return NullStudy(values, study.baseline)


def coarse(rng: np.random.Generator, arms: int, n: int) -> NullStudy:
    """Accuracies on 20 test samples, every arm better by one and a half margins."""
    skill = np.clip(_block(rng, n), 0.0, 1.0)
    hit = rng.random((n, 20))  # the same samples for all arms: easy and hard ones
    noise = 0.02 * rng.standard_normal((arms + 1, n, 20))
    right = hit + noise < np.stack([skill, *[skill + 1.5 * MARGIN] * arms])[:, :, None]
    scores = right.mean(axis=2)
    return NullStudy(scores[1:], scores[0])


KINDS: dict[str, Callable[[np.random.Generator, int, int], NullStudy]] = {
    "normal": normal,
    "heavy tails (t3)": heavy_tails,
    "unequal spread": unequal,
    "at the margin": at_margin,
    "half at the margin": half_at_margin,
    "lognormal, good tail": lognormal_up,
    "lognormal, bad tail": lognormal_down,
    "ceiling": ceiling,
    "collapse of arms": collapse,
    "collapse of the baseline": collapse_of_baseline,
    "worst 30 % lost": lost,
    "20 test samples": coarse,
}


def rules_of(kind: str, arms: int, summary: str = "mean") -> Rules:
    """What a study of accuracies is judged by."""
    grain = 0.05 if kind == "20 test samples" else 0.0
    return Rules("maximize", 0.05, arms, summary, 0.0, 1.0, grain)


def judge_study(study: NullStudy, rules: Rules) -> tuple[tuple[Judgement, ...], list[PairedContrast], Shape]:
    """The verdicts on a simulated study as a report gives them, with a fifth of alpha kept for later looks."""
    base = dict(enumerate(study.baseline.tolist()))
    arms = [{seed: value for seed, value in enumerate(row.tolist()) if not np.isnan(value)} for row in study.values]
    shape = shape_of({"baseline": base} | {f"arm {k}": arm for k, arm in enumerate(arms)}, "baseline")
    contrasts = [paired_contrast(arm, base, direction=rules.direction) for arm in arms]
    cases = [_case(contrast, arm, base, rules, shape) for contrast, arm in zip(contrasts, arms, strict=True)]
    return judge_together(cases, rules), contrasts, shape


def _case(contrast: PairedContrast, arm: dict[int, float], base: dict[int, float], rules: Rules, shape: Shape) -> Case:
    summary = summary_of(rules.kind, contrast, rules.direction, 0.95)
    gone = tuple(sorted(base.keys() - arm.keys()))
    ends: list[tuple[float, ...]] = [(), ()]
    if gone:
        ends = [tuple(arm.get(seed, end) - base[seed] for seed in base) for end in (rules.low, rules.high)]
    close = equivalence_p(rules.kind, contrast, MARGIN, rules.least_sd)
    return Case(
        contrast=contrast,
        summary=summary,
        margin=MARGIN,
        p_adjusted=min(1.0, summary.p / (1 - KEPT)),
        p_equivalent=min(1.0, close / (1 - KEPT)) if not np.isnan(close) else close,
        arm_mean=float(np.mean([arm[seed] for seed in contrast.seeds])),
        lost=LostCells(failed=gone),
        lowest=ends[0],
        highest=ends[1],
        shape=shape,
    )


def wrong(kind: str, verdicts: list[Verdict]) -> bool:
    """Whether a study has any wrong verdict; sure of a difference is right where there is one, in its direction."""
    wrongs = {
        "at the margin": (Verdict.HURTS, Verdict.EQUIVALENT),
        "20 test samples": (Verdict.HURTS, Verdict.EQUIVALENT),
    }
    if kind == "half at the margin":
        half = len(verdicts) // 2
        return wrong("at the margin", verdicts[:half]) or wrong("normal", verdicts[half:])
    return any(verdict in wrongs.get(kind, (Verdict.HELPS, Verdict.HURTS)) for verdict in verdicts)


@dataclass(frozen=True)
class Row:
    """What came of many studies of one kind.

    Attributes:
        wrong: Share of studies with any wrong verdict.
        tests: The same for the uncorrected two one-sided tests and Holm's t-tests alone.
        covered: Share of 95 % intervals that hold the true difference.
        flagged: Of the others, the share that carry a doubt, or whose study warns of its shape or of too few cells.
    """

    wrong: float
    tests: float
    covered: float
    flagged: float


def simulate(kind: str, arms: int, n: int, studies: int, seed: int = 0, summary: str = "mean") -> Row:
    """Judge many null studies of one kind."""
    rules = rules_of(kind, arms, summary)
    bad = plain = covered = flagged = 0
    for study_seed in range(studies):
        rng = np.random.default_rng([seed, study_seed, n, arms])
        study = KINDS[kind](rng, arms, n)
        judged, contrasts, shape = judge_study(study, rules)
        bad += wrong(kind, [judgement.verdict for judgement in judged])
        plain += wrong(kind, [_tests_alone(contrast, arms) for contrast in contrasts])
        truths = _truths(kind, arms)
        warned = not shape.normal or shape.suspect or not shape.sees(n, rules.alpha, rules.collapse_rate)
        tops = [row[~np.isnan(row)] for row in (study.baseline, *study.values)]
        warned = warned or any(
            row.mean() + 2 * row.std(ddof=1) > rules.high for row in tops
        )  # as the health check has it
        for contrast, judgement, truth in zip(contrasts, judged, truths, strict=True):
            hit = contrast.estimate.low <= truth <= contrast.estimate.high
            covered += hit
            flagged += not hit and (warned or bool(judgement.doubt) or len(judgement.lost) > 0)
    missed = studies * arms - covered
    return Row(bad / studies, plain / studies, covered / (studies * arms), flagged / missed if missed else np.nan)


def _truths(kind: str, arms: int) -> list[float]:
    if kind == "20 test samples":
        return [1.5 * MARGIN] * arms
    if kind == "half at the margin":
        return [MARGIN] * (arms // 2) + [0.0] * (arms - arms // 2)
    return [MARGIN if kind == "at the margin" else 0.0] * arms


def _tests_alone(contrast: PairedContrast, arms: int) -> Verdict:
    """Equivalent by uncorrected tests, else the t-test at alpha / arms."""
    if equivalence_p("mean", contrast, MARGIN) <= 0.05:
        return Verdict.EQUIVALENT
    if contrast.p_value <= 0.05 / arms:
        return Verdict.HELPS if contrast.estimate.mean > 0 else Verdict.HURTS
    return Verdict.UNDECIDED


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--arms", type=int, default=5)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--summary", default="mean")
    parser.add_argument("--sizes", type=int, nargs="*", default=[3, 5, 10, 20])
    settings = parser.parse_args()
    print(f"{settings.arms} arms, {settings.studies} studies each, judged by the {settings.summary}")
    print(f"{'null':26} {'n':>3} {'wrong':>7} {'tests alone':>12} {'covered':>8} {'misses flagged':>15}")
    for kind in settings.kinds:
        for n in settings.sizes:
            row = simulate(kind, settings.arms, n, settings.studies, summary=settings.summary)
            print(
                f"{kind:26} {n:3d} {row.wrong:7.1%} {row.tests:12.1%} {row.covered:8.1%} {row.flagged:15.0%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
