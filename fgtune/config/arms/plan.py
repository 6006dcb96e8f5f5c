"""The plan of a study: its arms and cells, as frozen records, and the selection of cells to run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from fgtune.config.arms.records import Arm, Cell, DataShape
from fgtune.config.schema.paths import value_at
from fgtune.config.schema.study import Study
from fgtune.config.schema.trial import BaseTrialConfig
from fgtune.errors import ConfigError

if TYPE_CHECKING:
    from fgtune.config.arms.arm_search import ArmSearch
    from fgtune.config.arms.search import SearchPlan


@dataclass(frozen=True)
class ArmSearchPlan:
    """The search inside an arm of a comparison.

    Attributes:
        search: The search as a separate study.
        plan: The plan of that study; its baseline is the arm with its own settings.
    """

    search: ArmSearch
    plan: Plan


@dataclass(frozen=True)
class Plan:
    """The cells of a study, block by block (all arms of a seed before the next): an interrupted study stays paired.

    Adaptive seeds have the cells of the first block, and in a plan that its folder has grown those of all so far.
    """

    study: Study
    study_hash: str
    factors: tuple[str, ...]
    arms: tuple[Arm, ...]
    cells: tuple[Cell, ...]
    shapes: Mapping[str, DataShape]
    """Shape of each data set used, by ``stable_hash`` of its config."""
    warnings: tuple[str, ...] = ()
    """What is allowed but likely a mistake, one sentence each."""
    search: SearchPlan | None = None
    """What proposes the further arms of a search, of which ``arms`` and ``cells`` hold only the baseline."""
    arm_searches: tuple[ArmSearchPlan, ...] = ()
    """The searches inside arms of a comparison; ``cells`` holds those of such an arm once its settings are chosen."""

    @property
    def baseline(self) -> Arm:
        """The arm that others are compared with; the first one of a comparison over several data sets."""
        return next(arm for arm in self.arms if arm.is_baseline)

    @property
    def pending_arm_searches(self) -> tuple[ArmSearchPlan, ...]:
        """The searches whose arms have no cells yet, since their choice is not known."""
        planned = {cell.arm for cell in self.cells}
        return tuple(each for each in self.arm_searches if each.search.arm not in planned)

    def with_choice(self, name: str, found: Arm, resolved: BaseTrialConfig) -> Plan:
        """The plan with the settings that the search inside an arm has chosen.

        Args:
            name: Name of the arm.
            found: The arm of the search that was chosen.
            resolved: Its trial with resolved numbers of classes.
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

    def with_seeds(self, seeds: Mapping[str, int]) -> Plan:
        """The plan with further seeds of some arms, where seeds are adaptive.

        Args:
            seeds: Number of seeds of each arm that gets more, by its name; the arm has cells already.
        """
        have = {(cell.arm, cell.seed): cell for cell in self.cells}
        made = [
            replace(have[name, 0], seed=seed)
            for name, number in seeds.items()
            for seed in range(number)
            if (name, seed) not in have
        ]
        rank = {arm.name: place for place, arm in enumerate(self.arms)}
        cells = sorted([*self.cells, *made], key=lambda cell: (cell.seed, rank[cell.arm]))
        return replace(self, cells=tuple(cells))

    def baseline_of(self, arm: Arm) -> Arm:
        """The arm that ``arm`` is compared with: the baseline on its own data set."""
        return next(each for each in self.arms if each.is_baseline and each.dataset == arm.dataset)


OPTION = "--only"


def selected_cells(plan: Plan, conditions: Sequence[str]) -> tuple[Cell, ...]:
    """The cells that meet all conditions; every cell if there are none.

    Args:
        plan: The plan of an enumerated study.
        conditions: ``arm=falcon*``, ``seed=3``, or a factor and its level, ``classes.num_fine_ratio=1.2``. Patterns
            match whole values; of several conditions on one key, one must hold.

    Raises:
        ConfigError: A condition has no ``=``, names an unknown key, or no cell meets them; or the study searches.
    """
    if not conditions:
        return plan.cells
    if not plan.study.design.plans_cells:
        fix = "leave --only out, or narrow the space"
        raise ConfigError("needs cells that are planned beforehand, a search has none", where=OPTION, fix=fix)
    for each in plan.pending_arm_searches:
        rule = f"needs planned cells, and the search inside {each.search.arm} has chosen none yet"
        raise ConfigError(rule, where=OPTION, fix="run the study without --only first")
    wanted: dict[str, list[str]] = {}
    for condition in conditions:
        key, equals, pattern = (part.strip() for part in condition.partition("="))
        keys = ["arm", "seed", *plan.factors]
        if not equals or key not in keys:
            fix = f"KEY is one of {', '.join(keys)}"
            raise ConfigError("must be KEY=PATTERN", where=OPTION, value=condition, fix=fix)
        wanted.setdefault(key, []).append(pattern)
    cells = tuple(cell for cell in plan.cells if all(_matches(cell, key, wanted[key]) for key in wanted))
    if not cells:
        fix = f"arms are {', '.join(arm.name for arm in plan.arms[:20])}"
        raise ConfigError("selects no cell of the study", where=OPTION, value=list(conditions), fix=fix)
    return cells


def _matches(cell: Cell, key: str, patterns: Sequence[str]) -> bool:
    value: Any = {"arm": cell.arm, "seed": cell.seed}.get(key, cell.levels.get(key))
    text = value if isinstance(value, str) else json.dumps(value)
    return any(fnmatchcase(text, pattern) for pattern in patterns)
