"""``fgtune bench``: the benchmark's data sets x methods x seeds, and one table of what came out.

Each data set is an ordinary study in the benchmark's folder, so that nothing finished runs twice and ``fgtune report``,
``verify`` and ``extend`` work on it. A later call with more methods or seeds adds what is missing.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fgtune.app.benching.methods import DEFAULT, added_methods, chosen_methods
from fgtune.app.benching.studies import (
    folder_of,
    methods_in,
    next_study,
    seeds_in,
    studies_of,
    study_text,
    trial_of,
    write_study,
)
from fgtune.data.benchmark import SETS, BenchmarkSet
from fgtune.errors import ConfigError
from fgtune.results.folder import StudyFolder
from fgtune.results.options import RunOptions
from fgtune.text import first_of, print_line

if TYPE_CHECKING:
    from rich.console import Console

DEFAULT_OUT = Path("reports/bench")
SEEDS = 3
DATA = "data"
"""Folder of the data sets in the benchmark's folder."""
FAILED_CELLS, OUT_OF_BUDGET, INTERRUPTED = 3, 4, 130
"""Exit codes of a study that did not end well."""


@dataclass(frozen=True)
class BenchRequest:
    """What a benchmark is asked for.

    Attributes:
        sets: Names of data sets; empty for all that are installed.
        methods: Names of methods; empty for all.
        added: Study files whose arms are methods too, ``FILE`` or ``FILE:ARM``.
        seeds: Seeds of every method.
        smoke: Make every study small.
        budget: Seconds for the call; None for no limit.
        out: The benchmark's folder.
        plugins: Packages that may be imported because added files name parts in them.
    """

    sets: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    seeds: int = SEEDS
    smoke: bool = False
    budget: float | None = None
    out: Path = DEFAULT_OUT
    plugins: tuple[str, ...] = ()

    def command(self) -> str:
        """The command line that goes on with this."""
        parts = ["fgtune", "bench"]
        parts += ["--sets", ",".join(self.sets)] * bool(self.sets)
        parts += ["--methods", ",".join(self.methods)] * bool(self.methods)
        parts += [part for each in self.added for part in ("--add", each)]
        parts += ["--seeds", str(self.seeds)] if self.seeds != SEEDS else []
        parts += ["--smoke"] * self.smoke
        parts += ["--budget", f"{self.budget / 60:g}"] if self.budget is not None else []
        parts += ["--out", str(self.out)] if self.out != DEFAULT_OUT else []
        parts += [part for package in self.plugins for part in ("--plugins", package)]
        return shlex.join(parts)


def bench(asked: BenchRequest, console: Console) -> int:
    """Run what is left of a benchmark and write its table.

    Returns:
        The exit code: 0 done, 3 some cells failed, 4 out of budget, 130 interrupted.

    Raises:
        ConfigError: A set, method or file is wrong, or no data set is installed; nothing was started.
    """
    if asked.seeds < 1:
        raise ConfigError("must be 1 or more", path="--seeds", value=asked.seeds)
    added = added_methods(asked.added, asked.plugins)
    methods = {**chosen_methods(asked.methods or (() if added else DEFAULT)), **added}
    sets = available(asked.sets, console)
    until = None if asked.budget is None else time.monotonic() + asked.budget
    codes = []
    unfinished = sum(_is_unfinished(each, methods, asked) for each in sets)
    for each in sets:
        left = None if until is None else max(1.0, (until - time.monotonic()) / max(1, unfinished))
        unfinished -= _is_unfinished(each, methods, asked)
        codes.append(_run_set(each, methods, asked, left, console))
        if codes[-1] == INTERRUPTED:
            break
    write_tables(asked.out, smoke=asked.smoke, console=console)
    code = _worst(codes)
    if code in (INTERRUPTED, OUT_OF_BUDGET):
        print_line(console, f"to go on: {asked.command()}")
    return code


def available(names: Sequence[str], console: Console) -> list[BenchmarkSet]:
    """The data sets that were asked for and whose packages are installed; the others are named with the install line.

    Raises:
        ConfigError: There is no such set, or none is installed.
    """
    unknown = next((name for name in names if name not in SETS), None)
    if unknown is not None:
        fix = f"choose among {first_of(list(SETS), len(SETS))}"
        raise ConfigError("no such data set in the benchmark", path="--sets", value=unknown, fix=fix)
    wanted = [SETS[name] for name in dict.fromkeys(names or SETS)]
    there = [each for each in wanted if each.path() is not None]
    for each in wanted:
        if each not in there:
            print_line(console, f"{each.name} is left out: it comes with {each.package}; {each.install}")
    if not there:
        raise ConfigError("none of the data sets is installed", path="--sets", fix=wanted[0].install)
    return there


