"""The plan of a study: its arms and cells, as frozen records made once by ``fgtune.config.arms.expand``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fgtune.config.arms.records import Arm, Cell, DataShape
from fgtune.config.schema.paths import value_at
from fgtune.config.schema.study import Study
from fgtune.config.schema.trial import TrialConfig

if TYPE_CHECKING:
    from fgtune.config.arms.arm_search import ArmSearch
    from fgtune.config.arms.search import SearchPlan


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
