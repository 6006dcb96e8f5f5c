"""The designs that a study file may state, and what the rest of the program asks of any of them.

Those that ablate and search are in ``fgtune.config.schema.ablation`` and ``search``; what a layer does with a design
is in its ``DESIGNS``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, JsonValue, model_validator

from fgtune.config.schema.base import ArmName, Config, Count, DottedPath, Levels, PartName
from fgtune.config.schema.data import DataConfig
from fgtune.config.schema.domains import DomainConfig, check_bounds
from fgtune.config.schema.tuning import ArmSearchConfig, Mode, StatedSpace

BASELINE = "baseline"
"""Name of the baseline arm of a sensitivity design and of a search."""

Planning = Literal["exploratory", "planned"]
"""Whether the study file plans a question: planned ones are named by the answer."""


class RangeConfig(Config):
    """Levels of a numeric factor given by their range, evenly spaced or drawn, on a linear or a logarithmic scale."""

    low: float
    high: float
    scale: Literal["linear", "log"] = "linear"
    integer: bool = False
    """Round every level to a whole number."""
    count: Annotated[int, Field(ge=2)] = 5
    """Number of levels of the grids; random and Sobol points lie anywhere in the range."""

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        check_bounds(self.low, self.high, log=self.scale == "log")
        return self


class Design(Config):
    """The interface of every design; the defaults here hold unless a design overrides them."""

    plans_cells: ClassVar[bool] = True
    """Whether all cells are known beforehand, so that some can be selected and further seeds added to each."""
    plans_contrasts: ClassVar[bool] = True
    """Whether arms are planned to be compared with the baseline, so that seeds can decide the study's questions."""
    varies_streams: ClassVar[bool] = False
    """Whether arms differ in what follows the seed, and so are not compared seed by seed."""
    names_arms: ClassVar[bool] = False
    """Whether the arms have names that say more to a reader than the levels that set them apart."""
    lists_runs: ClassVar[bool] = False
    """Whether the arms are those of runs that were made elsewhere."""
    varies_factors: ClassVar[bool] = True
    """Whether arms that differ from the baseline in a single factor belong together, in one figure per factor."""

    @property
    def baseline_arm(self) -> str:
        """Name of the arm that others are compared with; on the first data set, where there are several."""
        return BASELINE

    @property
    def baseline_arms(self) -> tuple[str, ...]:
        """Names of the arms that others are compared with, one per data set."""
        return (self.baseline_arm,)

    @property
    def criteria(self) -> tuple[tuple[str, Mode | None], ...]:
        """The metrics and costs that the design itself judges arms by, each with the mode that the file states."""
        return ()

    @property
    def allows_oracle(self) -> bool:
        """Whether ``criteria`` may read fine labels, or the test split."""
        return False

    @property
    def most_points(self) -> int | None:
        """How many points are proposed besides the baseline; None where cells are planned, or every point is run."""
        return None

    @property
    def proposer(self) -> str:
        """Name of the sampler that proposes points; empty where cells are planned."""
        return ""

    @property
    def samples_points(self) -> bool:
        """Whether the arms are points of a space, rather than settings planned for comparison with each other."""
        return False

    @property
    def crosses_levels(self) -> bool:
        """Whether every level of a factor is run with every level of each other one."""
        return False

    @property
    def domains(self) -> Mapping[str, DomainConfig | RangeConfig | tuple[Any, ...]]:
        """What each varied setting may be, by its dotted path, where the arms are points of a space."""
        return {}

    @property
    def arm_search(self) -> ArmSearchConfig | None:
        """How the settings of arms are searched before arms are compared; None where they are not."""
        return None

    @property
    def searched_arms(self) -> tuple[str, ...]:
        """Names in the plan of the arms whose settings are searched, data set by data set."""
        return ()

    @property
    def parts(self) -> Mapping[str, tuple[str, ...]]:
        """What an ablation removes or adds as a whole, by name: the components of each."""
        return {}

    @property
    def combined_parts(self) -> tuple[str, ...]:
        """Those of ``parts`` that schemes combine with each other."""
        return ()

    @property
    def plans_joint_effects(self) -> bool:
        """Whether the file plans what is said of several arms together; if not, it is exploratory."""
        return False

    def crossed(self) -> tuple[tuple[str, str, str], ...]:
        """Name in the plan, own name and data set of every arm that the file names, in the order of the plan."""
        return ()


