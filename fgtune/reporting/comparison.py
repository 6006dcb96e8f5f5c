"""Renders the page over several studies, from what ``fgtune.analysis.across`` says of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fgtune.analysis.across.comparing import Comparison
from fgtune.analysis.across.side_by_side import Effect, SameArm, SideBySide, side_by_side
from fgtune.analysis.across.words import difference_words
from fgtune.analysis.formatting import interval, number
from fgtune.analysis.inputs import StudyData
from fgtune.reporting.html import document, generator, script_json
from fgtune.reporting.page_figures import Figure
from fgtune.reporting.row_figures import forest_figure
from fgtune.reporting.theme import ArmStyle, named_styles

TEMPLATE = "comparison.html.j2"
_MOST_ROWS = 60
"""Rows of a figure; the tables have all."""


def render_comparison(comparison: Comparison, data: Sequence[StudyData]) -> bytes:
    """The page: the same folders give the same bytes.

    Args:
        comparison: The studies side by side.
        data: Their folders' content, in the same order.
    """
    found = side_by_side(comparison, data)
    styles = named_styles(
        [name for name, _, is_baseline in found.arms if not is_baseline],
        [name for name, _, is_baseline in found.arms if is_baseline],
    )
    figures = {
        "same": _forest(found, styles, "same", found.paired),
        "effects": _forest(found, styles, "effects", found.effects),
    }
    arms = [
        {"name": name, "label": label} | ({"baseline": True} if is_baseline else {"color": styles[name].color})
        for name, label, is_baseline in found.arms
    ]
    context: dict[str, Any] = {
        "found": found,
        "first": comparison.studies[0],
        "figures": figures,
        "lines": [difference_words(comparison, each, found.metric) for each in comparison.differences],
        "styles": styles,
        "titles": {
            study.primary: each.info(study.primary).title for study, each in zip(comparison.studies, data, strict=True)
        },
        "arm_list": arms if len(arms) > 2 else [],
        "arms_json": script_json(json.dumps(arms if len(arms) > 2 else [])),
        "generator": generator(),
        "ledgers": ", ".join(each.ledger_head for each in data),
        "hashes": ", ".join(str(each.provenance.get("study_hash", "")) for each in data),
    }
    return document(TEMPLATE, context, {f.key: f.spec for group in figures.values() for f in group})


def _forest(
    found: SideBySide, styles: Mapping[str, ArmStyle], key: str, rows: Sequence[SameArm | Effect]
) -> tuple[Figure, ...]:
    """Paired differences, a row an arm and study; nothing where there are none."""
    rows = [row for row in rows if row.contrast.n]
    if not rows:
        return ()
    kept = rows[:_MOST_ROWS]
    parts = []
    for row in kept:
        estimate = row.contrast.estimate
        around = interval(estimate.low, estimate.high, sign=True)
        parts.append(f"{row.label}, {row.study}: {number(estimate.mean, sign=True)} ({around})")
    against = "the first study" if key == "same" else "each study's own baseline"
    title = f"Difference to {against} in {found.metric.title}"
    left = f" The first {_MOST_ROWS} of {len(rows)} are drawn." if len(rows) > _MOST_ROWS else ""
    note = f"Large marks: means with intervals; small ones: single seeds.{left}"
    spec = forest_figure(kept, styles, found.metric, found.margin, [row.study for row in kept])
    return (Figure(f"figure-{key}", title, f"{title}. {'; '.join(parts)}", spec, note),)
