"""Running some finished cells again, in this process and without Ray, and comparing everything that they left."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fgtune.app.verification.findings import Subject
from fgtune.app.verification.study import dataset_of
from fgtune.config.schema.function import FunctionTrialConfig
from fgtune.config.schema.trial import TrialConfig
from fgtune.errors import FgtuneError, StudyFolderError, TrialError
from fgtune.results.evidence import PREDICTIONS
from fgtune.results.provenance import check_data, host_facts, package_versions
from fgtune.results.records import CellResult, TrialOutcome
from fgtune.streams import numpy_stream
from fgtune.text import count, first_of

if TYPE_CHECKING:
    from fgtune.data.base import Dataset

_LISTED = 3
_NUMERIC = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "faiss-cpu", "highspy", "pyscipopt", "cvxpy")
"""Packages whose version moves the numbers of a cell."""


@dataclass(frozen=True)
class Rerun:
    """A cell that was run again.

    Attributes:
        cell: Its name for messages.
        compared: Number of values compared.
        differences: What differs, and by how much; empty where all is equal bit for bit.
        environment: What else differs from the first run: device, threads, versions.
    """

    cell: str
    compared: int
    differences: tuple[str, ...]
    environment: tuple[str, ...]

    @property
    def text(self) -> str:
        """The outcome in a line."""
        if not self.differences:
            return f"{self.cell}: run again, {self.compared} values are equal bit for bit"
        differing = first_of(list(self.differences), _LISTED)
        cause = f"; {', '.join(self.environment)}" if self.environment else ""
        return f"{self.cell}: run again, {len(self.differences)} of {self.compared} values differ: {differing}{cause}"


def chosen_cells(subject: Subject, number: int, seed: int) -> tuple[list[CellResult], int]:
    """Complete cells drawn at random, and how many could not be drawn since they continue another cell's training.

    Args:
        subject: The study.
        number: How many; all there are, if there are fewer.
        seed: Seed of the draw.

    Raises:
        StudyFolderError: The study has no cell that can be run again.
    """
    subject.data.study.trial.check_runs_here(str(subject.folder.root))
    whole = sorted((each for each in subject.complete if each.fork is None), key=lambda each: each.cell_id)
    forked = len(subject.complete) - len(whole)
    if not whole:
        rule = "has no complete cell that could be run again"
        fix = "leave --rerun out; a cell that continues another's training, or was stopped, cannot be run alone"
        raise StudyFolderError(rule, where=str(subject.folder.root), fix=fix)
    drawn = numpy_stream(seed, "verify", "rerun").permutation(len(whole))[:number]
    return [whole[rank] for rank in sorted(drawn)], forked


def load_data(subject: Subject, cells: list[CellResult], datasets: dict[str, Any]) -> None:
    """Load the data of cells, checked to be those that the study ran on.

    Args:
        subject: The study.
        cells: The cells.
        datasets: Data sets by ``dataset_key``; those that are missing are added.

    Raises:
        ConfigError: A cell's config is none of this version, its data are not there or not the same, or a part of it
            lives in a package that may not be imported.
    """
    from fgtune.training.functions.call import find_function
    from fgtune.training.input_checks import check_user_parts

    for cell in cells:
        config = _config(subject, cell)
        if isinstance(config, FunctionTrialConfig):  # it reads its own data
            find_function(config.call)
            continue
        check_user_parts(config)
        dataset = dataset_of(config.data, datasets)
        check_data(subject.record, config.data, dataset.name, dataset.fingerprint, "leave --rerun out")


def _config(subject: Subject, cell: CellResult) -> TrialConfig | FunctionTrialConfig:
    kind = FunctionTrialConfig if subject.data.study.trial.discovery is None else TrialConfig
    try:
        config = kind.from_plain(dict(cell.config))
    except ValueError as error:
        rule = f"{subject.cell(cell)} has no config that this version of fgtune can run"
        raise StudyFolderError(rule, where=str(subject.folder.ledger_file), fix="leave --rerun out") from error
    return config.as_run(subject.data.study.execution.gpus) if isinstance(config, TrialConfig) else config


def rerun(subject: Subject, cell: CellResult, datasets: Mapping[str, Dataset]) -> Rerun:
    """Run a cell again, with the threads of a trial, and compare all that it left: metrics, curve, arrays."""
    from fgtune.training.threads import trial_threads

    config = _config(subject, cell)
    threads = max(1, int(subject.data.study.execution.cpus))
    name, place = subject.cell(cell), count(threads, "thread")
    try:
        with trial_threads(threads):
            if isinstance(config, FunctionTrialConfig):
                outcome = _called(config, cell)
            else:
                is_judged = subject.data.study.stopping is not None
                outcome, device = _trained(config, cell, datasets, threads, is_judged)
                place += f", device {device}"
    except FgtuneError as error:
        return Rerun(name, 1, (f"it fails now: {error}",), _environment(subject, cell, place))
    compared, found = 0, list[str]()
    for number, difference in _differences(subject, cell, outcome):
        compared += number
        found += [difference] if difference else []
    return Rerun(name, compared, tuple(found), _environment(subject, cell, place) if found else ())


def _trained(
    config: TrialConfig, cell: CellResult, datasets: Mapping[str, Dataset], threads: int, is_judged: bool
) -> tuple[TrialOutcome, str]:
    """What fgtune's own trainer comes to, and the device that it ran on.

    Args:
        config: The trial.
        cell: The cell.
        datasets: By ``dataset_key``.
        threads: Threads of a trial.
        is_judged: Whether a scheduler judged it, after every epoch.
    """
    from fgtune.training.build import build_trainer
    from fgtune.training.prepared import dataset_key, prepare_split, views

    dataset = datasets[dataset_key(config)]
    prepared = prepare_split(dataset, config, cell.seed, threads)
    trainer = build_trainer(config, *views(dataset, prepared), prepared, cell.seed, threads)
    trainer.measure_every = config.evaluation.period(config.epochs, is_judged)
    for _ in trainer:
        pass
    return trainer.outcome(), str(trainer.compute.device)


def _called(config: FunctionTrialConfig, cell: CellResult) -> TrialOutcome:
    """What a user's function comes to, in an empty folder where it asks for one.

    Raises:
        TrialError: It raises an error, or reports what it may not.
    """
    from fgtune.training.functions.call import find_function
    from fgtune.training.functions.folder import WorkFolder
    from fgtune.training.functions.trainer import FunctionTrainer

    function = find_function(config.call)
    with tempfile.TemporaryDirectory(prefix="fgtune-rerun-") as place:
        folder = WorkFolder(Path(place) / "work") if function.wants_folder else None
        trainer = FunctionTrainer(config, function, cell.seed, folder)
        try:
            for _ in trainer:
                pass
            return trainer.outcome()
        except FgtuneError:
            raise
        except Exception as error:  # the user's code
            raise TrialError(f"{type(error).__name__}: {error}") from error
        finally:
            trainer.close()


def _differences(subject: Subject, cell: CellResult, outcome: TrialOutcome) -> Iterator[tuple[int, str]]:
    """Values compared, and what differs."""
    known = subject.data.measured  # a metric that no cell has is one that the version did not have that ran them
    finite = {metric: value for metric, value in outcome.metrics.items() if math.isfinite(value) and metric in known}
    for metric in sorted({*finite, *cell.metrics}):
        yield 1, _difference(metric, cell.metrics.get(metric), finite.get(metric))
    yield from _curve(subject, cell, outcome)
    folder = subject.folder
    stored, made = folder.read_relations(cell.cell_id), outcome.relations
    yield from _arrays("relations", *({} if each is None else vars(each) for each in (stored, made)))
    predicted = folder.read_predictions(cell.cell_id)
    if outcome.predictions is not None and (predicted is not None or PREDICTIONS in (cell.evidence or {})):
        yield from _arrays("predictions", {} if predicted is None else vars(predicted), vars(outcome.predictions))
    if outcome.attention is not None:
        maps = folder.read_attention(cell.cell_id)
        yield from _arrays("attention", {} if maps is None else vars(maps), vars(outcome.attention))


def _curve(subject: Subject, cell: CellResult, outcome: TrialOutcome) -> Iterator[tuple[int, str]]:
    """Every epoch but its seconds."""
    curves = subject.curves
    rows = {int(row["epoch"]): row for row in curves[curves["cell_id"] == cell.cell_id].to_dict("records")}
    for entry in outcome.history:
        row = rows.get(entry.epoch)
        if row is None:
            yield 1, f"epoch {entry.epoch} is not in the curve"
            continue
        made = {metric: value for metric, value in entry.metrics.items() if metric in row}
        for metric, value in {"step": float(entry.step), **made}.items():
            stored = float(row[metric])
            yield 1, _difference(f"{metric} in epoch {entry.epoch}", stored, value)
    more = len(rows) - len(outcome.history)
    yield 0, f"the curve has {more} epochs more" if more > 0 else ""


def _arrays(what: str, stored: Mapping[str, Any], made: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """Arrays of the same name, element by element."""
    for name in sorted({key for found in (stored, made) for key, array in found.items() if array is not None}):
        ours, theirs = made.get(name), stored.get(name)
        if ours is None or theirs is None or ours.shape != theirs.shape:
            yield 1, f"{what}/{name} has another shape"
            continue
        differing = int((np.asarray(ours) != np.asarray(theirs)).sum())
        yield ours.size, f"{what}/{name} in {differing} of {ours.size} elements" if differing else ""


def _difference(name: str, stored: float | None, made: float | None) -> str:
    """How a number differs; empty if it does not, or is not a number both times."""
    if stored is None or made is None:
        both_undefined = all(value is None or math.isnan(value) for value in (stored, made))
        return "" if both_undefined else f"{name} was {stored}, is {made}"
    same = stored == made or (math.isnan(stored) and math.isnan(made))
    return "" if same else f"{name} by {made - stored:+.3g} (was {stored!r}, is {made!r})"


def _environment(subject: Subject, cell: CellResult, place: str) -> tuple[str, ...]:
    """Likely causes of a difference: what is known to be other than in the first run, and what sums depend on."""
    record, here = subject.record, host_facts()
    before = {name: version for name, version in record.get("packages", {}).items() if version is not None}
    now = package_versions()
    changed = [name for name in _NUMERIC if name in before and before[name] != now[name]]
    found = [f"{name} {before[name]} then, {now[name]} now" for name in changed]
    machine = record.get("host", {}).get("machine")
    if machine is not None and machine != here["machine"]:
        found.append(f"machine {machine} then, {here['machine']} now")
    if cell.host and cell.host != here["name"]:
        found.append(f"host {cell.host} then, {here['name']} now")
    if not found:
        found.append("no version differs from those in provenance.json")
    return (*found, f"here with {place}")
