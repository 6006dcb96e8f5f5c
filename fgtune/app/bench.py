"""``fgtune bench``: the benchmark's data sets x methods x seeds, and one table of what came out.

Each data set is an ordinary study in the benchmark's folder, so that nothing finished runs twice and ``fgtune report``,
``verify`` and ``extend`` work on it. A later call with more methods or seeds adds what is missing.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
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
from fgtune.app.exit_codes import BUDGET, COMPLETE, FAILED_CELLS, INTERRUPTED, worst
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
    parts = [part for each in sets for part in _parts(each, methods, asked)]
    codes: list[int] = []
    for place, part in enumerate(parts):
        unfinished, now = sum(each.is_unfinished for each in parts[place:]), time.monotonic()
        end = None if until is None else now + (until - now) / max(1, unfinished)
        codes.append(_run_part(part, asked, end, console))
        if codes[-1] == INTERRUPTED:
            break
    write_tables(asked.out, smoke=asked.smoke, console=console)
    code = worst(codes)
    if code in (INTERRUPTED, BUDGET):
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


@dataclass(frozen=True)
class _Part:
    """A study of the benchmark.

    Attributes:
        of: Its data set.
        file: Its file.
        methods: Those that a file which is not there yet is written for.
        is_unfinished: Whether it lacks a cell or a seed.
    """

    of: BenchmarkSet
    file: Path
    methods: Mapping[str, Mapping[str, Any]]
    is_unfinished: bool


def _parts(of: BenchmarkSet, methods: Mapping[str, Mapping[str, Any]], asked: BenchRequest) -> Iterator[_Part]:
    """The studies of a data set, and a further one for the methods that they lack."""
    files = studies_of(asked.out, of.name)
    for file in files:
        yield _Part(of, file, {}, _is_unfinished(file, asked))
    known = methods_in(files)
    missing = {name: settings for name, settings in methods.items() if name not in known}
    if missing:
        yield _Part(of, next_study(asked.out, of.name), missing, is_unfinished=True)


def _is_unfinished(file: Path, asked: BenchRequest) -> bool:
    from fgtune.analysis.inputs import read_study

    folder = StudyFolder(folder_of(file, smoke=asked.smoke))
    if not folder.plan_file.is_file():
        return True
    data = read_study(folder)
    return bool(data.count().missing) or (len(data.study.seed_list) < asked.seeds and not asked.smoke)


def _run_part(part: _Part, asked: BenchRequest, end: float | None, console: Console) -> int:
    """Run what is left of one study, then the seeds that it lacks.

    Args:
        part: The study, whose file is written if it is not there.
        asked: What the benchmark is asked for.
        end: When it has to be over, as ``time.monotonic`` counts; None for no limit.
        console: Where progress goes.

    Returns:
        The engine's exit code.
    """
    from fgtune.app.extend import extend
    from fgtune.engine.run import execute

    if part.methods:
        write_study(part.file, _new_study(part.of, part.file.stem, part.methods, asked))
    folder = StudyFolder(folder_of(part.file, smoke=asked.smoke))
    given = seeds_in(part.file)
    has = len(folder.read_study().seed_list) if folder.plan_file.is_file() else given
    overrides: tuple[str, ...] = () if end is None else (f"execution.budget.wall_s={_left(end):.0f}",)
    if has > given and not asked.smoke:  # it was extended before
        overrides += (f"seeds={has}",)
    options = RunOptions(part.file, overrides, asked.smoke, asked.out, "none", plugins=asked.plugins)
    code = execute(options, console)
    if not asked.smoke and code in (COMPLETE, FAILED_CELLS) and asked.seeds > has:
        limit = {"wall_s": None if end is None else round(_left(end))}
        code = extend(folder.root, asked.seeds, "none", console, budget=limit)
    return code


def _left(end: float) -> float:
    """Seconds until then, and at least one, in which the engine says that they do not suffice."""
    return max(1.0, end - time.monotonic())


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
    from fgtune.analysis.bench.shipped import shipped_results
    from fgtune.analysis.bench.table import tabulate
    from fgtune.analysis.bench.words import csv_bytes, markdown, pooled_lines
    from fgtune.analysis.inputs import read_study
    from fgtune.files import write_atomically
    from fgtune.reporting.bench import render_bench

    folders = {name: [StudyFolder(folder_of(file, smoke=smoke)) for file in studies_of(out, name)] for name in SETS}
    data = {name: [read_study(each) for each in found if each.plan_file.is_file()] for name, found in folders.items()}
    shipped = None if smoke else shipped_results()  # what small studies give is not to be compared with it
    table = tabulate({name: found for name, found in data.items() if found}, shipped)
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
