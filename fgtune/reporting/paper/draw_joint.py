"""Drawing of figures about several arms together: shares of a total, and mean ranks over data sets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fgtune.analysis.datasets.ranks import RankTest
from fgtune.analysis.parts.side_by_side import PartGain
from fgtune.analysis.variance.parts import Share
from fgtune.reporting.effect_figures import GAIN_MARKS, shares_ends
from fgtune.reporting.paper.style import ground, name_rows
from fgtune.reporting.theme import BASELINE_COLOR as GREY
from fgtune.reporting.theme import FAINT, RIGHT_COLOR


def draw_shares(figure: Any, rows: Sequence[tuple[str, Share, bool]], title: str) -> None:
    """Shares of a total in per cent as bars with intervals; those that stand out are coloured.

    Args:
        figure: The figure of Matplotlib.
        rows: Name, share, and whether it stands out.
        title: What the horizontal axis shows.
    """
    axes, drawn = figure.add_subplot(), [0.0, 100.0]
    ground(axes)
    for place, (_, share, stands_out) in enumerate(rows):
        value, low, high = 100 * share.value, 100 * share.low, 100 * share.high
        around = None if math.isnan(low) else [[value - low], [high - value]]
        color = RIGHT_COLOR if stands_out else GREY
        axes.barh([place], [value], height=0.5, color=color, alpha=0.75, xerr=around, ecolor=RIGHT_COLOR, capsize=2,
                  error_kw={"elinewidth": 0.9})  # fmt: skip
        drawn += [end for end in (value, low, high) if not math.isnan(end)]
    axes.set_xlim(shares_ends(drawn))
    name_rows(axes, [name for name, _, _ in rows])
    axes.set_xlabel(title)


def draw_gains(figure: Any, parts: Sequence[PartGain], title: str, margin: float | None) -> None:
    """What is lost without each part beside what it gains alone, row by row, with intervals.

    Args:
        figure: The figure of Matplotlib.
        parts: From top to bottom.
        title: What the horizontal axis shows.
        margin: Half the width of a shaded band around 0; None for none.
    """
    axes = figure.add_subplot()
    ground(axes, margin)
    for side, (shift, color, symbol, words) in enumerate(GAIN_MARKS):
        hollow = symbol.endswith("open")
        look = {"marker": "o" if hollow else "D", "markersize": 4.5, "color": color, "linestyle": "none"}
        look |= {"markerfacecolor": "white" if hollow else color}
        axes.plot([], [], label=words, **look)
        for place, part in enumerate(parts):
            contrast = (part.beside, part.alone)[side]
            mean, low, high = contrast.estimate.mean, contrast.estimate.low, contrast.estimate.high
            if contrast.n:
                around = None if math.isnan(low) else [[mean - low], [high - mean]]
                axes.errorbar([mean], [place + shift], xerr=around, capsize=2, elinewidth=1.0, **look)
    name_rows(axes, [part.part for part in parts])
    axes.set_xlabel(title, loc="right")
    figure.legend(loc="outside lower left", ncols=2)


def draw_ranks(figure: Any, test: RankTest) -> None:
    """Mean ranks of the arms; below them a bar for each group that the critical difference does not tell apart."""
    axes, rows = figure.add_subplot(), len(test.arms)
    axes.plot(test.ranks, range(rows), "o", color=GREY, markersize=4.5, linestyle="none")
    names = list(test.arms)
    for first, last in test.groups:
        ends = [test.ranks[first], test.ranks[last]]
        axes.plot(ends, [len(names)] * 2, color=RIGHT_COLOR, linewidth=3, solid_capstyle="butt")
        names.append("not told apart")
    axes.plot([1.0, 1.0 + test.critical], [len(names)] * 2, color=FAINT, linewidth=2, solid_capstyle="butt")
    names.append("critical difference")
    axes.set_xlim(0.8, max(rows, 1.0 + test.critical) + 0.2)
    name_rows(axes, names)
    axes.set_xlabel("mean rank, 1 is the best", loc="right")
