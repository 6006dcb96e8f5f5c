"""The arms of a comparison: named patches of the trial, on one data set or on each of several."""

from __future__ import annotations

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
            errors += [
                _data_error(loaded, position, path) for path in arm.set if data and f"{path}.".startswith("data.")
            ]
            draft, wrong = _draft(loaded, position, arm, dataset, data, factors, is_baseline=arm.name == baseline)
            errors += wrong
            drafts += [draft] if draft is not None else []
    MultiConfigError.raise_all(list({str(error): error for error in errors}.values()))
    return Drafts((DATASET, *factors) if design.datasets else factors, drafts)


def _draft(
    loaded: LoadedStudy,
    position: int,
    arm: ArmConfig,
    dataset: str,
    data: DataConfig | None,
    factors: tuple[str, ...],
    *,
    is_baseline: bool,
) -> tuple[DraftArm | None, list[ConfigError]]:
    places: dict[str, Path] = {path: ("design", "arms", position, "set", path) for path in arm.set}
    patches: list[dict[str, Any]] = [dict(arm.set)]
    if data is not None:
        places["data"] = ("design", "datasets", dataset)
        patches.insert(0, {"data": data.to_plain()})
    config, errors = arm_config(loaded, patches, places)
    if config is None:
        return None, errors
    levels = levels_of(factors, config)
    name = arm.name
    if data is not None:
        name, levels = crossed_name(arm.name, dataset), {DATASET: dataset, **levels}
    role = "baseline" if is_baseline else "comparison"
    return DraftArm(name, config, is_baseline, places, levels, role, dataset=dataset), []


def _data_error(loaded: LoadedStudy, position: int, path: str) -> ConfigError:
    at: Path = ("design", "arms", position, "set", path)
    rule = "must not change the data, which design.datasets sets for every arm"
    fix = "make it a data set of its own"
    return ConfigError(rule, where=loaded.origins.where(at), path=dotted(at), fix=fix)
