"""The looks at a study in sentences: after which seeds were added, what that costs, and what adaptive seeds saved."""

from __future__ import annotations

from collections.abc import Sequence

from fgtune.analysis.formatting import capital, percent
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.records import Look
from fgtune.text import count, first_of, listed


def looks_text(data: StudyData, looks: Sequence[Look]) -> str:
    """What a reader must know about the looks at a study; empty where there was one, of a fixed number of seeds.

    Args:
        data: The study.
        looks: Its looks, the last one being that of the page.
    """
    if not looks:
        return ""
    adaptive = data.study.adaptive_seeds
    if adaptive is not None:
        return _adaptive_text(data, looks, adaptive.max)
    return _extended_text(data, looks) if len(looks) > 1 else ""


def after_looks(looks: Sequence[Look]) -> str:
    """``a look at n = 5``, ``looks at n = 5 and 10``: those after which seeds were added."""
    sizes = [str(look.seeds) for look in looks[:-1]]
    return f"{'looks' if len(sizes) > 1 else 'a look'} at n = {listed(sizes)}"


def saved_cells(data: StudyData) -> tuple[int, int]:
    """Cells that adaptive seeds have left out, and cells that the largest number of seeds would have taken."""
    adaptive = data.study.adaptive_seeds
    if adaptive is None:
        return 0, 0
    planned = len({cell.cell_id for cell in data.planned})
    distinct = len({cell.cell_id for cell in data.planned if cell.seed == 0})
    return distinct * adaptive.max - planned, distinct * adaptive.max


def _extended_text(data: StudyData, looks: Sequence[Look]) -> str:
    metrics, last = data.study.metrics, looks[-1]
    text = f"Seeds were added after {after_looks(looks)}."
    if metrics.alpha_kept == 0.0:
        return (
            f"{text} The first look had spent all of alpha (metrics.alpha_kept is 0): the added seeds may "
            "confirm or undo what its tests found, and find nothing new."
        )
    return (
        f"{text} All looks share alpha = {metrics.alpha:g}: this one tests a single contrast at "
        f"p <= {last.level:.2g} instead of {metrics.alpha:g}."
    )


def _adaptive_text(data: StudyData, looks: Sequence[Look], most: int) -> str:
    last, (saved, all_cells) = looks[-1], saved_cells(data)
    parts = []
    if len(looks) > 1:
        parts.append(f"Seeds were added after {after_looks(looks)} to the contrasts that were not decided.")
    parts.append(
        f"The looks were planned for at most {most} seeds and share alpha = {data.study.metrics.alpha:g}: one at "
        f"n = {last.seeds} tests a single contrast at p <= {last.level:.2g}."
    )
    if data.count().missing == 0 and (not last.open or last.seeds == most):
        of = f"of the {count(all_cells, 'cell')} that {most} seeds of every arm would take"
        share = f" ({percent(saved / all_cells)})" if saved else ""
        parts.append(f"{capital(count(saved, 'cell'))}{share} {of} {'was' if saved == 1 else 'were'} not needed.")
    if last.open and last.seeds == most:
        parts.append(f"Not decided with {most} seeds: {first_of(last.open)}.")
    return " ".join(parts)
