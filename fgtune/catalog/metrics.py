"""What every metric means: range, direction, empty-input behaviour, and whether it reads fine labels.

The catalogue needs neither NumPy nor SciPy, so that analysis and reporting can read it at no cost.
"""

from __future__ import annotations

import difflib
import math

from fgtune.catalog.cleaning import cleaning_specs
from fgtune.catalog.features import family_member, listed_members, probe_specs
from fgtune.catalog.spec import SPLITS, Direction, MetricSpec, NeededSetting, Reads
from fgtune.catalog.terms import TERMS
from fgtune.errors import ConfigError

__all__ = [
    "AGREEMENT",
    "ARM_METRICS",
    "COST",
    "METRICS",
    "SPLITS",
    "Direction",
    "MetricSpec",
    "NeededSetting",
    "find_spec",
    "is_of_cells",
    "spec_of",
]

COST = "cost/"
"""Prefix of what a trial costs in seconds (``cost/seconds`` in the trainer, ``cost/solver_seconds`` in the solver): not
a metric, but a search may optimise it."""

_MOST_ENTROPY = math.log2(100)
_NO_SAMPLES = "nan when there are no samples"
_NO_TERM = "absent when its weight is 0 or the split has no samples"
_NO_COARSE = "nan when no sample carries a coarse label"
_NO_TRUTH = "nan when no source has a true parent for every fine class"


def _clustering_specs() -> tuple[MetricSpec, ...]:
    def share(name: str, description: str, low: float = 0.0, *, counts: bool = False) -> MetricSpec:
        return MetricSpec(name, description, low, 1.0, "maximize", "fine classes", _NO_SAMPLES, counts=counts)

    return (
        share(
            "clustering_accuracy",
            "share of samples whose predicted class is matched to their true one (Hungarian)",
            counts=True,
        ),
        share("macro_accuracy", "mean over true classes of the share matched, under the same matching"),
        share("ari", "adjusted Rand index: agreement on pairs of samples, 0 expected by chance", low=-0.5),
        share("nmi", "mutual information over the arithmetic mean of the two entropies"),
        share("v_measure", "harmonic mean of homogeneity and completeness"),
        share("homogeneity", "share of the true classes' entropy that the predicted classes explain"),
        share("completeness", "share of the predicted classes' entropy that the true classes explain"),
        share(
            "within_coarse_accuracy",
            "clustering accuracy when the known coarse label restricts the prediction to the classes below it",
            counts=True,
        ),
        share("within_coarse_ari", "adjusted Rand index of the same restricted predictions", low=-0.5),
    )


def _relation_specs() -> tuple[MetricSpec, ...]:
    def edits(name: str, description: str, empty: str = _NO_TRUTH) -> MetricSpec:
        return MetricSpec(name, description, 0.0, math.inf, "minimize", "fine classes", empty, whole=True)

    return (
        edits(
            "ged",
            "exact edit distance between learned and true relations, fine classes aligned on the data",
            f"{_NO_TRUTH}, or when there are no samples to align on",
        ),
        edits("ged_structure", "exact edit distance between learned and true relations, fine classes anonymous"),
        edits("size_distance", "sum over coarse classes of the difference in number of fine classes"),
        edits(
            "ged_reference",
            "what the published tool reports as edit distance; 0 whenever the column sizes agree",
            f"{_NO_TRUTH}, or when the number of fine classes is not the true one",
        ),
    )


