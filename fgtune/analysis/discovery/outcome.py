"""The whole outcome of a discovery, as the page shows it and as ``discover.json`` holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fgtune.analysis.discovery.choosing import MethodChoice, NumFineChoice
from fgtune.analysis.discovery.classes import FineClass
from fgtune.analysis.formatting import plain_json

FORMAT = 1


@dataclass(frozen=True)
class Comparison:
    """How the found classes agree with fine labels that nothing else has read.

    Attributes:
        column: What holds the labels.
        accuracy: Clustering accuracy within coarse classes.
        ari: Adjusted Rand index.
        num_fine: Number of fine classes in the labels.
        samples: Samples compared.
        methods: Mean accuracy of each method of the comparison, which no choice has seen.
    """

    column: str
    accuracy: float
    ari: float
    num_fine: int
    samples: int
    methods: Mapping[str, float]


@dataclass(frozen=True)
class ColumnScale:
    """How a column of a table was prepared: (value - center) / divisor, with ``missing`` for a missing value."""

    name: str
    missing: float
    center: float
    divisor: float


@dataclass(frozen=True)
class Discovery:
    """What was found.

    Attributes:
        data: The user's file or folder.
        samples: Number of samples.
        coarse: What holds the coarse labels.
        coarse_names: Names of the coarse classes.
        coarse_sizes: Samples of each.
        unlabelled: Samples without a coarse label.
        num_fine: The chosen number of classes.
        method: The chosen method.
        classes: The classes that have samples.
        runs: Number of other runs that classes are looked for in.
        seed: Seed of the model.
        coarse_accuracy: Share of samples held out whose coarse label the model predicts; nan where it was not measured.
        mean_confidence: Mean confidence over samples.
        notes: What was done to the data.
        warnings: What to know before the classes are believed.
        given_up: What the time left no room for.
        seconds: Seconds of the calls so far.
        comparison: Against fine labels; None where none were named.
        command: The command line that continues.
        columns: How the columns of a table were prepared for the model.
    """

    data: str
    samples: int
    coarse: str
    coarse_names: tuple[str, ...]
    coarse_sizes: tuple[int, ...]
    unlabelled: int
    num_fine: NumFineChoice
    method: MethodChoice
    classes: tuple[FineClass, ...]
    runs: int
    seed: int
    coarse_accuracy: float
    mean_confidence: float
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    given_up: tuple[str, ...]
    seconds: float
    comparison: Comparison | None
    command: str
    columns: tuple[ColumnScale, ...] = ()

    def to_plain(self) -> dict[str, Any]:
        """The outcome as plain JSON data; what is not finite is null."""
        found: dict[str, Any] = plain_json({"format": FORMAT, **asdict(self)})
        for plain, each in zip(found["classes"], self.classes, strict=True):
            plain["found_again"] = each.found_again
        return found
