"""The study that a table of runs makes: its arms, seeds and metrics as a study file, and its cells as results."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fgtune.app.importing.runs import Run, Runs
from fgtune.config.arms.imported import imported_plan
from fgtune.config.arms.plan import Plan
from fgtune.config.arms.records import Cell
from fgtune.config.reading.load import LoadedStudy, load_source, override_path
from fgtune.config.reading.source import Origins, Source, parse_yaml
from fgtune.config.reading.writing import yaml_text
from fgtune.config.schema.declared import DeclaredMetric
from fgtune.config.schema.paths import suggestion
from fgtune.errors import ConfigError
from fgtune.results.evidence import CURVE, history_digest
from fgtune.results.ledger import UNDEFINED
from fgtune.results.records import CellResult, CellState, EpochMetrics

_CAUSES = {CellState.FAIL: "failed elsewhere", CellState.PRUNED: "stopped early elsewhere"}
"""Causes of runs whose table does not say why."""
Bounds = tuple[float | None, float | None]


@dataclass(frozen=True)
class Judging:
    """What the runs are judged by.

    Attributes:
        primary: The metric of the verdicts.
        direction: Which way it is better.
        baseline: The arm that others are compared with.
        range: Its smallest and largest possible value; None where they are not known.
        margin: Differences below this do not matter; None for 0.02 of a metric on [0, 1], and none for others.
        others: Directions of other metrics, by name; those without one are shown and not judged.
    """

    primary: str
    direction: str
    baseline: str
    range: Bounds | None
    margin: float | None
    others: Mapping[str, str]


@dataclass(frozen=True)
class ImportedStudy:
    """A study of imported runs.

    Attributes:
        loaded: The study file, made from the table.
        plan: Every arm with every seed.
        results: The result of each planned cell that the table has, and its curve, in the order of the table.
    """

    loaded: LoadedStudy
    plan: Plan
    results: tuple[tuple[CellResult, tuple[EpochMetrics, ...]], ...]


def make_study(runs: Runs, judging: Judging, name: str, overrides: Sequence[str] = ()) -> ImportedStudy:
    """The study of a table of runs.

    Args:
        runs: The table.
        judging: What the runs are judged by.
        name: Name of the study.
        overrides: Further rules of judging, of the form ``metrics.alpha=0.01``; also ``question=...``.

    Raises:
        ConfigError: The table has no such metric or baseline, a direction or the range is wrong, or a value of the
            primary metric lies outside its range.
    """
    arms = tuple(dict.fromkeys(run.arm for run in runs.runs))
    _check(runs, judging, arms)
    _check_overrides(overrides)
    source = Source(_study_file(runs, judging, name, arms), Origins("study.yaml"))
    text = _text(load_source(source, "", Path("study.yaml"), overrides).raw, runs.rows.name)
    loaded = load_source(parse_yaml(text, "study.yaml"), text, Path("study.yaml"))
    plan = imported_plan(loaded.study)
    cells = {(cell.arm, cell.seed): cell for cell in plan.cells}
    results = tuple(_result(run, cells[run.arm, run.seed], runs) for run in runs.runs)
    return ImportedStudy(loaded, plan, results)


def study_name(folder: Path) -> str:
    """The name of the study in a folder: the folder's, of letters, digits, ``-`` and ``_``."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", folder.name).strip("-_")
    return name[:100] or "imported"


def _check(runs: Runs, judging: Judging, arms: Sequence[str]) -> None:
    for option, name, known in (
        ("--primary", judging.primary, runs.metrics),
        *(("--metric", name, runs.metrics) for name in judging.others),
        ("--baseline", judging.baseline, arms),
    ):
        if name not in known:
            what = "arm" if option == "--baseline" else "metric"
            fix = suggestion(name, known[:50], f"{what}s are")
            raise ConfigError(f"is no {what} of {runs.rows.name}", where=option, value=name, fix=fix)
    for option, direction in (("--direction", judging.direction), *(("--metric", d) for d in judging.others.values())):
        if direction not in {"maximize", "minimize"}:
            raise ConfigError("must be maximize or minimize", where=option, value=direction)
    if judging.margin is not None and not 0 < judging.margin < math.inf:
        raise ConfigError("must be a positive number", where="--margin", value=judging.margin)
    _check_range(runs, judging)


