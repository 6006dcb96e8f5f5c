"""The domains of a search space: which values a parameter may take, and on what scale they are drawn.

A domain gives the value at a share of it in [0, 1) (``at``), lists its values where they are finitely many (``size``,
``values_in_order``), and recognises its own values (``canonical``). ``fgtune.tuning`` translates it for samplers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from fgtune.config.schema.base import Config, PositiveFloat, Text, must_differ

SIGNIFICANT = 12
"""Digits that a drawn number keeps; beyond them lies rounding noise."""


def check_bounds(low: float, high: float, *, log: bool, equal: bool = False) -> None:
    """Raise ``ValueError`` unless ``low < high`` (``<=`` where ``equal``), and ``low > 0`` on a logarithmic scale."""
    if low > high or (low == high and not equal):
        turned = "; turn them round" if low > high else ""
        raise ValueError(f"low must be {'<=' if equal else '<'} high, got low {low:g} and high {high:g}{turned}")
    if log and low <= 0:
        raise ValueError(f"low must be > 0 on a logarithmic scale, got {low:g}")


def value_at_share(u: float, low: float, high: float, *, log: bool, integer: bool = False) -> float | int:
    """The value at share ``u`` in [0, 1] of a range; whole numbers share it evenly."""
    if integer:
        # Every whole number gets the numbers that round to it.
        first, last = low - 0.5, high + 0.5
        drawn = first * (last / first) ** u if log else first + u * (last - first)
        return int(min(max(round(drawn), low), high))
    if u in {0.0, 1.0}:
        return high if u else low
    value = low * (high / low) ** u if log else low + u * (high - low)
    return min(max(float(f"{value:.{SIGNIFICANT}g}"), low), high)


class _Domain(Config):
    when: Text | None = None
    """Condition under which the parameter exists: an expression in other parameters and settings."""


class ChoiceDomain(_Domain):
    """One of several values, which may be numbers, strings, booleans, lists or mappings."""

    kind: Literal["choice"] = "choice"
    values: Annotated[tuple[JsonValue, ...], Field(min_length=1)]

    @field_validator("values")
    @classmethod
    def _differ(cls, values: tuple[JsonValue, ...]) -> tuple[JsonValue, ...]:
        must_differ(json.dumps(value, sort_keys=True) for value in values)
        return values

    def at(self, u: float) -> Any:
        """The value at share ``u`` in [0, 1)."""
        return self.values[min(int(u * len(self.values)), len(self.values) - 1)]

    @property
    def size(self) -> int | None:
        """Number of values."""
        return len(self.values)

    def values_in_order(self) -> Sequence[Any]:
        """All values."""
        return self.values

    def canonical(self, value: Any) -> Any:
        """``value`` as the domain writes it (2 for 2.0; true is not 1); a mapping may have more settings.

        Raises:
            LookupError: It is not in the domain.
        """
        found = [each for each in self.values if _same(value, each)]
        found += [each for each in self.values if isinstance(each, dict) and _agrees(value, each)]
        if not found:
            raise LookupError(value)
        return max(found, key=lambda each: len(each) if isinstance(each, dict) else 0)


class _ContinuousDomain(_Domain):
    low: float
    high: float

    @property
    def size(self) -> int | None:
        """None: there are infinitely many values."""
        return None

    def values_in_order(self) -> Sequence[Any]:
        """Not possible: raises ``TypeError``."""
        raise TypeError("a continuous domain has no list of values; look at size first")

    def canonical(self, value: Any) -> float:
        """``value`` as a number within the bounds.

        Raises:
            LookupError: It is not in the domain.
        """
        if _is_number(value) and self.low <= value <= self.high:
            return float(value)
        raise LookupError(value)


class UniformDomain(_ContinuousDomain):
    """A number between two bounds, drawn uniformly."""

    kind: Literal["uniform"] = "uniform"

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        check_bounds(self.low, self.high, log=False)
        return self

    def at(self, u: float) -> float:
        """The value at share ``u`` of the range."""
        return float(value_at_share(u, self.low, self.high, log=False))


class LogUniformDomain(_ContinuousDomain):
    """A positive number between two bounds, drawn log-uniformly."""

    kind: Literal["log_uniform"] = "log_uniform"

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        check_bounds(self.low, self.high, log=True)
        return self

    def at(self, u: float) -> float:
        """The value at share ``u`` of the logarithmic range."""
        return float(value_at_share(u, self.low, self.high, log=True))


class IntDomain(_Domain):
    """A whole number between two bounds, both included."""

    kind: Literal["int"] = "int"
    low: int
    high: int
    log: bool = False
    """Draw log-uniformly instead of uniformly."""

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        check_bounds(self.low, self.high, log=self.log, equal=True)
        return self

    def at(self, u: float) -> int:
        """The value at share ``u`` of the range."""
        return int(value_at_share(u, self.low, self.high, log=self.log, integer=True))

    @property
    def size(self) -> int | None:
        """Number of values."""
        return self.high - self.low + 1

    def values_in_order(self) -> Sequence[Any]:
        """All whole numbers of the range."""
        return range(self.low, self.high + 1)

    def canonical(self, value: Any) -> int:
        """``value`` as a whole number within the bounds.

        Raises:
            LookupError: It is not in the domain.
        """
        if _is_number(value) and float(value).is_integer() and self.low <= value <= self.high:
            return int(value)
        raise LookupError(value)


class QuantizedDomain(_Domain):
    """A number of the form ``low + k * step`` between two bounds, both included."""

    kind: Literal["quantized"] = "quantized"
    low: float
    high: float
    step: PositiveFloat

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        check_bounds(self.low, self.high, log=False)
        if abs(self.steps - round(self.steps)) > 1e-6:
            nearest = self.low + max(1, round(self.steps)) * self.step
            raise ValueError(f"high must lie a whole number of steps above low; {nearest:g} does")
        return self

    @property
    def steps(self) -> float:
        """The number of steps from ``low`` to ``high``."""
        return (self.high - self.low) / self.step

    def at(self, u: float) -> float:
        """The value at share ``u`` of the values."""
        return self._value(int(value_at_share(u, 0, round(self.steps), log=False, integer=True)))

    @property
    def size(self) -> int | None:
        """Number of values."""
        return round(self.steps) + 1

    def values_in_order(self) -> Sequence[Any]:
        """All values of the range."""
        return [self._value(rank) for rank in range(round(self.steps) + 1)]

    def canonical(self, value: Any) -> float:
        """The value of the domain that equals ``value`` up to rounding noise.

        Raises:
            LookupError: It is not in the domain.
        """
        if _is_number(value):
            rank = round((float(value) - self.low) / self.step)
            if 0 <= rank <= round(self.steps) and abs(value - self._value(rank)) <= 1e-6 * self.step:
                return self._value(rank)
        raise LookupError(value)

    def _value(self, rank: int) -> float:
        # In decimal, as the numbers are written: -1.9 + 19 * 0.1 is then 0, not 2e-16.
        exact = Decimal(repr(self.low)) + rank * Decimal(repr(self.step))
        return float(f"{float(exact):.{SIGNIFICANT}g}")


Domain = ChoiceDomain | UniformDomain | LogUniformDomain | IntDomain | QuantizedDomain
DomainConfig = Annotated[Domain, Field(discriminator="kind")]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _agrees(value: Any, wanted: dict[str, Any]) -> bool:
    """Whether ``value`` is a mapping that contains ``wanted``."""
    return isinstance(value, dict) and all(key in value and _same(value[key], each) for key, each in wanted.items())


def _same(one: Any, two: Any) -> bool:
    if isinstance(one, bool) or isinstance(two, bool):
        return one is two
    return bool(one == two)
