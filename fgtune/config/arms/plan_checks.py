"""What is wrong with a plan as a whole, and what is allowed and yet likely a mistake."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from fgtune.config.arms.draft_arms import DraftArm
from fgtune.config.arms.records import Arm, DataShape
from fgtune.config.reading.load import LoadedStudy
from fgtune.config.schema.base import stable_hash
from fgtune.config.schema.objective import QueueInstanceConfig
from fgtune.config.schema.paths import Path
from fgtune.config.schema.published import find_arm
from fgtune.config.schema.trial import TrialConfig
from fgtune.config.spaces.space import InfeasibleError, SearchSpace
from fgtune.errors import ConfigError, MultiConfigError
from fgtune.streams import numpy_stream


def check_distinct(
    loaded: LoadedStudy,
    drafts: list[DraftArm],
    resolved: Mapping[str, TrialConfig],
    spaces: Mapping[str, Any],
) -> None:
    """Two arms must not be the same trial; those that are searched, not the same in the same space."""
    seen: dict[str, str] = {}
    errors = []
    for draft in drafts:
        key = stable_hash([resolved[draft.name].to_plain(), spaces.get(draft.name)])
        if key in seen:
            rule = f"arms {seen[key]!r} and {draft.name!r} are the same trial once classes are resolved"
            place = next(iter(draft.places.values()), ("design",))
            errors.append(loaded.error(place, rule, "drop one of them"))
        seen.setdefault(key, draft.name)
    MultiConfigError.raise_all(errors)


def check_published(loaded: LoadedStudy, arms: Sequence[Arm], searched: Collection[str] = ()) -> None:
    """Raise unless every published result is about exactly one arm, and names it where its levels are searched.

    Raises:
        ConfigError: At the name or levels of the result; ``MultiConfigError`` when several are wrong.
    """
    MultiConfigError.raise_all(list(_errors(loaded, arms, searched)))


def _errors(loaded: LoadedStudy, arms: Sequence[Arm], searched: Collection[str]) -> Iterator[ConfigError]:
    levels = {arm.name: arm.levels for arm in arms}
    first = {arm.dataset: arm.levels for arm in arms if arm.is_baseline}
    baselines = {arm.name: first[arm.dataset] for arm in arms}
    names = ", ".join(levels)
    fix = f"the arms are {names if len(names) <= 300 else names[:300] + ' ...'}; --set published=[] leaves them out"
    path: Path
    for table, each in enumerate(loaded.study.published):
        for row, result in enumerate(each.results):
            found = find_arm(result, levels, baselines)
            if found in searched and result.arm is None:
                path = ("published", table, "results", row, "levels")
                rule = "must not describe an arm whose settings are searched"
                yield loaded.error(path, rule, f"write arm: {found}", value=result.levels)
            elif found is None:
                key = "levels" if result.arm is None else "arm"
                path = ("published", table, "results", row, key)
                yield loaded.error(path, "must be one arm of the plan", fix, value=result.arm or result.levels)


_TRIED = 32
"""Random points of a space that are looked at."""


def plan_warnings(
    resolved: Mapping[str, TrialConfig], spaces: Mapping[str, SearchSpace], shapes: Mapping[str, DataShape]
) -> Iterator[str]:
    """What is allowed and yet likely a mistake.

    Args:
        resolved: The trial of each arm.
        spaces: Search spaces, by what they are called in a sentence.
        shapes: Of each data set, as ``Plan.shapes``.
    """
    for name, config in resolved.items():
        yield from _small_batches(f"arm {name}", config)
        yield from _long_queue(f"arm {name}", config, shapes)
    for name, space in spaces.items():
        found = (each for config in _drawn(space) for each in _long_queue(f"points of {name}", config, shapes))
        yield from dict.fromkeys(found)


def _drawn(space: SearchSpace) -> Iterator[TrialConfig]:
    """Some trials of a space."""
    rng = numpy_stream(0, "mistakes")
    for _ in range(_TRIED):
        try:
            yield space.config(space.draw(rng))
        except InfeasibleError:
            continue


def _small_batches(where: str, config: TrialConfig) -> Iterator[str]:
    num_fine = config.classes.number
    if config.objective.weight("reg") > 0 and num_fine is not None and config.batch_size < 2 * num_fine:
        yield (
            f"{where}: batch_size {config.batch_size} is below 2 x num_fine = {2 * num_fine}, "
            "so a batch cannot show every fine class twice and the mean prediction is a poor estimate"
        )


def _long_queue(where: str, config: TrialConfig, shapes: Mapping[str, DataShape]) -> Iterator[str]:
    """A momentum queue that is longer than the data: slow, and a sample is set apart from itself."""
    instance, samples = config.objective.instance, shapes[stable_hash(config.data.to_plain())].num_samples
    if not isinstance(instance, QueueInstanceConfig) or config.objective.weight("instance") == 0 or samples is None:
        return
    if instance.size > samples:
        yield (
            f"{where}: a queue of {instance.size} keys holds each of {samples} samples about "
            f"{instance.size / samples:.0f} times, so a sample is told apart from older keys of itself, and slowly; "
            f"set objective.instance.size below {samples}"
        )
