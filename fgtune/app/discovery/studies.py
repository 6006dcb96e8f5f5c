"""The two studies of a discovery, as study files: how many classes there are, and which method finds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fgtune.config.schema.trial import TrialConfig

NUM_FINE, NEAR, METHODS = "num_fine", "num_fine_near", "methods"
"""Names of the studies, and of their folders."""
COMPONENTS = 30
"""Principal components that clusterings of many features work on."""
NOISE = 0.3
"""Noise of a view, in mean standard deviations of a feature."""
HIDDEN, CHANNELS = (128, 128), (8, 16, 32)

_CLUSTERINGS: dict[str, dict[str, Any]] = {
    "kmeans": {"kind": "kmeans"},
    "agglomerative": {"kind": "agglomerative"},
    "gmm": {"kind": "gmm", "covariance": "diag"},
    "spectral": {"kind": "spectral"},
}
_TRAINED = ("falcon_warm", "falcon")
ARM_TITLES = {
    "falcon_warm": "FALCON from clusters",
    "falcon": "FALCON",
    "kmeans": "k-means in each coarse class",
    "agglomerative": "agglomerative clustering in each coarse class",
    "gmm": "Gaussian mixtures in each coarse class",
    "spectral": "spectral clustering of each coarse class",
}


def arms_of(shape: Sequence[int]) -> tuple[str, ...]:
    """The methods that are compared: the default first, those that are given up first last.

    Clusters of pixels are a bad start for images, so their default is FALCON as published.

    Args:
        shape: Shape of one sample.
    """
    trained = _TRAINED[::-1] if len(shape) == 3 else _TRAINED
    return (*trained, *_CLUSTERINGS)


def is_trained(arm: str) -> bool:
    """Whether a method is trained; clusterings of the inputs are not.

    Args:
        arm: A name of ``ARM_TITLES``.
    """
    return arm not in _CLUSTERINGS


def trial_of(data: Mapping[str, Any], shape: Sequence[int], samples: int, spread: float, epochs: int) -> dict[str, Any]:
    """The trial that both studies share, but for ``classes``.

    Args:
        data: The data config.
        shape: Shape of one sample.
        samples: Number of samples.
        spread: Root of the mean variance of a feature.
        epochs: Epochs.
    """
    images = len(shape) == 3
    backbone: dict[str, Any] = {"kind": "mlp", "hidden": list(HIDDEN)}
    augmentation: dict[str, Any] = {"kind": "noise", "std": round(NOISE * spread, 3) or 0.01}
    if images:
        backbone = {"kind": "small_cnn", "channels": list(CHANNELS)}
        # Whether a mirrored image means the same is not known: digits do not, leaves do.
        augmentation = {"kind": "crop_flip", "padding": max(1, shape[-1] // 10), "flip_p": 0.0}
    return {
        "data": {**data, "split": {"train": 0.8, "val": 0.1, "test": 0.1}},
        "model": {"backbone": backbone},
        "objective": {"preset": "falcon"},
        "relations": {"every_steps": 5},
        "augmentation": augmentation,
        "optimizer": {"kind": "sgd", "lr": 0.1},
        "epochs": epochs,
        "batch_size": 256 if samples >= 1000 else 128,
        "evaluation": {"every_epochs": epochs},
    }


def arm_settings(arm: str, features: int) -> dict[str, Any]:
    """What an arm sets, by dotted path below ``trial``.

    Args:
        arm: A name of ``ARM_TITLES``.
        features: Number of values of a sample.
    """
    if is_trained(arm):
        return {"objective.preset": arm}
    clustering = {**_CLUSTERINGS[arm], "scope": "coarse", "sizes": "variance"}
    if features > COMPONENTS:
        clustering["pca"] = COMPONENTS
    return {
        "objective.preset": "untrained",
        "model.backbone": {"kind": "identity"},
        "augmentation": {"kind": "none"},
        "clustering": clustering,
        "epochs": 1,
        "evaluation": {"every_epochs": 1},
    }


def num_fine_study(
    name: str, trial: Mapping[str, Any], grid: Sequence[int], arm: str, features: int, seeds: int
) -> dict[str, Any]:
    """A sensitivity study over the number of fine classes, of the given name, with one method."""
    middle = grid[len(grid) // 2]
    own: dict[str, Any] = {"classes": {"num_fine": middle}}
    for path, value in arm_settings(arm, features).items():
        section, _, key = path.partition(".")
        own[section] = {key: value} if key else value
    return {
        "study": name,
        "question": "Into how many fine classes do the coarse classes divide so that every run finds the same ones?",
        "expectation": "Runs agree most near the number of classes that are there.",
        "source": "agreement between seeds inside coarse classes; docs/discover.md",
        "design": {
            "kind": "sensitivity",
            "factors": {"classes.num_fine": list(grid)},
            "baseline": {"classes.num_fine": middle},
        },
        "seeds": seeds,
        "metrics": {"primary": "test/fixed_silhouette", "also": ["val/coarse_accuracy"]},
        "trial": {**trial, **own},
    }


def methods_study(
    trial: Mapping[str, Any], num_fine: int, arms: Sequence[str], features: int, seeds: int
) -> dict[str, Any]:
    """A comparison of methods at one number of fine classes; the first arm is the default."""
    return {
        "study": METHODS,
        "question": f"Which method finds the {num_fine} fine classes best, judged without fine labels?",
        "expectation": f"None is known to be best on these data; {arms[0]} is the default.",
        "source": "agreement between seeds, and a silhouette in a space that all share; docs/discover.md",
        "design": {
            "kind": "comparison",
            "baseline": arms[0],
            "arms": [{"name": arm, "set": arm_settings(arm, features)} for arm in arms],
        },
        "seeds": seeds,
        "metrics": {"primary": "test/fixed_silhouette", "also": ["val/coarse_accuracy"]},
        "trial": {**trial, "classes": {"num_fine": num_fine}},
    }


def falcon_trial(trial: Mapping[str, Any], num_fine: int) -> TrialConfig:
    """The trial of the method that costs most, to be timed."""
    return TrialConfig.from_plain({**trial, "classes": {"num_fine": num_fine}})
