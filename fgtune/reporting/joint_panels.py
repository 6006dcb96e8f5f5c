"""The figures of what a study says about several arms together, with their words."""

from __future__ import annotations

from fgtune.analysis.summary import StudySummary
from fgtune.reporting.effect_figures import effects_figure
from fgtune.reporting.page_figures import Figure, FigureGroup

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
