"""What a user's function reports, checked against the metrics that the study declares."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

from fgtune.config.schema.function import FunctionTrialConfig
from fgtune.errors import TrialError
from fgtune.text import listed

_SLACK = 1e-6
"""A value that leaves its range by no more than this, as float32 sums do, is taken for the end of the range."""
_SHOWN = 60


def checked(config: FunctionTrialConfig, reported: Mapping[Any, Any], place: str) -> dict[str, float]:
    """The reported metrics as floats, in the order of their declaration.

    Args:
        config: The trial.
        reported: Values by name.
        place: Where the function reported them, for the message.

    Raises:
        TrialError: A metric is not declared, is missing, is no number or is out of its range.
    """
    for name in reported:
        if name not in config.metrics:
            near = difflib.get_close_matches(str(name), config.metrics, n=1)
            fix = (
                f"did you mean {near[0]!r}?" if near else f"declare it there; declared are {listed([*config.metrics])}"
            )
            raise TrialError(f"{place}: reports {name!r}, which is not among trial.metrics. Fix: {fix}")
    missing = [name for name, metric in config.metrics.items() if name not in reported and not metric.final]
    if missing:
        fix = "report every metric each time, or declare it with `final: true` where only the last report has it"
        raise TrialError(f"{place}: does not report {listed(missing)}. Fix: {fix}")
    return {name: _in_range(config, name, reported[name], place) for name in config.metrics if name in reported}


def _in_range(config: FunctionTrialConfig, name: str, value: Any, place: str) -> float:
    number, metric = _number(name, value, place), config.metrics[name]
    slack = _SLACK * max(1.0, *(abs(end) for end in (metric.low, metric.high) if math.isfinite(end)), 0.0)
    if number < metric.low - slack or number > metric.high + slack:
        rule = f"reports {name} = {number:g}, outside its declared range {metric.low:g} to {metric.high:g}"
        hint = "divide per cent by 100, or mend the range in trial.metrics" if metric.high == 1 else "mend one of them"
        raise TrialError(f"{place}: {rule}. Fix: {hint}")
    return min(max(number, metric.low), metric.high) if math.isfinite(number) else number


def _number(name: str, value: Any, place: str) -> float:
    """A number of Python, NumPy, or of an array or tensor with a single element."""
    given, item, shown = value, getattr(value, "item", None), ""
    if callable(item) and not isinstance(value, Real):
        try:
            value = item()
        except (TypeError, ValueError, RuntimeError):  # several elements, or none
            shown = f"{type(value).__name__} of shape {tuple(getattr(value, 'shape', ()))}"
    if isinstance(value, Real) and not isinstance(value, bool):
        return float(value)
    shown = shown or repr(given)  # only here: every metric of every report passes by
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
    raise TrialError(f"{place}: {name} must be a number, got {shown}. Fix: report one number, a mean say")
