"""The plan of a study: its arms and cells, as frozen records made once by ``fgtune.config.expand``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from fgtune.config.base import stable_hash
from fgtune.config.paths import value_at
from fgtune.config.study import Study
from fgtune.config.trial import TrialConfig

if TYPE_CHECKING:
    from fgtune.config.arm_search import ArmSearch
    from fgtune.config.search_arms import SearchPlan


@dataclass(frozen=True)
class DataShape:
    """What a plan has to know of a data set.

    Attributes:
        num_coarse: K_C of each source.
        num_fine: True number of fine classes K_F*, or None where the data brings no fine labels.
        fingerprint: Digest of the data's content.
        num_values: Columns of continuous fine targets, or None without any.
        num_samples: Samples of all parts together; None where nobody has counted.
    """

    num_coarse: tuple[int, ...]
    num_fine: int | None
    fingerprint: str
    num_values: int | None = None
    num_samples: int | None = None


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
        role: How the design came to this arm: ``baseline``, ``comparison``, ``one_at_a_time``, ``grid``, ``random``,
            ``sobol``, ``search``, ``fork`` (of a population), or the scheme of an ablation that named it.
        removed: Components of an ablation that are off, in the order of the file.
        dataset: Name of its data set in a comparison over several, else empty.
    """

    name: str
    levels: Mapping[str, Any]
    config: TrialConfig
    is_baseline: bool
    role: str = ""
    removed: tuple[str, ...] = ()
    dataset: str = ""


@dataclass(frozen=True)
class Fork:
    """Where a cell of population based training begins: with what another cell had learned.

    Attributes:
        donor: Id of that cell.
        epoch: After which of its epochs.
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


def cell_id_of(config: Mapping[str, Any], seed: int, fork: Fork | None = None) -> str:
    """Digest of a resolved config (plain data), a seed and, for a cell that forks off another one, where it does."""
    identity: dict[str, Any] = {"config": dict(config), "seed": seed}
    if fork is not None:
        identity["fork"] = {"donor": fork.donor, "epoch": fork.epoch}
    return stable_hash(identity)


@dataclass(frozen=True)
class Cell:
    """One arm x one seed. ``config`` is resolved: ``classes.num_fine`` is a number and ``num_fine_ratio`` is None.

    ``fork`` says which cell's training it goes on from; None for one that begins anew.
    """

    arm: str
    seed: int
    config: TrialConfig
    levels: Mapping[str, Any] = field(compare=False)
    fork: Fork | None = None

    @property
    def config_hash(self) -> str:
        """Digest of the resolved config."""
        return stable_hash(self.config.to_plain())

    @property
    def cell_id(self) -> str:
        """Digest of what was trained (config, seed, origin of a fork): the same cell has the same id in every study."""
        return cell_id_of(self.config.to_plain(), self.seed, self.fork)


@dataclass(frozen=True)
class ArmSearchPlan:
    """The search inside an arm of a comparison.

    Attributes:
        search: As a study of its own.
        plan: Of that study; its baseline is the arm with its own settings.
    """

    search: ArmSearch
    plan: Plan


@dataclass(frozen=True)
class Plan:
    """All cells of a study, block by block (all arms of one seed before the next), so that a cut study stays paired."""

    study: Study
    study_hash: str
    factors: tuple[str, ...]
    arms: tuple[Arm, ...]
    cells: tuple[Cell, ...]
    shapes: Mapping[str, DataShape]
    """Shape of each data set used, by ``stable_hash`` of its config."""
    warnings: tuple[str, ...] = ()
    """What is allowed and yet likely a mistake, one sentence each."""
    search: SearchPlan | None = None
    """What proposes the further arms of a search, of which ``arms`` and ``cells`` have the baseline alone."""
    arm_searches: tuple[ArmSearchPlan, ...] = ()
    """The searches inside arms of a comparison; ``cells`` has those of such an arm once its settings are chosen."""

    @property
    def baseline(self) -> Arm:
        """The arm that others are compared with; the first one of a comparison over several data sets."""
        return next(arm for arm in self.arms if arm.is_baseline)

    @property
    def unchosen(self) -> tuple[ArmSearchPlan, ...]:
        """The searches whose arms have no cells yet: what they choose is not known."""
        planned = {cell.arm for cell in self.cells}
        return tuple(each for each in self.arm_searches if each.search.arm not in planned)

    def with_choice(self, name: str, found: Arm, resolved: TrialConfig) -> Plan:
        """The plan with the settings that the search inside an arm has chosen.

        Args:
            name: Of the arm.
            found: The arm of the search that it chose.
            resolved: Its trial with definite class numbers.
        """
        plain = found.config.to_plain()
        chosen = next(arm for arm in self.arms if arm.name == name)
        levels = {path: value_at(plain, path) for path in chosen.levels} | dict(found.levels)
        levels |= {"dataset": chosen.dataset} if chosen.dataset else {}
        arms = tuple(replace(arm, levels=levels, config=found.config) if arm is chosen else arm for arm in self.arms)
        cells = [*self.cells, *(Cell(name, seed, resolved, levels) for seed in self.study.seed_list)]
        rank = {arm.name: place for place, arm in enumerate(arms)}
        block = {seed: place for place, seed in enumerate(self.study.seed_list)}
        cells.sort(key=lambda cell: (block[cell.seed], rank[cell.arm]))
        return replace(self, arms=arms, cells=tuple(cells))

    def baseline_of(self, arm: Arm) -> Arm:
        """The arm that ``arm`` is compared with: the baseline on its own data set."""
        return next(each for each in self.arms if each.is_baseline and each.dataset == arm.dataset)