class SensitivityDesign(Design):
    """Vary factors around a baseline: one at a time, in a full grid, or at points spread over their levels."""

    kind: Literal["sensitivity"] = "sensitivity"
    factors: Annotated[dict[DottedPath, Levels | RangeConfig], Field(min_length=1)]
    """Dotted paths below ``trial`` and their levels: a list, or a range."""
    baseline: dict[DottedPath, JsonValue] = Field(default_factory=dict)
    """Levels of the baseline arm where they differ from ``trial``."""
    grid: Literal["one_at_a_time", "full", "random", "sobol"] = "one_at_a_time"
    points: Count | None = None
    """Number of arms besides the baseline; for ``random`` and ``sobol`` only, which need it."""
    design_seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the points of ``random`` and ``sobol``, apart from the seeds of the study."""

    profiles: Planning = "exploratory"
    """Whether plateaus of a factor's levels, and over- against under-estimation of K_F, are planned questions, which
    the answer names; not with ``random`` and ``sobol``."""

    @model_validator(mode="after")
    def _points_where_drawn(self) -> Self:
        drawn = self.grid in {"random", "sobol"}
        if drawn and self.points is None:
            raise ValueError(f"grid {self.grid} needs points, the number of arms besides the baseline")
        if not drawn and self.points is not None:
            raise ValueError(f"points goes with grid random or sobol, not with {self.grid}")
        if drawn and self.plans_joint_effects:
            raise ValueError(f"profiles: planned needs the levels of a grid one by one, which {self.grid} does not run")
        return self

    @property
    def plans_joint_effects(self) -> bool:
        """Whether ``profiles`` are planned."""
        return self.profiles == "planned"

    @property
    def samples_points(self) -> bool:
        """Whether the arms are random or Sobol points."""
        return self.points is not None

    @property
    def crosses_levels(self) -> bool:
        """Whether the grid is full."""
        return self.grid == "full"

    @property
    def domains(self) -> Mapping[str, RangeConfig | tuple[Any, ...]]:
        """The levels of each factor, listed or as a range."""
        return self.factors


class ArmConfig(Config):
    """One named arm of a comparison: a patch of the trial."""

    name: ArmName
    set: dict[DottedPath, JsonValue] = Field(default_factory=dict)
    """Dotted paths below ``trial`` and their values in this arm."""
    space: StatedSpace | None = None
    """What the search inside this arm varies, or the file that states it; an arm without one runs as it is set."""


class ComparisonDesign(Design):
    """Compare named arms, each a patch of the trial; the first is the baseline unless another is named."""

    names_arms: ClassVar[bool] = True
    varies_factors: ClassVar[bool] = False

    kind: Literal["comparison"] = "comparison"
    arms: Annotated[tuple[ArmConfig, ...], Field(min_length=1)]
    baseline: str | None = None
    datasets: dict[PartName, DataConfig] = Field(default_factory=dict)
    """Data sets by name, each in place of ``trial.data``: every arm runs on every one of them, and is compared with
    the baseline on the same data. Empty means ``trial.data`` alone."""
    dataset_settings: dict[PartName, dict[DottedPath, JsonValue]] = Field(default_factory=dict)
    """What else a data set needs, such as a backbone: dotted paths below ``trial``, and their values in its arms."""
    search: ArmSearchConfig | None = None
    """Search the settings of every arm that has a ``space`` before arms are compared, with as many trials for each."""

    @model_validator(mode="after")
    def _names(self) -> Self:
        names = [arm.name for arm in self.arms]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"arm names must differ, {repeated} appear more than once")
        if self.baseline is not None and self.baseline not in names:
            raise ValueError(f"baseline must name an arm, one of {names}, got {self.baseline!r}")
        unknown = sorted(self.dataset_settings.keys() - self.datasets.keys())
        if unknown:
            raise ValueError(f"dataset_settings must name data sets, one of {[*self.datasets]}, got {unknown[0]!r}")
        return self

    @model_validator(mode="after")
    def _searched(self) -> Self:
        searched = [arm.name for arm in self.arms if arm.space is not None]
        if searched and self.search is None:
            raise ValueError(f"arm {searched[0]!r} has a space; say with `search:` how it is searched")
        if self.search is not None and not searched:
            raise ValueError("search needs an arm with a space, and no arm has one")
        return self

    @property
    def arm_search(self) -> ArmSearchConfig | None:
        """How the settings of every arm that has a space are searched."""
        return self.search

    @property
    def searched_arms(self) -> tuple[str, ...]:
        """Names in the plan of the arms that have a space, data set by data set."""
        has_space = {arm.name for arm in self.arms if arm.space is not None}
        return tuple(name for name, arm, _ in self.crossed() if arm in has_space)

    def crossed(self) -> tuple[tuple[str, str, str], ...]:
        """Name in the plan, own name and data set of every arm: data set by data set, the baseline first on each."""
        order = sorted((arm.name for arm in self.arms), key=lambda name: name != self._baseline)
        if not self.datasets:
            return tuple((name, name, "") for name in order)
        return tuple((crossed_name(name, dataset), name, dataset) for dataset in self.datasets for name in order)

    @property
    def _baseline(self) -> str:
        return self.baseline or self.arms[0].name

    @property
    def baseline_arm(self) -> str:
        """The baseline on the first data set."""
        return self.baseline_arms[0]

    @property
    def baseline_arms(self) -> tuple[str, ...]:
        """The baseline on each data set."""
        return tuple(crossed_name(self._baseline, each) for each in self.datasets) or (self._baseline,)


def crossed_name(arm: str, dataset: str) -> str:
    """Name of an arm on one of several data sets."""
    return f"{arm}@{dataset}"
