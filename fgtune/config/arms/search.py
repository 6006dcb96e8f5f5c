"""The arms of a search: the baseline, then one per proposed point; and what population based training may change."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fgtune.config.arms.draft_arms import DraftArm, Drafts, levels_of
from fgtune.config.arms.records import Arm, Cell, Fork
from fgtune.config.reading.load import LoadedStudy
from fgtune.config.schema.augmentation import NoiseConfig
from fgtune.config.schema.designs import BASELINE
from fgtune.config.schema.objective import ORACLE_WEIGHTS, WEIGHTS
from fgtune.config.schema.search import SearchDesign
from fgtune.config.schema.trial import BaseTrialConfig
from fgtune.config.spaces.space import Point, SearchSpace
from fgtune.errors import ConfigError, MultiConfigError

FORKED = "fork"
"""Role of an arm that continues another cell's training."""
_ARM = re.compile(r"trial-(\d{4,})")


@dataclass(frozen=True)
class SearchPlan:
    """What a proposer needs to know about a study that searches.

    Attributes:
        design: The design, as in the study file.
        space: Its space, checked.
    """

    design: SearchDesign
    space: SearchSpace

    @property
    def factors(self) -> tuple[str, ...]:
        """The searched paths, in the order in which they are chosen."""
        return tuple(self.space.parameters)

    def arm(self, number: int, point: Point, config: BaseTrialConfig, role: str = "search") -> Arm:
        """The arm of the proposed point ``number``, whose config is not resolved yet."""
        levels = {**levels_of(self.factors, config), **point}
        return Arm(trial_name(number), levels, config, is_baseline=False, role=role)

    def fork(self, number: int, point: Point, seed: int, origin: Fork) -> tuple[Arm, Cell]:
        """The arm and the cell of a point that continues another cell's training.

        Raises:
            InfeasibleError: The point is forbidden.
        """
        config = self.space.config(point)
        arm = self.arm(number, point, config, role=FORKED)
        return arm, Cell(arm.name, seed, self.space.resolve(config), arm.levels, origin)

    def point(self, levels: dict[str, object]) -> Point | None:
        """The point behind the levels of an arm; None where they lie outside the space."""
        try:
            return self.space.walk(lambda path, domain: domain.canonical(levels[path]))
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
    """The searched paths as factors, and only the baseline: the other arms are proposed one by one."""
    factors = tuple(design.space.parameters)
    base = loaded.study.trial
    return Drafts(factors, [DraftArm(BASELINE, levels_of(factors, base), base, True, "baseline")])


_CHANGEABLE = re.compile(
    r"""
    objective\.(
        label_smoothing | pseudo_labels\.(temperature|hardening|soft_fraction)
        | instance\.(temperature|key_momentum) | entropic\.temperature
    )
    | optimizer\.(lr|momentum|weight_decay)
    | relations\.(balance|balance_after_soft|every_steps|solver(\..+)?)
    | augmentation\.(flip_p|jitter_p|gray_p|blur_p|padding)
    """,
    re.VERBOSE,
)


def is_changeable(path: str, noise: bool) -> bool:
    """Whether a setting of the trial can change during training.

    Args:
        path: Dotted path below ``trial``.
        noise: Whether the augmentation is noise, whose ``std`` is its strength; that of images is their scale.
    """
    if path.removeprefix("objective.") in {*WEIGHTS} - {*ORACLE_WEIGHTS}:
        return True
    return _CHANGEABLE.fullmatch(path) is not None or (noise and path == "augmentation.std")


def check_population(loaded: LoadedStudy, design: SearchDesign) -> None:
    """Raise unless the search can be run by population based training.

    Raises:
        ConfigError: It has several seeds, or a parameter that is fixed once training has started;
            ``MultiConfigError`` when several things are wrong.
    """
    study, errors = loaded.study, list[ConfigError]()
    own = study.trial.discovery
    if len(study.seed_list) != 1:
        rule = "must be one seed for pbt, whose replacements would make another arm of a trial on each"
        fix = "say `seeds: 1`, and compare the best arms on more seeds later"
        errors.append(loaded.error(("seeds",), rule, fix, value=len(study.seed_list)))
    known = study.trial.paths()
    if own is None:
        fix = "search settings below config, which your function may take up during training; or use asha"
        fixed = {path for path in known if not path.startswith("config.")}
    else:
        fix = "search weights and temperatures of the objective, the optimizer's numbers, relations; or use asha"
        noise = isinstance(own.augmentation, NoiseConfig)
        fixed = {path for path in known if not is_changeable(path, noise)}
    for path in design.space.parameters:
        if path in fixed:
            rule = "is fixed once training has started, and pbt changes settings during training"
            errors.append(loaded.error(("design", "space", "parameters", path), rule, fix))
    MultiConfigError.raise_all(errors)
