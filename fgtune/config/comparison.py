"""The arms of a comparison: named patches of the trial, on one data set or on each of several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fgtune.config.arms import DraftArm, Drafts, arm_config, levels_of
from fgtune.config.data import DataConfig
from fgtune.config.designs import ArmConfig, ComparisonDesign, crossed_name
from fgtune.config.load import LoadedStudy
from fgtune.config.source import Path, dotted
from fgtune.errors import ConfigError, MultiConfigError

DATASET = "dataset"
"""The factor that names the data set of a comparison over several."""


def comparison_arms(loaded: LoadedStudy, design: ComparisonDesign) -> Drafts:
    """One arm a patch (and data set), data set by data set, the baseline first on each.

    Raises:
        ConfigError: When an arm is not a valid trial, or changes the data that the design crosses it with;
            ``MultiConfigError`` when several things are wrong.
    """
    baseline = design.baseline or design.arms[0].name
    order = sorted(enumerate(design.arms), key=lambda each: each[1].name != baseline)
    datasets: dict[str, DataConfig | None] = {**design.datasets} or {"": None}
    factors = tuple(dict.fromkeys(path for arm in design.arms for path in arm.set))
    drafts, errors = [], []
    for dataset, data in datasets.items():
        for position, arm in order:
            errors += _clashes(loaded, design, position, dataset)
            own = _Own(dataset, data, design.dataset_settings.get(dataset, {}))
            draft, wrong = _draft(loaded, position, arm, own, factors, is_baseline=arm.name == baseline)
            errors += wrong
            drafts += [draft] if draft is not None else []
    MultiConfigError.raise_all(list({str(error): error for error in errors}.values()))
    return Drafts((DATASET, *factors) if design.datasets else factors, drafts)


@dataclass(frozen=True)
class _Own:
    """What a data set brings: its name, the data, and further settings; nothing where the trial has the only one."""

    name: str
    data: DataConfig | None
    settings: Mapping[str, Any]


def _draft(
    loaded: LoadedStudy,
    position: int,
    arm: ArmConfig,
    own: _Own,
    factors: tuple[str, ...],
    *,
    is_baseline: bool,
) -> tuple[DraftArm | None, list[ConfigError]]:
    places: dict[str, Path] = {path: ("design", "arms", position, "set", path) for path in arm.set}
    patches: list[dict[str, Any]] = [dict(arm.set)]
    if own.data is not None:
        places["data"] = ("design", "datasets", own.name)
        places |= {path: ("design", "dataset_settings", own.name, path) for path in own.settings}
        patches = [{"data": own.data.to_plain()}, dict(own.settings), *patches]
    config, errors = arm_config(loaded, patches, places)
    if config is None:
        return None, errors
    levels = levels_of(factors, config)
    name = arm.name
    if own.data is not None:
        name, levels = crossed_name(arm.name, own.name), {DATASET: own.name, **levels}
    role = "baseline" if is_baseline else "comparison"
    return DraftArm(name, config, is_baseline, places, levels, role, dataset=own.name), []


def _clashes(loaded: LoadedStudy, design: ComparisonDesign, position: int, dataset: str) -> list[ConfigError]:
    """Settings that both an arm and its data set would change; and data changed elsewhere than among the data sets."""
    if not dataset:
        return []
    settings = design.dataset_settings.get(dataset, {})
    at: Path = ("design", "arms", position, "set")
    errors = [
        _clash(loaded, (*at, path), "must not change the data, which design.datasets sets for every arm")
        for path in design.arms[position].set
        if _overlap(path, "data")
    ]
    errors += [
        _clash(loaded, (*at, path), f"must not change {other}, which dataset_settings sets for {dataset}")
        for path in design.arms[position].set
        for other in settings
        if _overlap(path, other)
    ]
    return errors + [
        _clash(loaded, ("design", "dataset_settings", dataset, path), "must not change the data")
        for path in settings
        if _overlap(path, "data")
    ]


def _overlap(one: str, other: str) -> bool:
    """Whether one dotted path is the other or lies below it."""
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def _clash(loaded: LoadedStudy, at: Path, rule: str) -> ConfigError:
    fix = "make it a data set of its own" if "the data" in rule else "leave it to one of them"
    return ConfigError(rule, where=loaded.origins.where(at), path=dotted(at), fix=fix)