def _is_unfinished(of: BenchmarkSet, methods: Mapping[str, Mapping[str, Any]], asked: BenchRequest) -> bool:
    """Whether a data set lacks a method, a seed or a cell."""
    from fgtune.analysis.inputs import read_study

    files = studies_of(asked.out, of.name)
    if not methods.keys() <= methods_in(files):
        return True
    for file in files:
        folder = StudyFolder(folder_of(file, smoke=asked.smoke))
        if not folder.plan_file.is_file():
            return True
        data = read_study(folder)
        if data.count().missing or (len(data.study.seed_list) < asked.seeds and not asked.smoke):
            return True
    return False


def _run_set(
    of: BenchmarkSet,
    methods: Mapping[str, Mapping[str, Any]],
    asked: BenchRequest,
    seconds: float | None,
    console: Console,
) -> int:
    """Run what is left of one data set; the first exit code that is not 0."""
    files = studies_of(asked.out, of.name)
    missing = {name: settings for name, settings in methods.items() if name not in methods_in(files)}
    if missing:
        file = next_study(asked.out, of.name)
        write_study(file, _new_study(of, file.stem, missing, asked))
        files.append(file)
    codes = [0]
    for file in files:
        codes.append(_run_study(file, asked, seconds, console))
        if codes[-1] == INTERRUPTED:
            break
    return _worst(codes)


def _run_study(file: Path, asked: BenchRequest, seconds: float | None, console: Console) -> int:
    """Run what is left of one study, then the seeds that it lacks."""
    from fgtune.app.extend import extend
    from fgtune.engine.run import execute

    folder = StudyFolder(folder_of(file, smoke=asked.smoke))
    given = seeds_in(file)
    has = len(folder.read_study().seed_list) if folder.plan_file.is_file() else given
    overrides: tuple[str, ...] = () if seconds is None else (f"execution.budget.wall_s={seconds:.0f}",)
    if has > given and not asked.smoke:  # it was extended before
        overrides += (f"seeds={has}",)
    options = RunOptions(file, overrides, asked.smoke, asked.out, "none", plugins=asked.plugins)
    code = execute(options, console)
    if not asked.smoke and code in (0, FAILED_CELLS) and asked.seeds > has:
        code = extend(folder.root, asked.seeds, "none", console)
    return code


def _worst(codes: Sequence[int]) -> int:
    """The code of a call that had these: interrupted, out of budget, failed cells, or done."""
    return next((code for code in (INTERRUPTED, OUT_OF_BUDGET, FAILED_CELLS) if code in codes), 0)


def _new_study(of: BenchmarkSet, name: str, methods: Mapping[str, Mapping[str, Any]], asked: BenchRequest) -> str:
    """The study of a data set, which is written beside it."""
    from fgtune.app.predict import data_config
    from fgtune.data.load import load_dataset

    folder = (asked.out / DATA).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    data = of.write(folder)
    samples = len(load_dataset(data_config(data, of.name)).inputs)
    return study_text(name, of, trial_of(data, samples), methods, asked.seeds)


def write_tables(out: Path, *, smoke: bool, console: Console) -> None:
    """Write ``bench.csv``, ``bench.md`` and ``bench.html`` from the study folders alone, and print the ranks."""
    from fgtune.analysis.bench.table import tabulate
    from fgtune.analysis.bench.words import csv_bytes, markdown, pooled_lines
    from fgtune.analysis.inputs import read_study
    from fgtune.files import write_atomically
    from fgtune.reporting.bench import render_bench

    folders = {name: [StudyFolder(folder_of(file, smoke=smoke)) for file in studies_of(out, name)] for name in SETS}
    data = {name: [read_study(each) for each in found if each.plan_file.is_file()] for name, found in folders.items()}
    table = tabulate({name: found for name, found in data.items() if found})
    stem = "bench-smoke" if smoke else "bench"
    for suffix, content in {
        ".csv": csv_bytes(table),
        ".md": markdown(table).encode(),
        ".html": render_bench(table),
    }.items():
        write_atomically(out / f"{stem}{suffix}", content)
    for line in pooled_lines(table):
        print_line(console, line)
    print_line(console, f"table: {out / f'{stem}.html'}, .csv and .md")
