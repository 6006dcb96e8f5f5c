"""Which samples train, validate and test, and how a number of samples is divided among classes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fgtune.arrays import IntArray
from fgtune.config.schema.data import SplitConfig
from fgtune.data.base import Dataset, Splits
from fgtune.data.check import SPLIT_NAMES
from fgtune.errors import DataError
from fgtune.streams import numpy_stream


def apportion(weights: npt.ArrayLike, total: int) -> IntArray:
    """Divide ``total`` among groups in proportion to ``weights``, every group getting at least one.

    Groups whose share is below one get one; the others then give up samples where rounding hurts least. Ties go to the
    lower index. A share never exceeds its quota rounded up, unless the quota is below one.

    Args:
        weights: (groups,) positive numbers.
        total: What is divided, >= number of groups.

    Returns:
        (groups,) int64, summing to ``total``.

    Raises:
        ValueError: If there is fewer than one for each group.
    """
    weight = np.asarray(weights, dtype=np.float64)
    if total < weight.size:
        raise ValueError(f"cannot give {weight.size} groups at least one of {total}")
    quota = weight * (total / weight.sum())
    count: IntArray = np.maximum(1, np.floor(quota + 1e-9)).astype(np.int64)
    while (missing := total - int(count.sum())) > 0:
        count[np.argsort(count - quota, kind="stable")[:missing]] += 1
    while count.sum() > total:
        excess = np.where(count > 1, count - quota, -np.inf)
        count[int(np.argmax(excess))] -= 1
    return count


def split_dataset(dataset: Dataset, config: SplitConfig, seed: int) -> Splits:
    """Divide a data set; its own split takes precedence, and then neither ``config`` nor ``seed`` matters.

    A transductive study has all samples in every part instead, whatever else the data set or the config says.

    A stratum is a joint tuple of coarse labels, -1 included. Each stratum is divided by the fractions with every part
    rounded up or down, so that a part differs from its fraction by less than one sample per stratum; the sizes do not
    depend on the seed. Where rounding leaves a choice, a part goes first to training when a coarse class would
    otherwise have no training sample, then to an empty part of a stratum of three or more, then to the part that has
    so far received least of its share.

    Args:
        dataset: A checked data set.
        config: The fractions.
        seed: Seed of the study's block.

    Returns:
        Sorted rows of each part, read-only. Every coarse class of every source has a training sample.

    Raises:
        DataError: If a part would be empty.
    """
    if config.transductive:
        every = np.arange(len(dataset.inputs), dtype=np.int64)
        every.setflags(write=False)
        return Splits(every, every, every)
    part = dataset.given_split
    if part is None:
        fractions = np.array([config.train, config.val, config.test])
        part = draw_parts(dataset.coarse, fractions, numpy_stream(seed, "split"))
    rows = [np.flatnonzero(part == index).astype(np.int64) for index in range(3)]
    for name, chosen in zip(SPLIT_NAMES, rows, strict=True):
        if chosen.size == 0:
            raise DataError(
                f"leaves no sample for {name} ({len(part)} samples in all)",
                where=dataset.name,
                path=f"trial.data.split.{name}",
                value=getattr(config, name),
                fix=f"Raise {name}, or use more samples.",
            )
        chosen.setflags(write=False)
    return Splits(*rows)


def draw_parts(coarse: IntArray, fractions: npt.NDArray[np.float64], rng: np.random.Generator) -> IntArray:
    """Part of each sample, stratified on the joint coarse label.

    Args:
        coarse: (N, sources).
        fractions: (3,) shares of train, val and test, summing to 1.
        rng: Draws who goes where; the sizes do not depend on it.

    Returns:
        (N,) int64 in {0, 1, 2}.
    """
    strata, stratum, sizes = np.unique(coarse, axis=0, return_inverse=True, return_counts=True)
    counts = stratum_counts(strata, sizes, fractions)
    shuffled = rng.permutation(len(coarse))
    rows = shuffled[np.argsort(stratum.reshape(-1)[shuffled], kind="stable")]  # stratum by stratum, shuffled within
    part = np.empty(len(coarse), dtype=np.int64)
    part[rows] = np.repeat(np.tile(np.arange(3), len(sizes)), counts.ravel())
    return part


def held_out(coarse: IntArray, fraction: float, seed: int) -> IntArray:
    """Divide an official training part into training (0) and validation (1), stratified on coarse labels.

    Args:
        coarse: (n, sources) labels of the part.
        fraction: Share held out for validation.
        seed: Seed of the set, not of the study: the division is part of the data.

    Returns:
        (n,) int64 in {0, 1}.
    """
    return draw_parts(coarse, np.array([1.0 - fraction, fraction, 0.0]), numpy_stream(seed, "held_out"))


def stratum_counts(strata: IntArray, sizes: IntArray, fractions: npt.NDArray[np.float64]) -> IntArray:
    """How many samples of each stratum go to each part; ``split_dataset`` states the rule.

    Args:
        strata: (strata, sources) coarse labels of each stratum, -1 for none.
        sizes: (strata,) samples in each.
        fractions: (3,) shares of train, val and test, summing to 1.

    Returns:
        (strata, 3) int64 with row sums ``sizes``.
    """
    quotas = np.round(sizes[:, None] * fractions, 9)  # 0.7 * 10 must be 7, not a little less
    counts = np.floor(quotas).astype(np.int64)
    owed = np.zeros(3)
    trained: set[tuple[int, int]] = set()
    for index, (stratum, size, quota) in enumerate(zip(strata, sizes, quotas, strict=True)):
        count = counts[index]
        labels = {(source, int(label)) for source, label in enumerate(stratum) if label >= 0}
        owed += quota - count
        choices = [part for part in range(3) if quota[part] > count[part]]
        for _ in range(int(size - count.sum())):
            untrained = count[0] == 0 and not labels <= trained
            ranked = [(untrained and p == 0, size >= 3 and count[p] == 0, float(owed[p]), -p) for p in choices]
            chosen = choices.pop(ranked.index(max(ranked)))
            count[chosen] += 1
            owed[chosen] -= 1.0
        if count[0] > 0:
            trained |= labels
    return counts
