"""The contract of data sets: types, read-only arrays, repeatability, limits, splits, pickling."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter

from fgtune.config.schema.data import DataConfig
from fgtune.data.base import Dataset
from fgtune.data.check import check_dataset as check_arrays
from fgtune.data.load import load_dataset
from fgtune.data.preparation import as_prepared, fitted
from fgtune.data.splits import split_dataset
from fgtune.testing import Plain, permitted, require

_CONFIGS: TypeAdapter[DataConfig] = TypeAdapter(DataConfig)


@dataclass(frozen=True)
class DataCase:
    """A data set under test.

    Attributes:
        data: The section ``trial.data``.
        whole: The data set; loaded when the case is created.
    """

    data: Plain
    whole: Dataset = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "whole", self.load())

    def load(self, **changes: object) -> Dataset:
        """The data set with ``changes`` to its settings."""
        with permitted([self.data]):
            return load_dataset(_CONFIGS.validate_json(json.dumps({**self.data, **changes})))


def gives_valid_arrays(case: DataCase) -> None:
    """Inputs are float32 or uint8 images, labels int64 without gaps; all are finite and of one length."""
    data = case.whole
    check_arrays(data)
    require(data.inputs.dtype in (np.float32, np.uint8), f"inputs must be float32 or uint8, not {data.inputs.dtype}")
    require(data.coarse.dtype == np.int64, f"coarse must be int64, it is {data.coarse.dtype}")
    require(len(data.num_coarse) == data.num_sources, "num_coarse must have one number per source")
    if data.fine is not None:
        require(data.fine.dtype == np.int64, f"fine must be int64, it is {data.fine.dtype}")
        used = np.unique(data.fine).tolist()
        require(used == list(range(data.num_fine or 0)), "fine labels must be 0 .. num_fine - 1, each in use")


def cannot_be_written_to(case: DataCase) -> None:
    """Arrays are read-only, since trials share them."""
    data = case.whole
    for name, array in {"inputs": data.inputs, "coarse": data.coarse, "fine": data.fine}.items():
        if isinstance(array, np.ndarray):
            require(not array.flags.writeable, f"{name} must be read-only")
            require(array.flags.c_contiguous, f"{name} must be contiguous")


def repeats_exactly(case: DataCase) -> None:
    """Loading again gives the same content, whatever NumPy's global random state is."""
    state = np.random.get_state()  # noqa: NPY002 (the global state must not matter)
    try:
        np.random.seed(12345)  # noqa: NPY002
        again = case.load()
    finally:
        np.random.set_state(state)  # noqa: NPY002
    require(again.fingerprint == case.whole.fingerprint, "loading twice must give the same content")


def takes_a_limit(case: DataCase) -> None:
    """``limit`` keeps that many samples, with coarse classes in proportion."""
    whole = case.whole
    labels = whole.coarse if whole.given_split is None else np.column_stack([whole.coarse, whole.given_split])
    limit = max(10, len(np.unique(labels, axis=0)), len(whole.inputs) // 3)
    part = case.load(limit=limit)
    check_arrays(part)
    count = min(limit, len(whole.inputs))
    require(len(part.inputs) == count, f"limit {limit} must leave {count} samples, it leaves {len(part.inputs)}")
    require(part.num_coarse == whole.num_coarse, "a limit must keep every coarse class")
    quota = _shares(whole) * count
    kept = _shares(part) * count
    off = float(np.abs(kept - quota).max())
    require(off <= (1 if whole.given_split is None else 3), f"a limit must keep proportions, one is off by {off:.1f}")
    form = fitted(whole, slice(None))  # of texts: numbers by the same embedding
    rows = {row.tobytes() for row in as_prepared(whole, form).inputs[:]}
    require(
        all(row.tobytes() in rows for row in as_prepared(part, form).inputs[:]), "a limit must keep samples as they are"
    )
    same = case.load(limit=len(whole.inputs) + 10_000).fingerprint == whole.fingerprint
    require(same, "a limit above the size must change nothing")


def _shares(data: Dataset) -> npt.NDArray[np.float64]:
    """Share of each label of the first source, -1 included where it occurs."""
    counts = np.unique(data.coarse[:, 0], return_counts=True)[1]
    shares: npt.NDArray[np.float64] = counts / counts.sum()
    return shares


def can_be_split(case: DataCase) -> None:
    """Each part has samples, for every seed."""
    config = _CONFIGS.validate_json(json.dumps(dict(case.data)))
    for seed in range(3):
        parts = split_dataset(case.whole, config.split, seed)
        require(all(len(rows) for rows in (parts.train, parts.val, parts.test)), "every split must have samples")


def travels_to_other_processes(case: DataCase) -> None:
    """A pickled copy has the same content."""
    copy: Dataset = pickle.loads(pickle.dumps(case.whole))  # noqa: S301 (our own bytes)
    require(copy.fingerprint == case.whole.fingerprint, "a pickled copy must have the same content")


CHECKS: tuple[Callable[[DataCase], None], ...] = (
    gives_valid_arrays,
    cannot_be_written_to,
    repeats_exactly,
    takes_a_limit,
    can_be_split,
    travels_to_other_processes,
)


def check_dataset(data: Plain) -> None:
    """Check the whole contract of a data set.

    Args:
        data: The section ``trial.data`` of a study file: kind and settings.

    Raises:
        ContractError: The first rule that does not hold.
        ConfigError: The section or the data are not valid.
    """
    case = DataCase(data)
    for check in CHECKS:
        check(case)
