"""The finished runs in a table: arm, seed, how each ended, and its metrics by epoch; every text checked."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from fgtune.app.importing.rows import Rows
from fgtune.config.arms.expand import MAX_CELLS
from fgtune.config.schema.base import MAX_INTEGER, MAX_SEEDS
from fgtune.config.schema.declared import is_taken
from fgtune.config.schema.imported import ARM_LENGTH
from fgtune.config.schema.paths import suggestion
from fgtune.errors import ConfigError
from fgtune.results.records import CellState

ARM, SEED, EPOCH, STATE, CAUSE, SECONDS = "arm", "seed", "epoch", "state", "cause", "seconds"
OWN_COLUMNS = (ARM, SEED, EPOCH, STATE, CAUSE, SECONDS)
"""Columns that are no metrics; the first two must be there."""
_ABSENT = {"", "nan", "na", "n/a", "null", "none", "<na>"}
"""How tables write that there is no value, in lower case."""
_WHOLE = re.compile(r"\+?(\d+)(\.0*)?")


@dataclass
class Run:
    """A run.

    Attributes:
        arm: Its arm.
        seed: Its seed.
        state: How it ended.
        cause: Why it failed or was stopped; empty where the table does not say.
        epochs: Metrics by epoch; under epoch 0 where the table has no epochs. Nan where there is no finite value.
        seconds: What its rows took together; nan where the table does not say.
        rows: The index of its row by epoch.
    """

    arm: str
    seed: int
    state: CellState
    cause: str = ""
    epochs: dict[int, dict[str, float]] = field(default_factory=dict)
    seconds: float = math.nan
    rows: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Runs:
    """All runs of a table.

    Attributes:
        rows: The table.
        metrics: Names of the columns that are metrics.
        runs: In the order in which they appear.
        has_epochs: Whether the table has a column of epochs.
    """

    rows: Rows
    metrics: tuple[str, ...]
    runs: tuple[Run, ...]
    has_epochs: bool


def read_runs(rows: Rows, ignored: Collection[str] = ()) -> Runs:
    """The runs in a table.

    Args:
        rows: The table.
        ignored: Columns to leave out.

    Raises:
        ConfigError: A column is missing or twice there, a value is not what its column holds, or two rows are about the
            same run (and epoch); with column, row and value.
    """
    columns = _columns(rows, ignored)
    metrics = tuple(name for name in columns if name not in OWN_COLUMNS)
    if not metrics:
        raise ConfigError("has no column that is a metric", where=rows.name, fix="add the column of a metric")
    if not rows.cells:
        raise ConfigError("has no run", where=rows.name, fix="add a row for every run")
    runs: dict[tuple[str, int], Run] = {}
    arms: set[str] = set()
    seeds: set[int] = set()
    for index in range(len(rows.cells)):
        reader = _Row(rows, index, columns)
        arm, seed, state = reader.arm(), reader.seed(), reader.state()
        arms.add(arm)
        seeds.add(seed)
        _check_count(rows, len(arms), len(seeds), index)
        run = runs.setdefault((arm, seed), Run(arm, seed, state))
        epoch = reader.epoch() if EPOCH in columns else 0
        _check_new(rows, run, epoch, index)
        _check_state(rows, run, state, index)
        run.rows[epoch] = index
        run.epochs[epoch] = {name: reader.number(name) for name in metrics}
        run.cause = reader.text(CAUSE) or run.cause
        seconds = reader.seconds()
        if not math.isnan(seconds):
            run.seconds = seconds + (0.0 if math.isnan(run.seconds) else run.seconds)
    return Runs(rows, metrics, tuple(runs.values()), EPOCH in columns)


def _check_count(rows: Rows, arms: int, seeds: int, index: int) -> None:
    """Raise where the runs so far are more than a study may have."""
    if seeds > MAX_SEEDS or arms * seeds > MAX_CELLS:
        rule = f"a study must have at most {MAX_SEEDS:,} seeds and {MAX_CELLS:,} pairs of arm and seed"
        fix = "number the repeats of every arm alike, from 0 on; import the arms of one question at a time"
        raise ConfigError(rule, where=rows.place(index), value=f"{arms:,} arms, {seeds:,} seeds", fix=fix)


def _columns(rows: Rows, ignored: Collection[str]) -> dict[str, int]:
    """The position of every column that is read."""
    for name in ignored:
        if name not in rows.columns:
            fix = suggestion(name, rows.columns, "columns are")
            raise ConfigError("is no column of the table", where="--ignore", value=name, fix=fix)
    found: dict[str, int] = {}
    for position, name in enumerate(rows.columns):
        if name in ignored or (name == "" and position == 0):  # the row index that somebody saved has no name
            continue
        if name == "":
            raise ConfigError("a column has no name", where=rows.name, value=f"column {position + 1}", fix="name it")
        if name in found:
            raise ConfigError("is the name of two columns", where=rows.name, value=name, fix="rename one of them")
        if name not in OWN_COLUMNS and is_taken(name):
            fix = f"rename it, or leave it out with --ignore {name}"
            rule = "already means something in the tables of a study"
            raise ConfigError(rule, where=rows.name, value=name, fix=fix)
        found[name] = position
    for name in (ARM, SEED):
        if name not in found:
            fix = f"add the column; the table has: {', '.join(rows.columns)}"
            raise ConfigError(f"must have a column {name!r}", where=rows.name, fix=fix)
    return found


def _check_new(rows: Rows, run: Run, epoch: int, index: int) -> None:
    if epoch in run.rows:
        what = f"epoch {epoch} of arm {run.arm!r}, seed {run.seed}" if epoch else f"arm {run.arm!r}, seed {run.seed}"
        there = run.rows[epoch] + rows.first
        fix = "keep one of the rows" + ("" if epoch else ", or add a column `epoch` if these are epochs of one run")
        raise ConfigError(f"repeats row {there}: both are {what}", where=rows.place(index), fix=fix)


def _check_state(rows: Rows, run: Run, state: CellState, index: int) -> None:
    if run.rows and state is not run.state:
        there = next(iter(run.rows.values())) + rows.first
        rule = f"gives arm {run.arm!r}, seed {run.seed} another state than row {there} ({run.state})"
        fix = "give every row of a run its final state"
        raise ConfigError(rule, where=rows.place(index), value=state.value, fix=fix)


@dataclass(frozen=True)
class _Row:
    """One row, whose texts are read by column."""

    rows: Rows
    index: int
    columns: Mapping[str, int]

    def text(self, column: str) -> str:
        position = self.columns.get(column)
        return "" if position is None else self.rows.cells[self.index][position]

    def arm(self) -> str:
        arm = self.text(ARM)
        if not arm or len(arm) > ARM_LENGTH:
            raise self._error(ARM, f"must be a text of 1 to {ARM_LENGTH} characters", "name the arm")
        return arm

    def seed(self) -> int:
        seed = self._whole(SEED)
        if seed is None or seed > MAX_INTEGER:
            raise self._error(SEED, "must be a whole number from 0 on", "number the repeats of every arm alike")
        return seed

    def epoch(self) -> int:
        epoch = self._whole(EPOCH)
        if not epoch:
            raise self._error(EPOCH, "must be a whole number from 1 on", "count epochs from 1")
        return epoch

    def _whole(self, column: str) -> int | None:
        found = _WHOLE.fullmatch(self.text(column))
        return int(found[1]) if found and len(found[1]) <= len(str(MAX_INTEGER)) else None

    def state(self) -> CellState:
        text = self.text(STATE)
        if text.lower() in _ABSENT:
            return CellState.COMPLETE
        try:
            return CellState(text.upper())
        except ValueError as error:
            names = ", ".join(CellState)
            raise self._error(STATE, f"must be one of {names}", "write FAIL for runs that crashed") from error

    def seconds(self) -> float:
        seconds = self.number(SECONDS)
        if seconds < 0 or math.isinf(seconds):
            raise self._error(SECONDS, "must be a finite number from 0 on", "leave it empty where it is not known")
        return seconds

    def number(self, column: str) -> float:
        """A number; nan where there is none, or where it is not finite."""
        text = self.text(column)
        if text.lower() in _ABSENT:
            return math.nan
        try:
            return float(text)
        except ValueError as error:
            rule = "must be a number, as in every column but arm, seed, epoch, state and cause"
            fix = f"write a number, or leave the column out with --ignore {column}"
            raise self._error(column, rule, fix) from error

    def _error(self, column: str, rule: str, fix: str) -> ConfigError:
        return ConfigError(rule, where=self.rows.place(self.index), path=column, value=self.text(column), fix=fix)
