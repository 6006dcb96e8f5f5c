"""How metrics, factors, levels and numbers are written, in one place, so that sentences, tables and figures agree."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fgtune.catalog.book import CATALOGUE, MetricBook
from fgtune.catalog.spec import Direction
from fgtune.text import count

_FACTORS = {"classes.num_fine_ratio": "K_F/K_F*", "classes.num_fine": "K_F", "classes": "K_F"}
_COSTS = {
    "cost/seconds": ("seconds in the trainer", "wall seconds of training and evaluation"),
    "cost/solver_seconds": ("seconds in the solver", "wall seconds of all solves of the relations"),
}
DASH = "–"


@dataclass(frozen=True)
class MetricInfo:
    """What a reader has to know about a metric.

    Attributes:
        name: Name in the study file, such as ``test/ari``.
        title: Name for readers, such as ``ARI (test)``.
        short: The title without the split, such as ``ARI``.
        low: Lower end of its range, possibly -inf.
        high: Upper end of its range, possibly inf.
        direction: Which way it is better; ``none`` if that is not defined.
        oracle: Whether it reads fine labels.
        description: What it measures, as a sentence fragment; empty for a metric that is not in the catalogue.
        counts: Whether it is a share of the split's samples.
        whole: Whether each of its values is a whole number.
    """

    name: str
    title: str
    short: str
    low: float
    high: float
    direction: Direction
    oracle: bool
    description: str
    counts: bool = False
    whole: bool = False

    @property
    def limits(self) -> tuple[float, float]:
        """The ends of its range."""
        return self.low, self.high

    @property
    def reach(self) -> tuple[float, float]:
        """The smallest and the largest difference of two values, or of two means."""
        return self.low - self.high, self.high - self.low


def metric_info(name: str, book: MetricBook = CATALOGUE) -> MetricInfo:
    """Look up a metric or cost; an unknown one, from another version, has neither range nor direction.

    Args:
        name: Its name in the study.
        book: The metrics that the study knows.
    """
    spec = book.find(name)
    if spec is None and name in _COSTS:
        title, meaning = _COSTS[name]
        return MetricInfo(name, title, title, 0.0, math.inf, "minimize", oracle=False, description=meaning)
    title, words = book.title(name)
    if spec is None:
        return MetricInfo(name, title, words, -math.inf, math.inf, "none", oracle=False, description="")
    range_, kinds = (spec.low, spec.high), (spec.counts, spec.whole)
    return MetricInfo(name, title, words, *range_, spec.direction, spec.oracle, spec.description, *kinds)


def factor_name(path: str, among: Sequence[str] = ()) -> str:
    """A factor's name for axes and labels: a symbol, or the shortest suffix of its path that is unique among factors.

    A final ``kind`` is left out: ``relations.solver.kind`` is ``solver``.
    """
    if path in _FACTORS:
        return _FACTORS[path]
    parts = path.removesuffix(".kind").split(".")
    others = [other.removesuffix(".kind").split(".") for other in among if other != path]
    for length in range(1, len(parts) + 1):
        if all(other[-length:] != parts[-length:] for other in others):
            return ".".join(parts[-length:])
    return path


def level_text(level: Any) -> str:
    """A factor level as text: numbers to six digits, ``{kind: flow}`` as its kind, other structures as JSON."""
    if isinstance(level, bool) or level is None:
        return {True: "true", False: "false", None: "none"}[level]
    if isinstance(level, float) and level.is_integer() and abs(level) < 1e4:
        return f"{level:.1f}"
    if isinstance(level, int | float):
        return f"{level:.6g}"
    if isinstance(level, str):
        return level
    if isinstance(level, dict) and set(level) == {"kind"}:
        return str(level["kind"])
    return json.dumps(level, sort_keys=True)


def setting_text(level: Any) -> str:
    """A level for readers alone: what has a kind as ``mlp (hidden [128, 128], norm batch)``, all else as it is."""
    if not isinstance(level, dict) or not isinstance(level.get("kind"), str):
        return level_text(level)
    rest = ", ".join(f"{name} {setting_text(value)}" for name, value in level.items() if name != "kind")
    return f"{level['kind']} ({rest})" if rest else level["kind"]


_LARGE_SHARE = 9.995  # of which three digits leave no fraction
_ROUNDING = 1e-12
"""Values of smaller magnitude are rounding errors of 0."""


def number(value: float | None, *, sign: bool = False) -> str:
    """A number with as many digits as a reader needs: three decimals below 1, fewer above; a dash for nan."""
    if value is None or math.isnan(value):
        return DASH
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    value = 0.0 if abs(value) < _ROUNDING else value
    size = abs(value)
    decimals = 3 if size < 1 else 2 if size < 100 else 1 if size < 1000 else 0
    if 0 < size < 0.0005:
        text = f"{value:+.0e}" if sign else f"{value:.0e}"
    else:
        text = f"{value:+,.{decimals}f}" if sign and round(value, decimals) != 0 else f"{value:,.{decimals}f}"
    text = text.removeprefix("-") if float(text.replace(",", "")) == 0 else text
    return text.replace("-", "−").replace(",", "\u202f")


def interval(low: float, high: float, *, sign: bool = False) -> str:
    """An interval as ``low to high``; a dash if it is undefined."""
    if math.isnan(low) or math.isnan(high):
        return DASH
    return f"{number(low, sign=sign)} to {number(high, sign=sign)}"


def around(low: float, high: float) -> str:
    """An interval as it follows its value: `` [0.1, 0.3]``; empty if it is undefined."""
    return "" if math.isnan(low) or math.isnan(high) else f" [{number(low)}, {number(high)}]"


def p_text(p: float) -> str:
    """A p-value: three decimals, ``<0.001`` below, a dash for nan."""
    if math.isnan(p):
        return DASH
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def seeds_text(n: int, left_out: int) -> str:
    """What a number over seeds is based on: ``n = 8 seeds, 2 left out for lost cells``."""
    return f"n = {count(n, 'seed')}{f', {left_out} left out for lost cells' if left_out else ''}"


def percent(share: float) -> str:
    """A share in percent, three digits: ``95 %``, and no fractions: ``1,410 %``; a dash for nan."""
    if math.isnan(share):
        return DASH
    return f"{100 * share:,.0f} %" if abs(share) >= _LARGE_SHARE else f"{100 * share:.3g} %"


def capital(text: str) -> str:
    """The text with its first letter in upper case, unless it starts with an identifier such as ``log_loss``."""
    return text if "_" in text.partition(" ")[0] else text[:1].upper() + text[1:]


def minute_text(moment: str) -> str:
    """A recorded time as readers write it, in UTC; as it is where it is none.

    >>> minute_text("2026-01-02T03:04:05+01:00")
    '2026-01-02 at 02:04 UTC'
    """
    try:
        return datetime.fromisoformat(moment).astimezone(UTC).strftime("%Y-%m-%d at %H:%M UTC")
    except ValueError:
        return moment


def seconds_text(seconds: float) -> str:
    """A duration: microseconds to hours, two or three digits."""
    if math.isnan(seconds):
        return DASH
    if seconds < 1e-3:
        return f"{seconds * 1e6:.3g} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def plain_json(value: Any) -> Any:
    """Plain data as JSON holds them: keys are texts, tuples are lists, undefined or infinite numbers are None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(item) for item in value]
    return value
