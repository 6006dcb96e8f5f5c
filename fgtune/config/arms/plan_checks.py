"""Checks of a plan: its metrics, its arms, what papers report for them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from fgtune.catalog import ARM_METRICS, COST, METRICS, MetricSpec, NeededSetting, is_of_cells, natural_mode
from fgtune.config.arms.designs import DESIGNS
from fgtune.config.arms.draft_arms import DraftArm
from fgtune.config.arms.plan import Plan
from fgtune.config.arms.records import Arm
from fgtune.config.reading.load import LoadedStudy
from fgtune.config.schema.base import stable_hash
from fgtune.config.schema.paths import Path, suggestion, value_at
from fgtune.config.schema.published import find_arm
from fgtune.config.schema.study import Study
from fgtune.config.schema.trial import BaseTrialConfig
from fgtune.config.schema.tuning import Mode
from fgtune.errors import ConfigError, MultiConfigError


def check_metrics(loaded: LoadedStudy) -> None:
    """Raise unless every metric that the study names can be used, as far as the file alone shows.

    All are known; the primary one has a direction; published values are within range. What trials are judged by while
    the study runs has a direction too and is a label-free metric of the validation or training split, unless the study
    says ``oracle: true``.

    Raises:
        ConfigError: At the metric or value; ``MultiConfigError`` when several are wrong.
    """
    MultiConfigError.raise_all([*_unknown(loaded)] or [*_out_of_range(loaded)])
    MultiConfigError.raise_all([*_not_permitted(loaded)])


def check_device(loaded: LoadedStudy) -> None:
    """Raise when fgtune's own trainer, which uses one device a trial, is asked to use several, or a GPU that it lacks.

    Raises:
        ConfigError: At ``execution.gpus``, ``trial.device``, ``trial.precision`` or ``trial.cuda_graph``.
    """
    execution, trial = loaded.study.execution, loaded.study.trial.discovery
    if trial is None:
        return
    for name, value in (("device", "cuda"), ("precision", "fp16"), ("cuda_graph", True)):
        if getattr(trial, name) == value and not execution.gpus:
            rule, fix = "needs a GPU, and trials hold none", "set execution.gpus: 1, or a fraction so that trials share"
            raise loaded.error(("trial", name), rule, fix, value=value)
    if execution.gpus > 1.0:
        rule = "must be at most 1: a trial trains on one device, and several GPUs run several trials at once"
        fix = "set execution.gpus: 1, or a fraction so that trials share a GPU"
        raise loaded.error(("execution", "gpus"), rule, fix, value=execution.gpus)


def check_scheduler(loaded: LoadedStudy) -> None:
    """Raise when the scheduler does not suit the design, or has no metric to judge running trials by.

    Raises:
        ConfigError: At ``scheduler``.
    """
    scheduler, design = loaded.study.stopping, loaded.study.design
    if loaded.study.scheduler.forks:
        DESIGNS[design.kind].check_forks(loaded, design)
    names = [name for name, _ in design.criteria]
    if scheduler is not None and scheduler.metric is None and (len(names) != 1 or not is_of_cells(names[0])):
        rule, fix = f"{scheduler.kind} needs a metric to judge running trials by", "add `metric:`, e.g. val/silhouette"
        raise loaded.error(("scheduler",), rule, fix)


def check_seeds(loaded: LoadedStudy) -> None:
    """Raise when seeds do not suit the design.

    They are to be added until contrasts are decided, in a study whose contrasts never can be; or there is one, and
    points are judged by how far their seeds agree.

    Raises:
        ConfigError: At ``seeds``.
    """
    study = loaded.study
    of_arms = [name for name, _ in study.design.criteria if name in ARM_METRICS]
    if of_arms and len(study.seed_list) < 2:
        rule = f"{of_arms[0]} compares the seeds of a trial with each other, so it needs two at least"
        fix = "say `seeds: 3`, or judge by a metric of single cells such as val/fixed_silhouette"
        raise loaded.error(("seeds",), rule, fix, value=len(study.seed_list))
    if study.adaptive_seeds is None:
        return
    fix = "give a fixed number, such as 5"
    if not study.design.plans_contrasts:
        raise loaded.error(("seeds",), f"a {study.design.kind} plans no contrasts that seeds could decide", fix)
    if study.stopping is not None:
        rule = "seeds cannot decide contrasts whose trials are stopped early: those left are the ones that went well"
        raise loaded.error(("seeds",), rule, f"{fix}, or take the scheduler out")


def check_splits(loaded: LoadedStudy, drafts: Iterable[DraftArm]) -> None:
    """Raise unless every arm evaluates the split of every metric; training losses need no evaluation."""
    errors = []
    splits = [own.evaluation.splits for draft in drafts if (own := draft.config.discovery) is not None]
    for path, name in _named(loaded.study).items():
        if name in ARM_METRICS:
            continue  # of the predictions of all splits
        split = name.partition("/")[0]
        lacking = next((each for each in splits if split not in each), None)
        if split != "train" and lacking is not None:
            rule = f"{split} is not among trial.evaluation.splits ({', '.join(lacking)})"
            fix = f"add {split} to trial.evaluation.splits"
            errors.append(loaded.error(path, rule, fix, value=name))
    MultiConfigError.raise_all(errors)


def check_measured(loaded: LoadedStudy, plan: Plan) -> None:
    """Raise when a metric will not be measured: its fine targets, its split or its setting are missing somewhere.

    That of the scheduler must be measured while trials run.
    """
    errors = []
    for path, name in _named(plan.study).items():
        found = _unmeasured(name, plan.study.trial.book.spec_of(name), plan, is_running=path[0] == "scheduler")
        if found is not None:
            rule, fix = found
            errors.append(loaded.error(path, rule, fix, value=name))
    MultiConfigError.raise_all(errors)


def _named(study: Study) -> dict[Path, str]:
    """The metrics that a study names, by their place in the file; costs are not included."""
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
    """Metrics that the catalogue does not know, and a primary one without a direction."""
    for path, name in _named(loaded.study).items():
        try:
            spec = loaded.study.trial.book.spec_of(name)
        except ConfigError as error:
            yield loaded.located(error, path)
            continue
        if spec.direction == "none" and path[-1] == "primary":
            rule, fix = "has no better or worse, so no arm could win by it", "move it to metrics.also"
            yield loaded.error(path, rule, fix, value=name)


def _out_of_range(loaded: LoadedStudy) -> Iterator[ConfigError]:
    """Published values that their metric cannot take: most likely given in per cent."""
    for path, name in _published(loaded.study).items():
        spec = loaded.study.trial.book.spec_of(name)
        value = loaded.study.published[int(path[1])].results[int(path[3])].value
        if not spec.low <= value <= spec.high:
            rule = f"must be in {name}'s own unit, {spec.low:g} to {spec.high:g}"
            fix = f"divide per cent by 100: {value / 100:g}" if spec.high == 1 else "check the number"
            yield loaded.error((*path[:-1], "value"), rule, fix, value=value)


def _not_permitted(loaded: LoadedStudy) -> Iterator[ConfigError]:
    """Metrics that trials must not be judged by."""
    for path, (name, mode) in _judged(loaded.study).items():
        if name.startswith(COST):
            continue
        for rule, fix in _reasons(name, mode, loaded.study, is_running=path[0] == "scheduler"):
            yield loaded.error(path, rule, fix, value=name)


def _reasons(name: str, mode: Mode | None, study: Study, *, is_running: bool) -> Iterator[tuple[str, str]]:
    """Why a metric cannot judge trials, and what to do; running ones are judged epoch by epoch."""
    book, design = study.trial.book, study.design
    spec, remedy = book.spec_of(name), "" if design.plans_cells else ", or say `oracle: true`"
    if mode is None:
        try:
            natural_mode(name, book)
        except ConfigError as error:
            yield error.rule, error.fix
            return
    if is_running and spec.final and spec.curve is None:
        yield "is measured after the last epoch only, too late to stop a trial", "name one that is measured every epoch"
    if design.allows_oracle:
        return
    if spec.oracle:
        free = [f"val/{each}" for each, known in METRICS.items() if not known.oracle and known.direction != "none"]
        free += [] if is_running else ARM_METRICS
        yield "reads fine labels, which selection must not", f"choose among {', '.join(free)}{remedy}"
    elif name.startswith("test/"):
        yield "is of the test split, which selection must not look at", f"use val/{name.partition('/')[2]}{remedy}"


def _unmeasured(name: str, spec: MetricSpec, plan: Plan, *, is_running: bool) -> tuple[str, str] | None:
    """Why a metric will not be measured in some arm, and what to do; None when it will."""
    shapes = plan.shapes.values()
    blind = spec.reads == "fine classes" and any(shape.num_fine is None for shape in shapes)
    if blind or (spec.reads == "fine values" and any(shape.num_values is None for shape in shapes)):
        free = ", ".join(each for each, other in METRICS.items() if not other.oracle)
        kind = "fine labels" if blind else "continuous fine targets"
        return f"reads {kind}, which the data do not have", f"choose among: {free}"
    configs = [own for arm in plan.arms if (own := arm.config.discovery) is not None]
    evaluated = not name.startswith("train/") or spec.unevaluated
    if not evaluated and any("train" not in config.evaluation.splits for config in configs):
        return "train is not among trial.evaluation.splits", "add train to trial.evaluation.splits"
    needs = (*spec.needs, *((spec.curve,) if is_running and spec.curve is not None else ()))
    settings = [config.to_plain() for config in configs] if needs else []
    for need in needs:
        met = [_is_met(need, each) for each in settings]
        if not (any(met) if need.in_one_arm else all(met)):
            return need.rule, need.fix
    return None


def _is_met(need: NeededSetting, trial: Mapping[str, Any]) -> bool:
    found = [value_at(trial, path) for path in need.paths]
    if need.entry is not None:
        return any(need.entry in (value or ()) for value in found)
    return any(value not in (None, False, 0) for value in found)


def check_distinct(
    loaded: LoadedStudy,
    drafts: list[DraftArm],
    resolved: Mapping[str, BaseTrialConfig],
    spaces: Mapping[str, Any],
) -> None:
    """Raise if two arms are the same trial or, where they are searched, the same trial with the same space."""
    seen: dict[str, str] = {}
    errors = []
    for draft in drafts:
        key = stable_hash([resolved[draft.name].to_plain(), spaces.get(draft.name)])
        if key in seen:
            rule = f"arms {seen[key]!r} and {draft.name!r} are the same trial once classes are resolved"
            place = next(iter(draft.places.values()), ("design",))
            errors.append(loaded.error(place, rule, "drop one of them"))
        seen.setdefault(key, draft.name)
    MultiConfigError.raise_all(errors)


def check_published(loaded: LoadedStudy, arms: Sequence[Arm], searched: Collection[str] = ()) -> None:
    """Raise unless every published result is about one arm, which it names where levels are searched, or about none.

    About none is a number with the name of a method that the study does not run.

    Raises:
        ConfigError: At the name or levels of the result; ``MultiConfigError`` when several are wrong.
    """
    MultiConfigError.raise_all(list(_published_errors(loaded, arms, searched)))


def _published_errors(loaded: LoadedStudy, arms: Sequence[Arm], searched: Collection[str]) -> Iterator[ConfigError]:
    levels = {arm.name: arm.levels for arm in arms}
    known = loaded.study.trial.paths()
    for table, each in enumerate(loaded.study.published):
        for key in each.protocol:
            if key not in known:
                fix = suggestion(key, known)
                yield loaded.error(("published", table, "protocol", key), "is not a path below trial", fix)
    first = {arm.dataset: arm.levels for arm in arms if arm.is_baseline}
    baselines = {arm.name: first[arm.dataset] for arm in arms}
    names = ", ".join(levels)
    fix = f"the arms are {names if len(names) <= 300 else names[:300] + ' ...'}; --set published=[] leaves them out"
    path: Path
    for table, each in enumerate(loaded.study.published):
        for row, result in enumerate(each.results):
            if result.stands_alone:
                continue
            found = find_arm(result, levels, baselines)
            if found in searched and result.arm is None:
                path = ("published", table, "results", row, "levels")
                rule = "must not describe an arm whose settings are searched"
                yield loaded.error(path, rule, f"write arm: {found}", value=result.levels)
            elif found is None:
                key = "levels" if result.arm is None else "arm"
                path = ("published", table, "results", row, key)
                yield loaded.error(path, "must be one arm of the plan", fix, value=result.arm or result.levels)


def check_expected(loaded: LoadedStudy, arms: Sequence[Arm]) -> None:
    """Raise unless every expectation is about another arm that is compared with the baseline.

    Raises:
        ConfigError: At the arm; ``MultiConfigError`` when several are wrong.
    """
    study = loaded.study
    if study.expect and not study.design.plans_contrasts:
        rule = f"needs arms that are compared with a baseline, a {study.design.kind} plans no comparison"
        raise loaded.error(("expect",), rule, "write it into expectation, in words")
    baselines = {arm.name for arm in arms if arm.is_baseline}
    together = {arm.name.removesuffix(f"@{arm.dataset}") for arm in arms if arm.dataset and not arm.is_baseline}
    known = [*(arm.name for arm in arms if not arm.is_baseline), *sorted(together)]
    errors, seen = [], set()
    for rank, each in enumerate(study.expect):
        path = ("expect", rank, "arm")
        if each.arm in baselines:
            rule = "must not be the baseline, which the verdicts are against"
            errors.append(loaded.error(path, rule, f"the others are {', '.join(known)}", value=each.arm))
        elif each.arm not in known:
            fix = suggestion(each.arm, known, "arms")
            errors.append(loaded.error(path, "must be an arm of the plan", fix, value=each.arm))
        elif each.arm in seen:
            errors.append(loaded.error(path, "is expected twice", "state one verdict an arm", value=each.arm))
        seen.add(each.arm)
    MultiConfigError.raise_all(errors)
