"""The curves: every finished cell has one, epoch by epoch, and it ends with the metrics in the ledger."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fgtune.app.verification.findings import Finding, Subject, agree
from fgtune.results.evidence import CURVE, curve_digest
from fgtune.results.ledger import is_counted
from fgtune.results.records import CellResult, CellState
from fgtune.results.texts import CURVE_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

_ROUNDING = 1e-9
"""Relative difference that another order of summing seconds may make."""


def check_curves(subject: Subject) -> Iterator[Finding]:
    """The curve of every finished cell against its line in the ledger."""
    folder = subject.folder
    file = subject.name(folder.curves_file)
    if not subject.data.study.trial.has_curves:
        yield agree(not folder.curves_file.exists(), f"{file}: is there, the table of the runs had no epochs")
        return
    if subject.has_ended and subject.finished and not folder.curves_file.is_file():
        yield Finding(1, f"{file}: is missing")
    curves = subject.curves
    lacking = [column for column in CURVE_COLUMNS if column not in curves.columns]
    yield agree(not lacking, f"{file}: lacks the columns {', '.join(lacking)}")
    metrics = [column for column in curves.columns if column not in CURVE_COLUMNS]
    text = [name for name in metrics if curves[name].dtype.kind not in "fiu"]
    yield agree(not text, f"{file}: holds no numbers in {', '.join(text)}")
    if lacking or text:
        return
    groups = {str(cell_id): own for cell_id, own in curves.groupby("cell_id", sort=False)}
    for result in subject.finished.values():
        name, curve = f"{file}: {subject.cell(result)}", groups.pop(result.cell_id, None)
        if curve is None:
            known = CURVE in (result.evidence or {})
            yield agree(result.state is CellState.FAIL and not known, f"{name} has no curve")
        else:
            yield from _curve(result, curve, metrics, name, dense=subject.data.study.trial.runs_here)
    for cell_id in groups:
        why = "its line was removed, or the call ended before it was written and the next one runs the cell again"
        yield Finding(1, f"{file}: cell {cell_id} has a curve and no line in the ledger: {why}")


def _curve(result: CellResult, curve: pd.DataFrame, metrics: list[str], name: str, *, dense: bool) -> Iterator[Finding]:
    """One curve against the ledger; a dense one has every epoch."""
    curve = curve.sort_values("epoch", kind="stable")
    same = set(curve["arm"]) == {result.arm} and set(curve["seed"]) == {result.seed}
    yield agree(same, f"{name}: the curve is of another arm or seed")
    stated = (result.evidence or {}).get(CURVE)
    rows = curve.to_dict("records")
    if stated is not None:
        found = curve_digest((row["epoch"], row["step"], {key: row[key] for key in metrics}) for row in rows)
        yield agree(found == stated, f"{name}: the curve does not have the digest in the ledger")
    first = 1 if result.fork is None else result.fork.epoch + 1
    epochs = [int(epoch) for epoch in curve["epoch"]]
    expected = list(range(first, first + len(epochs))) if dense else sorted(set(epochs))
    whole = epochs == expected and bool(epochs) and epochs[-1] == result.epochs
    if result.state is CellState.FAIL:  # what a crash left; it need not be whole
        return
    yield agree(whole, f"{name}: the curve does not have each of the epochs {first} to {result.epochs} once")
    same = bool(curve["step"].is_monotonic_increasing)
    yield agree(same, f"{name}: the steps of the curve do not rise with its epochs")
    spent = math.fsum(float(each) for each in curve["seconds"])
    same = math.isclose(spent, result.seconds, rel_tol=_ROUNDING, abs_tol=_ROUNDING)
    yield agree(same, f"{name}: the epochs of the curve took {spent:.6g} s, the ledger says {result.seconds:.6g}")
    if not whole:
        return
    last = rows[-1]
    ends = {metric: float(last[metric]) for metric in metrics if is_counted(last[metric])}
    for metric in sorted({*ends, *result.metrics}):
        ours, theirs = ends.get(metric), result.metrics.get(metric)
        yield agree(ours == theirs, f"{name}: {metric} ends at {_shown(ours)}, the ledger says {_shown(theirs)}")


def _shown(value: float | None) -> str:
    return "nothing" if value is None else repr(value)