def _coarse_label_specs() -> tuple[MetricSpec, ...]:
    def labelled(name: str, which: str) -> MetricSpec:
        described = f"share of labelled samples whose {which}, mean over sources"
        return MetricSpec(name, described, 0.0, 1.0, "maximize", "coarse labels", _NO_COARSE, counts=True)

    sets = NeededSetting(
        ("data.coarse_sets", "data.label_sets"),
        "set trial.data.coarse_sets",
        rule="needs coarse labels that form sets",
        in_one_arm=True,
    )

    def of_sets(name: str, description: str, empty: str, *, counts: bool = False) -> MetricSpec:
        absent = f"absent unless coarse labels form sets; {empty}"
        return MetricSpec(name, description, 0.0, 1.0, "maximize", "coarse labels", absent, (sets,), counts=counts)

    return (
        of_sets(
            "coarse_set_accuracy",
            "share of samples whose predicted class has exactly their set of coarse labels",
            "nan when no set is known",
            counts=True,
        ),
        of_sets(
            "coarse_set_f1",
            "F1 of the labels of the predicted class against those of the sample, over all samples and labels",
            "nan when there is no label",
        ),
        labelled("coarse_accuracy", "predicted class has their coarse label as parent"),
        labelled("coarse_top1", "coarse label is the most probable one"),
        labelled(
            "coarse_top5", "coarse label is among the five most probable ones (1 with five coarse classes or fewer)"
        ),
    )


def _class_use_specs() -> tuple[MetricSpec, ...]:
    def share(name: str, description: str, empty: str, reads: Reads) -> MetricSpec:
        return MetricSpec(name, description, 0.0, 1.0, "maximize", reads, empty)

    def number(
        name: str, description: str, low: float, empty: str, reads: Reads = "no labels", *, whole: bool = True
    ) -> MetricSpec:
        return MetricSpec(name, description, low, math.inf, "none", reads, empty, whole=whole)

    return (
        share(
            "neighbor_agreement",
            "share of pairs of a sample and one of its nearest neighbours with the same predicted class",
            "nan when no sample has a neighbour",
            "coarse labels",
        ),
        share("mean_confidence", "mean of the largest class probability", _NO_SAMPLES, "no labels"),
        number(
            "effective_classes",
            "exponential of the entropy of the mean prediction, from 1 to K_F",
            1.0,
            _NO_SAMPLES,
            whole=False,
        ),
        number(
            "num_fine",
            "number of fine classes K_F of the trial, as given or as estimated from the training split",
            1.0,
            "K_F all the same",
            "coarse labels",
        ),
        number(
            "num_used_classes",
            "number of fine classes predicted for at least one sample",
            0.0,
            "0 when there are no samples",
        ),
    )


def _shape_specs() -> tuple[MetricSpec, ...]:
    return (
        MetricSpec(
            "silhouette",
            "mean silhouette of the predicted classes in feature space, on a subsample",
            -1.0,
            1.0,
            "maximize",
            "no labels",
            "nan when fewer than two classes are predicted, or every sample is alone in its class",
        ),
        MetricSpec(
            "fixed_silhouette",
            "mean silhouette of the predicted classes inside coarse classes, in 20 principal components of the inputs",
            -1.0,
            1.0,
            "maximize",
            "coarse labels",
            "nan when no coarse class has two samples",
        ),
        MetricSpec(
            "fixed_calinski_harabasz",
            "variance between over variance within the predicted classes, inside coarse classes, in the same space",
            0.0,
            math.inf,
            "maximize",
            "coarse labels",
            "nan when no coarse class has two samples, or there is no variance within classes",
        ),
    )


def _probability_specs() -> tuple[MetricSpec, ...]:
    """What coarse probabilities and features are like, as FIERCE measures them."""

    def error(name: str, description: str) -> MetricSpec:
        return MetricSpec(name, description, 0.0, 1.0, "minimize", "coarse labels", _NO_COARSE)

    def plain(name: str, description: str, high: float, empty: str = _NO_SAMPLES) -> MetricSpec:
        return MetricSpec(name, description, 0.0, high, "none", "no labels", empty)

    described = "between confidence in the most probable coarse class and how often it is right"
    return (
        error("coarse_ece", f"mean distance {described}, in 10 bins of confidence; mean over sources"),
        error("coarse_mce", f"largest distance {described}, in 10 bins of confidence; mean over sources"),
        plain(
            "coarse_information",
            "mutual information between sample and predicted coarse class in bits, at most log2 K_C",
            math.inf,
        ),
        plain(
            "coarse_stability",
            "1 minus the standard deviation over samples of a coarse class's probability, mean over classes",
            1.0,
            "nan for fewer than two samples",
        ),
        plain(
            "feature_entropy",
            "entropy in bits of the features' use of 100 fixed directions, or of 100 bins of a single feature",
            _MOST_ENTROPY,
        ),
        MetricSpec(
            "raw_mse",
            "squared error of coarse probabilities taken for the fine values, summed over columns, mean over samples",
            0.0,
            math.inf,
            "minimize",
            "fine values",
            "absent unless the fine values are shares, one column a coarse class of the only source",
        ),
    )


