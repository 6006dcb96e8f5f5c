"""Opening a study: file, arms, metrics and data are checked together before anything starts; and what a call needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fgtune.config.arms.designs import draft_arms
from fgtune.config.arms.draft_arms import Drafts
from fgtune.config.arms.expand import expand
from fgtune.config.arms.plan import Plan
from fgtune.config.arms.plan_checks import check_measured, check_metrics
from fgtune.config.arms.records import Cell, DataShape
from fgtune.config.reading.load import LoadedStudy, load_study, with_enough_samples
from fgtune.config.schema.base import data_key
from fgtune.config.schema.data import DataConfig
from fgtune.config.schema.designs import Design
from fgtune.config.schema.domains import ChoiceDomain
from fgtune.config.schema.plugin import is_plugin_kind
from fgtune.engine.fitting import check_fits
from fgtune.engine.trial_kinds import TRIAL_KINDS
from fgtune.errors import ConfigError, MultiConfigError
from fgtune.plugins import resolve
from fgtune.results.folder import StudyFolder
from fgtune.results.options import RunOptions
from fgtune.results.records import CellResult

if TYPE_CHECKING:
    from fgtune.data.base import Dataset
    from fgtune.training.prepared import PreparedSplit
    from fgtune.tuning.search.suggestions import KnownTrial


@dataclass(frozen=True)
class OpenedStudy:
    """A study that can be run.

    Attributes:
        loaded: The study as read.
        plan: Its arms, and the cells planned so far.
        datasets: The data sets, by ``stable_hash`` of their configs.
        prepared: Splits and neighbours that a call has found so far, by ``preparation_key``.
    """

    loaded: LoadedStudy
    plan: Plan
    datasets: Mapping[str, Dataset]
    prepared: dict[str, PreparedSplit] = field(default_factory=dict)


@dataclass(frozen=True)
class Launch:
    """What one call starts with.

    Attributes:
        opened: The study; the plan of a search has the trials proposed so far.
        folder: The study's folder, locked.
        selected: Cells that this call may run, settled ones included; all cells of a search.
        settled: Results that are kept, by cell id, in the order in which cells ended.
        earlier: Trials of earlier studies that a search starts from.
        options: The options of the call.
        is_arm_search: Whether it is the search inside an arm of a comparison, which continues afterwards.
    """

    opened: OpenedStudy
    folder: StudyFolder
    selected: tuple[Cell, ...]
    settled: Mapping[str, CellResult]
    earlier: Sequence[KnownTrial]
    options: RunOptions
    is_arm_search: bool = False

    @property
    def pending(self) -> list[Cell]:
        """Planned cells that still have to run."""
        left = {cell.cell_id: cell for cell in self.selected if cell.cell_id not in self.settled}
        return list(left.values())  # two arms whose searches chose the same settings share their cells


def open_study(
    path: Path, overrides: Sequence[str] = (), smoke: bool = False, address: str | None = None
) -> OpenedStudy:
    """Load, expand and check a study as far as possible before the first trial; writes nothing.

    Args:
        path: The study file.
        overrides: Of the form ``dotted.path=value``.
        smoke: Shrink the study.
        address: Ray cluster that is to run it; None uses the environment's, or else this machine.

    Raises:
        ConfigError: When the file, an override, an arm, a metric or the data is wrong.
    """
    from fgtune.data.once import reading_once

    with reading_once():
        return with_enough_samples(smoke, lambda limit: open_loaded(load_study(path, overrides, smoke, limit), address))


def open_loaded(loaded: LoadedStudy, address: str | None = None) -> OpenedStudy:
    """Expand and check a study that has been read; see ``open_study``."""
    loaded.study.trial.check_runs_here(str(loaded.path))
    made = _check_names(loaded)
    for search in made.arm_searches:
        with search.relocated_errors():
            _check_names(search.loaded)
    datasets: dict[str, Dataset] = {}

    def shape_of(config: DataConfig) -> DataShape:
        from fgtune.data.load import load_dataset
        from fgtune.data.splits import split_dataset
        from fgtune.data.views import describe

        dataset = load_dataset(config)
        split_dataset(dataset, config.split, loaded.study.seed_list[0])  # raises if a part would be empty, for any seed
        datasets[data_key(config)] = dataset
        return describe(dataset)

    plan = expand(loaded, shape_of, made)
    check_fits(loaded, made, plan, datasets, address)
    check_measured(loaded, plan)
    for each in plan.arm_searches:
        with each.search.relocated_errors():
            check_measured(each.search.loaded, each.plan)
    return OpenedStudy(loaded, plan, datasets)


def _check_names(loaded: LoadedStudy) -> Drafts:
    """The arms, after the checks that need no data: of metrics, and of parts from the user's own packages."""
    check_metrics(loaded)
    made = draft_arms(loaded)
    _check_plugins(loaded, made)
    return made


def _check_plugins(loaded: LoadedStudy, made: Drafts) -> None:
    """Import and check the parts that live in the user's own packages."""
    kind = TRIAL_KINDS[loaded.study.trial.trial_kind]
    for draft in made.arms:
        try:
            kind.check_parts(draft.config)
        except ConfigError as error:
            errors = error.errors if isinstance(error, MultiConfigError) else (error,)
            MultiConfigError.raise_all([draft.place_error(each, loaded) for each in errors])
    _check_searched_kinds(loaded, loaded.study.design)


def _check_searched_kinds(loaded: LoadedStudy, design: Design) -> None:
    """Import the plugins among the values of a search, so that none is refused once trials run."""
    for name, domain in design.domains.items():
        if not isinstance(domain, ChoiceDomain):
            continue
        path = ("design", "space", "parameters", name)
        for value in domain.values:
            kind = value.get("kind") if isinstance(value, dict) else value if name.endswith(".kind") else None
            if isinstance(kind, str) and is_plugin_kind(kind):
                try:
                    resolve(kind)
                except ConfigError as error:
                    raise loaded.located(error, path) from error
