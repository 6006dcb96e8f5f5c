"""What the configs of all data sets share: how samples are divided, and how many of them are used."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from fgtune.config.schema.base import Config, OpenFraction


class SplitConfig(Config):
    """How samples are divided by seed, stratified on coarse labels alone; the fractions sum to 1."""

    train: OpenFraction = 0.7
    """Share of samples that training sees."""
    val: OpenFraction = 0.1
    """Share of samples for label-free selection."""
    test: OpenFraction = 0.2
    """Share of samples that results are reported on."""
    transductive: bool = False
    """Train, validate and test on all samples alike, as FALCON does on single cells; the shares then mean nothing."""

    @model_validator(mode="after")
    def _sums_to_one(self) -> SplitConfig:
        total = self.train + self.val + self.test
        if abs(total - 1.0) > 1e-9:
            raise ValueError(f"train + val + test must be 1, they sum to {total:g}")
        return self


class BaseDataConfig(Config):
    """The fields of every kind of data."""

    split: SplitConfig = SplitConfig()
    """Ignored where the data set brings its own split."""
    limit: Annotated[int, Field(ge=10)] | None = None
    """Use at most this many samples, drawn by the data seed with coarse classes in proportion; None uses all."""
