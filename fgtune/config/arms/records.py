"""What a plan is made of, as frozen records: the shape of a data set, an arm, a cell, the origin of a fork."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from fgtune.config.schema.base import HASH_SCHEME, stable_hash
from fgtune.config.schema.study import Study
from fgtune.config.schema.trial import BaseTrialConfig


@dataclass(frozen=True)
class DataShape:
    """What a plan needs to know about a data set.

    Attributes:
        num_coarse: K_C of each source.
        num_fine: True number of fine classes K_F*, or None where the data have no fine labels.
        fingerprint: Digest of the data's content.
        num_values: Columns of continuous fine targets, or None without any.
        num_samples: Samples of all splits together; None where they were not counted.
        notes: What reading the data decided or found suspicious, one sentence each.
    """

    num_coarse: tuple[int, ...]
    num_fine: int | None
    fingerprint: str
    num_values: int | None = None
    num_samples: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Arm:
    """One configuration apart from its seed.

    Attributes:
        name: Unique in the plan; ``baseline`` for the baseline of a sensitivity design or search, ``full`` for that of
            an ablation, ``arm@dataset`` in a comparison over several data sets.
        levels: Value of every factor of the plan in this arm: by dotted path below ``trial``; by component, true where
            it is on, in an ablation; and ``dataset`` in a comparison over several.
        config: The trial config as written, before class numbers are resolved from the data.
        is_baseline: Whether other arms (on the same data set, where there are several) are compared with this one.
        role: How the design arrived at this arm: ``baseline``, ``comparison``, ``one_at_a_time``, ``grid``, ``random``,
            ``sobol``, ``search``, ``fork`` (of a population), or the scheme of an ablation that named it.
        removed: Components of an ablation that are off, in the order of the file.
        dataset: Name of its data set in a comparison over several, else empty.
    """

    name: str
    levels: Mapping[str, Any]
    config: BaseTrialConfig
    is_baseline: bool
    role: str = ""
    removed: tuple[str, ...] = ()
    dataset: str = ""


@dataclass(frozen=True)
class Fork:
    """Where a cell of population based training starts: from what another cell had learned.

    Attributes:
        donor: Id of the other cell.
        epoch: The epoch of the other cell after which this one starts.
    """

    donor: str
    epoch: int

    @property
    def text(self) -> str:
        """``DONOR@EPOCH``, as in ``plan.csv``."""
        return f"{self.donor}@{self.epoch}"

    @classmethod
    def parse(cls, text: str) -> Fork:
        """The fork that ``text`` stands for.

        Raises:
            ValueError: It is not of the form ``DONOR@EPOCH``.
        """
        donor, _, epoch = text.rpartition("@")
        return cls(donor, int(epoch))


def cell_id_of(config: Mapping[str, Any], seed: int, fork: Fork | None = None, scheme: int = HASH_SCHEME) -> str:
    """Digest of a resolved config's identity, a seed and, for a cell that forks off another one, where it does.

    Args:
        config: The part of the config that is hashed: its identity, or with scheme 1 all of it.
        seed: The seed.
        fork: Where the cell forks off.
        scheme: The hash scheme; it is hashed too, since a later scheme has other defaults.
    """
    identity: dict[str, Any] = {"config": dict(config), "seed": seed}
    if fork is not None:
        identity["fork"] = {"donor": fork.donor, "epoch": fork.epoch}
    if scheme > 1:
        identity["hash"] = scheme
    return stable_hash(identity)


def study_hash_of(study: Study, fingerprints: Iterable[str]) -> str:
    """Digest of a study's identity and of the content of its data sets."""
    return stable_hash({"study": study.identity(), "data": sorted(fingerprints), "hash": HASH_SCHEME})


@dataclass(frozen=True)
class Cell:
    """One arm x one seed. ``config`` is resolved: ``classes.num_fine`` is a number and ``num_fine_ratio`` is None.

    ``fork`` says which cell's training it continues; None for one that starts from scratch.
    """

    arm: str
    seed: int
    config: BaseTrialConfig
    levels: Mapping[str, Any] = field(compare=False)
    fork: Fork | None = None

    @property
    def config_hash(self) -> str:
        """Digest of the resolved config: of the settings that differ from their defaults."""
        return self.config.digest

    @cached_property
    def cell_id(self) -> str:
        """Digest of what was trained (config, seed, origin of a fork): the same cell has the same id in every study."""
        return cell_id_of(self.config.identity(), self.seed, self.fork)
