"""Checks of the metrics that a study names: known, with a direction, within range, permitted, evaluated, measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fgtune.catalog import COST, METRICS, MetricSpec, natural_mode, spec_of
from fgtune.config.arms.designs import DESIGNS
from fgtune.config.arms.draft_arms import DraftArm
from fgtune.config.arms.plan import Plan
from fgtune.config.reading.load import LoadedStudy
from fgtune.config.schema.designs import Design
from fgtune.config.schema.paths import Path, value_at
from fgtune.config.schema.study import Study
from fgtune.config.schema.tuning import Mode
from fgtune.errors import ConfigError, MultiConfigError


def check_metrics(loaded: LoadedStudy) -> None:
    """Raise unless every metric that the study names can serve, as far as the file alone says.

    All are known; the primary one has a direction; published values are within range. What trials are judged by while
    the study runs has a direction too and is a label-free metric of the validation or training split, unless the study
    says ``oracle: true``.

    Raises:
        ConfigError: At the metric or value; ``MultiConfigError`` when several are wrong.
    """
    MultiConfigError.raise_all([*_unknown(loaded)] or [*_out_of_range(loaded)])
    MultiConfigError.raise_all([*_not_permitted(loaded)])


def check_scheduler(loaded: LoadedStudy) -> None:
    """Raise when the scheduler does not go with the design, or has nothing to judge running trials by.

    Raises:
        ConfigError: At ``scheduler``.
    """
    scheduler, design = loaded.study.stopping, loaded.study.design
    if loaded.study.scheduler.forks:
        DESIGNS[design.kind].check_forks(loaded, design)
    names = [name for name, _ in design.criteria]
    if scheduler is not None and scheduler.metric is None and (len(names) != 1 or names[0].startswith(COST)):
        rule, fix = f"{scheduler.kind} needs a metric to judge running trials by", "add `metric:`, e.g. val/silhouette"
        raise loaded.error(("scheduler",), rule, fix)


def check_splits(loaded: LoadedStudy, drafts: Iterable[DraftArm]) -> None:
    """Raise unless every arm evaluates the split of every metric; training losses need no evaluation."""
    errors = []
    splits = [draft.config.evaluation.splits for draft in drafts]
    for path, name in _named(loaded.study).items():
        split = name.partition("/")[0]
        lacking = next((each for each in splits if split not in each), None)
        if split != "train" and lacking is not None:
            rule = f"{split} is not among trial.evaluation.splits ({', '.join(lacking)})"
            fix = f"add {split} to trial.evaluation.splits"
            errors.append(loaded.error(path, rule, fix, value=name))
    MultiConfigError.raise_all(errors)


def check_measured(loaded: LoadedStudy, plan: Plan) -> None:
    """Raise when a metric will not be measured: its fine targets, its split or its setting are missing somewhere."""
    errors = []
    for path, name in _named(loaded.study).items():
        found = _unmeasured(name, spec_of(name), plan)
        if found is not None:
            rule, fix = found
            errors.append(loaded.error(path, rule, fix, value=name))
    MultiConfigError.raise_all(errors)


def _named(study: Study) -> dict[Path, str]:
    """The metrics that a study names, by their place in the file; costs are none."""
    named: dict[Path, str] = {("metrics", "primary"): study.metrics.primary}
    named |= {("metrics", "also", n): name for n, name in enumerate(study.metrics.also)}
    named |= {path: name for path, (name, _) in _judged(study).items() if not name.startswith(COST)}
    return named | _published(study)


def _judged(study: Study) -> dict[Path, tuple[str, Mode | None]]:
    """The metrics and costs that trials are judged by while the study runs, each with its stated direction."""
    criteria, scheduler = study.design.criteria, study.stopping
    several = len(criteria) > 1
    named: dict[Path, tuple[str, Mode | None]]
    named = {("design", "metric", *((n,) if several else ())): each for n, each in enumerate(criteria)}
    if scheduler is not None and scheduler.metric is not None:
        named["scheduler", "metric"] = scheduler.metric, scheduler.mode
    return named


def _published(study: Study) -> dict[Path, str]:
    """The metrics of the published results."""
    return {
        ("published", table, "results", row, "metric"): result.metric
        for table, each in enumerate(study.published)
        for row, result in enumerate(each.results)
    }


def _unknown(loaded: LoadedStudy) -> Iterator[ConfigError]:
    """Metrics that the catalogue does not have, and a primary one without a direction."""
    for path, name in _named(loaded.study).items():
        try:
            spec = spec_of(name)
        except ConfigError as error:
            yield loaded.located(error, path)
            continue
        if spec.direction == "none" and path[-1] == "primary":
            rule, fix = "has no better or worse, so no arm could win by it", "move it to metrics.also"
            yield loaded.error(path, rule, fix, value=name)


def _out_of_range(loaded: LoadedStudy) -> Iterator[ConfigError]:
    """Published values that their metric cannot have: per cent, most likely."""
    for path, name in _published(loaded.study).items():
        spec = spec_of(name)
        value = loaded.study.published[int(path[1])].results[int(path[3])].value
        if not spec.low <= value <= spec.high:
            rule = f"must be in {name}'s own unit, {spec.low:g} to {spec.high:g}"
            fix = f"divide per cent by 100: {value / 100:g}" if spec.high == 1 else "check the number"
            yield loaded.error((*path[:-1], "value"), rule, fix, value=value)


def _not_permitted(loaded: LoadedStudy) -> Iterator[ConfigError]:
    """What trials must not be judged by."""
    design = loaded.study.design
    for path, (name, mode) in _judged(loaded.study).items():
        if name.startswith(COST):
            continue
        for rule, fix in _reasons(name, mode, design, is_running=path[0] == "scheduler"):
            yield loaded.error(path, rule, fix, value=name)


def _reasons(name: str, mode: Mode | None, design: Design, *, is_running: bool) -> Iterator[tuple[str, str]]:
    """Why a metric cannot judge trials, and what to do; running ones are judged epoch by epoch."""
    spec, remedy = spec_of(name), "" if design.plans_cells else ", or say `oracle: true`"
    if mode is None:
        try:
            natural_mode(name)
        except ConfigError as error:
            yield error.rule, error.fix
            return
    if is_running and spec.final:
        yield "is measured after the last epoch only, too late to stop a trial", "name one that is measured every epoch"
    if design.allows_oracle:
        return
    if spec.oracle:
        free = [f"val/{each}" for each, known in METRICS.items() if not known.oracle and known.direction != "none"]
        yield "reads fine labels, which selection must not", f"choose among {', '.join(free)}{remedy}"
    elif name.startswith("test/"):
        yield "is of the test split, which selection must not look at", f"use val/{spec.name}{remedy}"


def _unmeasured(name: str, spec: MetricSpec, plan: Plan) -> tuple[str, str] | None:
    """Why a metric will not be measured in some arm, and what to do; None when it will."""
    shapes = plan.shapes.values()
    blind = spec.reads == "fine classes" and any(shape.num_fine is None for shape in shapes)
    if blind or (spec.reads == "fine values" and any(shape.num_values is None for shape in shapes)):
        free = ", ".join(each for each, other in METRICS.items() if not other.oracle)
        kind = "fine labels" if blind else "continuous fine targets"
        return f"reads {kind}, which the data do not have", f"choose among: {free}"
    configs = [arm.config for arm in plan.arms]
    train = name.startswith("train/") and not spec.name.startswith("loss")
    if train and any("train" not in config.evaluation.splits for config in configs):
        return "train is not among trial.evaluation.splits", "add train to trial.evaluation.splits"
    if spec.name.startswith("attention_") and any(config.evaluation.attention_samples == 0 for config in configs):
        return "is not measured by default", "set trial.evaluation.attention_samples, to 32 say"
    if spec.setting is not None:
        path, entry = spec.setting
        if any(entry not in (value_at(config.to_plain(), path) or ()) for config in configs):
            return "is not measured by default", f"add {entry} to trial.{path}"
    return None
