"""Metrics of the coarse labels that a cell is trained on: known before its training, reported at its end."""

from __future__ import annotations

from fgtune.catalog.spec import Direction, MetricSpec, NeededSetting, Reads

_NOISE = NeededSetting(
    ("data.label_noise",),
    "set trial.data.label_noise",
    rule="needs wrong coarse labels that were made on purpose",
    in_one_arm=True,
)
_CLEANING = NeededSetting(
    ("cleaning",),
    "set trial.cleaning, to {action: relabel} say",
    rule="is not measured without cleaning",
    in_one_arm=True,
)


def cleaning_specs() -> tuple[MetricSpec, ...]:
    """What is known of the coarse labels of the training split before training."""

    def share(
        name: str, description: str, direction: Direction, reads: Reads, empty: str, *needs: NeededSetting
    ) -> MetricSpec:
        return MetricSpec(
            name, description, 0.0, 1.0, direction, reads, empty, needs, splits=("train",), unevaluated=True, final=True
        )

    no_noise = "absent unless data.label_noise made labels wrong"
    uncleaned = f"absent without trial.cleaning; {no_noise}"
    return (
        share(
            "cleaned_labels",
            "share of the coarse labels that cleaning changed or left out",
            "none",
            "coarse labels",
            "absent without trial.cleaning",
            _CLEANING,
        ),
        share(
            "cleaning_precision",
            "share of the labels that cleaning changed or left out which were wrong",
            "maximize",
            "right coarse labels",
            f"{uncleaned}, or when it changed none",
            _NOISE,
            _CLEANING,
        ),
        share(
            "cleaning_recall",
            "share of the wrong labels that cleaning changed or left out",
            "maximize",
            "right coarse labels",
            f"{uncleaned}, or when none is wrong",
            _NOISE,
            _CLEANING,
        ),
        share(
            "wrong_labels",
            "share of the coarse labels that are trained on, after cleaning, which are wrong",
            "minimize",
            "right coarse labels",
            no_noise,
            _NOISE,
        ),
    )
