"""Which groups of a trial's random streams follow the seed of its cell, and which are fixed."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fgtune.config.schema.base import Config
from fgtune.streams import BlockSeeds

STREAMS = ("split", "weights", "order")
"""Everything random in a trial belongs to one of these."""

StreamSeed = Annotated[int, Field(ge=0)]


class StreamsConfig(Config):
    """The seeds of a trial's random streams: null follows the seed of the cell, a number is the same in every cell.

    All arms of a study have the same, or their differences would not be paired; a design of kind ``variance`` sets
    them itself.
    """

    split: StreamSeed | None = None
    """Which samples train, validate and test, and which of these are drawn for metrics on a sample."""
    weights: StreamSeed | None = None
    """What training starts from: initial and pretrained weights, initial relations, what is found before training."""
    order: StreamSeed | None = None
    """What happens while training: order of samples, views and noise, drawn neighbours, starts of clusterings."""

    def seeds(self, seed: int) -> BlockSeeds:
        """The seeds of the streams of a cell with this seed."""
        own = {name: getattr(self, name) for name in STREAMS}
        return BlockSeeds(**{name: seed if fixed is None else fixed for name, fixed in own.items()})

    @property
    def fixed(self) -> tuple[str, ...]:
        """The streams that do not follow the seed."""
        return tuple(name for name in STREAMS if getattr(self, name) is not None)
