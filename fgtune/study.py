"""Opening a study: file, arms, metrics and data, checked together before anything is started or written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fgtune.config.base import stable_hash
from fgtune.config.data import DataConfig
from fgtune.config.expand import expand
from fgtune.config.load import LoadedStudy, load_study
from fgtune.config.plan import DataShape, Plan
from fgtune.config.source import Path as ConfigPath
from fgtune.config.source import dotted
from fgtune.errors import ConfigError, MultiConfigError
from fgtune.metrics import METRICS, spec_of

if TYPE_CHECKING:
    from fgtune.data.base import Dataset


@dataclass(frozen=True)
class OpenedStudy:
    """A study that can be run.

    Attributes:
        loaded: The file and what it was made of.
        plan: All cells.
        datasets: The data, by ``stable_hash`` of their config.
    """

    loaded: LoadedStudy
    plan: Plan
    datasets: Mapping[str, Dataset]


def open_study(path: Path, overrides: Sequence[str] = (), smoke: bool = False) -> OpenedStudy:
    """Load, expand and check a study: all that can be known before the first trial. Writes nothing.

    Args:
        path: The study file.
        overrides: ``dotted.path=value`` each.
        smoke: Shrink the study.

    Raises:
        ConfigError: When the file, an override, an arm, a metric or the data is wrong.
    """
    loaded = load_study(path, overrides, smoke)
    check_metric_names(loaded)
    datasets: dict[str, Dataset] = {}

    def shape_of(config: DataConfig) -> DataShape:
        from fgtune.data.load import load_dataset
        from fgtune.data.splits import split_dataset
        from fgtune.data.views import describe

        dataset = load_dataset(config)
        split_dataset(
            dataset, config.split, loaded.study.seed_list[0]
        )  # raises where a part would be empty, for any seed
        datasets[stable_hash(config.to_plain())] = dataset
        return describe(dataset)

    plan = expand(loaded, shape_of)
    _check_fit(plan, datasets)
    check_metric_needs(loaded, plan)
    return OpenedStudy(loaded, plan, datasets)


def _check_fit(plan: Plan, datasets: Mapping[str, Dataset]) -> None:
    """Raise unless augmentation, backbone and weights file of every arm fit its data."""
    from fgtune.training.fit import check_fit

    for arm in plan.arms:
        dataset = datasets[stable_hash(arm.config.data.to_plain())]
        check_fit(arm.config, dataset.inputs.shape[1:])


def check_metric_names(loaded: LoadedStudy) -> None:
    """Raise unless every metric that the study names is known, and the primary one has a direction."""
    errors = []
    for path, name in _named_metrics(loaded):
        where = loaded.origins.where(path)
        try:
            spec = spec_of(name)
        except ConfigError as error:
            errors.append(error.located(where, dotted(path)))
            continue
        if spec.direction == "none" and path[-1] == "primary":
            rule, fix = "has no better or worse, so no arm could win by it", "move it to metrics.also"
            errors.append(ConfigError(rule, where=where, path=dotted(path), value=name, fix=fix))
    MultiConfigError.raise_all(errors)


def check_metric_needs(loaded: LoadedStudy, plan: Plan) -> None:
    """Raise when a metric will not be measured: it reads fine labels that some data lack, or a split left out."""
    blind = any(shape.num_fine is None for shape in plan.shapes.values())
    unmeasured = any("train" not in arm.config.evaluation.splits for arm in plan.arms)
    free = ", ".join(name for name, spec in METRICS.items() if not spec.oracle)
    errors = []
    for path, name in _named_metrics(loaded):
        where, spec = loaded.origins.where(path), spec_of(name)
        if blind and spec.oracle:
            rule, fix = "reads fine labels, which the data do not have", f"choose among: {free}"
            errors.append(ConfigError(rule, where=where, path=dotted(path), value=name, fix=fix))
        elif unmeasured and name.startswith("train/") and not spec.name.startswith("loss"):
            rule, fix = "train is not among trial.evaluation.splits", "add train to trial.evaluation.splits"
            errors.append(ConfigError(rule, where=where, path=dotted(path), value=name, fix=fix))
    MultiConfigError.raise_all(errors)


def _named_metrics(loaded: LoadedStudy) -> list[tuple[ConfigPath, str]]:
    """The metrics that the study names, and where."""
    metrics = loaded.study.metrics
    also: list[tuple[ConfigPath, str]] = [(("metrics", "also", n), name) for n, name in enumerate(metrics.also)]
    return [(("metrics", "primary"), metrics.primary), *also]
