"""The metrics that a study names to judge trials while they run, or as published; and whether a scheduler can serve.

Which metrics there are, and which of them read fine labels, is for ``fgtune.tuning.search.objectives`` to check.
"""

from __future__ import annotations

from fgtune.config.arms.designs import DESIGNS
from fgtune.config.reading.load import LoadedStudy
from fgtune.config.schema.paths import Path
from fgtune.config.schema.study import Study
from fgtune.errors import ConfigError


def judged_metrics(study: Study) -> dict[Path, str]:
    """The metrics (and costs) that trials are judged by while the study runs, by their place in the file."""
    names, scheduler = [name for name, _ in study.design.criteria], study.own_scheduler
    several = len(names) > 1
    named: dict[Path, str] = {("design", "metric", *((n,) if several else ())): name for n, name in enumerate(names)}
    if scheduler.metric is not None:
        named["scheduler", "metric"] = scheduler.metric
    return named


def published_metrics(study: Study) -> dict[Path, str]:
    """The metrics of the published results, by their place in the file."""
    return {
        ("published", table, "results", row, "metric"): result.metric
        for table, each in enumerate(study.published)
        for row, result in enumerate(each.results)
    }


def check_scheduler(loaded: LoadedStudy) -> None:
    """Raise when the scheduler does not go with the design, or has nothing to judge running trials by.

    Raises:
        ConfigError: At ``scheduler``.
    """
    scheduler, design = loaded.study.own_scheduler, loaded.study.design
    if loaded.study.scheduler.forks:
        DESIGNS[design.kind].check_forks(loaded, design)
    names = [name for name, _ in design.criteria]
    if scheduler.kind != "none" and scheduler.metric is None and (len(names) != 1 or names[0].startswith("cost/")):
        rule, fix = f"{scheduler.kind} needs a metric to judge running trials by", "add `metric:`, e.g. val/silhouette"
        where = loaded.origins.where(("scheduler",))
        raise ConfigError(rule, where=where, path="scheduler", fix=fix)
