"""Which metrics a study knows: those of the catalogue, or those that its trial declares; one place looks names up."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Literal, Protocol

from fgtune.catalog.metrics import ARM_METRICS, COST, METRICS, find_spec, spec_of
from fgtune.catalog.spec import MetricSpec
from fgtune.errors import ConfigError


class MetricBook(Protocol):
    """What any layer may ask about the metrics of a study."""

    @property
    def of_arms(self) -> Mapping[str, MetricSpec]:
        """Metrics of a whole arm, which need all its seeds, by name."""

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics that it lists, without splits."""

    def find(self, name: str) -> MetricSpec | None:
        """The entry of a metric by its name in the records (``test/ari``); None for an unknown one."""

    def spec_of(self, name: str) -> MetricSpec:
        """The entry of a metric that a study names.

        Raises:
            ConfigError: Unknown, or never measured on this split.
        """

    def title(self, name: str) -> tuple[str, str]:
        """A metric's name for readers, with and without its split."""


_SPELLED = {"ari": "ARI", "nmi": "NMI", "ged": "GED", "v": "V", "calinski": "Calinski", "harabasz": "Harabasz"}
_SPELLED |= {"num": "number of", "top1": "top-1"}
_RECALL = re.compile(r"recall_(fine|coarse)_(\d+)")


class _Catalogue:
    """The metrics of fgtune's own trainer."""

    of_arms: Mapping[str, MetricSpec] = ARM_METRICS
    names = tuple(METRICS)

    def find(self, name: str) -> MetricSpec | None:
        return ARM_METRICS.get(name) or find_spec(name.rpartition("/")[2])

    def spec_of(self, name: str) -> MetricSpec:
        return spec_of(name)

    def title(self, name: str) -> tuple[str, str]:
        split, _, base = name.rpartition("/")
        if recall := _RECALL.fullmatch(base):
            words = f"{recall[1]} recall at {recall[2]}"
        else:
            words = " ".join(_SPELLED.get(word, word) for word in base.split("_"))
        return f"{words} ({split})" if split else words, words


CATALOGUE: MetricBook = _Catalogue()
"""The metrics of fgtune's own trainer."""


class DeclaredMetrics:
    """The metrics that a trial declares, under the names that it reports them by.

    Args:
        specs: Their entries.
    """

    def __init__(self, specs: Iterable[MetricSpec]) -> None:
        self._specs = {spec.name: spec for spec in specs}
        self.of_arms: Mapping[str, MetricSpec] = {}
        self.names = tuple(self._specs)

    def find(self, name: str) -> MetricSpec | None:
        """The entry of a metric; None for one that is not declared."""
        return self._specs.get(name)

    def spec_of(self, name: str) -> MetricSpec:
        """The entry of a metric.

        Raises:
            ConfigError: It is not declared, with the nearest name that is.
        """
        spec = self._specs.get(name)
        if spec is None:
            near = difflib.get_close_matches(name, self._specs, n=1, cutoff=0.5)
            known = f"declared are: {', '.join(self._specs)}"
            fix = f"did you mean {near[0]!r}? ({known})" if near else known
            raise ConfigError("is not among trial.metrics", value=name, fix=fix)
        return spec

    def title(self, name: str) -> tuple[str, str]:
        """The name as it was declared, twice: nobody else knows what a part of it means."""
        return name, name


def natural_mode(name: str, book: MetricBook = CATALOGUE) -> Literal["maximize", "minimize"]:
    """The direction in which a metric or cost improves.

    Raises:
        ConfigError: An unknown metric, or one without a direction.
    """
    if name.startswith(COST):
        return "minimize"
    direction = book.spec_of(name).direction
    if direction == "none":
        rule, fix = "has no better or worse of its own", "say `mode: maximize` or `mode: minimize`"
        raise ConfigError(rule, value=name, fix=fix)
    return direction
