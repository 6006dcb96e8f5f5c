"""What trials are judged by while a study runs: the metrics of a search and of a scheduler, and whether they can serve.

Which metrics there are, and which of them read fine labels, is for ``fgtune.tuning.search.objectives`` to check.
"""

from __future__ import annotations

from collections.abc import Iterator

from fgtune.config.reading.load import LoadedStudy
from fgtune.config.schema.designs import ComparisonDesign
from fgtune.config.schema.paths import Path
from fgtune.config.schema.scheduling import NoSchedulerConfig, PbtConfig
from fgtune.config.schema.search import SearchDesign
from fgtune.config.schema.study import Study
from fgtune.config.spaces.population import check_population
from fgtune.errors import ConfigError


def judged_metrics(study: Study) -> dict[Path, str]:
    """The metrics (and costs) that trials are judged by while the study runs, by their place in the file."""
    design, scheduler = study.design, study.own_scheduler
    named: dict[Path, str] = {}
    if isinstance(design, SearchDesign):
        several = not isinstance(design.metric, str)
        named |= {("design", "metric", *((rank,) if several else ())): each for rank, each in enumerate(design.metrics)}
    if not isinstance(scheduler, NoSchedulerConfig) and scheduler.metric is not None:
        named["scheduler", "metric"] = scheduler.metric
    return named


def check_scheduler(loaded: LoadedStudy) -> None:
    """Raise when the scheduler does not go with the design, or has nothing to judge running trials by.

    Raises:
        ConfigError: At ``scheduler``.
    """
    scheduler, design = loaded.study.own_scheduler, loaded.study.design
    where = loaded.origins.where(("scheduler",))
    if isinstance(loaded.study.scheduler, PbtConfig) and not isinstance(design, SearchDesign):
        rule = f"pbt changes the parameters of a search, the design is a {design.kind}"
        raise ConfigError(rule, where=where, path="scheduler", fix="use asha, hyperband, median or plateau")
    if isinstance(scheduler, NoSchedulerConfig):
        return
    if isinstance(scheduler, PbtConfig) and isinstance(design, SearchDesign):
        check_population(loaded, design)
    judged = design.metrics if isinstance(design, SearchDesign) else ()
    if scheduler.metric is None and (len(judged) != 1 or judged[0].startswith("cost/")):
        rule, fix = f"{scheduler.kind} needs a metric to judge running trials by", "add `metric:`, e.g. val/silhouette"
        raise ConfigError(rule, where=where, path="scheduler", fix=fix)


def meaning_warnings(study: Study) -> Iterator[str]:
    """Metrics that do not mean the same in every trial of a search, and stops that leave it little to choose from."""
    inside = study.design.search if isinstance(study.design, ComparisonDesign) else None
    if inside is not None and not isinstance(study.scheduler, NoSchedulerConfig) and len(inside.seed_list) > 1:
        yield (
            f"{study.scheduler.kind} stops trials seed by seed, and an arm can only choose one that ran to its end on "
            "every seed of its search, or its own settings, which are never stopped; one seed leaves it more to choose"
        )
    if not isinstance(study.design, SearchDesign):
        return
    weights = [path for path in study.design.space.parameters if path.startswith("objective.")]
    for name in study.design.metrics:
        if weights and name.endswith("/loss"):
            yield (
                f"{name} is the sum that {weights[0]} enters, so it is lowest where the weights are, whatever they do; "
                "search by a metric that they do not enter"
            )
