"""scikit-learn's diabetes patients (Efron et al. 2004): a regression behind a coarse label of two classes."""

from __future__ import annotations

import numpy as np

from fgtune.config.data import DiabetesConfig
from fgtune.data.base import Dataset


def load_diabetes(config: DiabetesConfig) -> Dataset:  # noqa: ARG001 (nothing to set)
    """442 patients, 10 inputs of unit variance; coarse: above the median; continuous target: progression."""
    from sklearn.datasets import load_diabetes as sklearn_diabetes

    measurements, progression = sklearn_diabetes(return_X_y=True)
    return Dataset(
        name="diabetes",
        inputs=(measurements / measurements.std(axis=0)).astype(np.float32),
        coarse=(progression > np.median(progression)).astype(np.int64)[:, None],
        num_coarse=(2,),
        fine_values=progression.astype(np.float32)[:, None],
    )
