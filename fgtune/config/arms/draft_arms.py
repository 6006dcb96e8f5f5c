"""Arms as a design drafts them: patched trials, validated as a whole, that know their places in the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from pydantic import ValidationError

from fgtune.config.arms.arm_search import ArmSearch
from fgtune.config.arms.records import Arm
from fgtune.config.reading.explain import explain
from fgtune.config.reading.load import LoadedStudy
from fgtune.config.reading.merge import leaves_of, patch
from fgtune.config.schema.function import SETTINGS, FunctionTrialConfig
from fgtune.config.schema.paths import Path, dotted, nearest_path, value_at
from fgtune.config.schema.trial import BaseTrialConfig
from fgtune.errors import ConfigError

MAX_ARMS = 5000
"""A design with more arms is treated as a mistake."""


@dataclass(frozen=True)
class DraftArm(Arm):
    """An arm, and where the study file gives its changes.

    Attributes:
        places: For each dotted path that the arm patches, where the study file gives it.
    """

    places: Mapping[str, Path] = field(default_factory=dict)

    @property
    def arm(self) -> Arm:
        """The arm as the plan has it."""
        return Arm(**{each.name: getattr(self, each.name) for each in fields(Arm)})

    def place_error(self, error: ConfigError, loaded: LoadedStudy) -> ConfigError:
        """The error (with a path below ``trial``) at the place that caused it."""
        return placed(error, self.places, loaded, blame=not self.is_baseline)


@dataclass(frozen=True)
class Drafts:
    """What a design yields.

    Attributes:
        factors: Columns of the plan: dotted paths below ``trial``, components, or ``dataset``.
        arms: The baseline first (on each data set, where there are several).
        warnings: What was left out and why, one sentence each.
        arm_searches: The searches inside arms of a comparison.
    """

    factors: tuple[str, ...]
    arms: Sequence[DraftArm]
    warnings: tuple[str, ...] = ()
    arm_searches: tuple[ArmSearch, ...] = ()


def levels_of(factors: Sequence[str], config: BaseTrialConfig) -> dict[str, Any]:
    """The value of every factor in ``config``; None where the config has no such setting."""
    plain = config.to_plain()
    return {factor: value_at(plain, factor) for factor in factors}


def patched_trial(loaded: LoadedStudy, patches: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The trial as plain data with patches applied one after the other, defaults not filled in."""
    plain = dict(loaded.raw["trial"])
    for changes in patches:
        plain = patch(plain, changes, type(loaded.study.trial))
    return plain


def arm_config(
    loaded: LoadedStudy, patches: Sequence[Mapping[str, Any]], places: Mapping[str, Path]
) -> tuple[BaseTrialConfig | None, list[ConfigError]]:
    """The trial with patches applied one after the other, or what is wrong with it."""
    plain, model = patched_trial(loaded, patches), type(loaded.study.trial)
    try:
        config = model.from_plain(plain)
    except ValidationError as error:
        found = explain(error, plain, model, loaded.origins, ("trial",))
        return None, [placed(each, places, loaded, blame=True) for each in found]
    found = [error for changes in patches for error in unknown_settings(loaded.study.trial, changes)]
    return (None if found else config), [placed(each, places, loaded, blame=True) for each in found]


def unknown_settings(trial: BaseTrialConfig, changes: Mapping[str, Any]) -> Iterator[ConfigError]:
    """What an arm changes that the trial does not have, where validation cannot know: in a user's own settings."""
    if not isinstance(trial, FunctionTrialConfig):
        return
    for path, _ in leaves_of(changes):
        fixed = path[0] in {"kind", "metrics"}
        if fixed:
            rule, fix = "is the same in all arms", "set it in trial"
            yield ConfigError(rule, path=dotted(("trial", *path)), fix=fix)
        elif path[0] == SETTINGS and not _is_known(trial.config, path[1:]):
            near = nearest_path(dotted(path), trial.paths())
            known = f"did you mean {near!r}? If not, " if near and near.startswith(f"{SETTINGS}.") else ""
            fix = f"{known}give it in trial.config too, with the value that the other arms have"
            yield ConfigError("no such setting in trial.config", path=dotted(("trial", *path)), fix=fix)


def _is_known(settings: Any, path: Path) -> bool:
    """Whether settings have a path; below a section with a ``kind`` any, since each kind has settings of its own."""
    for depth, part in enumerate(path):
        if not isinstance(settings, dict) or part not in settings:
            return depth > 0 and isinstance(settings, dict) and "kind" in settings
        settings = settings[part]
    return True


def placed(error: ConfigError, places: Mapping[str, Path], loaded: LoadedStudy, *, blame: bool) -> ConfigError:
    """An error about the merged trial, moved to the patch that caused it.

    Args:
        error: With a path below ``trial``.
        places: Where the file patches the trial, by dotted path below ``trial``.
        loaded: The study.
        blame: Move an error elsewhere in the trial to the first patch, since without it the trial was valid.
    """
    below = error.path.removeprefix("trial").removeprefix(".")
    for path, place in places.items():
        if below == path or below.startswith((f"{path}.", f"{path}[")):
            return error.located(loaded.origins.where(place), dotted(place) + below[len(path) :])
    for path, place in places.items():
        if f"{path}.".startswith(f"{below}."):
            return loaded.located(error, place)
    if not places or not blame:
        return error if error.where else error.located(loaded.origins.where(("trial", *below.split("."))))
    place = next(iter(places.values()))
    value = {"value": error.value} if error.has_value else {}
    rule = f"does not go with {error.path}: {error.rule}"
    return loaded.error(place, rule, error.fix, **value)


def too_many(loaded: LoadedStudy, what: str) -> ConfigError:
    """The error for a design that has gone past ``MAX_ARMS``."""
    rule = f"must have at most {MAX_ARMS} arms, {what} has more"
    return loaded.error(("design",), rule, "give fewer, or draw some with grid: sobol")
