"""Whether published results fit the plan: each must be about exactly one of its arms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fgtune.config.load import LoadedStudy
from fgtune.config.plan import Arm
from fgtune.config.published import find_arm
from fgtune.config.source import Path, dotted
from fgtune.config.study import Study
from fgtune.errors import ConfigError, MultiConfigError


def published_metrics(study: Study) -> dict[Path, str]:
    """The metrics of the published results, by their place in the file."""
    return {
        ("published", table, "results", row, "metric"): result.metric
        for table, each in enumerate(study.published)
        for row, result in enumerate(each.results)
    }


def check_published(loaded: LoadedStudy, arms: Sequence[Arm]) -> None:
    """Raise unless every published result is about exactly one arm.

    Raises:
        ConfigError: At the name or levels of the result; ``MultiConfigError`` when several are wrong.
    """
    MultiConfigError.raise_all(list(_errors(loaded, arms)))


def _errors(loaded: LoadedStudy, arms: Sequence[Arm]) -> Iterator[ConfigError]:
    levels = {arm.name: arm.levels for arm in arms}
    first = {arm.dataset: arm.levels for arm in arms if arm.is_baseline}
    baselines = {arm.name: first[arm.dataset] for arm in arms}
    names = ", ".join(levels)
    fix = f"the arms are {names if len(names) <= 300 else names[:300] + ' ...'}; --set published=[] leaves them out"
    for table, each in enumerate(loaded.study.published):
        for row, result in enumerate(each.results):
            if find_arm(result, levels, baselines) is None:
                key = "levels" if result.arm is None else "arm"
                path: Path = ("published", table, "results", row, key)
                yield ConfigError(
                    "must be one arm of the plan",
                    where=loaded.origins.where(path),
                    path=dotted(path),
                    value=result.arm or result.levels,
                    fix=fix,
                )
