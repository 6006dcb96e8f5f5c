"""The stored predictions of a study's finished cells, beside the coarse labels of their samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from fgtune.analysis.inputs import StudyData
from fgtune.config.schema.base import data_key
from fgtune.errors import ConfigError
from fgtune.results.records import SPLIT_BITS, CellResult, CellState, LabelsRecord, PredictionsRecord

if TYPE_CHECKING:
    import pandas as pd

_SPLITS = {bit: split for split, bit in SPLIT_BITS.items()}


def predictions_table(data: StudyData) -> pd.DataFrame:
    """One row a sample and finished cell, in the order of the plan and of the data set; samples in no split left out.

    Columns: ``cell_id``, ``arm``, ``seed``, ``row`` (of the data set, from 0), ``split`` (``train``, ``val``, ``test``;
    ``all`` in a transductive study), ``coarse_label`` (``coarse_label_1``, ... for further sources; -1 for none),
    ``fine_class`` and ``fine_class_within_coarse`` (restricted to the known coarse label).

    Raises:
        ConfigError: No cell has predictions.
    """
    import pandas as pd

    data.study.trial.own()
    tables = list(_tables(data))
    if not tables:
        rule = "no finished cell has stored predictions: none has finished, or an earlier version ran them"
        fix = "run the study again with --out, or wait for its first cell"
        raise ConfigError(rule, where=str(data.folder.predictions_dir), fix=fix)
    return pd.concat(tables, ignore_index=True)


def _tables(data: StudyData) -> Iterator[pd.DataFrame]:
    known: dict[str, LabelsRecord | None] = {}
    for cell in data.planned:
        result = data.results.get(cell.cell_id)
        if result is None or result.state is not CellState.COMPLETE:
            continue
        record = data.folder.read_predictions(cell.cell_id)
        if record is not None:
            key = data_key(result.config.get("data") or {})
            known[key] = known[key] if key in known else data.folder.read_labels(key)
            yield _table(result, record, known[key])


def _table(result: CellResult, record: PredictionsRecord, labels: LabelsRecord | None) -> pd.DataFrame:
    import pandas as pd

    rows = np.flatnonzero(record.splits)
    coarse = {} if labels is None else dict(enumerate(labels.coarse[rows].T))
    return pd.DataFrame(
        {
            "cell_id": result.cell_id,
            "arm": result.arm,
            "seed": result.seed,
            "row": rows,
            "split": [_SPLITS.get(int(split), "all") for split in record.splits[rows]],
            **{f"coarse_label_{source}" if source else "coarse_label": each for source, each in coarse.items()},
            "fine_class": record.fine[rows],
            "fine_class_within_coarse": record.restricted[rows],
        }
    )
