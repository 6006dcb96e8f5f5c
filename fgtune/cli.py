"""The command line: ``fgtune VERB``. Verbs look at a study before anything heavy is imported.

Exit codes: 0 done; 1 error; 2 the study file, the data or the command is wrong, nothing was started; 130 interrupted.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from fgtune import __version__
from fgtune.config.data import DataConfig
from fgtune.config.expand import expand
from fgtune.config.load import LoadedStudy, load_study
from fgtune.config.plan import DataShape, Plan
from fgtune.config.schema import study_schema
from fgtune.config.source import Path as ConfigPath
from fgtune.config.source import dotted
from fgtune.errors import ConfigError, FgtuneError, MultiConfigError
from fgtune.metrics import METRICS, spec_of
from fgtune.results.folder import StudyFolder
from fgtune.results.records import CellState

app = typer.Typer(
    name="fgtune",
    help="Which parts and settings of a coarse-to-fine discovery method matter, by how much, and how sure are we?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

StudyArgument = Annotated[Path, typer.Argument(metavar="STUDY", help="The study file, studies/NAME.yaml.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change a value of the study file, e.g. trial.epochs=3."),
]
SmokeOption = Annotated[bool, typer.Option("--smoke", help="Few epochs, little data, two seeds; own folder.")]
OutOption = Annotated[Path, typer.Option("--out", metavar="DIR", help="Parent of the study folder.")]

DEFAULT_OUT = Path("reports")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; errors made on purpose are told without a traceback."""
    try:
        app(arguments, prog_name="fgtune")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except FgtuneError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    except KeyboardInterrupt:
        return 130
    return 0


def open_study(path: Path, overrides: Sequence[str] = (), smoke: bool = False) -> tuple[LoadedStudy, Plan]:
    """Load, expand and check a study: all that can be known before the first trial. Writes nothing.

    Args:
        path: The study file.
        overrides: ``dotted.path=value`` each.
        smoke: Shrink the study.

    Raises:
        ConfigError: When the file, an override, an arm, a metric or the data is wrong.
    """
    loaded = load_study(path, overrides, smoke)
    check_metric_names(loaded)
    plan = expand(loaded, shape_of)
    check_metric_needs(loaded, plan)
    return loaded, plan


def shape_of(config: DataConfig) -> DataShape:
    """Load a data set and describe it."""
    from fgtune.data.load import load_dataset
    from fgtune.data.views import describe

    return describe(load_dataset(config))


def check_metric_names(loaded: LoadedStudy) -> None:
    """Raise unless every metric that the study names is known."""
    errors = []
    for path, name in _named_metrics(loaded):
        try:
            spec_of(name)
        except ConfigError as error:
            errors.append(error.located(loaded.origins.where(path), dotted(path)))
    MultiConfigError.raise_all(errors)


def check_metric_needs(loaded: LoadedStudy, plan: Plan) -> None:
    """Raise when a metric will not be measured: it reads fine labels that some data lack, or a split left out."""
    blind = any(shape.num_fine is None for shape in plan.shapes.values())
    unmeasured = any("train" not in arm.config.evaluation.splits for arm in plan.arms)
    free = ", ".join(name for name, spec in METRICS.items() if not spec.oracle)
    errors = []
    for path, name in _named_metrics(loaded):
        where, spec = loaded.origins.where(path), spec_of(name)
        if blind and spec.oracle:
            rule, fix = "reads fine labels, which the data do not have", f"choose among: {free}"
            errors.append(ConfigError(rule, where=where, path=dotted(path), value=name, fix=fix))
        elif unmeasured and name.startswith("train/") and not spec.name.startswith("loss"):
            rule, fix = "train is not among trial.evaluation.splits", "add train to trial.evaluation.splits"
            errors.append(ConfigError(rule, where=where, path=dotted(path), value=name, fix=fix))
    MultiConfigError.raise_all(errors)


