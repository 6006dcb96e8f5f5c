"""The arms of an ablation: sets of components that are on, as the schemes and constraints of the design have them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fgtune.config.arms.draft_arms import MAX_ARMS, DraftArm, Drafts, arm_config, too_many
from fgtune.config.reading.load import LoadedStudy
from fgtune.config.schema.ablation import FULL_METHOD, AblationDesign, Scheme
from fgtune.config.schema.paths import Path, suggestion
from fgtune.config.schema.trial import BaseTrialConfig
from fgtune.config.spaces.expression import Expression, parse_expression
from fgtune.errors import ConfigError, MultiConfigError

MAX_CONSTRAINED = 16
"""Most components that may go with constraints, since every combination is then examined."""

Components = frozenset[str]


@dataclass(frozen=True)
class _Variant:
    """A set of components that are on, named by the first scheme that produces it."""

    name: str
    role: Scheme
    on: Components


def ablation_arms(loaded: LoadedStudy, design: AblationDesign) -> Drafts:
    """The components as factors (true where on), and the arms: the full method, then scheme by scheme.

    Raises:
        ConfigError: When a component changes nothing, a constraint is wrong or leaves no arm, or an arm is not a valid
            trial; ``MultiConfigError`` when several things are wrong.
    """
    full = frozenset(design.components)
    base, errors = arm_config(loaded, (), {})
    MultiConfigError.raise_all(errors)
    if base is None:  # unreachable: without errors there is a config
        raise loaded.error(("trial",), "the trial is not valid")
    _check_components(loaded, design, base)
    allowed = _Allowed(loaded, design)
    drafts = [DraftArm(FULL_METHOD, _levels(design, full), base, True, "baseline")]
    left_out: list[str] = []
    for variant in list(_variants(loaded, design, allowed, left_out)):  # counted before any is validated
        draft, wrong = _draft(loaded, design, variant)
        errors += wrong
        drafts += [draft] if draft is not None else []
    MultiConfigError.raise_all(list({str(error): error for error in errors}.values()))
    if len(drafts) == 1:
        rule, stated = "exclude everything but the full method", list(design.constraints)
        raise loaded.error(("design", "constraints"), rule, "drop one of them", value=stated)
    return Drafts(tuple(design.components), drafts, tuple(left_out))


def _levels(design: AblationDesign, on: Components) -> dict[str, bool]:
    return {name: name in on for name in design.components}


def _draft(loaded: LoadedStudy, design: AblationDesign, variant: _Variant) -> tuple[DraftArm | None, list[ConfigError]]:
    removed = tuple(name for name in design.components if name not in variant.on)
    patches: list[Mapping[str, Any]] = [design.components[name].off for name in removed]
    places: dict[str, Path] = {
        path: ("design", "components", name, "off", path) for name in removed for path in design.components[name].off
    }
    config, errors = arm_config(loaded, patches, places)
    if config is None:
        return None, errors
    levels = _levels(design, variant.on)
    return DraftArm(variant.name, levels, config, False, variant.role, removed, places=places), []


def _check_components(loaded: LoadedStudy, design: AblationDesign, base: BaseTrialConfig) -> None:
    """Raise unless every component changes the trial; arms without it show whether its patch is valid."""
    errors = []
    for name, component in design.components.items():
        config, _ = arm_config(loaded, (component.off,), {})
        if config == base:
            rule, fix = "changes nothing: the trial has these settings already", "turn the component on in trial"
            errors.append(loaded.error(("design", "components", name), rule, fix))
    MultiConfigError.raise_all(errors)


class _Allowed:
    """Which combinations the constraints allow, and which allowed one is nearest to any other."""

    def __init__(self, loaded: LoadedStudy, design: AblationDesign) -> None:
        self._loaded, self._design = loaded, design
        self._constraints = [self._parse(rank, text) for rank, text in enumerate(design.constraints)]
        full = frozenset(design.components)
        for rank, constraint in enumerate(self._constraints):
            if not self._holds(rank, constraint, full):
                rule = "must hold for the full method, where every component is on"
                raise self._error(rank, rule, design.constraints[rank])
        if self._constraints and len(full) > MAX_CONSTRAINED:
            rule = f"go with at most {MAX_CONSTRAINED} components, there are {len(full)}"
            raise loaded.error(("design", "constraints"), rule, "merge components that go together")
        self._all = [frozenset(each) for each in _subsets(tuple(design.components))] if self._constraints else []
        self._all = [each for each in self._all if self(each)]

    def __call__(self, on: Components) -> bool:
        """Whether every constraint holds."""
        return all(self._holds(rank, each, on) for rank, each in enumerate(self._constraints))

    def within(self, on: Components) -> Components | None:
        """The largest allowed subset of ``on``; None where several are equally large."""
        return on if self(on) else self._only([each for each in self._all if each <= on], max)

    def around(self, on: Components) -> Components | None:
        """The smallest allowed set that contains ``on``; None where several are equally small."""
        return on if self(on) else self._only([each for each in self._all if each >= on], min)

    @staticmethod
    def _only(found: list[Components], best: Callable[[Iterable[int]], int]) -> Components | None:
        if not found:
            return None
        size = best(len(each) for each in found)
        nearest = [each for each in found if len(each) == size]
        return nearest[0] if len(nearest) == 1 else None

    def _parse(self, rank: int, text: str) -> Expression:
        try:
            expression = parse_expression(text)
        except ConfigError as error:
            raise self._loaded.located(error, ("design", "constraints", rank)) from error
        known = list(self._design.components)
        for name in expression.names:
            if name not in known:
                raise self._error(rank, f"{name!r} is not a component", text, suggestion(name, known, "components"))
        return expression

    def _holds(self, rank: int, constraint: Expression, on: Components) -> bool:
        try:
            return constraint.holds(lambda name: name in on, if_absent=True)
        except ConfigError as error:
            raise self._loaded.located(error, ("design", "constraints", rank)) from error

    def _error(self, rank: int, rule: str, text: str, fix: str = "") -> ConfigError:
        return self._loaded.error(("design", "constraints", rank), rule, fix, value=text)


def _variants(
    loaded: LoadedStudy, design: AblationDesign, allowed: _Allowed, left_out: list[str]
) -> Iterator[_Variant]:
    """Every combination besides the full method, once, under the name that the first scheme gives it.

    Args:
        loaded: The study.
        design: Its design.
        allowed: What the constraints allow.
        left_out: Receives a sentence for every forbidden combination that no single other one can replace.
    """
    seen = {frozenset(design.components)}
    for scheme in design.schemes:
        for name, wanted in _wanted(design, scheme):
            on = allowed.around(wanted) if scheme == "add_one_in" else allowed.within(wanted)
            if scheme == "factorial" and on != wanted:
                continue  # forbidden, and its replacement is one of the other combinations
            if on is None:
                left_out.append(f"arm {name} of {scheme} is left out: the constraints forbid it")
            elif on not in seen:
                seen.add(on)
                if len(seen) > MAX_ARMS:
                    raise _too_many(loaded, design, scheme)
                yield _Variant(name, scheme, on)


def _too_many(loaded: LoadedStudy, design: AblationDesign, scheme: Scheme) -> ConfigError:
    """The error for a scheme that has gone past ``MAX_ARMS``."""
    if scheme != "factorial":
        return too_many(loaded, f"the {scheme} scheme")
    parts = len(design.combined_parts)
    rule = f"must have at most {MAX_ARMS} arms, every combination of {parts} parts is 2^{parts} = {2**parts}"
    return loaded.error(("design", "schemes"), rule, "combine fewer parts with over, or use pairwise", value=scheme)


def _wanted(design: AblationDesign, scheme: Scheme) -> Iterator[tuple[str, Components]]:
    """The combinations of a scheme before constraints, with their names."""
    full = frozenset(design.components)
    units = {name: frozenset(members) for name, members in design.parts.items()}
    alone, combined = tuple(units), design.combined_parts
    if scheme in {"leave_one_out", "pairwise"}:
        for unit in alone if scheme == "leave_one_out" else combined:
            yield f"no_{unit}", full - units[unit]
    if scheme == "pairwise":
        for one, two in itertools.combinations(combined, 2):
            yield f"no_{one}+{two}", full - units[one] - units[two]
    if scheme == "add_one_in":
        for unit in alone:
            yield f"only_{unit}", _fixed(full, units, alone) | units[unit]
    if scheme == "none":
        yield "none", _fixed(full, units, combined)
    if scheme == "ladder":
        on = _fixed(full, units, combined)
        for unit in combined:
            on = on | units[unit]
            yield f"up_to_{unit}", on
    if scheme == "factorial":
        for off in _subsets(combined):
            removed = frozenset[str]().union(*(units[unit] for unit in off))
            yield _factorial_name(off, combined), full - removed


def _fixed(full: Components, units: Mapping[str, Components], combined: Sequence[str]) -> Components:
    """Components that the scheme does not combine; they stay on."""
    return full - frozenset[str]().union(*(units[unit] for unit in combined))


def _factorial_name(off: Sequence[str], combined: Sequence[str]) -> str:
    kept = [unit for unit in combined if unit not in off]
    if not kept:
        return "none"
    return f"no_{'+'.join(off)}" if len(off) <= len(kept) else f"only_{'+'.join(kept)}"


def _subsets(names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Every subset of the names, smallest first, each in the given order."""
    return itertools.chain.from_iterable(itertools.combinations(names, size) for size in range(len(names) + 1))
