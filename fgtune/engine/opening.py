"""Opening a study: file, arms, metrics and data, checked together before anything is started or written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fgtune.catalog import METRICS, MetricSpec, spec_of
from fgtune.config.arms.designs import draft_arms
from fgtune.config.arms.expand import expand
from fgtune.config.arms.judged_metrics import judged_metrics, published_metrics
from fgtune.config.arms.plan import Plan
from fgtune.config.arms.records import DataShape
from fgtune.config.reading.load import LoadedStudy, load_study
from fgtune.config.schema.base import stable_hash
from fgtune.config.schema.data import DataConfig
from fgtune.config.schema.designs import Design
from fgtune.config.schema.domains import ChoiceDomain
from fgtune.config.schema.paths import Path as ConfigPath
from fgtune.config.schema.paths import dotted, value_at
from fgtune.config.schema.plugin import is_plugin_kind
from fgtune.errors import ConfigError, MultiConfigError
from fgtune.plugins import resolve
from fgtune.tuning.search.objectives import COST, check_judged_metrics

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
    return open_loaded(load_study(path, overrides, smoke))


def open_loaded(loaded: LoadedStudy) -> OpenedStudy:
    """Expand and check a study that has been read; see ``open_study``."""
    _check_names(loaded)
    for search in draft_arms(loaded).searches:
        with search.relocated_errors():
            _check_names(search.loaded)
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
    for each in plan.arm_searches:
        with each.search.relocated_errors():
            check_metric_needs(each.search.loaded, each.plan)
    return OpenedStudy(loaded, plan, datasets)


def _check_names(loaded: LoadedStudy) -> None:
    """What can be checked before any data are read: metrics, and the parts of the user's own packages."""
    check_metric_names(loaded)
    check_judged_metrics(loaded)
    _check_own_parts(loaded)


def _check_own_parts(loaded: LoadedStudy) -> None:
    """Import and check the parts that live in packages of the user's own, before any data are read."""
    from fgtune.training.input_checks import check_user_parts

    for draft in draft_arms(loaded).arms:
        try:
            check_user_parts(draft.config)
        except ConfigError as error:
            errors = error.errors if isinstance(error, MultiConfigError) else (error,)
            MultiConfigError.raise_all([draft.place_error(each, loaded) for each in errors])
    _check_searched_kinds(loaded, loaded.study.design)


def _check_searched_kinds(loaded: LoadedStudy, design: Design) -> None:
    """Import the parts among the values of a search, so that none is refused once trials run."""
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
                    raise error.located(loaded.origins.where(path), dotted(path)) from error


def _check_fit(plan: Plan, datasets: Mapping[str, Dataset]) -> None:
    """Raise unless augmentation, backbone and weights file of every arm fit its data."""
    from fgtune.training.input_checks import check_inputs

    for arm in plan.arms:
        dataset = datasets[stable_hash(arm.config.data.to_plain())]
        check_inputs(arm.config, dataset.inputs.shape[1:])


def check_metric_names(loaded: LoadedStudy) -> None:
    """Raise unless every metric that the study names is known, the primary has a direction, published values fit."""
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
    MultiConfigError.raise_all(errors or list(_published_out_of_range(loaded)))


def _published_out_of_range(loaded: LoadedStudy) -> Iterator[ConfigError]:
    """Published values that their metric cannot have: per cent, most likely."""
    for path, name in published_metrics(loaded.study).items():
        spec, place = spec_of(name), (*path[:-1], "value")
        value = loaded.study.published[int(path[1])].results[int(path[3])].value
        if not spec.low <= value <= spec.high:
            rule = f"must be in {name}'s own unit, {spec.low:g} to {spec.high:g}"
            fix = f"divide per cent by 100: {value / 100:g}" if spec.high == 1 else "check the number"
            where = loaded.origins.where(place)
            yield ConfigError(rule, where=where, path=dotted(place), value=value, fix=fix)


def check_metric_needs(loaded: LoadedStudy, plan: Plan) -> None:
    """Raise when a metric will not be measured: its fine targets, its split or its setting are missing somewhere."""
    errors = []
    for path, name in _named_metrics(loaded):
        found = _unmeasured(name, spec_of(name), plan)
        if found is not None:
            rule, fix = found
            errors.append(ConfigError(rule, where=loaded.origins.where(path), path=dotted(path), value=name, fix=fix))
    MultiConfigError.raise_all(errors)


def _unmeasured(name: str, spec: MetricSpec, plan: Plan) -> tuple[str, str] | None:
    """Why a metric will not be measured in some arm, and what to do; None when it will."""
    shapes = plan.shapes.values()
    blind = spec.reads == "fine classes" and any(shape.num_fine is None for shape in shapes)
    if blind or (spec.reads == "fine values" and any(shape.num_values is None for shape in shapes)):
        free = ", ".join(each for each, other in METRICS.items() if not other.oracle)
        kind = "fine labels" if blind else "continuous fine targets"
        return f"reads {kind}, which the data do not have", f"choose among: {free}"
    configs = [arm.config for arm in plan.arms]
    train = name.startswith("train/") and not spec.name.startswith("loss")
    if train and any("train" not in config.evaluation.splits for config in configs):
        return "train is not among trial.evaluation.splits", "add train to trial.evaluation.splits"
    if spec.name.startswith("attention_") and any(config.evaluation.attention_samples == 0 for config in configs):
        return "is not measured by default", "set trial.evaluation.attention_samples, to 32 say"
    if spec.setting is not None:
        path, entry = spec.setting
        if any(entry not in (value_at(config.to_plain(), path) or ()) for config in configs):
            return "is not measured by default", f"add {entry} to trial.{path}"
    return None


def _named_metrics(loaded: LoadedStudy) -> list[tuple[ConfigPath, str]]:
    """The metrics that the study names, and where."""
    metrics = loaded.study.metrics
    also: list[tuple[ConfigPath, str]] = [(("metrics", "also", n), name) for n, name in enumerate(metrics.also)]
    judged = [(path, name) for path, name in judged_metrics(loaded.study).items() if not name.startswith(COST)]
    published = published_metrics(loaded.study).items()
    return [(("metrics", "primary"), metrics.primary), *also, *judged, *published]
