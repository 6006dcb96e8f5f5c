"""Which arms are drawn where there are too many for all, and what these are called."""

from __future__ import annotations

from collections.abc import Sequence

from fgtune.analysis.records import ContrastSummary
from fgtune.analysis.summary import StudySummary
from fgtune.text import listed

MOST_ROWS = 24
"""With more arms than this, their tables are folded, and figures with a row for each point of a space have so many."""


def by_distance(arms: Sequence[str], summary: StudySummary) -> list[str]:
    """Arms in the order in which few of many are drawn: baselines, then by the size of their planned difference.

    Args:
        arms: Names of arms in the order of the plan; those without a difference stand last, in this order.
        summary: With the differences to the baseline.
    """
    baselines, sizes = _baselines(summary), _sizes(summary)
    apart = sorted((arm for arm in arms if arm in sizes), key=lambda arm: (-sizes[arm], arm))
    first = [*(arm for arm in arms if arm in baselines), *apart]
    return list(dict.fromkeys([*first, *arms]))


def called(drawn: Sequence[str], summary: StudySummary, metric: str = "") -> str:
    """What the first arms of ``by_distance`` are called where they are not all.

    Args:
        drawn: Their names.
        summary: With the differences to the baseline.
        metric: Whose means differ, where that has to be said.
    """
    baselines, sizes = _baselines(summary), _sizes(summary)
    others = [arm for arm in drawn if arm not in baselines]
    first = ["the baseline"] * (len(others) < len(drawn))
    if any(arm in sizes for arm in others):
        first.append(f"those whose means{f' of {metric}' if metric else ''} are farthest from it")
        rest = "the first others of the plan"
    else:
        rest = "the first of the plan"
    parts = [*first, *[rest] * any(arm not in sizes for arm in others)]
    return listed(parts)


def drawn_contrasts(summary: StudySummary, most: int | None) -> tuple[list[ContrastSummary], str]:
    """The planned contrasts with pairs, in the order of the plan, and what is said where there are too many for all.

    Args:
        summary: With the differences to the baseline.
        most: Of more than these, those farthest from 0 are drawn; None for no limit.
    """
    paired = [item for item in summary.contrasts if item.contrast.n]
    by_size = sorted(paired, key=lambda item: -abs(item.contrast.estimate.mean))
    kept = {item.arm for item in by_size[:most]}
    drawn = [item for item in paired if item.arm in kept]
    left = f"Drawn are the {len(drawn)} of {len(paired)} that are farthest from 0" if len(drawn) < len(paired) else ""
    return drawn, left


def _baselines(summary: StudySummary) -> set[str]:
    return {arm.arm for arm in summary.arms if arm.is_baseline}


def _sizes(summary: StudySummary) -> dict[str, float]:
    """The size of every planned difference that has pairs."""
    return {item.arm: abs(item.contrast.estimate.mean) for item in summary.contrasts if item.contrast.n}
