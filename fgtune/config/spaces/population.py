"""What population based training can search: settings that take hold in the middle of a training."""

from __future__ import annotations

import re

from fgtune.config.reading.load import LoadedStudy
from fgtune.config.schema.augmentation import NoiseConfig
from fgtune.config.schema.paths import all_paths
from fgtune.config.schema.search import SearchDesign
from fgtune.config.schema.trial import TrialConfig
from fgtune.errors import ConfigError, MultiConfigError

_CHANGEABLE = re.compile(
    r"""
    objective\.(
        lambda_(coarse|nn|conf|reg|base|instance|entropic) | label_smoothing
        | pseudo_labels\.(temperature|hardening|soft_fraction)
        | instance\.(temperature|key_momentum) | entropic\.temperature
    )
    | optimizer\.(lr|momentum|weight_decay)
    | relations\.(balance|balance_after_soft|every_steps|solver(\..+)?)
    | augmentation\.(flip_p|jitter_p|gray_p|blur_p|padding)
    """,
    re.VERBOSE,
)


def is_changeable(path: str, noise: bool) -> bool:
    """Whether a setting of the trial can change in the middle of a training.

    Args:
        path: Dotted, below ``trial``.
        noise: Whether the augmentation is noise, whose ``std`` is its strength; that of images is their scale.
    """
    return _CHANGEABLE.fullmatch(path) is not None or (noise and path == "augmentation.std")


def check_population(loaded: LoadedStudy, design: SearchDesign) -> None:
    """Raise unless the search can be run by population based training.

    Raises:
        ConfigError: It has several seeds, or a parameter that is fixed once a training has begun;
            ``MultiConfigError`` when several things are wrong.
    """
    study, errors = loaded.study, []
    if len(study.seed_list) != 1:
        rule = "must be one seed for pbt, whose replacements would make another arm of a trial on each"
        where, fix = loaded.origins.where(("seeds",)), "say `seeds: 1`, and compare the best arms on more seeds later"
        errors.append(ConfigError(rule, where=where, path="seeds", value=len(study.seed_list), fix=fix))
    noise = isinstance(study.trial.augmentation, NoiseConfig)
    known = set(all_paths(TrialConfig))
    for path in design.space.parameters:
        if path in known and not is_changeable(path, noise):
            where = loaded.origins.where(("design", "space", "parameters", path))
            rule = "is fixed once a training has begun, and pbt changes settings under way"
            fix = "search weights and temperatures of the objective, the optimizer's numbers, relations; or use asha"
            errors.append(ConfigError(rule, where=where, path=f"design.space.parameters.{path}", fix=fix))
    MultiConfigError.raise_all(errors)
