"""Catalogue entries of what is measured on features: retrieval, probes, continuous targets, few-shot episodes.

Recall@k, few-shot accuracy and attention in a region are families with a number or a region in their name; any member
has an entry, and the ones that papers report are listed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from fgtune.catalog.spec import SPLITS, Direction, MetricSpec, NeededSetting

PUBLISHED_RECALLS = (1, 2, 4, 8, 10, 100, 1000)
PUBLISHED_SHOTS = (1, 5)
PATCH_REGIONS = ("big", "small")

_HELD_OUT = ("val", "test")
_ATTENTION = NeededSetting(("evaluation.attention_samples",), "set trial.evaluation.attention_samples, to 32 say")
_BY_EPOCH = NeededSetting(("evaluation.few_shot.by_epoch",), "set trial.evaluation.few_shot.by_epoch: true")
_LATE = "is measured after the last epoch only, too late to stop a trial"
_PROBES_CURVE = NeededSetting(("evaluation.probes_by_epoch",), "set trial.evaluation.probes_by_epoch: true", _LATE)
_EPISODES_CURVE = NeededSetting(_BY_EPOCH.paths, _BY_EPOCH.fix, _LATE)
_NO_TARGETS = "absent when the training split or this one has no sample, or they share samples"
_MEMBER = re.compile(
    r"recall_(?P<labels>coarse|fine)_(?P<k>[1-9]\d*)|fewshot_(?P<shots>[1-9]\d*)(?P<end>_low|_high|_best)?|attention_(?P<region>[a-z]\w*)"
)


def family_member(name: str) -> MetricSpec | None:
    """The entry of ``recall_fine_16``, ``fewshot_3_low`` and the like; None for a name that belongs to no family."""
    found = _MEMBER.fullmatch(name)
    if found is None:
        return None
    if found["labels"]:
        return _recall(found["labels"], int(found["k"]))
    if found["region"]:
        return _attention(found["region"])
    return _few_shot(int(found["shots"]), found["end"] or "")


def listed_members() -> Iterator[MetricSpec]:
    """The entries of the families that papers report."""
    for labels in ("coarse", "fine"):
        yield from (_recall(labels, k) for k in PUBLISHED_RECALLS)
    for shots in PUBLISHED_SHOTS:
        yield from (_few_shot(shots, end) for end in ("", "_low", "_high", "_best"))
    yield from (_attention(region) for region in PATCH_REGIONS)


def _recall(labels: str, k: int) -> MetricSpec:
    mean = ", mean over sources" if labels == "coarse" else ""
    near = "the nearest sample" if k == 1 else f"the {k} nearest samples"
    return MetricSpec(
        f"recall_{labels}_{k}",
        f"share of samples with one of their {labels} class among {near} of the split by cosine{mean}",
        0.0,
        1.0,
        "maximize",
        "coarse labels" if labels == "coarse" else "fine classes",
        "nan when fewer than two samples are labelled",
        needs=(NeededSetting.listed("evaluation.recall", k),),
    )


def _attention(region: str) -> MetricSpec:
    return MetricSpec(
        f"attention_{region}",
        f"share of the attention that lies in the region {region}, over its share of the area: 1 for a blind map",
        0.0,
        math.inf,
        "none",
        "no labels",
        "absent unless evaluation.attention_samples is positive and the data know the region",
        needs=(_ATTENTION,),
        splits=_HELD_OUT,
        final=True,
    )


def _few_shot(shots: int, end: str) -> MetricSpec:
    accuracy = f"accuracy of the nearest class mean of {shots} sample{'s' * (shots > 1)} per class, mean over episodes"
    bound = {
        "": "",
        "_low": "lower end of the 95 % interval of ",
        "_high": "upper end of the 95 % interval of ",
        "_best": "at the epoch at which it is best on the validation split: ",
    }[end]
    direction: Direction = "none" if end in ("_low", "_high") else "maximize"
    empty = "absent when too few classes have enough samples for an episode"
    more = {"": "", "_best": ", or unless evaluation.few_shot.by_epoch"}.get(end, ", or with one episode")
    return MetricSpec(
        f"fewshot_{shots}{end}",
        bound + accuracy,
        0.0,
        1.0,
        direction,
        "fine classes",
        empty + more,
        needs=(NeededSetting.listed("evaluation.few_shot.shots", shots), *((_BY_EPOCH,) if end == "_best" else ())),
        splits=("train", "test") if end == "_best" else SPLITS,
        final=True,
        curve=None if end == "_best" else _EPISODES_CURVE,
    )


def probe_specs() -> tuple[MetricSpec, ...]:
    """What is fitted on features of the training split."""
    return (
        _of_classes("knn", "accuracy of a vote among the nearest training samples by cosine"),
        _of_classes("linear", "accuracy of multinomial logistic regression on standardised features"),
        _of_values(
            "ridge_r2",
            "coefficient of determination of a ridge probe, mean over target columns",
            -math.inf,
            1.0,
            "maximize",
            f"{_NO_TARGETS}; nan when no column varies",
        ),
        _of_values(
            "ridge_mse",
            "squared error of a ridge probe, mean over samples and target columns",
            0.0,
            math.inf,
            "minimize",
            _NO_TARGETS,
        ),
        _of_values(
            "rank_mse",
            "squared error of targets read off the order of the one feature, or of the ridge probe's prediction",
            0.0,
            math.inf,
            "minimize",
            f"{_NO_TARGETS}, or there are several target columns",
        ),
        _of_values(
            "gradient_mse",
            "squared error of shares by a softmax of the features, fitted by gradient, summed over target columns",
            0.0,
            math.inf,
            "minimize",
            f"{_NO_TARGETS}, or they are no shares",
            "gradient",
        ),
    )


def _of_classes(probe: str, description: str) -> MetricSpec:
    return MetricSpec(
        f"{probe}_fine",
        description,
        0.0,
        1.0,
        "maximize",
        "fine classes",
        _NO_TARGETS,
        needs=(NeededSetting.listed("evaluation.probes", probe),),
        splits=_HELD_OUT,
        final=True,
        curve=_PROBES_CURVE,
    )


def _of_values(
    name: str, description: str, low: float, high: float, direction: Direction, empty: str, probe: str = "ridge"
) -> MetricSpec:
    return MetricSpec(
        name,
        description,
        low,
        high,
        direction,
        "fine values",
        empty,
        needs=(NeededSetting.listed("evaluation.probes", probe),),
        splits=_HELD_OUT,
        final=True,
        curve=_PROBES_CURVE,
    )
