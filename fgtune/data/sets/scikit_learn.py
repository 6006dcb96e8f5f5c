"""The real data sets that scikit-learn ships: digits, and diabetes with its continuous target."""

from __future__ import annotations

import gzip
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fgtune.arrays import IntArray
from fgtune.config.schema.data import DiabetesConfig, DigitsConfig
from fgtune.config.schema.data_tables import DigitGroups
from fgtune.data.base import Dataset
from fgtune.data.label_sets import sets_of


def load_digits(config: DigitsConfig) -> Dataset:
    """The digits as (N, 64) float32 in [0, 1]; 1,797 of them with all ten digits in use.

    Fine classes are numbered group by group, by digit within a group; with the default groups the fine class is the
    digit itself.
    """
    pixels, digit = _pixels_and_digits()
    ordered = [member for group in config.coarse_groups for member in sorted(group)]
    fine_of = np.full(10, -1, dtype=np.int64)
    fine_of[ordered] = np.arange(len(ordered))
    index = np.arange(len(digit))
    wanted = {"all": index >= 0, "even": index % 2 == 0, "odd": index % 2 == 1}[config.samples]
    used = wanted & (fine_of[digit] >= 0)
    coarse = _labels(config.coarse_groups, digit)[:, None]
    num_coarse: tuple[int, ...] = (len(config.coarse_groups),)
    if config.second_groups is not None:
        even = index % 2 == 0
        second = _labels(config.second_groups, digit)
        coarse = np.column_stack([np.where(even, coarse[:, 0], -1), np.where(even, -1, second)])
        num_coarse = (*num_coarse, len(config.second_groups))
    dataset = Dataset(
        name="digits",
        inputs=(pixels[used] / 16.0).astype(np.float32),
        coarse=coarse[used],
        num_coarse=num_coarse,
        fine=fine_of[digit[used]],
        num_fine=len(ordered),
        picture=(1, 8, 8),
    )
    if config.label_sets is None:
        return dataset
    sets = np.stack([np.isin(digit[used], members) for members in config.label_sets.values()], axis=1)
    return sets_of(dataset, sets.astype(np.int64), tuple(config.label_sets))


def _pixels_and_digits() -> tuple[npt.NDArray[np.float64], IntArray]:
    """What scikit-learn's loader returns, (N, 64) and (N,), read from its file, since importing it takes a second."""
    package = find_spec("sklearn")
    file = Path(package.origin or "").parent / "datasets" / "data" / "digits.csv.gz" if package is not None else None
    if file is None or not file.is_file():
        from sklearn.datasets import load_digits as sklearn_digits

        pixels, digit = sklearn_digits(return_X_y=True)
        return pixels, digit
    with gzip.open(file, "rt", encoding="ascii") as lines:
        table = np.loadtxt(lines, delimiter=",")
    return table[:, :-1], table[:, -1].astype(int)


def _labels(groups: DigitGroups, digit: IntArray) -> IntArray:
    """(N,) group of each digit, -1 for those in no group."""
    group_of = np.full(10, -1, dtype=np.int64)
    for number, group in enumerate(groups):
        group_of[list(group)] = number
    labels: IntArray = group_of[digit]
    return labels


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
