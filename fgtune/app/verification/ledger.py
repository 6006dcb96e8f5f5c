"""The ledger: its chain, every line against its own hashes, and what no run of fgtune writes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime

from fgtune.app.verification.findings import Finding, Subject, agree, identity
from fgtune.catalog import MetricSpec
from fgtune.config.arms.records import cell_id_of
from fgtune.config.schema.base import stable_hash
from fgtune.config.schema.trial import BaseTrialConfig
from fgtune.results.folder import CHAINED
from fgtune.results.ledger import UNDEFINED
from fgtune.results.records import CellResult, CellState


def check_chain(subject: Subject) -> Iterator[Finding]:
    """Whether the ledger's lines follow from one another, from the first to the last."""
    file, chain = subject.name(subject.folder.ledger_file), subject.folder.ledger.chain
    expected = subject.record.get(CHAINED)
    yield Finding(chain.lines - chain.unchained)
    for number in chain.broken:
        rule = "does not follow from what stands before it: a line there was changed, removed, inserted or moved"
        yield Finding(0, f"{file}: line {number} {rule}")
    if expected is None:
        if chain.unchained:
            what = "carry no hash of the line before, as earlier versions wrote them"
            yield Finding(0, note=f"{file}: {chain.unchained} lines {what}; a line missing there is not found by it")
    elif chain.unchained != expected and chain.lines:
        what = f"{chain.unchained} lines carry no hash of the line before, and provenance.json says {expected}"
        yield Finding(1, f"{file}: {what}: lines were removed or rewritten")


def check_lines(subject: Subject) -> Iterator[Finding]:
    """Every line against its own hashes, and against what a run can write."""
    file = subject.name(subject.folder.ledger_file)
    before: dict[str, CellResult] = {}
    for number, line in enumerate(subject.lines, start=1):
        name = f"{file}: line {number}, {subject.cell(line)}"
        config = identity(line.config, subject.scheme)
        same = stable_hash(config) == line.config_hash
        yield agree(same, f"{name}: its config does not have the hash {line.config_hash}")
        same = cell_id_of(config, line.seed, line.fork, subject.scheme) == line.cell_id
        yield agree(same, f"{name}: its config and seed do not have this id")
        earlier = before.get(line.cell_id)
        again = earlier is not None and earlier.state is not CellState.FAIL
        yield agree(not again, f"{name}: replaces a result of this cell that had not failed, which no run does")
        before[line.cell_id] = line
        yield from _contents(line, subject.data.study.trial, name)


def _contents(line: CellResult, trial: BaseTrialConfig, name: str) -> Iterator[Finding]:
    """What a line says of its cell."""
    book = trial.book
    if line.state is CellState.FAIL:
        yield agree(not line.metrics and bool(line.cause), f"{name}: a failed cell has a cause and no metrics")
    if line.state is CellState.PRUNED:
        yield agree(bool(line.cause), f"{name}: a cell that was stopped early has a cause")
    if line.state is CellState.COMPLETE:
        wanted = line.config.get("epochs", line.epochs)  # of an imported run, nobody knows how many were planned
        ended = 0 < line.epochs <= wanted if trial.may_end_early else line.epochs == wanted
        yield agree(ended, f"{name}: is complete after {line.epochs} of {wanted} epochs")
        undefined = any(begin in (line.cause or "") for begin in UNDEFINED)
        yield agree(bool(line.metrics) or undefined, f"{name}: is complete and has no metrics")
    yield agree(math.isfinite(line.seconds) and line.seconds >= 0, f"{name}: took {line.seconds} seconds")
    yield agree(line.attempts >= 1, f"{name}: took {line.attempts} attempts")
    if line.finished_at:
        yield agree(_is_time(line.finished_at), f"{name}: finished at {line.finished_at!r}, which is no time")
    for metric, value in line.metrics.items():
        yield agree(_in_range(book.find(metric), value), f"{name}: {metric} is {value}, which is out of its range")


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _in_range(spec: MetricSpec | None, value: float) -> bool:
    """Whether a metric can have this value, up to rounding; of one that is not known, any finite one."""
    if not math.isfinite(value):
        return False
    if spec is None:
        return True
    slack = 1e-6 * max(1.0, abs(value))
    return spec.low - slack <= value <= spec.high + slack
