"""The arms of a search: the baseline, which the plan has from the start, and one for every point that is proposed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fgtune.config.arms.draft_arms import DraftArm, Drafts, levels_of
from fgtune.config.arms.records import Arm, Cell, Fork
from fgtune.config.reading.load import LoadedStudy
from fgtune.config.schema.designs import BASELINE
from fgtune.config.schema.search import SearchDesign
from fgtune.config.schema.trial import TrialConfig
from fgtune.config.spaces.space import Point, SearchSpace

FORKED = "fork"
"""Role of an arm that goes on from another cell's training."""
_ARM = re.compile(r"trial-(\d{4,})")


@dataclass(frozen=True)
class SearchPlan:
    """What a proposer has to know of a study that searches.

    Attributes:
        design: As in the study file.
        space: Checked.
    """

    design: SearchDesign
    space: SearchSpace

    @property
    def factors(self) -> tuple[str, ...]:
        """The searched paths, in the order in which they are chosen."""
        return tuple(self.space.parameters)

    def arm(self, number: int, point: Point, config: TrialConfig, role: str = "search") -> Arm:
        """The arm of the proposed point ``number``, whose config is not resolved yet; ``role`` is ``fork`` for one."""
        levels = {**levels_of(self.factors, config), **point}
        return Arm(trial_name(number), levels, config, is_baseline=False, role=role)

    def fork(self, number: int, point: Point, seed: int, origin: Fork) -> tuple[Arm, Cell]:
        """The arm and the cell of a point that goes on from another cell's training.

        Raises:
            InfeasibleError: The point is forbidden.
        """
        config = self.space.config(point)
        arm = self.arm(number, point, config, role=FORKED)
        return arm, Cell(arm.name, seed, self.space.resolve(config), arm.levels, origin)

    def point(self, levels: dict[str, object]) -> Point | None:
        """The point behind the levels of an arm; None where they lie outside the space."""
        try:
            return self.space.walk(lambda path, domain: domain.own(levels[path]))
        except LookupError:
            return None


def trial_name(number: int) -> str:
    """The arm of the proposed point ``number``: ``trial-0007``."""
    return f"trial-{number:04d}"


def trial_number(arm: str) -> int | None:
    """The number of a proposed point from the name of its arm; None for the baseline."""
    found = _ARM.fullmatch(arm)
    return None if found is None else int(found.group(1))


def search_arms(loaded: LoadedStudy, design: SearchDesign) -> Drafts:
    """The searched paths as factors, and the baseline alone: the other arms come one after the other."""
    factors = tuple(design.space.parameters)
    base = loaded.study.trial
    return Drafts(factors, [DraftArm(BASELINE, base, True, {}, levels_of(factors, base), role="baseline")])
