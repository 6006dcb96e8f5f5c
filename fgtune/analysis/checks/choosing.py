"""Checks of what was chosen: at an edge of its space, from more trials than others had, by what nobody can know."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fgtune.analysis.checks.record import Check, Material, passed, warned
from fgtune.analysis.formatting import MetricInfo, capital, factor_name, metric_info, number
from fgtune.analysis.inputs import StudyData
from fgtune.analysis.search.axes import axes_of, end_of
from fgtune.analysis.search.overview import is_oracle, stopping_metric
from fgtune.catalog.metrics import AGREEMENT
from fgtune.catalog.terms import trains_fine_head
from fgtune.text import count, first_of, listed

_MOST_NAMED = 6  # settings or arms that a sentence names


def edges(material: Material) -> Check | None:
    """Chosen settings at an end of their range."""
    name, found, choices = "Edges of the space", [], 0
    if material.search is not None:
        axes = axes_of(material.data)
        paths = [axis.path for axis in axes]
        for selection in material.search.searched:
            choices += 1
            levels = material.search.trial(selection.arm).levels
            found += [
                _edge(factor_name(axis.path, paths), end, levels[axis.path])
                for axis in axes
                if (end := end_of(axis, levels.get(axis.path)))
            ]
    for arm in () if material.arm_searches is None else material.arm_searches.arms:
        choices += bool(arm.settings)
        paths = [setting.path for setting in arm.settings]
        found += [
            _edge(f"{factor_name(setting.path, paths)} of {arm.arm}", setting.at_end, setting.chosen)
            for setting in arm.settings
            if setting.at_end
        ]
    if not choices:
        return None
    if not found:
        return passed(name, "no chosen setting lies at an end of its range")
    text = f"What was chosen lies at an edge: {first_of(list(dict.fromkeys(found)), _MOST_NAMED)}."
    return warned(name, text, "Widen these ranges and search again: beyond them may be better settings.")


def _edge(what: str, end: str, level: Any) -> str:
    return f"{what} at the {end} end of its range ({number(level)})"


def budgets(material: Material) -> Check | None:
    """Arms whose searches had different numbers of trials or epochs."""
    name, searches = "Equal budgets", material.arm_searches
    over = () if searches is None else tuple(arm for arm in searches.arms if arm.chosen)
    if len(over) < 2:
        return None
    trials = {arm.arm: arm.counts.proposed for arm in over}
    trained = {arm.arm: arm.epochs for arm in over}
    if len(set(trials.values())) > 1:
        parts = [f"{arm} {n}" for arm, n in trials.items()]
        text = (
            f"The arms were not given as many trials as each other ({listed(parts)}): some spaces have no more points."
        )
        return warned(
            name, text, "Give the smaller spaces more levels, or all searches as few trials as the smallest has."
        )
    if max(trained.values()) > 2 * min(trained.values()):
        parts = [f"{arm} {n}" for arm, n in trained.items()]
        text = f"The searches trained for very different numbers of epochs in all: {listed(parts)}."
        return warned(name, text, "Search without a scheduler, or say beside the verdict what tuning cost each arm.")
    return passed(name, f"each of {count(len(over), 'arm')} had {count(over[0].counts.proposed, 'trial')} of its own")


def agreeing_seeds(material: Material) -> Check | None:
    """Arms whose seeds agree for another reason than that they have found something."""
    name, data = "Agreement between seeds", material.data
    criteria = {choice.criterion for choice in material.choices}
    criteria |= {each.criterion for each in (() if material.search is None else material.search.selections)}
    chooses = AGREEMENT in criteria or not material.primary.oracle
    found = {arm.name: data.agreements.of(arm.name) for arm in data.arms} if chooses else {}
    measured = {arm: agreement for arm, agreement in found.items() if agreement is not None}
    if not measured:
        return None
    reasons = {
        "all seeds of {} find exactly the same classes": [arm for arm in measured if measured[arm].identical],
        "the seeds of {} start from the same weights": [arm for arm in measured if _one_file(data, arm)],
        "the seeds of {} share one pretrained encoder": [
            arm for arm, agreement in measured.items() if agreement.same_split and _one_pretraining(data, arm)
        ],
    }
    # These follow the shape of the inputs, which is what the shared judge looks at, too.
    attracted = {
        "the seeds of {} start from clusters of the inputs": [
            arm for arm in measured if _starts_in_clusters(data, arm)
        ],
        "the seeds of {} cluster the same inputs": [arm for arm in measured if _clusters_inputs(data, arm)],
    }
    problems = [text.format(first_of(arms, _MOST_NAMED)) for text, arms in (reasons | attracted).items() if arms]
    if not problems:
        arms = count(len(measured), "arm")
        return passed(name, f"no reason is seen why the seeds of any of {arms} should agree even on wrong classes")
    text = f"{capital(', and '.join(problems))}: they agree more for that reason, whether the classes are right or not."
    step = "Compare their agreement with that of arms that start likewise alone"
    if any(attracted.values()):
        return warned(name, text, f"{step}; fixed_silhouette, too, favours clusters of the inputs.")
    return warned(name, text, f"{step}, or choose by val/fixed_silhouette.")


def _configs(data: StudyData, arm: str) -> list[Mapping[str, Any]]:
    """The configs that finished cells of an arm ran with, as plain data; an earlier version had fewer settings."""
    return [result.config for result in data.ended(arm)]


def _one_file(data: StudyData, arm: str) -> bool:
    """Whether all seeds of an arm begin with the weights of a file."""
    return any(config.get("model", {}).get("weights") is not None for config in _configs(data, arm))


def _one_pretraining(data: StudyData, arm: str) -> bool:
    """Whether all seeds of an arm with the same training samples begin with the same pretrained encoder."""
    sections = [config.get("model", {}).get("pretrain") or {} for config in _configs(data, arm)]
    return any(section.get("seed") is not None for section in sections)


def _starts_in_clusters(data: StudyData, arm: str) -> bool:
    """Whether a fine head first learns clusters of the inputs."""
    sections = [config.get("warm_start", {}) for config in _configs(data, arm) if _has_fine_head(config)]
    return any(each.get("fraction", 0.0) > 0 and each.get("features", "inputs") == "inputs" for each in sections)


def _clusters_inputs(data: StudyData, arm: str) -> bool:
    """Whether fine classes are clusters of inputs that no network changes."""
    return any(
        config.get("model", {}).get("backbone", {}).get("kind") == "identity" and not _has_fine_head(config)
        for config in _configs(data, arm)
    )


def _has_fine_head(config: Mapping[str, Any]) -> bool:
    """Whether a term, or one of the user's own, may train a classifier over fine classes."""
    objective = config.get("objective", {})
    return trains_fine_head(objective) or bool(objective.get("extra"))


