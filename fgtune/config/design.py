"""From a study's design to its arms: patches of the trial, each validated as a whole, each named."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from fgtune.config.explain import explain
from fgtune.config.load import LoadedStudy
from fgtune.config.merge import patch
from fgtune.config.paths import has_path, nearest, nearest_path, paths_in, value_at
from fgtune.config.source import Path, dotted
from fgtune.config.study import ComparisonDesign, SensitivityDesign
from fgtune.config.trial import TrialConfig
from fgtune.errors import ConfigError, MultiConfigError

BASELINE = "baseline"
"""Name of the baseline arm of a sensitivity design."""


@dataclass(frozen=True)
class DraftArm:
    """An arm before its class numbers are resolved.

    Attributes:
        name: Unique in the study.
        config: Validated.
        is_baseline: Whether other arms are compared with this one.
        places: For each dotted path that the arm patches, where the study file says so.
    """

    name: str
    config: TrialConfig
    is_baseline: bool
    places: Mapping[str, Path] = field(default_factory=dict)

    def place_error(self, error: ConfigError, loaded: LoadedStudy) -> ConfigError:
        """The error (with a path below ``trial``) told at the place that brought it about."""
        return _placed(error, self.places, loaded, blame=not self.is_baseline)


def draft_arms(loaded: LoadedStudy) -> tuple[tuple[str, ...], list[DraftArm]]:
    """The factors (dotted paths below ``trial``) and arms of a study, the baseline first.

    Raises:
        ConfigError: When a factor does not exist, levels repeat, or an arm is not a valid trial; ``MultiConfigError``
            when several things are wrong.
    """
    design = loaded.study.design
    if isinstance(design, ComparisonDesign):
        return _comparison(loaded, design)
    return _sensitivity(loaded, design)


def levels_of(factors: Sequence[str], config: TrialConfig) -> dict[str, Any]:
    """The value of every factor in ``config``; None where the config has no such setting."""
    plain = config.to_plain()
    return {factor: value_at(plain, factor) for factor in factors}


def _comparison(loaded: LoadedStudy, design: ComparisonDesign) -> tuple[tuple[str, ...], list[DraftArm]]:
    """One arm a patch."""
    baseline = design.baseline or design.arms[0].name
    drafts, errors = [], []
    for position, arm in enumerate(design.arms):
        places: dict[str, Path] = {path: ("design", "arms", position, "set", path) for path in arm.set}
        config, wrong = _arm_config(loaded, (arm.set,), places)
        errors += wrong
        if config is not None:
            drafts.append(DraftArm(arm.name, config, arm.name == baseline, places))
    MultiConfigError.raise_all(errors)
    factors = tuple(dict.fromkeys(path for arm in design.arms for path in arm.set))
    return factors, sorted(drafts, key=lambda draft: not draft.is_baseline)


def _sensitivity(loaded: LoadedStudy, design: SensitivityDesign) -> tuple[tuple[str, ...], list[DraftArm]]:
    """The baseline, and the arms around it."""
    factors = tuple(design.factors)
    base_places: dict[str, Path] = {path: ("design", "baseline", path) for path in design.baseline}
    base, errors = _arm_config(loaded, (design.baseline,), base_places)
    MultiConfigError.raise_all(errors)
    if base is None:  # unreachable: without errors there is a config
        raise ConfigError("the baseline is not valid", where=loaded.origins.where(("design",)))
    MultiConfigError.raise_all(list(_factor_errors(loaded, design, base)))
    drafts = [DraftArm(BASELINE, base, True, base_places)]
    for changes, places in _combinations(design):
        config, wrong = _arm_config(loaded, (design.baseline, changes), places)
        errors += wrong
        if config is not None and config != base:
            drafts.append(DraftArm(_arm_name(changes, design), config, False, places))
    MultiConfigError.raise_all(errors)
    for factor in factors:
        if not any(factor in draft.places for draft in drafts[1:]):
            path: Path = ("design", "factors", factor)
            rule = "must have a level other than the baseline's"
            raise ConfigError(
                rule, where=loaded.origins.where(path), path=dotted(path), value=list(design.factors[factor])
            )
    return factors, drafts


def _combinations(design: SensitivityDesign) -> Iterator[tuple[dict[str, Any], dict[str, Path]]]:
    """The patches of the baseline that make its arms, each with the place of its levels."""
    options = [
        [(factor, level, ("design", "factors", factor, position)) for position, level in enumerate(levels)]
        for factor, levels in design.factors.items()
    ]
    if design.grid == "full":
        chosen: Iterator[Sequence[tuple[str, Any, Path]]] = itertools.product(*options)
    else:
        chosen = ((option,) for each in options for option in each)
    for combination in chosen:
        yield (
            {factor: level for factor, level, _ in combination},
            {factor: place for factor, _, place in combination},
        )


def _factor_errors(loaded: LoadedStudy, design: SensitivityDesign, base: TrialConfig) -> Iterator[ConfigError]:
    """Factors that do not exist, overlap, or have a level twice."""
    plain = base.to_plain()
    for factor, levels in design.factors.items():
        path: Path = ("design", "factors", factor)
        where = loaded.origins.where(path)
        if not has_path(plain, factor):
            yield ConfigError("no such setting in trial", where=where, path=dotted(path), fix=_existing(plain, factor))
        inside = [other for other in design.factors if other.startswith(f"{factor}.")]
        if inside:
            rule = f"factors must not overlap, {inside[0]} lies within this one"
            yield ConfigError(rule, where=where, path=dotted(path), fix="make one factor with mappings as its levels")
        seen: dict[str, int] = {}
        for position, level in enumerate(levels):
            text = json.dumps(level, sort_keys=True)
            if text in seen:
                at = (*path, position)
                yield ConfigError(
                    "level given twice", where=loaded.origins.where(at), path=dotted(at), value=level, fix="drop one"
                )
            seen[text] = position


def _existing(plain: Mapping[str, Any], factor: str) -> str:
    """The fix for a factor that is not there."""
    section, _, leaf = factor.rpartition(".")
    parent = value_at(plain, section) if section else plain
    if isinstance(parent, dict):
        beside = nearest(leaf, parent)
        if beside is not None:
            return f"did you mean {f'{section}.{beside}'.lstrip('.')!r}?"
        if "kind" in parent:
            settings = ", ".join(key for key in parent if key != "kind") or "no settings"
            return f"{section} is of kind {parent['kind']!r}, which has {settings}"
    near = nearest_path(factor, paths_in(plain))
    return f"did you mean {near!r}?" if near else f"sections of trial: {', '.join(plain)}"


def _arm_config(
    loaded: LoadedStudy, patches: Sequence[Mapping[str, Any]], places: Mapping[str, Path]
) -> tuple[TrialConfig | None, list[ConfigError]]:
    """The trial with patches applied one after the other, or what is wrong with it."""
    plain = dict(loaded.raw["trial"])
    for changes in patches:
        plain = patch(plain, changes, TrialConfig)
    try:
        return TrialConfig.from_plain(plain), []
    except ValidationError as error:
        told = explain(error, plain, TrialConfig, loaded.origins, ("trial",))
        return None, [_placed(each, places, loaded, blame=True) for each in told]


def _placed(error: ConfigError, places: Mapping[str, Path], loaded: LoadedStudy, *, blame: bool) -> ConfigError:
    """An error about the merged trial, told at the patch that brought it about.

    Args:
        error: With a path below ``trial``.
        places: Where the file patches the trial, by dotted path below ``trial``.
        loaded: The study.
        blame: Tell an error elsewhere in the trial at the first patch, since without it the trial was valid.
    """
    below = error.path.removeprefix("trial").removeprefix(".")
    for path, place in places.items():
        if below == path or below.startswith((f"{path}.", f"{path}[")):
            return error.located(loaded.origins.where(place), dotted(place) + below[len(path) :])
    for path, place in places.items():
        if f"{path}.".startswith(f"{below}."):
            return error.located(loaded.origins.where(place), dotted(place))
    if not places or not blame:
        return error if error.where else error.located(loaded.origins.where(("trial", *below.split("."))))
    place = next(iter(places.values()))
    given = {"value": error.value} if error.has_value else {}
    rule = f"does not go with {error.path}: {error.rule}"
    return ConfigError(rule, where=loaded.origins.where(place), path=dotted(place), fix=error.fix, **given)


def _arm_name(changes: Mapping[str, Any], design: SensitivityDesign) -> str:
    """``leaf=value`` of every changed factor, joined by commas."""
    labels = _factor_labels(tuple(design.factors))
    return ",".join(f"{labels[path]}={_level_label(level, design.factors[path])}" for path, level in changes.items())


def _factor_labels(factors: Sequence[str]) -> dict[str, str]:
    """The shortest dotted suffix that names each factor; a final ``kind`` says nothing and is left out."""
    parts = {factor: factor.removesuffix(".kind").split(".") for factor in factors}
    labels = {}
    for factor, own in parts.items():
        others = [other for name, other in parts.items() if name != factor]
        lengths = range(1, len(own) + 1)
        length = next((n for n in lengths if all(other[-n:] != own[-n:] for other in others)), None)
        labels[factor] = factor if length is None else ".".join(own[-length:])
    return labels


def _level_label(level: Any, levels: Sequence[Any]) -> str:
    """A level as text; a mapping by its kind, with its other settings where another level has the same kind."""
    if isinstance(level, str):
        return level
    if isinstance(level, dict) and "kind" in level:
        same = [other for other in levels if isinstance(other, dict) and other.get("kind") == level["kind"]]
        rest = ",".join(f"{key}={_level_label(value, ())}" for key, value in level.items() if key != "kind")
        return f"{level['kind']}({rest})" if len(same) > 1 and rest else str(level["kind"])
    return json.dumps(level, separators=(",", ":"))
