"""What papers report: numbers of one source, each of an arm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, JsonValue, ValidationInfo, field_validator, model_validator

from fgtune.config.schema.base import DECLARED, Config, Count, DottedPath, MetricName, Text
from fgtune.config.schema.paths import known_paths, suggestion
from fgtune.config.schema.trial import TrialConfig


class PublishedResult(Config):
    """One published number."""

    arm: Text | None = None
    """Name of the arm, as ``fgtune plan`` prints it. Without a name and without levels, the number is of a method that
    this study does not run: the report shows it beside the others, and ``row`` says what it is."""
    levels: dict[DottedPath, JsonValue] = Field(default_factory=dict)
    """Instead of a name: levels of the arm where they differ from the baseline's."""
    metric: MetricName
    """The metric; its unit is this one's, so 59.6 % accuracy is 0.596."""
    value: float
    sd: Annotated[float, Field(ge=0.0)] | None = None
    """Standard deviation over runs, where it is published."""
    n: Count | None = None
    """Number of runs; None takes that of the table."""
    row: str = ""
    """What the source calls this arm, where that is another name; or the method, where there is no arm."""

    @model_validator(mode="after")
    def _names_one_arm(self) -> PublishedResult:
        named = (self.arm is not None) + bool(self.levels)
        if named > 1 or (not named and not self.row):
            rule = (
                "give arm (its name) or levels (where it differs from the baseline), one of them; a number of a method"
            )
            raise ValueError(
                f"{rule} that the study does not run needs row, the name in the source, and neither of them"
            )
        return self

    @property
    def stands_alone(self) -> bool:
        """Whether it is about a method that the study does not run."""
        return self.arm is None and not self.levels


class PublishedTable(Config):
    """Numbers of one source that were obtained in the same way."""

    source: Text
    """Where they stand, e.g. "FALCON (ICML 2024), Table 2"."""
    protocol: dict[DottedPath, JsonValue] = Field(default_factory=dict)
    """Paths below ``trial`` and their values in the source, so that the report can say where this study differs."""
    n: Count | None = None
    """Number of runs behind each number, where it is published."""
    note: str = ""
    """What a reader must know in order to compare the numbers."""
    results: Annotated[tuple[PublishedResult, ...], Field(min_length=1)]

    @field_validator("protocol")
    @classmethod
    def _known_paths(cls, protocol: dict[str, JsonValue], info: ValidationInfo) -> dict[str, JsonValue]:
        if (info.context or {}).get(DECLARED):
            return protocol  # the study knows the trial's paths
        known = known_paths(TrialConfig)
        for path in protocol:
            if path not in known:
                near = suggestion(path, known) if len(path) > 1 else ""
                raise ValueError(f"{path} is not a path below trial" + (f"; {near}" if near.startswith("did") else ""))
        return protocol


def find_arm(
    result: PublishedResult, arms: Mapping[str, Mapping[str, Any]], baselines: Mapping[str, Mapping[str, Any]]
) -> str | None:
    """The arm that a published number is about.

    Args:
        result: The published number.
        arms: Levels of every arm of the plan, by its name.
        baselines: For each arm, levels of the arm that it is compared with.

    Returns:
        Its name; None where no arm, or more than one, matches, and for a number that stands alone.
    """
    if result.stands_alone:
        return None
    if result.arm is not None:
        return result.arm if result.arm in arms else None
    found = [
        name
        for name, levels in arms.items()
        if result.levels.keys() <= levels.keys() and dict(levels) == {**baselines[name], **result.levels}
    ]
    return found[0] if len(found) == 1 else None
