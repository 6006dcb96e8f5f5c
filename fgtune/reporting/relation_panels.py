"""The figures of learned against true relations, with their words."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from fgtune.analysis.formatting import number
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.relations_data import RelationsPanel, has_relations, relations_panels
from fgtune.analysis.summary import StudySummary
from fgtune.reporting.few_arms import by_distance, called
from fgtune.reporting.page_figures import Figure, FigureGroup
from fgtune.reporting.row_figures import relations_figure

_MOST_ARMS = 24
"""Figures of more arms than this make a page large, and nobody looks through them."""


def drawn_relations(
    data: StudyData, summary: StudySummary, only: Collection[str] | None = None
) -> tuple[tuple[RelationsPanel, ...], int, str]:
    """The median seed's relations, arm by arm; of many arms those of the baseline and of those farthest from it.

    Args:
        data: The study.
        summary: With the differences to the baseline.
        only: Names of the arms among which to choose; None for all.

    Returns:
        The panels, the number of arms that are left out because there are so many, and what the drawn ones are called.
    """
    arms = [arm.name for arm in data.arms if (only is None or arm.name in only) and has_relations(data, arm.name)]
    drawn = by_distance(arms, summary)[:_MOST_ARMS]
    left_out = len(arms) - len(drawn)
    return relations_panels(data, drawn), left_out, called(drawn, summary) if left_out else ""


def cell_words(panel: RelationsPanel) -> str:
    """What a cell on the left is, where it is more than a row's samples in a class; else nothing."""
    tall, wide = panel.block
    return f"a cell on the left stands for {tall} x {wide} classes" if max(panel.block) > 1 else ""


def relation_figures(
    panels: Sequence[RelationsPanel], left_out: int, which: str, *, primary: str, by_name: bool = False
) -> FigureGroup:
    """The figures of ``drawn_relations``.

    Args:
        panels: Arm by arm.
        left_out: Number of arms that have none.
        which: What the others are called.
        primary: What the primary metric is called.
        by_name: Call arms by their names in the plan, as trials are, whose labels have all their settings.
    """

    def made(rank: int, panel: RelationsPanel) -> Figure:
        note = f"seed {panel.seed}, {primary} {number(panel.value)}"
        if panel.has_truth:
            right, wrong, surplus, unclaimed = panel.counts
            parts = [f"{right} of {right + wrong} aligned classes under their true parent"]
            parts += [f"{n} {word}" for n, word in ((surplus, "surplus"), (unclaimed, "unclaimed")) if n]
            note = f"{note}; {', '.join(parts)}"
        note = "; ".join(filter(None, (note, cell_words(panel))))
        name = panel.arm if by_name else panel.label
        title = f"{name}, source {panel.source}" if panel.num_sources > 1 else name
        alt = f"Learned relations of {name}: {note}."
        return Figure(f"relations-{rank}", title, alt, relations_figure(panel), note, arms=(panel.arm,), is_name=True)

    return FigureGroup(
        "", tuple(made(rank, panel) for rank, panel in enumerate(panels)), left_out=left_out, which=which
    )