def _loss_specs() -> tuple[MetricSpec, ...]:
    def loss(name: str, description: str, empty: str, reads: Reads, splits: tuple[str, ...]) -> MetricSpec:
        return MetricSpec(name, description, 0.0, math.inf, "minimize", reads, empty, splits=splits, unevaluated=True)

    both, no_samples = ("train", "val"), "absent when the split has no samples"
    return (
        loss("loss", "weighted sum of the loss terms", no_samples, "coarse labels", both),
        *(
            loss(
                f"loss_{name}",
                f"{term.description}, unweighted",
                _NO_TERM,
                term.reads,
                both if term.on_validation else ("train",),
            )
            for name, term in TERMS.items()
        ),
    )


METRICS: dict[str, MetricSpec] = {
    spec.name: spec
    for spec in (
        *_clustering_specs(),
        *_relation_specs(),
        *_coarse_label_specs(),
        *_probability_specs(),
        *_class_use_specs(),
        *_shape_specs(),
        *cleaning_specs(),
        *_loss_specs(),
        *listed_members(),
        *probe_specs(),
    )
}
"""Every metric by its name after the split prefix; of families with a number in their name, the published members."""


AGREEMENT = "agreement"
ARM_METRICS: dict[str, MetricSpec] = {
    AGREEMENT: MetricSpec(
        AGREEMENT,
        "how far the seeds of an arm find the same classes inside coarse classes, corrected for chance and collapse",
        -0.5,
        1.0,
        "maximize",
        "coarse labels",
        "nan with fewer than two seeds",
        splits=(),
        final=True,
    ),
}
"""Metrics of an arm, which need all its seeds: by name, without a split."""


def find_spec(name: str) -> MetricSpec | None:
    """The entry of ``name`` (without split prefix), members of families included; None for an unknown one."""
    return METRICS.get(name) or family_member(name)


def is_of_cells(name: str) -> bool:
    """Whether a metric or cost is a metric of single cells, which a running one shows."""
    return not name.startswith(COST) and name not in ARM_METRICS


def spec_of(name: str) -> MetricSpec:
    """The entry of ``name``, with or without a split prefix (``test/ari``, ``ari``), or of a metric of an arm.

    Raises:
        ConfigError: Unknown prefix or metric, with the nearest known name; or a split on which it is never measured.
    """
    if name in ARM_METRICS:
        return ARM_METRICS[name]
    prefix, slash, base = name.rpartition("/")
    if slash and prefix not in SPLITS:
        raise ConfigError(f"a metric's split must be one of {', '.join(SPLITS)}", value=name, fix=f"write test/{base}")
    spec = find_spec(base)
    if spec is not None:
        if slash and prefix not in spec.splits:
            choices = " or ".join(f"{split}/{base}" for split in spec.splits)
            raise ConfigError("is not measured on this split", value=name, fix=f"write {choices}")
        return spec
    near = difflib.get_close_matches(base, METRICS, n=1, cutoff=0.5)
    known = f"known metrics: {', '.join(METRICS)}"
    raise ConfigError(
        "unknown metric", value=name, fix=f"did you mean {prefix}{slash}{near[0]}? ({known})" if near else known
    )
