"""How each kind of design is planned: its arms, its search, its warnings; one object per kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from fgtune.config.arms.ablation import ablation_arms
from fgtune.config.arms.comparison import comparison_arms
from fgtune.config.arms.draft_arms import Drafts
from fgtune.config.arms.imported import imported_arms
from fgtune.config.arms.search import SearchPlan, check_population, search_arms
from fgtune.config.arms.sensitivity import sensitivity_arms
from fgtune.config.arms.variance import variance_arms
from fgtune.config.reading.load import LoadedStudy
from fgtune.config.schema.ablation import AblationDesign
from fgtune.config.schema.designs import ComparisonDesign, Design, SensitivityDesign
from fgtune.config.schema.imported import ImportedDesign
from fgtune.config.schema.search import SearchDesign
from fgtune.config.schema.study import Study
from fgtune.config.schema.trial import BaseTrialConfig
from fgtune.config.schema.variance import VarianceDesign
from fgtune.config.spaces.space_check import build_space

D = TypeVar("D", bound=Design)
FEWEST_SEEDS = 5
"""Seeds below which a study of variance is warned of."""


class DesignKind(ABC, Generic[D]):
    """What planning needs from a kind of design; the defaults suit most kinds."""

    @abstractmethod
    def draft_arms(self, loaded: LoadedStudy, design: D) -> Drafts:
        """The factors and arms, the baseline first.

        Raises:
            ConfigError: When a factor does not exist, levels repeat, or an arm is not a valid trial;
                ``MultiConfigError`` when several things are wrong.
        """

    def search_plan(
        self, loaded: LoadedStudy, design: D, resolve: Callable[[BaseTrialConfig], BaseTrialConfig]
    ) -> SearchPlan | None:
        """What proposes further arms, their numbers of classes resolved by ``resolve``; None where nothing does."""
        del loaded, design, resolve
        return None

    def check_forks(self, loaded: LoadedStudy, design: D) -> None:
        """Raise ``ConfigError`` unless trials can continue the training of others with different settings."""
        del design
        rule = f"pbt changes the parameters of a search, the design is a {loaded.study.design.kind}"
        raise loaded.error(("scheduler",), rule, "use asha, hyperband, median or plateau")

    def warnings(self, study: Study, design: D) -> Iterator[str]:
        """What is allowed but likely a mistake, one sentence each."""
        del study, design
        yield from ()


class SensitivityKind(DesignKind[SensitivityDesign]):
    """Levels of factors around a baseline."""

    def draft_arms(self, loaded: LoadedStudy, design: SensitivityDesign) -> Drafts:
        """The baseline and the grid, or the points, around it."""
        return sensitivity_arms(loaded, design)


class AblationKind(DesignKind[AblationDesign]):
    """Components of the full method that are on or off."""

    def draft_arms(self, loaded: LoadedStudy, design: AblationDesign) -> Drafts:
        """The full method, then scheme by scheme its reduced versions."""
        return ablation_arms(loaded, design)

    def warnings(self, study: Study, design: AblationDesign) -> Iterator[str]:
        """Arms that lack one other arm to tell redundancy from synergy."""
        del study
        if {"leave_one_out", "add_one_in"} <= {*design.schemes} and not {"none", "factorial"} & {*design.schemes}:
            yield (
                "what a part gains alone needs an arm without any part: add none to the schemes (with over, if a trial "
                "without any is not valid) to tell parts that are redundant from parts that need each other"
            )


class ComparisonKind(DesignKind[ComparisonDesign]):
    """Named arms, whose settings may be searched before they are compared."""

    def draft_arms(self, loaded: LoadedStudy, design: ComparisonDesign) -> Drafts:
        """Every arm on every data set, and the searches inside arms."""
        return comparison_arms(loaded, design)

    def warnings(self, study: Study, design: ComparisonDesign) -> Iterator[str]:
        """Early stopping that leaves the search inside an arm little to choose from."""
        search, scheduler = design.search, study.scheduler.kind
        if search is not None and scheduler != "none" and len(search.seed_list) > 1:
            yield (
                f"{scheduler} stops trials seed by seed, and an arm can only choose one that ran to its end on "
                "every seed of its search, or its own settings, which are never stopped; one seed leaves it more to "
                "choose"
            )


class SearchKind(DesignKind[SearchDesign]):
    """Points of a space, proposed one after the other."""

    def draft_arms(self, loaded: LoadedStudy, design: SearchDesign) -> Drafts:
        """Only the baseline."""
        return search_arms(loaded, design)

    def search_plan(
        self, loaded: LoadedStudy, design: SearchDesign, resolve: Callable[[BaseTrialConfig], BaseTrialConfig]
    ) -> SearchPlan:
        """The design and its space, checked."""
        return SearchPlan(design, build_space(loaded, design, resolve))

    def check_forks(self, loaded: LoadedStudy, design: SearchDesign) -> None:
        """Raise ``ConfigError`` where a parameter is fixed once training has started, or there are several seeds."""
        check_population(loaded, design)

    def warnings(self, study: Study, design: SearchDesign) -> Iterator[str]:
        """Metrics whose meaning differs between trials."""
        del study
        weights = [path for path in design.space.parameters if path.startswith("objective.")]
        for name in design.metrics:
            if weights and name.endswith("/loss"):
                yield (
                    f"{name} is the sum that {weights[0]} enters, so it is lowest where the weights are, whatever they "
                    "do; search by a metric that they do not enter"
                )


class VarianceKind(DesignKind[VarianceDesign]):
    """Random streams that follow the seed or are fixed."""

    def draft_arms(self, loaded: LoadedStudy, design: VarianceDesign) -> Drafts:
        """Everything follows the seed, then one stream at a time, then none."""
        return variance_arms(loaded, design)

    def warnings(self, study: Study, design: VarianceDesign) -> Iterator[str]:
        """Too few seeds; a split without chance."""
        del design
        if len(study.seed_list) < FEWEST_SEEDS:
            yield f"spreads of fewer than {FEWEST_SEEDS} seeds have no useful intervals; 20 tell them apart"
        if study.trial.own().data.split.transductive:
            yield "a transductive study has no split to draw, so the arm split only draws samples that metrics are of"


class ImportedKind(DesignKind[ImportedDesign]):
    """Arms of runs that were made elsewhere."""

    def draft_arms(self, loaded: LoadedStudy, design: ImportedDesign) -> Drafts:
        """Every arm of the table, the baseline first."""
        return imported_arms(loaded.study, design)


DESIGNS: Mapping[str, DesignKind[Any]] = {
    "sensitivity": SensitivityKind(),
    "ablation": AblationKind(),
    "comparison": ComparisonKind(),
    "search": SearchKind(),
    "variance": VarianceKind(),
    "imported": ImportedKind(),
}
"""Every kind of design that a study file may state."""


def draft_arms(loaded: LoadedStudy) -> Drafts:
    """The factors and arms of a study, the baseline first; see ``DesignKind.draft_arms``."""
    design = loaded.study.design
    return DESIGNS[design.kind].draft_arms(loaded, design)


def design_warnings(study: Study) -> tuple[str, ...]:
    """What the design allows but is likely a mistake, one sentence each."""
    return tuple(DESIGNS[study.design.kind].warnings(study, study.design))
