"""The looks at a study that its folder records, each with what it could decide and what it did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from fgtune.analysis.inputs import StudyData
from fgtune.analysis.records import ContrastSummary, Look
from fgtune.analysis.verdicts.look_tests import spent_shares
from fgtune.analysis.verdicts.looks import nominal_levels, t_information


def look_records(
    data: StudyData, contrasts: Sequence[ContrastSummary], planned_at: Callable[[StudyData], Sequence[ContrastSummary]]
) -> tuple[Look, ...]:
    """Every look at the planned contrasts of a study: what it could decide, and what it did.

    Args:
        data: The study.
        contrasts: Its planned contrasts.
        planned_at: The planned contrasts of the study as it was at an earlier look.
    """
    shares, sizes = spent_shares(data), [len(look) for look in data.looks]
    if not contrasts or min(sizes) < 1:
        return ()
    levels = nominal_levels([t_information(size) for size in sizes], shares, data.study.metrics.alpha)
    last = len(sizes) - 1
    by_look = [contrasts if look == last else planned_at(data.at_look(look)) for look in range(last + 1)]
    decided: list[dict[str, ContrastSummary]] = [{}]
    decided += [{contrast.arm: contrast for contrast in found if contrast.is_decided} for found in by_look]
    return tuple(
        Look(
            seeds=size,
            spent=share,
            level=level,
            verdicts=tuple(
                (contrast.label, contrast.judgement.verdict)
                for arm, contrast in now.items()
                if arm not in before and contrast.judgement is not None
            ),
            open=tuple(contrast.label for contrast in found if not contrast.is_decided),
        )
        for size, share, level, (before, now), found in zip(
            sizes, shares, levels, pairwise(decided), by_look, strict=True
        )
    )