def _check_overrides(overrides: Sequence[str]) -> None:
    for override in overrides:
        path = override_path(override)
        if not path.startswith("metrics.") and path not in {"question", "expectation"}:
            fix = "set metrics.alpha, metrics.summary, metrics.collapse_rate, question or expectation"
            raise ConfigError("must be a rule of judging", where="--set", value=override, fix=fix)


def _check_range(runs: Runs, judging: Judging) -> None:
    if judging.range is None:
        return
    low, high = _bounds(judging.range)
    if not low < high:
        fix = "give the smallest possible value first: --range 0 1"
        raise ConfigError("must go from a smaller to a larger number", where="--range", value=[low, high], fix=fix)
    for run in runs.runs:
        for epoch, metrics in run.epochs.items():
            value = metrics[judging.primary]
            if math.isfinite(value) and not low <= value <= high:
                where, fix = runs.rows.place(run.rows[epoch]), "mend the value, or widen --range"
                rule = f"lies outside the range of {judging.primary}, {low:g} to {high:g}"
                raise ConfigError(rule, where=where, path=judging.primary, value=value, fix=fix)


def _bounds(range_: Bounds) -> tuple[float, float]:
    low, high = range_
    return -math.inf if low is None else low, math.inf if high is None else high


def _study_file(runs: Runs, judging: Judging, name: str, arms: Sequence[str]) -> dict[str, Any]:
    """The study as plain data; only what differs from its defaults."""

    def declared(metric: str) -> dict[str, Any]:
        if metric != judging.primary:
            return {"direction": judging.others[metric]} if metric in judging.others else {}
        own: dict[str, Any] = {"direction": judging.direction}
        if judging.range is not None:
            own["range"] = [None if math.isinf(end) else end for end in _bounds(judging.range)]
        return own

    metrics: dict[str, Any] = {
        "primary": judging.primary,
        "also": [each for each in runs.metrics if each != judging.primary],
    }
    if judging.margin is not None:
        metrics["equivalence_margin"] = float(judging.margin)
    return {
        "study": name,
        "question": f"Which arms differ from {judging.baseline} in {judging.primary}?",
        "source": f"Runs that were made elsewhere, read from {Path(runs.rows.name).name}",
        "design": {"kind": "imported", "arms": list(arms), "baseline": judging.baseline},
        "seeds": sorted({run.seed for run in runs.runs}),
        "metrics": metrics,
        "trial": {
            "kind": "imported",
            "source": Path(runs.rows.name).name,
            "metrics": {metric: DeclaredMetric.from_plain(declared(metric)).to_plain() for metric in runs.metrics},
            **({"curves": True} if runs.has_epochs else {}),
        },
    }


def _text(raw: Mapping[str, Any], source: str) -> str:
    name = Path(source).name
    return yaml_text(raw, f"Runs that were made elsewhere; fgtune import made this file from {name!r}.")


def _result(run: Run, cell: Cell, runs: Runs) -> tuple[CellResult, tuple[EpochMetrics, ...]]:
    """A run as the result of its cell, and its curve."""
    epochs = sorted(run.epochs)
    shares = 0.0 if math.isnan(run.seconds) else run.seconds / len(epochs)
    finite = {epoch: {k: v for k, v in run.epochs[epoch].items() if math.isfinite(v)} for epoch in epochs}
    history = tuple(EpochMetrics(epoch, epoch, finite[epoch], shares) for epoch in epochs) if runs.has_epochs else ()
    failed = run.state is CellState.FAIL
    missing = sorted(name for name, value in run.epochs[epochs[-1]].items() if not math.isfinite(value))
    cause = run.cause or _CAUSES.get(run.state)
    if missing and not failed:
        note = f"{UNDEFINED[0]}{', '.join(missing)}"
        cause = f"{cause}; {note}" if cause else note
    result = CellResult(
        cell_id=cell.cell_id,
        arm=cell.arm,
        seed=cell.seed,
        config_hash=cell.config_hash,
        state=run.state,
        metrics={} if failed else dict(sorted(finite[epochs[-1]].items())),
        seconds=0.0 if math.isnan(run.seconds) else run.seconds,
        epochs=epochs[-1],
        levels={},
        config=cell.config.to_plain(),
        cause=cause,
        evidence={CURVE: history_digest(history)} if history else None,
    )
    return result, history
