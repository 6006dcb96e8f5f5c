"""Agreement of an arm's seeds on the fine classes inside coarse classes: a number of the arm, from stored predictions.

For every pair of seeds the adjusted Rand index inside each coarse class is averaged over classes by their samples, over
all samples that both predict, and multiplied by the share of classes that the two use (``class_share``), so that an arm
does not win by putting everything into few classes. The arm's agreement is the mean over its pairs.

Pairs share seeds, so their mean has no standard error of independent values. Its jackknife over seeds has one: each
seed gets a pseudo-value, the mean of pseudo-values is the agreement, and their Student-t interval is the jackknife's.
A difference of two arms over the same seeds works likewise, so that pseudo-values can stand wherever the values of a
metric by seed do.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from fgtune.arrays import FloatArray
from fgtune.catalog.metrics import AGREEMENT
from fgtune.config.schema.base import data_key
from fgtune.metrics.agreement import agreement_table, class_share
from fgtune.results.cell_files import CellFiles
from fgtune.results.records import CellResult, CellState, LabelsRecord, PredictionsRecord
from fgtune.streams import drawn_rows

MOST_SAMPLES = 20_000
"""Samples that agreement is measured on; of a larger data set, so many are drawn, the same for all arms."""


@dataclass(frozen=True)
class ArmAgreement:
    """How far the seeds of an arm agree.

    Attributes:
        seeds: (n,) those with predictions, at least two.
        plain: (n, n) agreement of pairs inside coarse classes, corrected for chance; nan on the diagonal.
        share: (n,) effective number of classes that a seed uses, relative to K_F.
        same_split: Whether all seeds have the same split of the data.
    """

    seeds: tuple[int, ...]
    plain: FloatArray
    share: FloatArray
    same_split: bool

    @property
    def corrected(self) -> FloatArray:
        """(n, n) agreement times the mean share of classes of the two."""
        found: FloatArray = self.plain * (self.share[:, None] + self.share) / 2
        return found

    @property
    def mean(self) -> float:
        """The arm's agreement."""
        return pair_mean(self.corrected)

    @property
    def identical(self) -> bool:
        """Whether all seeds find exactly the same classes."""
        pairs = self.plain[np.triu_indices(len(self.seeds), 1)]
        return bool((pairs >= 1 - 1e-12).all())

    def values(self) -> dict[int, float]:
        """Pseudo-values by seed; of two seeds, which have no interval, their agreement under the first."""
        if len(self.seeds) == 2:
            return {self.seeds[0]: self.mean}
        return dict(zip(self.seeds, pseudo_values(self.corrected).tolist(), strict=True))

    def among(self, seeds: Collection[int]) -> ArmAgreement | None:
        """The agreement of some of its seeds with each other; None with fewer than two of them."""
        kept = [rank for rank, seed in enumerate(self.seeds) if seed in seeds]
        if len(kept) < 2:
            return None
        chosen = tuple(self.seeds[rank] for rank in kept)
        return replace(self, seeds=chosen, plain=self.plain[np.ix_(kept, kept)], share=self.share[kept])

    def without(self, seeds: Collection[int]) -> float:
        """The agreement of the other seeds; nan if fewer than two are left."""
        left = self.among([seed for seed in self.seeds if seed not in seeds])
        return math.nan if left is None else left.mean


def pair_mean(table: FloatArray) -> float:
    """Mean over pairs of a symmetric (n, n) table; nan without a pair."""
    pairs = table[np.triu_indices(len(table), 1)]
    return float(pairs.mean()) if len(pairs) else math.nan


def pseudo_values(table: FloatArray) -> FloatArray:
    """(n,) jackknife pseudo-values of the mean over pairs, leaving out a seed at a time.

    Args:
        table: (n, n) symmetric, n >= 3; the diagonal is not read.
    """
    n = len(table)
    off = np.where(np.eye(n, dtype=bool), 0.0, table)
    total, rows = off.sum() / 2, off.sum(axis=1)
    left_out = (total - rows) / ((n - 1) * (n - 2) / 2)
    found: FloatArray = n * (total / (n * (n - 1) / 2)) - (n - 1) * left_out
    return found


