"""From a study's design to its arms: patches of the trial, each validated as a whole, each named."""

from __future__ import annotations

from fgtune.config.arms.ablation import ablation_arms
from fgtune.config.arms.comparison import comparison_arms
from fgtune.config.arms.drafts import Drafts
from fgtune.config.arms.search import search_arms
from fgtune.config.arms.sensitivity import sensitivity_arms
from fgtune.config.reading.load import LoadedStudy
from fgtune.config.schema.designs import AblationDesign, ComparisonDesign
from fgtune.config.schema.search import SearchDesign


def draft_arms(loaded: LoadedStudy) -> Drafts:
    """The factors and arms of a study, the baseline first.

    Raises:
        ConfigError: When a factor does not exist, levels repeat, or an arm is not a valid trial; ``MultiConfigError``
            when several things are wrong.
    """
    design = loaded.study.design
    if isinstance(design, ComparisonDesign):
        return comparison_arms(loaded, design)
    if isinstance(design, AblationDesign):
        return ablation_arms(loaded, design)
    if isinstance(design, SearchDesign):
        return search_arms(loaded, design)
    return sensitivity_arms(loaded, design)
