"""The search inside one arm of a comparison: a study of its own, made of parts of the comparison.

It has its own folder below that of the comparison, and everything that a search has: a growing plan, a ledger,
a report. Its baseline is the arm as the file sets it, so that the arm's own settings are among the candidates.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML

from fgtune.config.reading.load import LoadedStudy, validated
from fgtune.config.schema.base import stable_hash
from fgtune.config.schema.designs import Design
from fgtune.config.schema.paths import Path
from fgtune.config.schema.study import Study
from fgtune.errors import ConfigError, MultiConfigError

_MAX_NAME = 100


@dataclass(frozen=True)
class ArmSearch:
    """The search inside one arm.

    Attributes:
        arm: Name of the arm in the plan of the comparison.
        folder_name: Name of its folder below ``tuning``.
        position: Position of the arm in the study file.
        loaded: The search as a study.
    """

    arm: str
    folder_name: str
    position: int
    loaded: LoadedStudy

    def relocated_errors(self) -> AbstractContextManager[None]:
        """Move errors of the search to the paths of the comparison that it is made of."""
        return _relocated_errors(self.position)


def arm_search_folders(design: Design) -> dict[str, str]:
    """The folder name of every searched arm, by its name in the plan: only letters, digits, ``_`` and ``-``."""
    names: dict[str, str] = {}
    for arm in design.searched_arms:
        plain = name = re.sub(r"[^A-Za-z0-9_-]", "-", arm)
        number = 2
        while name in names.values():
            name, number = f"{plain}-{number}", number + 1
        names[arm] = name
    return names


def arm_search(
    loaded: LoadedStudy, arm: str, position: int, trial: Mapping[str, Any], places: Mapping[str, Path]
) -> ArmSearch:
    """The search inside an arm that has a space.

    Args:
        loaded: The comparison.
        arm: Name of the arm in the plan.
        position: Position of the arm in the study file.
        trial: The arm's trial as plain data, defaults not filled in.
        places: Where the file gives what the arm sets, by dotted path below ``trial``.

    Raises:
        ConfigError: The search is not a valid study.
    """
    search = loaded.study.design.arm_search
    if search is None:
        raise TypeError("the design searches inside no arm")
    folder_name = arm_search_folders(loaded.study.design)[arm]
    stated = {key: value for key, value in loaded.raw["design"]["search"].items() if key != "seeds"}
    raw: dict[str, Any] = {
        "study": _name(f"{loaded.study.study}-{folder_name}"),
        "question": f"Which settings of {arm} are best by {search.metric}?",
        "source": f"The search inside an arm of {loaded.study.study}",
        "design": {"kind": "search", "space": loaded.raw["design"]["arms"][position]["space"], **stated},
        "seeds": list(search.seed_list),
        **{key: loaded.raw[key] for key in ("metrics", "scheduler", "execution") if key in loaded.raw},
        "trial": dict(trial),
    }
    moves: list[tuple[Path, Path]] = [((key,), (key,)) for key in ("metrics", "scheduler", "execution", "trial")]
    moves += [(place, ("trial", *path.split("."))) for path, place in places.items()]
    moves += [
        (("design",), ()),
        (("design", "search"), ("design",)),
        (("design", "search", "seeds"), ("seeds",)),
        (("design", "arms", position, "space"), ("design", "space")),
    ]
    origins = loaded.origins.moved(moves)
    with _relocated_errors(position):
        study = validated(Study, raw, origins)
    return ArmSearch(arm, folder_name, position, LoadedStudy(study, raw, _text(raw, arm, loaded), loaded.path, origins))


def _name(name: str) -> str:
    """A study name of at most the allowed length; one that is cut ends in a digest, so that two names stay distinct."""
    return name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 7]}-{stable_hash(name)[:6]}"


def _text(raw: Mapping[str, Any], arm: str, loaded: LoadedStudy) -> str:
    """The search as a study file."""
    writer = YAML()
    writer.width = 120
    buffer = io.StringIO()
    buffer.write(f"# The search inside the arm {arm} of {loaded.study.study}; made from {loaded.path.name}.\n")
    writer.dump(dict(raw), buffer)
    return buffer.getvalue()


@contextmanager
def _relocated_errors(position: int) -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        errors = error.errors if isinstance(error, MultiConfigError) else (error,)
        MultiConfigError.raise_all([each.located(each.where, _path(each.path, position)) for each in errors])


def _path(path: str, position: int) -> str:
    """A path of the search as one of the comparison."""
    if path == "seeds" or path.startswith("seeds["):
        return f"design.search.{path}"
    if re.match(r"design\.space\b", path):
        return f"design.arms[{position}].{path.removeprefix('design.')}"
    return f"design.search.{path.removeprefix('design.')}" if path.startswith("design.") else path
