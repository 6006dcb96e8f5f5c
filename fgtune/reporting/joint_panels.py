"""The figures of what a study says about several arms together, with their words."""

from __future__ import annotations

import math

from fgtune.analysis.formatting import capital, number
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.parts.side_by_side import part_gains
from fgtune.analysis.summary import StudySummary
from fgtune.analysis.text.variance import STREAM_WORDS
from fgtune.analysis.variance.parts import Share, VarianceSummary
from fgtune.analysis.verdicts.statistics import PairedContrast
from fgtune.catalog.metrics import AGREEMENT
from fgtune.reporting.effect_figures import effects_figure, gains_figure, shares_figure
from fgtune.reporting.level_figures import number_figure
from fgtune.reporting.page_figures import Figure, FigureGroup
from fgtune.text import listed

_MOST_EFFECTS = 24  # rows of a figure; the table has all


def parts_figures(summary: StudySummary) -> FigureGroup:
    """What the parts of an ablation are worth together: differences of gains, and shares of the total."""
    found, info = summary.parts, summary.metrics[0]
    if found is None:
        return FigureGroup("", ())
    figures = []
    effects = [each for each in found.effects if each.contrast.n]
    shown = effects[:_MOST_EFFECTS]
    if shown:
        alt = " ".join(each.sentence for each in shown)
        spec = effects_figure(
            [(each.label, str(each.name), each.contrast) for each in shown],
            f"gain beside others minus gain without, {info.title}",
            summary.margin,
        )
        note = f"The first {len(shown)} of {len(effects)}." if len(shown) < len(effects) else ""
        figures.append(Figure("parts-effects", "Worth more, or less, together", alt, spec, note))
    shares = [each for each in found.shares if each.contrast.n]
    if shares:
        spec = effects_figure([(each.part, "", each.contrast) for each in shares], f"share of the gain in {info.title}")
        figures.append(Figure("parts-shares", "Shapley shares of the total", found.sentence, spec))
    return FigureGroup("", tuple(figures), widest=2)


def gains_figures(data: StudyData, summary: StudySummary) -> FigureGroup:
    """What is lost without each part beside what it gains alone, a figure a metric."""
    figures = []
    for rank, found in enumerate(part_gains(data)):
        info, rows = found.metric, found.parts[:_MOST_EFFECTS]
        texts = (f"{each.part} {_gain_text(each.beside)} and {_gain_text(each.alone)}" for each in rows)
        alt = f"{capital(info.title)}, lost without each part and gained by it alone: {'; '.join(texts)}."
        notes = [f"The first {len(rows)} of {len(found.parts)}."] * (len(rows) < len(found.parts))
        notes += ["Exploratory."] * (info.name != summary.primary)
        spec = gains_figure(rows, f"gain in {info.title}", summary.margin if info.name == summary.primary else None)
        figures.append(Figure(f"gains-{rank}", info.title, alt, spec, " ".join(notes)))
    return FigureGroup("", tuple(figures), widest=2)


def _gain_text(contrast: PairedContrast) -> str:
    return number(contrast.estimate.mean, sign=True) if contrast.n else "unknown"


def profile_figures(summary: StudySummary) -> FigureGroup:
    """K_F above against below the baseline; empty for other factors."""
    found, info, figures = summary.profiles, summary.metrics[0], []
    for rank, profile in enumerate(() if found is None else found.factors):
        sides = [side for side in profile.sides if side.contrast.n]
        if sides:
            rows = [
                (f"{listed(side.above)} against {listed(side.below)}", side.judgement.verdict.value, side.contrast)
                for side in sides
            ]
            slopes = any(math.isnan(side.distance) for side in sides)
            spec = effects_figure(rows, f"gain in {info.title}", None if slopes else summary.margin)
            alt = " ".join(side.sentence for side in sides)
            figures.append(Figure(f"sides-{rank}", f"{profile.title} above against below the baseline", alt, spec))
    return FigureGroup("", tuple(figures), widest=2)


def number_figures(data: StudyData, summary: StudySummary) -> tuple[FigureGroup, ...]:
    """Criteria over the number of fine classes, by data set; empty for studies that do not vary it.

    Of several data sets, agreement and the primary metric alone, which is what the choice is about.
    """
    groups = []
    for place, found in enumerate(summary.class_numbers):
        figures = []
        names = [AGREEMENT, summary.primary] if found.dataset else found.chosen.estimates
        for rank, name in enumerate(names):
            info = data.info(name)
            rows = [(each.arm, each.num_fine, each.estimates[name]) for each in found.points if each.estimates[name].n]
            if rows:
                alt = f"{info.title} at K_F = " + ", ".join(f"{size}: {number(each.mean)}" for _, size, each in rows)
                spec = number_figure(rows, found.peak.left, found.truth, info)
                ident = f"numbers-{rank}" if place == 0 else f"numbers-{place}-{rank}"
                figures.append(Figure(ident, info.title, f"{alt}.", spec))
        groups.append(FigureGroup(f"on {found.dataset}" if found.dataset else "", tuple(figures), widest=2))
    return tuple(groups)


def variance_rows(found: VarianceSummary) -> list[tuple[str, Share, bool]]:
    """Name and share of each part of the variance, the widest stream first, and whether it stands out."""
    streams = sorted(found.streams, key=lambda part: -part.share.value)
    rows = [(f"{STREAM_WORDS[part.name]} alone", part.share, part.name == found.named) for part in streams]
    return [*rows, ("runs that do not repeat", found.repeated, False), ("the rest", found.together, False)]


def variance_figures(summary: StudySummary) -> FigureGroup:
    """The shares of the variance over seeds, the widest first, and what is left."""
    found = summary.variance
    if found is None or math.isnan(found.repeated.value):
        return FigureGroup("", ())
    spec = shares_figure(variance_rows(found), "share of the variance, %")
    title = f"Variance of {summary.metrics[0].title} over seeds"
    return FigureGroup("", (Figure("variance-shares", title, found.sentence, spec),), widest=1)
