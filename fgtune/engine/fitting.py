"""Whether every arm of a study, and every value that it searches, fits its data and the machine: before any trial."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from fgtune.config.arms.draft_arms import Drafts
from fgtune.config.arms.plan import Plan
from fgtune.config.reading.load import LoadedStudy
from fgtune.config.schema.domains import ChoiceDomain, Domain
from fgtune.config.schema.paths import Path
from fgtune.config.schema.trial import BaseTrialConfig
from fgtune.config.spaces.expression import EvaluationError
from fgtune.config.spaces.space import InfeasibleError, Point, SearchSpace
from fgtune.engine.trial_kinds import TRIAL_KINDS
from fgtune.errors import ConfigError, MultiConfigError

if TYPE_CHECKING:
    from fgtune.data.base import Dataset

_PARAMETERS: Path = ("design", "space", "parameters")
Check = Callable[[BaseTrialConfig], None]


def check_fits(
    loaded: LoadedStudy, made: Drafts, plan: Plan, datasets: Mapping[str, Dataset], address: str | None
) -> None:
    """Raise where an arm or a searched value does not fit the data, or takes more memory than there is.

    Args:
        loaded: The study.
        made: Its arms, with their places in the file.
        plan: Its plan.
        datasets: By ``data_key``.
        address: Ray cluster that is to run it; None uses the environment's, or else this machine.

    Raises:
        ConfigError: At the place in the study file; ``MultiConfigError`` for several.
    """
    kind = TRIAL_KINDS[loaded.study.trial.trial_kind]
    elsewhere = bool(address or os.environ.get("RAY_ADDRESS"))

    def check(config: BaseTrialConfig) -> None:
        kind.check_fit(config, plan, datasets, elsewhere=elsewhere)

    errors = []
    for draft in made.arms:
        try:
            check(draft.config)
        except ConfigError as error:
            errors.append(draft.place_error(error, loaded))
            if draft.is_baseline:  # an error of the trial itself is an error of every arm: report it once
                break
    MultiConfigError.raise_all(errors)
    if plan.search is not None:
        check_searched(loaded, plan.search.space, check)
    for each in plan.arm_searches:
        if each.plan.search is not None:
            with each.search.relocated_errors():
                check_searched(each.search.loaded, each.plan.search.space, check)


def check_searched(loaded: LoadedStudy, space: SearchSpace, check: Check) -> None:
    """Raise where a value of a searched setting fails, and the trial's own value in its place does not.

    Args:
        loaded: The study.
        space: Its space.
        check: Raises ``ConfigError`` with a path below ``trial``.

    Raises:
        ConfigError: At the value in the study file; ``MultiConfigError`` for several.
    """
    errors = []
    for path, domain in space.parameters.items():
        for place, value in _extremes(domain):
            point = _point_with(space, path, value)
            error = None if point is None else _failure(space, point, check)
            if error is None or point is None:
                continue
            others = {name: each for name, each in point.items() if name != path}
            if _is_about(error.path, path) or _failure(space, others, check) is None:
                errors.append(loaded.error((*_PARAMETERS, path, *place), error.rule, error.fix, value=value))
    MultiConfigError.raise_all(errors)


def _failure(space: SearchSpace, point: Point, check: Check) -> ConfigError | None:
    """What is wrong with the trial at a point; None where nothing is, or where it would not be proposed."""
    try:
        check(space.config(point))
    except InfeasibleError:
        return None
    except ConfigError as error:
        return error
    return None


def _extremes(domain: Domain) -> Iterator[tuple[Path, Any]]:
    """The values of a choice, or the ends of a range, each with its place below the domain."""
    if isinstance(domain, ChoiceDomain):
        yield from ((("values", rank), value) for rank, value in enumerate(domain.values))
    else:
        yield from (((name,), domain.at(share)) for name, share in (("low", 0.0), ("high", 1.0)))


def _point_with(space: SearchSpace, path: str, value: Any) -> Point | None:
    """A point with this value that may be proposed; the others are all at the same share of their domains."""
    for share in (0.0, 0.5, 1.0):
        try:
            point = space.walk(lambda name, domain, share=share: value if name == path else domain.at(share))  # type: ignore[misc]
            if path in point:
                space.config(point)
                return point
        except (InfeasibleError, EvaluationError):
            continue
    return None


def _is_about(found: str, path: str) -> bool:
    """Whether an error at ``found`` is about the setting ``path`` below ``trial``, a part of it, or what it is in."""
    whole = f"trial.{path}"
    return found == whole or found.startswith((f"{whole}.", f"{whole}[")) or whole.startswith(f"{found}.")
