"""What the operators of expressions do to values, without Python's own surprises: ``true`` is not 1, texts do not add.

``fgtune.config.spaces.expression`` parses texts into functions that are built of these.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from fgtune.errors import ConfigError

Lookup = Callable[[str], Any]
"""The value of a name; raises ``AbsentError`` where the name has none."""

COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


class AbsentError(Exception):
    """A name stands for a setting that the config at hand does not have."""


class EvaluationError(ConfigError):
    """An expression has no value for the settings at hand: texts compared with numbers, a division by zero."""


def truth(value: Any, text: str) -> bool:
    """``value``, which must be true or false, of the expression ``text``."""
    if not isinstance(value, bool):
        fix = "compare it with something, e.g. `a > 0`"
        raise EvaluationError(f"must be true or false, `{text}` gives {value!r}", fix=fix)
    return value


def number(value: Any, text: str) -> Any:
    """``value``, which must be a number, of the expression ``text``."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise EvaluationError(f"calculates with {value!r}, which is no number, in `{text}`")
    return value


def binary(
    sign: str, left: Callable[[Lookup], Any], right: Callable[[Lookup], Any], text: str
) -> Callable[[Lookup], Any]:
    """An arithmetic operator applied to what ``left`` and ``right`` give."""
    operation = _ARITHMETIC[sign]

    def evaluate(get: Lookup) -> Any:
        one, two = number(left(get), text), number(right(get), text)
        if sign == "/" and two == 0:
            raise EvaluationError(f"divides by zero in `{text}`")
        try:
            return operation(one, two)
        except OverflowError as error:
            raise EvaluationError(f"calculates beyond the largest number in `{text}`") from error

    return evaluate


def compare(sign: str, left: Any, right: Any, text: str) -> bool:
    """Whether a comparison holds; only numbers have an order."""
    if sign in {"in", "not in"}:
        if not isinstance(right, list | tuple):
            raise EvaluationError(f"`in` needs a list on its right in `{text}`", fix="write `a in ['x', 'y']`")
        return any(_equal(left, item) for item in right) == (sign == "in")
    if sign in {"==", "!="}:
        return _equal(left, right) == (sign == "==")
    return bool(COMPARISONS[sign](number(left, text), number(right, text)))


def _equal(left: Any, right: Any) -> bool:
    """Equality without Python's ``True == 1``."""
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)
