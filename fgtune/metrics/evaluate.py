"""Oracle metrics from what a study folder stores about a cell, so that training and verification agree to the bit."""

from __future__ import annotations

import math

import numpy.typing as npt

from fgtune.metrics import clustering, relations


def evaluate_counts(
    fine_counts: npt.ArrayLike | clustering.Table, learned: npt.ArrayLike, true: npt.ArrayLike
) -> dict[str, float]:
    """Every oracle metric of the catalogue that depends only on counts and relations.

    Args:
        fine_counts: (K_F, K*) samples by predicted x true fine class.
        learned: (S, K_F) or (K_F,) learned parents.
        true: (S, K*) or (K*,) true parents, -1 for unknown.

    Returns:
        Values by name without split prefix and without undefined ones (see ``empty`` in the catalogue).

    Raises:
        ValueError: Another type, shape or range.

    Example:
        >>> values = evaluate_counts([[3, 0], [0, 4]], learned=[0, 1], true=[0, 1])
        >>> values["clustering_accuracy"], values["ged"]
        (1.0, 0.0)
    """
    counts = clustering.Table.of(fine_counts)
    values = {
        "clustering_accuracy": clustering.clustering_accuracy_from_counts(counts),
        "macro_accuracy": clustering.macro_accuracy_from_counts(counts),
        "ari": clustering.ari_from_counts(counts),
        "nmi": clustering.nmi_from_counts(counts),
        "v_measure": clustering.v_measure_from_counts(counts),
        "homogeneity": clustering.homogeneity_from_counts(counts),
        "completeness": clustering.completeness_from_counts(counts),
        "ged": relations.ged(learned, true, counts),
        "ged_structure": relations.ged_structure(learned, true),
        "size_distance": relations.size_distance(learned, true),
        "ged_reference": relations.ged_reference(learned, true),
    }
    return {name: value for name, value in values.items() if not math.isnan(value)}


def evaluate_within(within_counts: npt.ArrayLike | clustering.Table) -> dict[str, float]:
    """Every oracle metric of predictions that the known coarse labels restrict.

    Args:
        within_counts: (K_F, K*) samples by predicted x true fine class, predictions as from ``predict_within``.

    Returns:
        Values by name without split prefix and without undefined ones.

    Raises:
        ValueError: Another type, shape or range.

    Example:
        >>> evaluate_within([[3, 0], [0, 4]])
        {'within_coarse_accuracy': 1.0, 'within_coarse_ari': 1.0}
    """
    counts = clustering.Table.of(within_counts)
    values = {
        "within_coarse_accuracy": clustering.clustering_accuracy_from_counts(counts),
        "within_coarse_ari": clustering.ari_from_counts(counts),
    }
    return {name: value for name, value in values.items() if not math.isnan(value)}
