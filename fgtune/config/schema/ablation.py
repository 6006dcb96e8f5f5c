"""The design that ablates: components of the full method, and which of them its arms have."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from fgtune.config.schema.base import RESERVED_COLUMNS, Config, DottedPath, PartName, Text
from fgtune.config.schema.designs import Design, Planning
from fgtune.config.schema.paths import overlap

FULL_METHOD = "full"
"""Name of the baseline arm of an ablation: every component on."""


class ComponentConfig(Config):
    """A part of the method that can be removed."""

    off: Annotated[dict[DottedPath, JsonValue], Field(min_length=1)]
    """Dotted paths below ``trial`` and their values without this component."""


Scheme = Literal["leave_one_out", "add_one_in", "none", "ladder", "pairwise", "factorial"]
_JOINT_SCHEMES: tuple[frozenset[Scheme], ...] = (
    frozenset({"pairwise"}),
    frozenset({"factorial"}),
    frozenset({"leave_one_out", "add_one_in", "none"}),
)
"""Schemes whose arms show what parts are worth together."""


class AblationDesign(Design):
    """Remove named components from the full method, which is ``trial`` and the baseline.

    Where a constraint forbids a combination, its largest allowed part replaces it (for ``add_one_in`` the smallest
    allowed whole that has it): with ``confidence implies coarse``, leaving out ``coarse`` leaves out ``confidence``
    too. A combination that no single other one can replace is left out, and the plan says so.
    """

    names_arms: ClassVar[bool] = True

    kind: Literal["ablation"] = "ablation"
    components: Annotated[dict[PartName, ComponentConfig], Field(min_length=1)]
    """Components by name, in the order of the ladder."""
    groups: dict[PartName, Annotated[tuple[PartName, ...], Field(min_length=2)]] = Field(default_factory=dict)
    """Components that are removed, and added, together."""
    schemes: Annotated[tuple[Scheme, ...], Field(min_length=1)] = ("leave_one_out",)
    """``leave_one_out``: all but one; ``add_one_in``: one alone; ``none``: without any; ``ladder``: the first, the
    first two, ...; ``pairwise``: all but one and all but two; ``factorial``: every combination, which are 2^n. An arm
    of several schemes runs once."""
    over: Annotated[tuple[PartName, ...], Field(min_length=1)] | None = None
    """Components and groups that the schemes combine, in order; None means all components, and for leave_one_out and
    add_one_in all groups as well."""
    constraints: tuple[Text, ...] = ()
    """What every arm must satisfy, in names of components (true where on): ``confidence implies coarse``."""
    interactions: Planning = "exploratory"
    """Whether redundancy, synergy and interactions of parts are planned questions, which the answer names; they need
    ``pairwise``, ``factorial``, or ``leave_one_out`` with ``add_one_in`` and ``none``."""

    @field_validator("components", "groups")
    @classmethod
    def _not_reserved(cls, parts: dict[str, object]) -> dict[str, object]:
        taken = sorted(RESERVED_COLUMNS & parts.keys())
        if taken:
            raise ValueError(f"{taken[0]!r} is a column of the results; give it another name")
        return parts

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        both = sorted(self.components.keys() & self.groups.keys())
        if both:
            raise ValueError(f"a group must not be named like a component, {both[0]!r} is both")
        for name, members in self.groups.items():
            _distinct_and_known(f"group {name}", members, list(self.components), "a component")
        _distinct_and_known("over", self.over or (), [*self.components, *self.groups], "a component or group")
        if len(set(self.schemes)) < len(self.schemes):
            raise ValueError("schemes must differ, one is given twice")
        if self.plans_joint_effects and not any(needed <= {*self.schemes} for needed in _JOINT_SCHEMES):
            rule = "interactions: planned needs pairwise, factorial, or leave_one_out with add_one_in and none"
            raise ValueError(f"{rule} among the schemes, which are {list(self.schemes)}")
        return self

    @model_validator(mode="after")
    def _patches_apart(self) -> Self:
        for (one, first), (two, second) in combinations(self.components.items(), 2):
            for path, value in first.off.items():
                for other, wanted in second.off.items():
                    if overlap(path, other) and not (path == other and value == wanted):
                        raise ValueError(f"components {one!r} and {two!r} both change {min(path, other, key=len)}")
        return self

    @property
    def baseline_arm(self) -> str:
        """The full method."""
        return FULL_METHOD

    @property
    def parts(self) -> Mapping[str, tuple[str, ...]]:
        """The components and groups that ``over`` names; without it all of them."""
        every = {name: (name,) for name in self.components} | self.groups
        return {name: every[name] for name in self.over or every}

    @property
    def combined_parts(self) -> tuple[str, ...]:
        """What ``over`` names; without it the components."""
        return self.over or tuple(self.components)

    @property
    def plans_joint_effects(self) -> bool:
        """Whether ``interactions`` are planned."""
        return self.interactions == "planned"


def _distinct_and_known(what: str, names: tuple[str, ...], known: list[str], kind: str) -> None:
    """Raise unless ``names`` are known and differ."""
    for name in names:
        if name not in known:
            raise ValueError(f"{what}: {name!r} is not {kind}; there are {known}")
        if names.count(name) > 1:
            raise ValueError(f"{what}: {name!r} is given twice")
