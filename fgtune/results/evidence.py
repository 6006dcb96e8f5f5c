"""Digests of what a cell leaves beside its line in the ledger, so that the chain of the ledger covers that, too.

They are taken of values, not of files: curves are gathered into one file later, and archives hold dates.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from fgtune.results.records import (
    AttentionRecord,
    EpochMetrics,
    LabelsRecord,
    PortraitRecord,
    PredictionsRecord,
    RelationsRecord,
)

CURVE, RELATIONS, PREDICTIONS, ATTENTION, FAILURE = "curve", "relations", "predictions", "attention", "failure"
LABELS, PORTRAIT = "coarse_labels", "portrait"
"""Keys of the digests in a line of the ledger."""
StoredRecord = RelationsRecord | PredictionsRecord | LabelsRecord | AttentionRecord | PortraitRecord
"""What is stored as arrays."""


def curve_digest(epochs: Iterable[tuple[int, int, Mapping[str, float]]]) -> str:
    """SHA-256, in hex, of a curve without its times, which do not repeat.

    Args:
        epochs: Epoch, step and metrics, in order; metrics that are nan count as absent, as they do in the file.
    """
    plain = [
        [int(epoch), int(step), {name: float(metrics[name]).hex() for name in sorted(_measured(metrics))}]
        for epoch, step, metrics in epochs
    ]
    return hashlib.sha256(json.dumps(plain).encode()).hexdigest()


def history_digest(history: Iterable[EpochMetrics]) -> str:
    """``curve_digest`` of a trial's history."""
    return curve_digest((each.epoch, each.step, each.metrics) for each in history)


def arrays_digest(record: StoredRecord) -> str:
    """SHA-256, in hex, of the arrays of a record: their names, types, shapes and elements."""
    digest = hashlib.sha256()
    for name, array in sorted(vars(record).items()):
        if array is not None:
            digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def text_digest(text: str) -> str:
    """SHA-256, in hex, of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def _measured(metrics: Mapping[str, Any]) -> list[str]:
    return [name for name, value in metrics.items() if not math.isnan(value)]
