"""Whether published results fit the plan: each must be about exactly one of its arms."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from fgtune.config.arms.records import Arm
from fgtune.config.reading.load import LoadedStudy
from fgtune.config.schema.paths import Path, dotted
from fgtune.config.schema.published import find_arm
from fgtune.config.schema.study import Study
from fgtune.errors import ConfigError, MultiConfigError


def published_metrics(study: Study) -> dict[Path, str]:
    """The metrics of the published results, by their place in the file."""
    return {
        ("published", table, "results", row, "metric"): result.metric
        for table, each in enumerate(study.published)
        for row, result in enumerate(each.results)
    }


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
                rule, where = "must not describe an arm whose settings are searched", loaded.origins.where(path)
                yield ConfigError(rule, where=where, path=dotted(path), value=result.levels, fix=f"write arm: {found}")
            elif found is None:
                key = "levels" if result.arm is None else "arm"
                path = ("published", table, "results", row, key)
                yield ConfigError(
                    "must be one arm of the plan",
                    where=loaded.origins.where(path),
                    path=dotted(path),
                    value=result.arm or result.levels,
                    fix=fix,
                )
