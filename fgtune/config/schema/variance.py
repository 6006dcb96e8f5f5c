"""The design that asks what the spread over seeds consists of: one arm for each group of random streams."""

from __future__ import annotations

from typing import ClassVar, Literal

from fgtune.config.schema.designs import Design
from fgtune.config.schema.streams import STREAMS, StreamSeed

ALL, REPEAT = "all", "repeat"
"""The arm in which everything follows the seed, which is the baseline, and the one in which nothing does."""


class VarianceDesign(Design):
    """What does the spread over seeds consist of? Arms differ in which random streams follow the seed.

    ``all``: every one, as in any other study; ``split``, ``weights``, ``order``: one alone, the others fixed;
    ``repeat``: none, so that only what machine and libraries do not repeat is left.
    """

    plans_contrasts: ClassVar[bool] = False
    varies_streams: ClassVar[bool] = True
    names_arms: ClassVar[bool] = True
    varies_factors: ClassVar[bool] = False

    kind: Literal["variance"] = "variance"
    around: StreamSeed | None = None
    """The seed that streams are fixed at; None for the study's first. What a stream moves can depend on it: run the
    study again around another seed to see by how much."""

    @property
    def baseline_arm(self) -> str:
        """The arm in which everything follows the seed."""
        return ALL

    def fixed_streams(self, first: int) -> dict[str, dict[str, int | None]]:
        """By arm, the seed of each stream; None where it follows the seed of the cell.

        Args:
            first: The first seed of the study.
        """
        kept = first if self.around is None else self.around
        moving: dict[str, tuple[str, ...]] = {ALL: STREAMS, **{name: (name,) for name in STREAMS}, REPEAT: ()}
        return {arm: {name: None if name in own else kept for name in STREAMS} for arm, own in moving.items()}
