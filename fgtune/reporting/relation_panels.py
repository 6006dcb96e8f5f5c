"""The figures of learned against true relations, with their words."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from fgtune.analysis.formatting import number
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.relations_data import RelationsPanel, has_relations, relations_panels
from fgtune.analysis.summary import StudySummary
from fgtune.reporting.page_figures import Figure, FigureGroup
from fgtune.reporting.row_figures import relations_figure

_MOST_ARMS = 24
"""Figures of more arms than this make a page large, and nobody looks through them."""


def drawn_relations(
    data: StudyData, summary: StudySummary, only: Collection[str] | None = None
) -> tuple[tuple[RelationsPanel, ...], int]:
    """The median seed's relations, arm by arm; of many arms those of the baseline and of those farthest from it.

    Args:
        data: The study.
        summary: With the differences to the baseline.
        only: Names of the arms among which to choose; None for all.

    Returns:
        The panels, and the number of arms that are left out because there are so many.
    """
    arms = {arm.name for arm in data.arms if (only is None or arm.name in only) and has_relations(data, arm.name)}
    drawn = farthest(arms, summary, _MOST_ARMS)
    return relations_panels(data, drawn), len(arms - drawn)


def relation_figures(
    panels: Sequence[RelationsPanel], left_out: int, *, primary: str, by_name: bool = False
) -> FigureGroup:
    """The figures of ``drawn_relations``.

    Args:
        panels: Arm by arm.
        left_out: Number of arms that have none.
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
        if max(panel.block) > 1:
            note = f"{note}; a cell on the left stands for {panel.block[0]} x {panel.block[1]} classes"
        name = panel.arm if by_name else panel.label
        title = f"{name}, source {panel.source}" if panel.num_sources > 1 else name
        alt = f"Learned relations of {name}: {note}."
        return Figure(f"relations-{rank}", title, alt, relations_figure(panel), note, arms=(panel.arm,), is_name=True)

    return FigureGroup("", tuple(made(rank, panel) for rank, panel in enumerate(panels)), left_out=left_out)


def farthest(arms: set[str], summary: StudySummary, most: int) -> set[str]:
    """All arms if they are few; else the baselines and the planned contrasts with the largest mean differences.

    Args:
        arms: Names of arms.
        summary: With the differences to the baseline; without any, all arms stay.
        most: The largest number that is few.
    """
    return arms if len(arms) <= most or not summary.contrasts else set(by_distance(arms, summary)[:most])


def by_distance(arms: Collection[str], summary: StudySummary) -> list[str]:
    """Arms in the order in which few of many are drawn: baselines, then by the size of their planned difference.

    Args:
        arms: Names of arms; those without a difference stand last, in this order.
        summary: With the differences to the baseline.
    """
    baselines = {arm.arm for arm in summary.arms if arm.is_baseline}
    sizes = {item.arm: abs(item.contrast.estimate.mean) for item in summary.contrasts if item.contrast.n}
    apart = sorted((arm for arm in arms if arm in sizes), key=lambda arm: (-sizes[arm], arm))
    first = [*(arm for arm in arms if arm in baselines), *apart]
    return list(dict.fromkeys([*first, *arms]))
