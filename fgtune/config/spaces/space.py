"""A search space ready for use: conditions and constraints parsed, parameters in the order of their conditions.

A point is a mapping from the paths of the active parameters to values. Every point becomes a full trial config before
anything runs, so a point that the config refuses (by a rule between settings, say) is as infeasible as one
that a constraint forbids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError

from fgtune.config.reading.merge import patch
from fgtune.config.schema.domains import Domain
from fgtune.config.schema.paths import has_path, value_at
from fgtune.config.schema.trial import BaseTrialConfig
from fgtune.config.spaces.expression import AbsentError, EvaluationError, Expression, Lookup
from fgtune.errors import ConfigError, FgtuneError

Point = dict[str, Any]
"""Values of the active parameters by dotted path."""


class InfeasibleError(FgtuneError):
    """A point that must not run.

    Attributes:
        constraint: Rank of the constraint that forbids it; None if the config itself does.
        validation: The config's own error, if it does.
    """

    def __init__(self, reason: str, constraint: int | None = None, validation: ValidationError | None = None) -> None:
        super().__init__(reason)
        self.constraint, self.validation = constraint, validation


@dataclass(frozen=True)
class SearchSpace:
    """A space over one trial.

    Attributes:
        parameters: Domains by dotted path below ``trial``, each after those that its condition names.
        conditions: When a parameter exists, for those that have a condition.
        constraints: What every point must satisfy.
        trial: The trial as the study file has it, defaults not filled in.
        base: The same, validated.
        resolve: Resolves a trial's numbers of classes against the data; raises ``ConfigError`` where it cannot.
    """

    parameters: Mapping[str, Domain]
    conditions: Mapping[str, Expression]
    constraints: tuple[Expression, ...]
    trial: Mapping[str, Any]
    base: BaseTrialConfig
    resolve: Callable[[BaseTrialConfig], BaseTrialConfig]

    @property
    def max_size(self) -> int | None:
        """An upper bound on the number of points; None where there are infinitely many."""
        size = 1
        for domain in self.parameters.values():
            if domain.size is None:
                return None
            size *= domain.size + (domain.when is not None)
        return size

    def walk(self, choose: Callable[[str, Domain], Any]) -> Point:
        """Choose a value for every parameter that exists under the values chosen before it.

        Args:
            choose: Called with path and domain, in order.

        Raises:
            EvaluationError: A condition cannot be evaluated.
        """
        chosen: Point = {}
        for path, domain in self.parameters.items():
            if self.is_active(path, chosen):
                chosen[path] = choose(path, domain)
        return chosen

    def is_active(self, path: str, chosen: Point) -> bool:
        """Whether a parameter exists under the values chosen before it."""
        condition = self.conditions.get(path)
        return condition is None or condition.holds(self._lookup(chosen), if_absent=False)

    def draw(self, rng: np.random.Generator) -> Point:
        """A random point, feasible or not."""
        return self.walk(lambda _, domain: domain.at(float(rng.random())))

    def points(self) -> Iterator[Point]:
        """Every point of a finite space, feasible or not; look at ``max_size`` first."""
        return self._extend(list(self.parameters), {})

    def config(self, point: Point) -> BaseTrialConfig:
        """The trial at a point, class numbers not resolved.

        Raises:
            InfeasibleError: The config, the data or a constraint forbids it.
        """
        plain = patch(self.trial, point, type(self.base))
        try:
            config = type(self.base).from_plain(plain)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise InfeasibleError(f"{place}: {first['msg']}", validation=error) from error
        try:
            get = self._reader(config)
        except ConfigError as error:
            raise InfeasibleError(f"{error.path}: {error.rule}") from error
        for rank, constraint in enumerate(self.constraints):
            try:
                holds = constraint.holds(get, if_absent=True)
            except EvaluationError as error:
                raise InfeasibleError(str(error), rank) from error
            if not holds:
                raise InfeasibleError(f"breaks the constraint `{constraint.text}`", rank)
        return config

    def point_of(self, plain: Mapping[str, Any]) -> Point | None:
        """The point of a trial config in plain data, or None where it lies outside the space."""
        try:
            return self.walk(lambda path, domain: _canonical(domain, plain, path))
        except LookupError:
            return None

    def _extend(self, rest: list[str], chosen: Point) -> Iterator[Point]:
        if not rest:
            yield chosen
            return
        path, *further = rest
        if not self.is_active(path, chosen):
            yield from self._extend(further, chosen)
            return
        for value in self.parameters[path].values_in_order():
            yield from self._extend(further, {**chosen, path: value})

    def _lookup(self, chosen: Point) -> Lookup:
        """Chosen values first, then the settings of the trial that follow from them."""
        settled: Lookup | None = None

        def get(name: str) -> Any:
            nonlocal settled
            if name in chosen:
                return chosen[name]
            if settled is None:
                settled = self._settled(chosen)
            return settled(name)

        return get

    def _settled(self, chosen: Point) -> Lookup:
        """The settings of the trial under the values chosen so far, which need not be valid together yet."""
        try:
            return self._reader(type(self.base).from_plain(patch(self.trial, chosen, type(self.base))))
        except (ValidationError, ConfigError):
            return _plain_reader(patch(self.base.to_plain(), chosen, type(self.base)))

    def _reader(self, config: BaseTrialConfig) -> Lookup:
        """Settings of a trial, with the number of classes resolved against the data."""
        resolved = self.resolve(config)
        readers: list[Lookup] = []  # made once something is asked for: most points of most spaces are not

        def get(name: str) -> Any:
            if not readers:
                readers.extend(_plain_reader(each.to_plain()) for each in (config, resolved))
            stated = readers[0](name)
            return readers[1](name) if stated is None else stated

        return get


def _plain_reader(plain: Mapping[str, Any]) -> Lookup:
    def get(name: str) -> Any:
        if not has_path(plain, name):
            raise AbsentError(name)
        return value_at(plain, name)

    return get


def _canonical(domain: Domain, plain: Mapping[str, Any], path: str) -> Any:
    """The value of ``plain`` at ``path``, as the domain writes it."""
    if not has_path(plain, path):
        raise LookupError(path)
    return domain.canonical(value_at(plain, path))
