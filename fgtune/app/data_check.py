"""``fgtune data check``: what a study's data look like before training, in plain text."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fgtune.app.data_warnings import PURITY_NEIGHBORS, data_warnings
from fgtune.arrays import IntArray
from fgtune.config.arms.designs import draft_arms
from fgtune.config.reading.load import LoadedStudy, load_study, with_enough_samples
from fgtune.config.schema.base import Config, data_key
from fgtune.config.schema.data import DataConfig
from fgtune.config.schema.data_images import ImageSetConfig
from fgtune.config.schema.trial import TrialConfig
from fgtune.data.base import Dataset, Splits
from fgtune.data.check import SPLIT_NAMES
from fgtune.data.diagnosis import SourcePair, nesting, purity, source_pairs
from fgtune.data.load import image_files_of, load_dataset
from fgtune.data.preparation import as_prepared, fitted
from fgtune.data.readers.images import image_sizes
from fgtune.data.splits import split_dataset
from fgtune.data.views import vectors
from fgtune.neighbors import find_neighbors
from fgtune.streams import numpy_stream
from fgtune.text import first_of

PURITY_SAMPLES = 10_000
"""Purity is measured on at most this many training samples, drawn at random."""
SIZED_IMAGES = 10_000
"""The sizes of at most this many image files are looked up."""
_LISTED = 24
"""Up to this many classes are listed one by one."""


def check(source: Path | DataConfig, overrides: Sequence[str] = (), smoke: bool = False) -> str:
    """Describe every data set of a study, or one data set.

    Args:
        source: A study file, or a data config.
        overrides: For a study, of the form ``dotted.path=value``.
        smoke: Describe the study as ``--smoke`` would run it.

    Returns:
        The report, without a final newline. Figures that read fine labels are marked "oracle".

    Raises:
        ConfigError: If the study file or the data cannot be used.
    """
    if isinstance(source, Config):
        return _report(source, load_dataset(source), [], seed=0)
    return with_enough_samples(smoke, lambda limit: _of_study(load_study(source, overrides, smoke, limit)))


def _of_study(loaded: LoadedStudy) -> str:
    """Every data set of a study, described."""
    loaded.study.trial.own()
    trials: dict[str, list[TrialConfig]] = {}
    for arm in draft_arms(loaded).arms:
        trials.setdefault(data_key(arm.config.own().data), []).append(arm.config.own())
    first = loaded.study.seed_list[0]
    reports = [
        _report(arms[0].data, load_dataset(arms[0].data), arms, arms[0].streams.seeds(first).split)
        for arms in trials.values()
    ]
    return "\n\n".join(reports)


def _report(config: DataConfig, dataset: Dataset, trials: Sequence[TrialConfig], seed: int) -> str:
    splits = split_dataset(dataset, config.split, seed)
    lines = [f"{dataset.name} (kind {config.kind})", *_shape(dataset, splits, seed)]
    for source in range(dataset.num_sources):
        lines += _coarse(dataset, source)
    for pair in source_pairs(dataset):
        lines += _pair(pair)
    lines += _fine(dataset)
    prepared = as_prepared(dataset, fitted(dataset, splits.train))
    lines += _purity(prepared, splits, seed)
    lines += _image_sizes(config)
    warnings = [
        *dataset.notes,
        *data_warnings(dataset, prepared, splits, trials, seed),
    ]
    lines += [f"warning: {warning}" for warning in warnings] or ["no warnings"]
    return "\n  ".join(lines)


def _shape(dataset: Dataset, splits: Splits, seed: int) -> list[str]:
    shape = " x ".join(map(str, dataset.inputs.shape[1:]))
    parts = ", ".join(f"{name} {len(getattr(splits, name)):,}" for name in SPLIT_NAMES)
    origin = "given by the data" if dataset.given_split is not None else f"drawn by seed {seed}"
    if np.array_equal(splits.train, splits.test):
        origin = "transductive: all parts are the same samples"
    return [
        f"{len(dataset.inputs):,} samples of {shape} {dataset.inputs.dtype}, fingerprint {dataset.fingerprint}",
        f"split ({origin}): {parts}",
    ]


def _coarse(dataset: Dataset, source: int) -> list[str]:
    labels, num_coarse = dataset.coarse[:, source], dataset.num_coarse[source]
    sizes = np.bincount(labels[labels >= 0], minlength=num_coarse)
    place = f" of source {source}" if dataset.num_sources > 1 else ""
    names = None if dataset.coarse_names is None else dataset.coarse_names[source]
    lines = [f"{num_coarse} coarse classes{place}, {_sizes(sizes, names)}"]
    unlabelled = int((labels < 0).sum())
    if unlabelled:
        lines.append(f"{unlabelled:,} samples without a coarse label{place} ({unlabelled / len(labels):.1%})")
    nested = nesting(dataset, source)
    if nested is not None:
        lines.append(
            f"nesting{place} (oracle): {nested[0]:.1%} of fine classes have one parent; "
            f"{nested[1]:.1%} of samples carry the most frequent parent of their fine class"
        )
    return lines


def _pair(pair: SourcePair) -> list[str]:
    counted = "fine classes (oracle; no sample is labelled by both)" if pair.by_fine_classes else "samples"
    return [
        f"sources {pair.first} and {pair.second}, by {counted}: {pair.non_empty} pairs of labels occur; "
        f"source {pair.second} differs from what source {pair.first} predicts on "
        f"{pair.surprise(given_first=True):.1%}, the other way round on {pair.surprise(given_first=False):.1%}"
    ]


def _fine(dataset: Dataset) -> list[str]:
    lines = []
    if dataset.fine is not None and dataset.num_fine is not None:
        sizes = np.bincount(dataset.fine, minlength=dataset.num_fine)
        lines.append(f"{dataset.num_fine} fine classes (oracle), {_sizes(sizes, dataset.fine_names)}")
    if dataset.fine_values is not None:
        for column, values in enumerate(dataset.fine_values.T):
            shown = ", ".join(f"{value:.4g}" for value in np.quantile(values, [0.0, 0.5, 1.0]))
            lines.append(f"continuous fine target {column} (oracle): least, median and greatest {shown}")
    return lines or ["no fine labels: metrics that read them cannot be measured"]


def _purity(dataset: Dataset, splits: Splits, seed: int) -> list[str]:
    """Neighbour purity by coarse class, within the training part."""
    if dataset.fine is None:
        return []
    rows = splits.train
    if len(rows) > PURITY_SAMPLES:
        rows = np.sort(numpy_stream(seed, "data_check").permutation(rows)[:PURITY_SAMPLES])
    features, fine = vectors(dataset.inputs, rows), dataset.fine[rows]
    lines = []
    for source, num_coarse in enumerate(dataset.num_coarse):
        labels = dataset.coarse[rows, source]
        known = np.flatnonzero(labels >= 0)
        if not known.size:
            continue
        found = find_neighbors(features[known], labels[known], PURITY_NEIGHBORS, os.cpu_count() or 1)
        shares = purity(fine[known], labels[known], found, num_coarse)
        chance = _chance(fine[known], labels[known])
        names = None if dataset.coarse_names is None else dataset.coarse_names[source]
        place = f" of source {source}" if dataset.num_sources > 1 else ""
        lines.append(
            f"neighbour purity{place} (oracle; {PURITY_NEIGHBORS} nearest by raw inputs within the coarse class, "
            f"{len(known):,} training samples): mean {np.nanmean(shares):.1%}, {chance:.1%} by chance; "
            f"{_listing(shares, names, percent=True)}"
        )
    return lines


def _chance(fine: IntArray, coarse: IntArray) -> float:
    """Mean over coarse classes of the purity of random neighbours."""
    shares = []
    for label in np.unique(coarse):
        sizes = np.unique(fine[coarse == label], return_counts=True)[1].astype(np.float64)
        total = sizes.sum()
        if total > 1:
            shares.append(float((sizes * (sizes - 1)).sum() / (total * (total - 1))))
    return float(np.mean(shares)) if shares else float("nan")


def _image_sizes(config: DataConfig) -> list[str]:
    """Sizes of the image files, of at most ``SIZED_IMAGES`` of them, and files of the smallest and the largest one."""
    if not isinstance(config, ImageSetConfig):
        return []
    files = image_files_of(config)
    if files is None:
        return []
    rows = np.unique(np.linspace(0, len(files) - 1, min(len(files), SIZED_IMAGES)).round().astype(np.int64))
    sizes = sorted(image_sizes(files, rows).items(), key=lambda item: (item[0][0] * item[0][1], item[0]))
    if not sizes:
        return []

    def sizes_text(size: tuple[int, int], names: list[str]) -> str:
        return f"{size[0]} x {size[1]} ({len(names):,}: {first_of(names, 2)})"

    if len(sizes) == 1:
        return [f"images in the files are {sizes_text(*sizes[0])}"]
    both = f"{sizes_text(*sizes[0])} to {sizes_text(*sizes[-1])}"
    how = {"crop": "cut to their centre square", "squash": "squeezed into a square", "pad": "padded to a square"}
    return [
        f"images in the files have {len(sizes):,} sizes, {both}; all are {how[config.resize]} of {config.size} pixels"
    ]


def _sizes(sizes: IntArray, names: Sequence[str] | None) -> str:
    least, most = int(sizes.min()), int(sizes.max())
    if least == most:
        return f"{least:,} samples each"
    return f"{least:,} to {most:,} samples each: {_listing(sizes, names)}"


def _listing(values: npt.NDArray[np.generic], names: Sequence[str] | None, percent: bool = False) -> str:
    """Every class with its value; of many classes, the extremes."""

    def name(index: int) -> str:
        value = "none" if np.isnan(values[index]) else f"{values[index]:.1%}" if percent else f"{values[index]:,}"
        return f"{names[index] if names is not None else f'class {index}'}: {value}"

    if len(values) <= _LISTED:
        return ", ".join(name(index) for index in range(len(values)))
    order = np.argsort(values, kind="stable")
    half = _LISTED // 4
    least, most = (", ".join(name(int(index)) for index in part) for part in (order[:half], order[-half:]))
    return f"least {least}; greatest {most}"
