"""The arms of a sensitivity design: levels of factors around a baseline, in grids, or at random or Sobol points."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fgtune.config.arms.draft_arms import MAX_ARMS, DraftArm, Drafts, arm_config, levels_of, too_many
from fgtune.config.reading.load import LoadedStudy
from fgtune.config.schema.designs import BASELINE, RangeConfig, SensitivityDesign
from fgtune.config.schema.domains import value_at_share
from fgtune.config.schema.paths import Path, has_path, nearest, nearest_path, paths_in, value_at
from fgtune.config.schema.trial import BaseTrialConfig
from fgtune.errors import ConfigError, MultiConfigError
from fgtune.streams import derive_seed

_DIGITS = 4
"""Significant digits of a level computed from a range: enough to distinguish levels, few enough to read."""
_DRAWS_PER_POINT = 200
"""Draws allowed for each distinct point requested."""

_Level = tuple[Any, Path]
"""A level and where the file gives it."""


def sensitivity_arms(loaded: LoadedStudy, design: SensitivityDesign) -> Drafts:
    """The factors, and the baseline with the arms around it.

    Raises:
        ConfigError: When a factor does not exist, levels repeat, an arm is not a valid trial, or there are too many or
            too few; ``MultiConfigError`` when several things are wrong.
    """
    factors = tuple(design.factors)
    base_places: dict[str, Path] = {path: ("design", "baseline", path) for path in design.baseline}
    base, errors = arm_config(loaded, (design.baseline,), base_places)
    MultiConfigError.raise_all(errors)
    if base is None:  # unreachable: without errors there is a config
        raise loaded.error(("design",), "the baseline is not valid")
    MultiConfigError.raise_all(list(_factor_errors(loaded, design, base)))
    baseline = DraftArm(BASELINE, levels_of(factors, base), base, True, "baseline", places=base_places)
    if design.points is not None:
        return Drafts(factors, [baseline, *_drawn_arms(loaded, design, base)])
    drafts = [baseline, *_grid_arms(loaded, design, base, errors)]
    MultiConfigError.raise_all(errors)
    for factor in factors:
        if not any(factor in draft.places for draft in drafts[1:]):
            levels = [level for level, _ in _levels(factor, design)]
            rule = "must have a level other than the baseline's"
            raise loaded.error(("design", "factors", factor), rule, value=levels)
    return Drafts(factors, drafts)


def range_levels(levels: RangeConfig) -> list[float | int]:
    """``count`` levels from ``low`` to ``high``, evenly spaced on its scale; equal ones after rounding appear once."""
    shares = [step / (levels.count - 1) for step in range(levels.count)]
    return list(dict.fromkeys(_level_at(levels, share) for share in shares))


def _level_at(levels: RangeConfig, share: float) -> float | int:
    value = value_at_share(share, levels.low, levels.high, log=levels.scale == "log")
    if levels.integer:
        return round(value)
    return value if value in (levels.low, levels.high) else float(f"{value:.{_DIGITS}g}")


def _for_range(error: ConfigError, design: SensitivityDesign) -> ConfigError:
    """The error with a range's own remedy for levels that are not whole numbers."""
    levels = design.factors.get(error.path.removeprefix("design.factors."))
    if not isinstance(levels, RangeConfig) or error.rule != "must be a whole number":
        return error
    fix = "add `integer: true` to the range"
    return ConfigError(error.rule, where=error.where, path=error.path, value=error.value, fix=fix)


def _levels(factor: str, design: SensitivityDesign) -> list[_Level]:
    levels, path = design.factors[factor], ("design", "factors", factor)
    if isinstance(levels, RangeConfig):
        return [(level, path) for level in range_levels(levels)]
    return [(level, (*path, position)) for position, level in enumerate(levels)]


def _grid_arms(
    loaded: LoadedStudy, design: SensitivityDesign, base: BaseTrialConfig, errors: list[ConfigError]
) -> Iterator[DraftArm]:
    """The arms of a one-at-a-time or full grid that differ from the baseline; adds what is wrong to ``errors``."""
    role = "grid" if design.grid == "full" else "one_at_a_time"
    sizes = [len(_levels(factor, design)) for factor in design.factors]
    if (math.prod(sizes) if design.grid == "full" else sum(sizes)) > MAX_ARMS:
        raise too_many(loaded, "the grid")
    for changes, places in _combinations(design):
        config, wrong = arm_config(loaded, (design.baseline, changes), places)
        errors += [_for_range(each, design) for each in wrong]
        if config is not None and config != base:
            levels = levels_of(tuple(design.factors), config)
            yield DraftArm(_arm_name(changes, design), levels, config, False, role, places=places)


def _combinations(design: SensitivityDesign) -> Iterator[tuple[dict[str, Any], dict[str, Path]]]:
    """The patches of the baseline that make its arms, each with the place of its levels."""
    options = [[(factor, level, place) for level, place in _levels(factor, design)] for factor in design.factors]
    if design.grid == "full":
        chosen: Iterator[Sequence[tuple[str, Any, Path]]] = itertools.product(*options)
    else:
        chosen = ((option,) for each in options for option in each)
    for combination in chosen:
        yield (
            {factor: level for factor, level, _ in combination},
            {factor: place for factor, _, place in combination},
        )


