"""The figures of learned against true relations, with their words."""

from __future__ import annotations

from collections.abc import Sequence

from fgtune.analysis.formatting import number
from fgtune.analysis.relations_data import RelationsPanel
from fgtune.analysis.summary import StudySummary
from fgtune.reporting.page_figures import Figure, FigureGroup
from fgtune.reporting.row_figures import relations_figure

_MOST_ARMS = 24
"""Figures of more arms than this make a page large, and nobody looks through them."""


def relation_figures(panels: Sequence[RelationsPanel], summary: StudySummary) -> FigureGroup:
    """The median seed's relations, arm by arm; of many arms the baseline and those farthest from it.

    Args:
        panels: In the order of the plan.
        summary: With the differences to the baseline.
    """
    drawn = _farthest({panel.arm for panel in panels}, summary)
    left_out = len({panel.arm for panel in panels} - drawn)

    def made(rank: int, panel: RelationsPanel) -> Figure:
        note = f"seed {panel.seed}, primary metric {number(panel.value)}"
        if panel.has_truth:
            right, wrong, surplus, unclaimed = panel.counts
            parts = [f"{right} of {right + wrong} aligned classes under their true parent"]
            parts += [f"{n} {word}" for n, word in ((surplus, "surplus"), (unclaimed, "unclaimed")) if n]
            note = f"{note}; {', '.join(parts)}"
        title = f"{panel.label}, source {panel.source}" if panel.num_sources > 1 else panel.label
        alt = f"Learned relations of {panel.label}: {note}."
        return Figure(f"relations-{rank}", title, alt, relations_figure(panel), note, arms=(panel.arm,))

    shown = [panel for panel in panels if panel.arm in drawn]
    return FigureGroup("", tuple(made(rank, panel) for rank, panel in enumerate(shown)), left_out=left_out)


def _farthest(arms: set[str], summary: StudySummary) -> set[str]:
    """All arms if they are few; else the baselines and the planned contrasts with the largest mean differences."""
    if len(arms) <= _MOST_ARMS or not summary.contrasts:
        return arms
    sizes = {item.arm: abs(item.contrast.estimate.mean) for item in summary.contrasts if item.contrast.n}
    ranked = sorted(arms & sizes.keys(), key=lambda arm: (-sizes[arm], arm))
    baselines = {arm.arm for arm in summary.arms if arm.is_baseline}
    return (arms & baselines) | set(ranked[: _MOST_ARMS - 1])