def agreement_of(
    predictions: Mapping[int, PredictionsRecord], num_fine: Mapping[int, int], labels: LabelsRecord
) -> ArmAgreement | None:
    """The agreement of the seeds of one arm; None with fewer than two, or where no coarse class can be divided.

    Args:
        predictions: By seed, on the same data set.
        num_fine: K_F by seed.
        labels: The coarse labels of the data set.
    """
    seeds = tuple(sorted(predictions))
    if len(seeds) < 2:
        return None
    rows = drawn_rows(len(labels.coarse), MOST_SAMPLES, 0, "agreement")
    coarse = labels.coarse[rows].astype(np.int64)
    fine = np.stack([predictions[seed].fine[rows].astype(np.int64) for seed in seeds])
    plain = agreement_table(fine, coarse, labels.num_coarse.tolist())
    if not np.isfinite(plain[np.triu_indices(len(seeds), 1)]).all():
        return None
    share = [class_share(own[own >= 0], num_fine[seed]) for own, seed in zip(fine, seeds, strict=True)]
    splits = {predictions[seed].splits.tobytes() for seed in seeds}
    return ArmAgreement(seeds, plain, np.array(share), len(splits) == 1)


def measure_agreement(folder: CellFiles, results: Sequence[CellResult]) -> ArmAgreement | None:
    """The agreement of one arm's finished cells, from the predictions in their folder; None where there is none.

    Args:
        folder: The study folder.
        results: The arm's cells; those that are not COMPLETE or have no predictions are left out.
    """
    found: dict[int, PredictionsRecord] = {}
    num_fine: dict[int, int] = {}
    labels: LabelsRecord | None = None
    for result in results:
        record = folder.read_predictions(result.cell_id) if result.state is CellState.COMPLETE else None
        if record is not None:
            num_fine[result.seed] = _num_fine(folder, result, record)
            found[result.seed] = record
            labels = labels or folder.read_labels(data_key(result.config.get("data") or {}))
    return None if labels is None else agreement_of(found, num_fine, labels)


def _num_fine(folder: CellFiles, result: CellResult, record: PredictionsRecord) -> int:
    """K_F of a cell: as its config says, or as it was estimated."""
    stated = result.config.get("classes", {}).get("num_fine")
    if isinstance(stated, int):
        return stated
    relations = folder.read_relations(result.cell_id)
    used = int(record.fine.max(initial=0)) + 1
    return used if relations is None else relations.fine_to_coarse.shape[1]


@dataclass(frozen=True)
class Agreements:
    """The agreement of every arm of a study, measured when it is asked for.

    Attributes:
        folder: The study folder.
        cells: The finished cells of each arm.
    """

    folder: CellFiles
    cells: Mapping[str, Sequence[CellResult]]
    _known: dict[str, ArmAgreement | None] = field(default_factory=dict)

    def of(self, arm: str) -> ArmAgreement | None:
        """The agreement of an arm; None where it has none."""
        if arm not in self._known:
            cells = self.cells.get(arm, ())
            self._known[arm] = measure_agreement(self.folder, cells) if len(cells) > 1 else None
        return self._known[arm]

    def whole(self, arm: str, cells: int) -> float:
        """The agreement of an arm with so many cells; nan unless each of them is COMPLETE and has predictions."""
        found = self.of(arm)
        return math.nan if found is None or len(found.seeds) < cells else found.mean


def arm_value(folder: CellFiles, metric: str, results: Sequence[CellResult]) -> float:
    """A metric of an arm from its cells; nan where it has none.

    Args:
        folder: The study folder.
        metric: A name of ``ARM_METRICS``.
        results: The arm's cells, all COMPLETE.
    """
    if metric != AGREEMENT:
        raise ValueError(f"{metric} is no metric of an arm")
    return Agreements(folder, {"": results}).whole("", len(results))
