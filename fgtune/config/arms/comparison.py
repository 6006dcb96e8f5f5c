"""The arms of a comparison: named patches of the trial, on one data set or several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fgtune.config.arms.arm_search import arm_search
from fgtune.config.arms.draft_arms import DraftArm, Drafts, arm_config, levels_of, patched_trial
from fgtune.config.reading.load import LoadedStudy
from fgtune.config.schema.data import DataConfig
from fgtune.config.schema.designs import ArmConfig, ComparisonDesign
from fgtune.config.schema.paths import Path, overlap
from fgtune.config.schema.trial import BaseTrialConfig
from fgtune.errors import ConfigError, MultiConfigError

DATASET = "dataset"
"""The factor that names the data set of a comparison over several."""


def comparison_arms(loaded: LoadedStudy, design: ComparisonDesign) -> Drafts:
    """One arm per patch (and data set), data set by data set, the baseline first on each.

    Raises:
        ConfigError: When an arm is not a valid trial, or changes the data that the design crosses it with;
            ``MultiConfigError`` when several things are wrong.
    """
    _check_seeds(loaded, design)
    baseline = design.baseline or design.arms[0].name
    positions = {arm.name: position for position, arm in enumerate(design.arms)}
    factors = tuple(dict.fromkeys(path for arm in design.arms for path in (*arm.set, *_searched(arm))))
    drafts, searches, errors = [], [], []
    for name, arm, dataset in design.crossed():
        position = positions[arm]
        errors += _clashes(loaded, design, position, dataset)
        own = _Dataset(dataset, design.datasets.get(dataset), design.dataset_settings.get(dataset, {}))
        patches, places = _patches(design, position, own)
        config, wrong = arm_config(loaded, patches, places)
        errors += wrong
        if config is None:
            continue
        drafts.append(_draft(name, config, own, factors, places, is_baseline=arm == baseline))
        if design.arms[position].space is not None:
            try:
                searches.append(arm_search(loaded, name, position, patched_trial(loaded, patches), places))
            except ConfigError as error:
                errors.append(error)
    MultiConfigError.raise_all(list({str(error): error for error in errors}.values()))
    return Drafts((DATASET, *factors) if design.datasets else factors, drafts, arm_searches=tuple(searches))


def _check_seeds(loaded: LoadedStudy, design: ComparisonDesign) -> None:
    """Raise if the study and its searches share a seed."""
    shared = [] if design.search is None else sorted({*loaded.study.possible_seeds} & {*design.search.seed_list})
    if shared:
        free = max(*loaded.study.possible_seeds, 999) + 1
        rule = "must not be seeds of the study: settings look better than they are on the seeds that chose them"
        fix = f"give others, [{free}] say, or only a number of seeds, which are then far from the study's"
        raise loaded.error(("design", "search", "seeds"), rule, fix, value=shared[0])


def _searched(arm: ArmConfig) -> tuple[str, ...]:
    """The paths that the search inside an arm varies."""
    return () if arm.space is None else tuple(arm.space.parameters)


@dataclass(frozen=True)
class _Dataset:
    """A data set of the comparison: its name, data and further settings; empty where the trial has the only one."""

    name: str
    data: DataConfig | None
    settings: Mapping[str, Any]


def _patches(design: ComparisonDesign, position: int, own: _Dataset) -> tuple[list[dict[str, Any]], dict[str, Path]]:
    """What an arm changes in the trial on a data set, and where the file gives it."""
    arm = design.arms[position]
    places: dict[str, Path] = {path: ("design", "arms", position, "set", path) for path in arm.set}
    patches: list[dict[str, Any]] = [dict(arm.set)]
    if own.data is not None:
        places["data"] = ("design", "datasets", own.name)
        places |= {path: ("design", "dataset_settings", own.name, path) for path in own.settings}
        patches = [{"data": own.data.to_plain()}, dict(own.settings), *patches]
    return patches, places


def _draft(
    name: str,
    config: BaseTrialConfig,
    own: _Dataset,
    factors: tuple[str, ...],
    places: Mapping[str, Path],
    *,
    is_baseline: bool,
) -> DraftArm:
    levels = levels_of(factors, config)
    if own.data is not None:
        levels = {DATASET: own.name, **levels}
    role = "baseline" if is_baseline else "comparison"
    return DraftArm(name, levels, config, is_baseline, role, dataset=own.name, places=places)


def _clashes(loaded: LoadedStudy, design: ComparisonDesign, position: int, dataset: str) -> list[ConfigError]:
    """Settings that both an arm and its data set would change, and changes of the data outside ``datasets``."""
    if not dataset:
        return []
    settings = design.dataset_settings.get(dataset, {})
    at: Path = ("design", "arms", position, "set")
    errors = [
        _clash(loaded, (*at, path), "must not change the data, which design.datasets sets for every arm")
        for path in design.arms[position].set
        if overlap(path, "data")
    ]
    errors += [
        _clash(loaded, (*at, path), f"must not change {other}, which dataset_settings sets for {dataset}")
        for path in design.arms[position].set
        for other in settings
        if overlap(path, other)
    ]
    errors += [
        _clash(
            loaded,
            ("design", "arms", position, "space", "parameters", path),
            f"must not search {other}, which dataset_settings sets for {dataset}",
        )
        for path in _searched(design.arms[position])
        for other in settings
        if overlap(path, other)
    ]
    return errors + [
        _clash(loaded, ("design", "dataset_settings", dataset, path), "must not change the data")
        for path in settings
        if overlap(path, "data")
    ]


def _clash(loaded: LoadedStudy, at: Path, rule: str) -> ConfigError:
    fix = "make it a data set of its own" if "the data" in rule else "leave it to one of them"
    return loaded.error(at, rule, fix)
