"""The methods of the benchmark as arms of its studies, and those that a user adds from a study file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fgtune.analysis.bench.columns import BASELINE
from fgtune.errors import ConfigError
from fgtune.text import first_of

_CLUSTERING = {"objective.preset": "untrained", "model.backbone": {"kind": "identity"}, "epochs": 1}

METHODS: Mapping[str, Mapping[str, Any]] = {
    BASELINE: {**_CLUSTERING, "clustering": {"kind": "kmeans", "sizes": "variance"}},
    "gmm": {**_CLUSTERING, "clustering": {"kind": "gmm", "pca": 0.9, "sizes": "variance"}},
    "ward": {**_CLUSTERING, "clustering": {"kind": "agglomerative", "sizes": "variance"}},
    "falcon": {"objective.preset": "falcon"},
    "falcon_warm": {"objective.preset": "falcon_warm"},
    "scan_coarse": {"objective.preset": "scan"},
    "base": {"objective.preset": "base"},
    "fierce": {"objective.preset": "fierce"},
    "snca": {"objective.preset": "snca"},
    "ancor": {"objective.preset": "ancor", "objective.ancor.size": 128},
    "scgm": {"objective.preset": "scgm"},
    "george": {"objective.preset": "base", "clustering": {"kind": "george", "reduction": "pca", "sizes": "variance"}},
    "coins_released": {"objective.preset": "coins_released", "objective.instance": {"kind": "queue", "size": 256}},
}
"""Settings of each method; the clusterings work inside coarse classes, and the first is always in the table."""
DEFAULT = tuple(METHODS)
_LEFT = frozenset({"data", "evaluation", "device"})
"""Sections of a user's trial that the benchmark sets itself."""


def chosen_methods(names: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """The settings of these methods and of the baseline, which comes first.

    Raises:
        ConfigError: There is no such method.
    """
    unknown = next((name for name in names if name not in METHODS), None)
    if unknown is not None:
        fix = f"choose among {first_of(list(METHODS), len(METHODS))}; --add FILE takes the arms of a study file"
        raise ConfigError("no such method", path="--methods", value=unknown, fix=fix)
    return {name: METHODS[name] for name in dict.fromkeys((BASELINE, *names))}


def added_methods(given: Sequence[str], plugins: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """The arms of study files, as settings of the benchmark's trial; parts of the user's own stay names.

    An arm that runs on several data sets has the settings that it has on the first.

    Args:
        given: ``FILE`` for all arms of a study file, or ``FILE:ARM``.
        plugins: Packages that may be imported because the files name parts in them.

    Raises:
        ConfigError: A file or an arm is wrong, or a name is taken.
    """
    from fgtune.config.arms.designs import draft_arms
    from fgtune.config.reading.load import load_study
    from fgtune.plugins import permitting

    found: dict[str, Mapping[str, Any]] = {}
    for each in given:
        file, _, arm = each.partition(":")
        with permitting(plugins, beside=Path(file)):
            arms: dict[str, dict[str, Any]] = {}
            for draft in draft_arms(load_study(file)).arms:
                name = draft.name.removesuffix(f"@{draft.dataset}") if draft.dataset else draft.name
                arms.setdefault(name, draft.config.own().to_plain())
        if arm and arm not in arms:
            fix = f"name one of {first_of(sorted(arms))}, or none for all"
            raise ConfigError("no such arm in the study", where=file, path="--add", value=arm, fix=fix)
        for name in [arm] if arm else arms:
            if name in METHODS or name in found:
                rule = "a method of this name is in the benchmark already"
                raise ConfigError(rule, where=file, path="--add", value=name, fix="rename the arm in the study file")
            settings = {key: value for key, value in arms[name].items() if key not in _LEFT}
            if settings["classes"].get("num_fine") != "estimate":
                del settings["classes"]  # the number of another data set
            found[name] = settings
    return found