def _drawn_arms(loaded: LoadedStudy, design: SensitivityDesign, base: BaseTrialConfig) -> list[DraftArm]:
    """Arms at distinct points spread over the ranges and levels of all factors together."""
    wanted = design.points or 0
    if wanted > MAX_ARMS:
        raise too_many(loaded, f"{wanted} points")
    places: dict[str, Path] = {factor: ("design", "factors", factor) for factor in design.factors}
    drafts: list[DraftArm] = []
    errors: list[ConfigError] = []
    seen = {base.digest}
    for point in itertools.islice(_points(design), wanted * _DRAWS_PER_POINT):
        config, wrong = arm_config(loaded, (design.baseline, point), places)
        errors += [_for_range(each, design) for each in wrong]
        if len(errors) > 0 or len(drafts) == wanted:
            break
        if config is not None and config.digest not in seen:
            seen.add(config.digest)
            levels = levels_of(tuple(design.factors), config)
            drafts.append(DraftArm("", levels, config, False, design.grid, places=places))
    MultiConfigError.raise_all(errors)
    if len(drafts) < wanted:
        rule, fix = "must be at most the number of distinct points", f"ask for {len(drafts)}, or use grid: full"
        raise loaded.error(("design", "points"), f"{rule} of the factors", fix, value=wanted)
    width = len(str(wanted))
    return [replace(draft, name=f"point-{rank:0{width}d}") for rank, draft in enumerate(drafts, start=1)]


def _points(design: SensitivityDesign) -> Iterator[dict[str, Any]]:
    """An endless sequence of points: independent ones, or a scrambled Sobol sequence (Owen 1998)."""
    seed = derive_seed(design.design_seed, "design", design.grid)
    dimensions = len(design.factors)
    if design.grid == "sobol":
        from scipy.stats import qmc  # slow to import, and no other design needs it

        sequence = qmc.Sobol(dimensions, scramble=True, rng=np.random.default_rng(seed))
        draws: Iterator[Sequence[float]] = (sequence.random(1)[0].tolist() for _ in itertools.count())
    else:
        rng = np.random.default_rng(seed)
        draws = (rng.random(dimensions).tolist() for _ in itertools.count())
    for shares in draws:
        yield {
            factor: _level_drawn(levels, share)
            for (factor, levels), share in zip(design.factors.items(), shares, strict=True)
        }


def _level_drawn(levels: RangeConfig | tuple[Any, ...], share: float) -> Any:
    if not isinstance(levels, RangeConfig):
        return levels[min(int(share * len(levels)), len(levels) - 1)]
    if levels.integer:
        return value_at_share(share, levels.low, levels.high, log=levels.scale == "log", integer=True)
    return _level_at(levels, share)


def _factor_errors(loaded: LoadedStudy, design: SensitivityDesign, base: BaseTrialConfig) -> Iterator[ConfigError]:
    """Factors that do not exist, overlap, or have a level twice."""
    plain = base.to_plain()
    for factor, levels in design.factors.items():
        path: Path = ("design", "factors", factor)
        if not has_path(plain, factor):
            yield loaded.error(path, "no such setting in trial", _existing(plain, factor))
        inside = [other for other in design.factors if other.startswith(f"{factor}.")]
        if inside:
            rule = f"factors must not overlap, {inside[0]} lies within this one"
            yield loaded.error(path, rule, "make one factor with mappings as its levels")
        seen: dict[str, int] = {}
        for position, level in enumerate([] if isinstance(levels, RangeConfig) else levels):
            text = json.dumps(level, sort_keys=True)
            if text in seen:
                yield loaded.error((*path, position), "level given twice", "drop one", value=level)
            seen[text] = position


def _existing(plain: Mapping[str, Any], factor: str) -> str:
    """The fix for a factor that does not exist."""
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


def _arm_name(changes: Mapping[str, Any], design: SensitivityDesign) -> str:
    """``leaf=value`` for every changed factor, joined by commas."""
    labels = _factor_labels(tuple(design.factors))
    levels = {factor: [level for level, _ in _levels(factor, design)] for factor in changes}
    return ",".join(f"{labels[path]}={_level_label(level, levels[path])}" for path, level in changes.items())


def _level_label(level: Any, levels: Sequence[Any]) -> str:
    """A level as text; a mapping by its kind, with its other settings where another level has the same kind."""
    if isinstance(level, str):
        return level
    if isinstance(level, dict) and "kind" in level:
        same = [other for other in levels if isinstance(other, dict) and other.get("kind") == level["kind"]]
        rest = ",".join(f"{key}={_level_label(value, ())}" for key, value in level.items() if key != "kind")
        return f"{level['kind']}({rest})" if len(same) > 1 and rest else str(level["kind"])
    return json.dumps(level, separators=(",", ":"))


def _factor_labels(factors: Sequence[str]) -> dict[str, str]:
    """The shortest dotted suffix that identifies each factor; a final ``kind`` is left out."""
    parts = {factor: factor.removesuffix(".kind").split(".") for factor in factors}
    labels = {}
    for factor, own in parts.items():
        others = [other for name, other in parts.items() if name != factor]
        lengths = range(1, len(own) + 1)
        length = next((n for n in lengths if all(other[-n:] != own[-n:] for other in others)), None)
        labels[factor] = factor if length is None else ".".join(own[-length:])
    return labels
