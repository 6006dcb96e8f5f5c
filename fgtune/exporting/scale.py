"""The form in which a user has data whose study read them prepared: what ``predict`` repeats."""

from __future__ import annotations

from dataclasses import dataclass

from fgtune.data.preparation import InputScale


@dataclass(frozen=True)
class UserForm:
    """What new samples look like where the data of a study were prepared from a user's own.

    Attributes:
        scale: What was done to his numbers; None for nothing.
        coarse_names: Names of the coarse classes, where the data of the study hold only their numbers.
    """

    scale: InputScale | None = None
    coarse_names: tuple[str, ...] | None = None
