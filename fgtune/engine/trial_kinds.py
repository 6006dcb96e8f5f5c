"""What a call does before the trials, by their kind: parts of the user's own checked, data fitted and prepared."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

from fgtune.config.arms.plan import Plan
from fgtune.config.arms.records import Cell
from fgtune.config.schema.base import data_key
from fgtune.config.schema.function import FunctionTrialConfig
from fgtune.config.schema.trial import BaseTrialConfig
from fgtune.errors import ConfigError

if TYPE_CHECKING:
    from fgtune.data.base import Dataset
    from fgtune.training.prepared import PreparedSplit


class TrialKind(ABC):
    """What a call needs from a kind of trial before any runs."""

    @abstractmethod
    def check_parts(self, config: BaseTrialConfig) -> None:
        """Import and check what lives in the user's own packages.

        Raises:
            ConfigError: With a path below ``trial``.
        """

    def check_fit(
        self, config: BaseTrialConfig, plan: Plan, datasets: Mapping[str, Dataset], *, elsewhere: bool
    ) -> None:
        """Raise unless a trial fits its data, and the machine, unless it runs elsewhere.

        Args:
            config: The trial; its numbers of classes need not be resolved.
            plan: The plan, whose data it has.
            datasets: By ``data_key``.
            elsewhere: Whether trials run on a cluster, whose machines are not known.

        Raises:
            ConfigError: With a path below ``trial``.
        """
        del config, plan, datasets, elsewhere

    def prepare(
        self, cell: Cell, datasets: Mapping[str, Dataset], known: dict[str, PreparedSplit]
    ) -> dict[str, PreparedSplit]:
        """What the cell shares with others and all workers are given, by ``preparation_key``.

        Args:
            cell: The cell.
            datasets: By ``dataset_key``.
            known: What was prepared before; gains what is new.
        """
        del cell, datasets, known
        return {}


class OwnTrainer(TrialKind):
    """fgtune's own trainer, on data that are read before."""

    def check_parts(self, config: BaseTrialConfig) -> None:
        """Data sets, backbones, terms and solvers of the user's own."""
        from fgtune.training.input_checks import check_user_parts

        check_user_parts(config.own())

    def check_fit(
        self, config: BaseTrialConfig, plan: Plan, datasets: Mapping[str, Dataset], *, elsewhere: bool
    ) -> None:
        """Augmentation, backbone and weights file fit the data, and the trial fits the machine."""
        from fgtune.training.input_checks import check_inputs, view_shape
        from fgtune.training.size_checks import check_size

        own = config.own()
        key = data_key(own.data)
        inputs, shape, classes = datasets[key].inputs, plan.shapes[key], own.classes
        sample = inputs.shape[1:]
        check_inputs(own, sample)
        num_fine = float(classes.number) if classes.number is not None else None
        if classes.num_fine_ratio is not None:
            num_fine = classes.num_fine_ratio * (shape.num_fine or 1)
        seen = (len(inputs), *view_shape(own.augmentation, sample))
        check_size(own, seen, num_fine, max(shape.num_coarse), shape.num_fine, elsewhere=elsewhere)

    def prepare(
        self, cell: Cell, datasets: Mapping[str, Dataset], known: dict[str, PreparedSplit]
    ) -> dict[str, PreparedSplit]:
        """Its split and neighbours."""
        from fgtune.training.prepared import dataset_key, preparation_key, prepare_split

        own = cell.config.own()
        key = preparation_key(own, cell.seed)
        if key not in known:
            known[key] = prepare_split(datasets[dataset_key(own)], own, cell.seed, threads=os.cpu_count() or 1)
        return {key: known[key]}


class UserFunction(TrialKind):
    """A user's own trainer, which reads its own data."""

    def check_parts(self, config: BaseTrialConfig) -> None:
        """The function."""
        from fgtune.training.functions.call import find_function

        if isinstance(config, FunctionTrialConfig):
            find_function(config.call)

    def check_fit(
        self, config: BaseTrialConfig, plan: Plan, datasets: Mapping[str, Dataset], *, elsewhere: bool
    ) -> None:
        """Where trials go on from each other's states, the function has a folder for its own."""
        from fgtune.training.functions.call import CALL, FOLDER, find_function

        del datasets, elsewhere
        if not plan.study.scheduler.forks or not isinstance(config, FunctionTrialConfig):
            return
        if not find_function(config.call).wants_folder:
            rule = f"pbt lets a trial go on from the checkpoint of another, so the function must take {FOLDER}"
            fix = "write its state there before every report(...), or use asha, hyperband, median or plateau"
            raise ConfigError(rule, path=CALL, value=config.call, fix=fix)


TRIAL_KINDS: Mapping[str, TrialKind] = {"discovery": OwnTrainer(), "function": UserFunction()}
"""By ``trial_kind`` of the config; imported runs are never started."""
