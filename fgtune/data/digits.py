"""scikit-learn's handwritten digits (the test part of UCI's Optical Recognition set), in coarse groups."""

from __future__ import annotations

import numpy as np

from fgtune.config.data import DigitsConfig
from fgtune.data.base import Dataset


def load_digits(config: DigitsConfig) -> Dataset:
    """The digits as (N, 64) float32 in [0, 1]; 1,797 of them with all ten digits in use.

    Fine classes are numbered group by group, by digit within a group; with the default groups the fine class is the
    digit itself.
    """
    from sklearn.datasets import load_digits as sklearn_digits

    pixels, digit = sklearn_digits(return_X_y=True)
    coarse_of = np.full(10, -1, dtype=np.int64)
    fine_of = np.full(10, -1, dtype=np.int64)
    ordered = [member for group in config.coarse_groups for member in sorted(group)]
    fine_of[ordered] = np.arange(len(ordered))
    for coarse, group in enumerate(config.coarse_groups):
        coarse_of[list(group)] = coarse
    used = coarse_of[digit] >= 0
    return Dataset(
        name="digits",
        inputs=(pixels[used] / 16.0).astype(np.float32),
        coarse=coarse_of[digit[used]][:, None],
        num_coarse=(len(config.coarse_groups),),
        fine=fine_of[digit[used]],
        num_fine=len(ordered),
    )