def _named_metrics(loaded: LoadedStudy) -> list[tuple[ConfigPath, str]]:
    """The metrics that the study names, and where."""
    metrics = loaded.study.metrics
    also: list[tuple[ConfigPath, str]] = [(("metrics", "also", n), name) for n, name in enumerate(metrics.also)]
    return [(("metrics", "primary"), metrics.primary), *also]


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(f"fgtune {__version__}")
        raise typer.Exit


@app.command()
def validate(study: StudyArgument, set_: SetOption = None, smoke: SmokeOption = False) -> None:
    """Check a study file, every arm of its design, and its data."""
    loaded, plan = open_study(study, set_ or (), smoke)
    print_warnings(plan)
    typer.echo(f"{loaded.path}: valid, {counted(plan)}, study hash {plan.study_hash}")


@app.command("plan")
def show_plan(
    study: StudyArgument,
    set_: SetOption = None,
    smoke: SmokeOption = False,
    out: OutOption = DEFAULT_OUT,
    cells: Annotated[bool, typer.Option("--cells", help="One row a cell instead of one an arm.")] = False,
) -> None:
    """Show the cells of a study and how far its folder is with them; start nothing, write nothing."""
    _, plan = open_study(study, set_ or (), smoke)
    folder = StudyFolder(out / plan.study.study)
    states = {}
    if folder.check(plan):
        states = {result.cell_id: result.state for result in folder.ledger.read()}
    print_warnings(plan)
    console = Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=200)
    console.print(f"{plan.study.study}: {counted(plan)}, study hash {plan.study_hash}", markup=False)
    console.print(_cell_table(plan, states) if cells else _arm_table(plan, states))
    open_cells = sum(cell.cell_id not in states for cell in plan.cells)
    console.print(f"{open_cells} of {len(plan.cells)} cells to run, in {folder.root}", markup=False)


@app.command()
def schema(
    write: Annotated[Path | None, typer.Option("--write", metavar="FILE", help="Write it to a file instead.")] = None,
) -> None:
    """Print the JSON schema of study files, for editors."""
    text = json.dumps(study_schema(), indent=2)
    if write is None:
        typer.echo(text)
        return
    try:
        write.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot be written ({error.strerror})", where=str(write)) from error
    typer.echo(f"wrote {write}")


def counted(plan: Plan) -> str:
    """The plan's size in words."""
    arms, seeds = len(plan.arms), len(plan.study.seed_list)
    return f"{arms} arm{'s'[: arms > 1]} x {seeds} seed{'s'[: seeds > 1]} = {len(plan.cells)} cells"


def print_warnings(plan: Plan) -> None:
    """Tell what is likely a mistake."""
    for warning in plan.warnings:
        print(f"warning: {warning}", file=sys.stderr)


def _arm_table(plan: Plan, states: dict[str, CellState]) -> Table:
    """One row an arm: levels, K_F, and its cells by state."""
    table = Table("arm", *plan.factors, "K_F", "cells", *(("done", "failed", "pruned") if states else ()))
    for arm in plan.arms:
        cells = [cell for cell in plan.cells if cell.arm == arm.name]
        count = Counter(states[cell.cell_id] for cell in cells if cell.cell_id in states)
        row = [arm.name + " *" * arm.is_baseline, *(_shown(arm.levels[factor]) for factor in plan.factors)]
        row += [str(cells[0].config.classes.num_fine), str(len(cells))]
        row += [str(count[state]) for state in (CellState.COMPLETE, CellState.FAIL, CellState.PRUNED) if states]
        table.add_row(*row)
    table.caption = "* the baseline"
    return table


def _cell_table(plan: Plan, states: dict[str, CellState]) -> Table:
    """One row a cell, in the order in which they run."""
    table = Table("cell", "seed", "arm", *plan.factors, "K_F", "state")
    for cell in plan.cells:
        levels = [_shown(cell.levels[factor]) for factor in plan.factors]
        state = states.get(cell.cell_id)
        shown = "to run" if state is None else state.value
        table.add_row(cell.cell_id, str(cell.seed), cell.arm, *levels, str(cell.config.classes.num_fine), shown)
    return table


def _shown(level: object) -> str:
    """A level in a table."""
    if level is None:
        return "-"
    return level if isinstance(level, str) else json.dumps(level)
