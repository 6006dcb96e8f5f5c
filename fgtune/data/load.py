"""From a data config to a checked, read-only ``Dataset``: the only entry point for every kind of data."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

import numpy as np

from fgtune.arrays import IntArray
from fgtune.config.reading.load import load_plugin
from fgtune.config.schema.data import DataConfig, PluginDataConfig
from fgtune.data import DATASETS
from fgtune.data.base import Dataset, StoredInputs
from fgtune.data.check import check_dataset
from fgtune.data.fewer import taken, with_fewer_classes
from fgtune.data.label_sets import as_label_sets
from fgtune.data.noise import with_label_noise
from fgtune.data.readers.image_cache import keep_images
from fgtune.data.readers.images import ImageFiles
from fgtune.data.splits import apportion
from fgtune.errors import DataError, LimitError
from fgtune.streams import numpy_stream


def load_dataset(config: DataConfig) -> Dataset:
    """Load or make the data set that ``config`` describes.

    The whole data set is checked before ``limit`` applies, so a small sample hides no fault; pixels of
    image files are the exception: they are read afterwards. Fine labels are renumbered 0 .. K_F*-1 in their order, over
    the samples in use: K_F* counts the fine classes that occur. Wrong labels are made among these samples.

    Args:
        config: Any kind in ``DATASETS``.

    Returns:
        The data set, its arrays read-only.

    Raises:
        DataError: If the data cannot be used (see ``check_dataset``), or ``limit`` is too small for its labels.
    """
    dataset = _whole(config)
    if config.coarse_sets is not None:
        dataset = as_label_sets(dataset, config.coarse_sets)
    check_dataset(dataset)
    if config.limit is not None and config.limit < len(dataset.inputs):
        seed = getattr(config, "data_seed", 0)  # kinds that draw nothing themselves have no data seed
        if config.limit_test_per_class is not None:
            dataset = with_fewer_classes(dataset, config.limit, config.limit_test_per_class, config.split)
        if config.limit < len(dataset.inputs):
            dataset = taken(dataset, _limited_rows(dataset, config, seed))
    if config.label_noise is not None:
        dataset = with_label_noise(dataset, config.label_noise)
    if isinstance(dataset.inputs, ImageFiles):
        dataset = replace(dataset, inputs=keep_images(dataset.inputs))
    return _sealed(dataset)


def image_files_of(config: DataConfig) -> ImageFiles | None:
    """The image files behind a data set, undecoded; None where it comes from none."""
    inputs = _whole(config).inputs
    return inputs if isinstance(inputs, ImageFiles) else None


def _whole(config: DataConfig) -> Dataset:
    """What the loader of this kind returns."""
    if not isinstance(config, PluginDataConfig):
        module, function = DATASETS[config.kind].split(":")
        try:
            shipped: Dataset = getattr(import_module(module), function)(config)
        except OSError as error:  # a name that is too long, a disk that fails; readers say what they expect
            reason = error.strerror or str(error)
            raise DataError(f"the data cannot be read ({reason})", path="trial.data", fix="check the path") from error
        return shipped
    load, options = load_plugin(config, "trial.data")
    dataset = load(options)
    if not isinstance(dataset, Dataset):
        rule, fix = "must return a Dataset", "build an fgtune.data.base.Dataset"
        raise DataError(rule, where=config.kind, value=type(dataset).__name__, fix=fix)
    return dataset


def _limited_rows(dataset: Dataset, config: DataConfig, seed: int) -> IntArray:
    """Sorted rows of ``limit`` samples, in proportion to joint coarse label and given split; none of these is lost.

    Where fine classes are to have test samples, in proportion to them, too.
    """
    limit, per_class = config.limit or len(dataset.inputs), config.limit_test_per_class is not None
    of_class = dataset.fine if per_class else None
    further = [each[:, None] for each in (dataset.given_split, of_class) if each is not None]
    parts = [dataset.coarse, *further]
    _, group, sizes = np.unique(np.hstack(parts), axis=0, return_inverse=True, return_counts=True)
    if limit < len(sizes):
        rule = f"must be >= {len(sizes)}, the number of different coarse labels (joint over sources and a given split)"
        fix = "Raise the limit, so that every coarse class keeps a sample."
        raise LimitError(rule, where=dataset.name, path="trial.data.limit", value=limit, fix=fix)
    kept = apportion(sizes, limit)
    shuffled = numpy_stream(seed, "limit").permutation(len(dataset.inputs))
    rows = shuffled[np.argsort(group.reshape(-1)[shuffled], kind="stable")]  # group by group, shuffled within
    rank = np.arange(rows.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.sort(rows[rank < np.repeat(kept, sizes)]).astype(np.int64)


def _sealed(dataset: Dataset) -> Dataset:
    """The data set with contiguous fine labels and read-only, C-ordered arrays."""
    fine, num_fine, names = None, None, None
    if dataset.fine is not None:
        present, renumbered = np.unique(dataset.fine, return_inverse=True)
        fine, num_fine = renumbered.astype(np.int64), int(present.size)
        names = None if dataset.fine_names is None else tuple(dataset.fine_names[old] for old in present)
    stored = isinstance(dataset.inputs, StoredInputs)
    inputs = dataset.inputs if stored else np.ascontiguousarray(np.asarray(dataset.inputs))
    coarse = np.ascontiguousarray(dataset.coarse)
    values = None if dataset.fine_values is None else np.ascontiguousarray(dataset.fine_values)
    for array in (
        inputs,
        coarse,
        fine,
        values,
        dataset.true_coarse,
        dataset.given_split,
        *(dataset.regions or {}).values(),
    ):
        if isinstance(array, np.ndarray):
            array.setflags(write=False)
    return replace(
        dataset, inputs=inputs, coarse=coarse, fine=fine, num_fine=num_fine, fine_values=values, fine_names=names
    )