def what_choices_read(material: Material) -> Check | None:
    """Choices and stopping rules that read the test split or fine labels."""
    name = "What choices read"
    choosers = list(_choosers(material))
    if not choosers or material.data.study.trial.discovery is None:  # what a user's function reads is not known
        return None
    seen = [f"{what} {info.title}" for what, info in choosers if is_oracle(info)]
    if not seen:
        by_agreement = any(info.name == AGREEMENT for _, info in choosers)
        more = "; agreement reads the predictions, and no labels but coarse ones, of all samples" * by_agreement
        text = f"nothing was chosen or stopped by fine labels or by a metric of the test split{more}"
        return passed(name, text)
    text = (
        f"{capital(first_of(list(dict.fromkeys(seen)), _MOST_NAMED))}, which a user without fine labels, or before the "
        "test, could not know: an upper bound on what such choices can reach, not a method."
    )
    step = "For what a user would get, choose by a label-free metric of the validation split: val/neighbor_agreement."
    return warned(name, text, step)


def _choosers(material: Material) -> Iterator[tuple[str, MetricInfo]]:
    """Every metric that chooses or stops something, with what it does."""
    if material.search is not None:
        yield from (("the search selects by", info) for info in material.search.criteria)
    if material.arm_searches is not None:
        yield "settings were chosen by", material.arm_searches.criterion
    yield from (("trials were stopped by", info) for info in stopping_metric(material.data))
    yield from (
        ("the choice of an arm without labels reads", metric_info(choice.criterion)) for choice in material.choices
    )
    for each in material.joint_choices:
        yield from (("the joint choice of an arm reads", metric_info(name)) for name in (AGREEMENT, each.judge))
