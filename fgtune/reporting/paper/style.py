"""The look of figures on paper: sizes of type, embedded fonts, and the marks that the page uses."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from fgtune.analysis.formatting import MetricInfo
from fgtune.reporting.paper.fonts import FAMILY
from fgtune.reporting.theme import BASELINE_COLOR as GREY
from fgtune.reporting.theme import FAINT, INK, ArmStyle, metric_ends
from fgtune.visible import visible

_SYMBOLS = {
    "circle": "o", "square": "s", "diamond": "D", "triangle-up": "^", "pentagon": "p", "star": "*",
    "triangle-down": "v", "hexagon": "h",
}  # fmt: skip
_DASHES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}

_SETTINGS: Mapping[str, Any] = {
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 8,
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "font.size": 7.5,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "pdf.fonttype": 42,  # TrueType, whole letters: Type 3 is refused by many publishers
    "ps.fonttype": 42,
    "savefig.dpi": 300,
    "svg.fonttype": "path",  # letters as shapes, so that a file looks alike wherever it is opened
    "svg.hashsalt": "fgtune",
    "text.color": INK,
    "text.parse_math": False,  # names of arms may hold a dollar sign
    "xtick.color": GREY,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.color": GREY,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 7,
    "ytick.major.width": 0.6,
}


def paper_style(further: Sequence[str] = ()) -> AbstractContextManager[None]:
    """The settings of Matplotlib for the block, whatever the user's own are, with further fonts for what ours lacks."""
    import matplotlib

    return matplotlib.rc_context({**matplotlib.rcParamsDefault, **_SETTINGS, "font.family": [FAMILY, *further]})


def symbol(style: ArmStyle) -> str:
    """The marker of an arm."""
    return _SYMBOLS[style.symbol]


def dash(style: ArmStyle) -> str:
    """The line of an arm."""
    return _DASHES[style.dash]


def count_ticks(axis: Any) -> None:
    """Whole numbers alone as ticks of an axis of Matplotlib."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator("auto", integer=True))


def scale_log(axis: Any) -> None:
    """Make an axis of Matplotlib logarithmic, with plain numbers: powers need the parsing that is off."""
    from matplotlib.ticker import LogLocator, NullFormatter

    getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
    low, high = axis.get_data_interval()
    axis.set_major_locator(LogLocator(subs=(1.0,) if high > 100 * low else (1.0, 2.0, 5.0)))
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_formatter(NullFormatter())


def scale_metric(axis: Any, info: MetricInfo, values: Iterable[float]) -> None:
    """Scale an axis of Matplotlib for a metric, as ``metric_axis`` scales one of the page.

    Args:
        axis: The horizontal or the vertical one of its axes.
        info: The metric.
        values: What the axis shows; those that are not finite do not count.
    """
    if ends := metric_ends(info, [value for value in values if math.isfinite(value)]):
        getattr(axis.axes, f"set_{axis.axis_name}lim")(ends)
    if info.whole:
        count_ticks(axis)


def ground(axes: Any, margin: float | None = None, line: float | None = 0.0) -> None:
    """What lies below rows of values: the band of unimportant differences, and a vertical line.

    Args:
        axes: Of Matplotlib; the horizontal axis shows the values.
        margin: Half the width of the band around 0; None for none.
        line: Where the line stands; None or nan for none.
    """
    if margin is not None:
        axes.axvspan(-margin, margin, color=FAINT, alpha=0.25, linewidth=0)
    if line is not None and math.isfinite(line):
        axes.axvline(line, color=GREY, linewidth=0.7)


def name_rows(axes: Any, names: Sequence[str]) -> None:
    """Name rows 0, 1, ... of axes of Matplotlib, from top to bottom."""
    axes.set_yticks(range(len(names)), [cut(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.6)
    axes.tick_params(axis="y", length=0)


def cut(text: str, longest: int = 34) -> str:
    """Text for a tick or a legend, without control characters: ticks get it again whenever a figure is written."""
    text = visible(text)
    return text if len(text) <= longest else text[: longest - 1] + "…"
