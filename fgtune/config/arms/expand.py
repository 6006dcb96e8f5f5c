"""From a loaded study to its plan: arms with class numbers resolved against the data, cells block by block."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from fgtune.config.arms.designs import DESIGNS, design_warnings, draft_arms
from fgtune.config.arms.draft_arms import DraftArm, Drafts
from fgtune.config.arms.imported import imported_plan
from fgtune.config.arms.plan import ArmSearchPlan, Plan
from fgtune.config.arms.plan_checks import (
    check_device,
    check_distinct,
    check_expected,
    check_published,
    check_scheduler,
    check_seeds,
    check_splits,
)
from fgtune.config.arms.plan_warnings import plan_warnings
from fgtune.config.arms.records import Cell, DataShape, study_hash_of
from fgtune.config.arms.search import SearchPlan
from fgtune.config.arms.variance import check_streams, stream_warnings
from fgtune.config.reading.load import LoadedStudy
from fgtune.config.schema.base import data_key
from fgtune.config.schema.classes import ClassesConfig
from fgtune.config.schema.data import DataConfig
from fgtune.config.schema.study import without_fine_labels
from fgtune.config.schema.trial import BaseTrialConfig, TrialConfig
from fgtune.errors import ConfigError, MultiConfigError

MAX_CELLS = 100_000
"""A study with more cells is treated as a mistake."""


def expand(loaded: LoadedStudy, shape_of: Callable[[DataConfig], DataShape], made: Drafts | None = None) -> Plan:
    """Every arm and cell of a study (with adaptive seeds, of the first block), checked as far as it can be untrained.

    Args:
        loaded: The study.
        shape_of: What the plan needs to know about a data set; called once per data config.
        made: Its arms, if ``draft_arms`` has made them already.

    Returns:
        The plan. Its hash covers the study (without how it is executed) and the content of its data.

    Raises:
        ConfigError: When an arm is not a valid trial, has fewer fine classes than coarse ones, needs fine labels
            that the data lack, or repeats another arm; ``MultiConfigError`` when several things are wrong.
    """
    if not loaded.study.trial.runs_here:
        return imported_plan(loaded.study)
    check_scheduler(loaded)
    check_device(loaded)
    check_seeds(loaded)
    made = draft_arms(loaded) if made is None else made
    drafts = list(made.arms)
    check_splits(loaded, drafts)
    check_streams(loaded, drafts)
    shapes = _shapes(loaded, drafts, shape_of)
    if any(shape.num_fine is None for shape in shapes.values()):
        loaded = replace(loaded, study=without_fine_labels(loaded.study, loaded.raw))
    resolved = _resolved(loaded, drafts, shapes)
    stated = {each.arm: each.loaded.raw["design"]["space"] for each in made.arm_searches}
    check_distinct(loaded, drafts, resolved, stated)
    arms = tuple(draft.arm for draft in drafts)
    _check_number(loaded, len(arms) - len(stated))
    check_published(loaded, arms, stated.keys())
    check_expected(loaded, arms)
    cells = tuple(
        Cell(arm.name, seed, resolved[arm.name], arm.levels)
        for seed in loaded.study.seed_list
        for arm in arms
        if arm.name not in stated
    )
    searches = []
    for each in made.arm_searches:
        with each.relocated_errors():
            searches.append(ArmSearchPlan(each, expand(each.loaded, lambda config: shapes[data_key(config)])))
    study_hash = study_hash_of(loaded.study, (shape.fingerprint for shape in shapes.values()))
    search = _search_plan(loaded, shapes)
    spaces = {each.search.arm: each.plan.search.space for each in searches if each.plan.search is not None}
    spaces |= {"the search": search.space} if search is not None else {}
    warnings = (
        *made.warnings,
        *plan_warnings(resolved, spaces, shapes),
        *stream_warnings(loaded.study),
        *design_warnings(loaded.study),
    )
    factors = made.factors if search is None else search.factors
    return Plan(loaded.study, study_hash, factors, arms, cells, shapes, warnings, search, tuple(searches))


def _check_number(loaded: LoadedStudy, arms: int) -> None:
    """Raise where a study would have more cells than can be run, before they are made."""
    seeds = len(loaded.study.seed_list)
    if arms * seeds > MAX_CELLS:
        rule = f"must have at most {MAX_CELLS:,} cells, {arms:,} arms with {seeds:,} seeds each are {arms * seeds:,}"
        raise loaded.error(("seeds",), rule, "give fewer seeds, or fewer levels")


def _resolved(
    loaded: LoadedStudy, drafts: Sequence[DraftArm], shapes: Mapping[str, DataShape]
) -> dict[str, BaseTrialConfig]:
    """The config of each arm with resolved numbers of classes."""
    resolved, errors = {}, []
    for draft in drafts:
        try:
            resolved[draft.name] = resolve_trial(draft.config, shapes)
        except ConfigError as error:
            errors.append(draft.place_error(error, loaded))
            if draft.is_baseline:  # an error of the trial itself is an error of every arm: report it once
                break
    MultiConfigError.raise_all(errors)
    return resolved


def _search_plan(loaded: LoadedStudy, shapes: Mapping[str, DataShape]) -> SearchPlan | None:
    """What a proposer needs, for a study that searches; its trials all have the data of the baseline."""
    design = loaded.study.design
    return DESIGNS[design.kind].search_plan(loaded, design, lambda config: resolve_trial(config, shapes))


def resolve_trial(config: BaseTrialConfig, shapes: Mapping[str, DataShape]) -> BaseTrialConfig:
    """The trial with resolved numbers of classes, where it has classes; see ``resolve_classes``.

    Args:
        config: A trial.
        shapes: Shape of each data set, by ``data_key``.
    """
    own = config.discovery
    return config if own is None else resolve_classes(own, shapes[data_key(own.data)])


def resolve_classes(config: TrialConfig, shape: DataShape) -> TrialConfig:
    """The config with ``classes.num_fine`` as a number, or left to be estimated, checked against the data.

    Args:
        config: A trial; ``num_fine_ratio`` times the true number of fine classes is rounded half up.
        shape: Shape of the trial's data.

    Raises:
        ConfigError: With a path below ``trial``, when K_F < K_C, or fine labels are needed and absent.
    """
    if config.classes.estimator is not None:
        _check_estimated(config)
        return config
    ratio, num_fine, path = config.classes.num_fine_ratio, config.classes.number, "trial.classes.num_fine"
    if ratio is not None:
        path = "trial.classes.num_fine_ratio"
        if shape.num_fine is None:
            rule, fix = "needs fine labels, which the data do not have", "give classes.num_fine instead"
            raise ConfigError(rule, path=path, value=ratio, fix=fix)
        # As a decimal: 1.15 * 10 is 11.5 as written, not 11.49999.
        exact = Decimal(repr(ratio)) * shape.num_fine
        num_fine = int(exact.to_integral_value(rounding=ROUND_HALF_UP))
    most = max(shape.num_coarse)
    if num_fine is None or num_fine < most:
        asked = f"K_F = {num_fine}" if ratio is None else f"K_F = {num_fine} ({ratio} x {shape.num_fine})"
        rule = f"must be >= number of coarse classes, {asked} cannot cover K_C = {most}"
        fix = (
            f"ask for {most} or more"
            if ratio is None
            else f"use a ratio of {most / (shape.num_fine or most):g} or more"
        )
        raise ConfigError(rule, path=path, value=num_fine if ratio is None else ratio, fix=fix)
    if config.relations.mode == "oracle" and shape.num_fine != num_fine:
        needed = "fine labels, which the data do not have"
        if shape.num_fine is not None:
            needed = f"as many fine classes as the data have ({shape.num_fine}), not {num_fine}"
        fix = (
            "use learned or random_balanced relations" if shape.num_fine is None else "set classes.num_fine_ratio: 1.0"
        )
        raise ConfigError(f"oracle relations need {needed}", path="trial.relations.mode", value="oracle", fix=fix)
    _check_sizes(config, num_fine, shape)
    return config.model_copy(update={"classes": ClassesConfig(num_fine=num_fine)})  # no other setting depends on it


def _check_sizes(config: TrialConfig, num_fine: int, shape: DataShape) -> None:
    """Raise where sizes given as numbers do not fit the number of fine or coarse classes."""
    prior, sizes = config.objective.prior, config.relations.sizes
    if isinstance(prior, tuple) and len(prior) != num_fine:
        rule = f"needs one size per fine class (K_F = {num_fine}), it has {len(prior)}"
        fix = "give as many sizes, or a rule: coarse_shares, clusters or learned"
        raise ConfigError(rule, path="trial.objective.prior", value=list(prior), fix=fix)
    if isinstance(sizes, tuple) and (len(shape.num_coarse) != 1 or len(sizes) != shape.num_coarse[0]):
        needed = "one source" if len(shape.num_coarse) != 1 else f"one number per coarse class ({shape.num_coarse[0]})"
        rule, fix = f"needs {needed}", "give as many numbers, or a rule: balanced, coarse_shares or variance"
        raise ConfigError(rule, path="trial.relations.sizes", value=list(sizes), fix=fix)
    if isinstance(sizes, tuple) and sum(sizes) != num_fine:
        rule, fix = f"must sum to K_F = {num_fine}, they sum to {sum(sizes)}", "change them or classes.num_fine"
        raise ConfigError(rule, path="trial.relations.sizes", value=list(sizes), fix=fix)


def _check_estimated(config: TrialConfig) -> None:
    """Raise where a setting needs K_F before the trial estimates it."""
    path, value, rule = "trial.classes.num_fine", config.classes.num_fine, ""
    if config.relations.mode == "oracle":
        rule = "oracle relations need the true number of fine classes, not an estimate"
    elif config.objective.oracle_weights:
        rule = (
            f"{config.objective.oracle_weights[0]} needs a class for every fine label, which an estimate cannot promise"
        )
    elif isinstance(config.objective.prior, tuple):
        rule = "objective.prior needs one size per fine class, and their number is to be estimated"
    elif isinstance(config.relations.sizes, tuple):
        rule = "relations.sizes needs numbers that sum to the number of fine classes, which is to be estimated"
    if rule:
        raise ConfigError(rule, path=path, value=value, fix="give num_fine as a number, or num_fine_ratio")


def _shapes(
    loaded: LoadedStudy, drafts: list[DraftArm], shape_of: Callable[[DataConfig], DataShape]
) -> dict[str, DataShape]:
    """The shape of every data set that an arm uses."""
    shapes: dict[str, DataShape] = {}
    for draft in drafts:
        own = draft.config.discovery
        if own is not None and (key := data_key(own.data)) not in shapes:
            try:
                shapes[key] = shape_of(own.data)
            except ConfigError as error:
                raise draft.place_error(_about_data(error), loaded) from error
    return shapes


def _about_data(error: ConfigError) -> ConfigError:
    """An error from loading data, its own place (an array of a file, say) named in the rule."""
    path, inside = (error.path, "") if error.path.startswith("trial") else ("trial.data", error.path)
    rule = ": ".join(part for part in (error.where, inside, error.rule) if part)
    value: dict[str, Any] = {"value": error.value} if error.has_value else {}
    return type(error)(rule, path=path, fix=error.fix, **value)
