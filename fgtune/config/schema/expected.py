"""What a study expects of its arms, in a form that verdicts are held against."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from fgtune.config.schema.base import Config, Text, must_differ

ExpectedVerdict = Literal["helps", "hurts", "equivalent"]


class ExpectedArm(Config):
    """The verdict that is expected of one arm."""

    arm: Text
    """Name of the arm, as ``fgtune plan`` prints it; in a comparison over several data sets, its name without the data
    set is the arm over all of them together."""
    verdict: ExpectedVerdict | Annotated[tuple[ExpectedVerdict, ...], Field(min_length=1)]
    """``helps``, ``hurts`` or ``equivalent``, against the baseline in the primary metric; or a list, any of which would
    do: ``[helps, equivalent]`` is "not worse"."""

    @field_validator("verdict")
    @classmethod
    def _differ(cls, verdict: str | tuple[str, ...]) -> str | tuple[str, ...]:
        must_differ(verdict if isinstance(verdict, tuple) else ())
        return verdict

    @property
    def verdicts(self) -> tuple[str, ...]:
        """The verdicts that would do."""
        return self.verdict if isinstance(self.verdict, tuple) else (self.verdict,)
