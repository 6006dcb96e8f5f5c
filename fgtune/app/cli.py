"""The command line: ``fgtune VERB``. A verb imports what it needs when it is called, so that help is fast.

Exit codes: 0 done; 1 error; 2 the study file, the data or the command is wrong, nothing was started; 3 finished, with
failed cells; 4 a budget ran out; 130 interrupted, everything finished is saved.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.main import get_command

from fgtune import __version__
from fgtune.app.bench_command import run_benchmark
from fgtune.app.command_options import (
    FolderArgument,
    OutOption,
    PluginsOption,
    SetOption,
    SmokeOption,
    StorageOption,
    StudyArgument,
    TrackingOption,
    WaitOption,
    console,
    text_override,
)
from fgtune.app.compare_command import compare_folders
from fgtune.app.data_commands import check_data, convert_data
from fgtune.app.discover_command import discover_data
from fgtune.app.exit_codes import INTERRUPTED
from fgtune.app.export import ExportFormat
from fgtune.app.file_commands import schema, settings, show_plan, validate
from fgtune.app.import_command import import_table
from fgtune.app.interrupts import Verbs, end_with
from fgtune.app.report import rebuild_report
from fgtune.app.ui_command import show_in_mlflow
from fgtune.errors import ConfigError, FgtuneError
from fgtune.reporting.paper.forms import Form, Width
from fgtune.results.options import DEFAULT_OUT, RunOptions
from fgtune.signals import answering_signals
from fgtune.text import count, say
from fgtune.visible import masked, visible

app = typer.Typer(
    name="fgtune",
    cls=Verbs,
    help="Which parts and settings of a coarse-to-fine discovery method matter, by how much, and how sure are we?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

data_app = typer.Typer(no_args_is_help=True)
app.add_typer(data_app, name="data", help="Look at data before anything is trained.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; errors raised on purpose are printed without a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")  # what an ASCII terminal cannot show is spelled out
    with answering_signals():
        return _main(arguments)


def command() -> None:
    """What ``fgtune`` starts."""
    end_with(main)


def _main(arguments: Sequence[str] | None) -> int:
    try:
        _verbs()(arguments, prog_name="fgtune")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except FgtuneError as error:
        for line in str(error).splitlines():
            print(f"error: {visible(masked(line), 5000)}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    except MemoryError as error:
        detail = f" ({visible(str(error), 200)})" if str(error) else ""
        fix = "make the study or its data smaller"
        print(f"error: this machine's memory does not suffice{detail}. Fix: {fix}", file=sys.stderr)
        return 1
    except RecursionError:
        fix = "look for brackets that are not closed"
        print(f"error: a file or value nests too deep to be read. Fix: {fix}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


@cache
def _verbs() -> Callable[..., Any]:
    """The verbs with their options, read from their functions once a process."""
    return get_command(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"fgtune {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Options before the verb."""
    del version  # its callback has acted on it


@app.command()
def run(
    study: StudyArgument,
    set_: SetOption = None,
    smoke: SmokeOption = False,
    out: OutOption = DEFAULT_OUT,
    tracking_uri: TrackingOption = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed cells again.")] = False,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="KEY=PATTERN", help="Run some cells: arm=falcon*, seed=3, or FACTOR=LEVEL."),
    ] = None,
    max_concurrent: Annotated[
        int | None, typer.Option("--max-concurrent", metavar="N", min=1, help="Trials at once, at most.")
    ] = None,
    address: Annotated[
        str | None,
        typer.Option("--address", metavar="HOST:PORT", help="Ray cluster, or 'auto'. Default: RAY_ADDRESS, else none."),
    ] = None,
    wait: WaitOption = False,
    storage: StorageOption = None,
    plugins: PluginsOption = None,
) -> None:
    """Run what is left of a study, and write its report."""
    from fgtune.engine.run import execute

    overrides = tuple(set_ or ())
    if max_concurrent is not None:
        overrides += (f"execution.max_concurrent={max_concurrent}",)
    overrides += () if storage is None else (text_override("execution.storage", storage),)
    options = RunOptions(
        study,
        overrides,
        smoke,
        out,
        tracking_uri,
        retry_failed,
        tuple(plugins or ()),
        only=tuple(only or ()),
        address=address,
    )
    raise typer.Exit(execute(options, wait=wait))


app.command("discover")(discover_data)
app.command("ui")(show_in_mlflow)
app.command("import")(import_table)
app.command("compare")(compare_folders)
app.command("bench")(run_benchmark)
app.command("report")(rebuild_report)


@app.command()
def status(folder: FolderArgument) -> None:
    """Show how far a study is, what failed, how long the rest takes, and how to go on."""
    from fgtune.app.status import print_status, read_status
    from fgtune.files import uncollected

    with uncollected():  # what a ledger holds stays to the end
        print_status(read_status(folder), console())


@app.command("power")
def show_power(
    folder: FolderArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Show what further seeds of a study would find, and how many would decide."""
    from fgtune.app.power import power_json, print_power, read_power

    table = read_power(folder)
    if as_json:
        typer.echo(power_json(table))
    else:
        print_power(table, console())


@app.command("extend")
def extend_study(
    folder: FolderArgument,
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", min=1, help="How many seeds the study shall have.")],
    tracking_uri: Annotated[
        str | None, typer.Option("--tracking-uri", metavar="URI", help="MLflow store. Default: that of the last run.")
    ] = None,
    wait: WaitOption = False,
) -> None:
    """Add seeds to a study, finished or not, and run their cells."""
    from fgtune.app.extend import extend

    raise typer.Exit(extend(folder, seeds, tracking_uri, wait=wait))


@app.command("export")
def export_results(
    folder: FolderArgument,
    form: Annotated[ExportFormat | None, typer.Option("--format", help="Tidy table, or a table for a paper.")] = None,
    figures: Annotated[Form | None, typer.Option("--figures", help="Figures for a paper instead, a file each.")] = None,
    width: Annotated[
        Width, typer.Option("--width", help="With --figures: one column of a journal (85 mm) or two (178 mm).")
    ] = Width.SINGLE,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="PATH",
            help="The file; CSV and LaTeX are else printed. With --figures the folder. Default: DIR/figures.",
        ),
    ] = None,
) -> None:
    """Give a study's results to other programs and to papers."""
    from fgtune.app.export import export, export_figures

    if form is not None and figures is None:
        content = export(folder, form, out)
        if out is not None:
            say(f"wrote {out}")
        elif sys.stdout.isatty():  # a file gets every byte, a terminal nothing that it would act on
            say(content.decode().removesuffix("\n"), most=len(content))
        else:
            typer.echo(content.decode(), nl=False)
    elif figures is not None and form is None:
        written = export_figures(folder, figures, width, out)
        done = f"wrote {count(len(written), 'figure')} to {written[0].parent}" if written else "nothing to draw yet"
        say(done)
    else:
        fix = "name one of them, e.g. --format csv or --figures pdf"
        raise ConfigError("what to export must be named, tables or figures", where="--format, --figures", fix=fix)


@app.command("refit")
def refit_arm(
    folder: FolderArgument,
    arm: Annotated[str, typer.Option("--arm", metavar="NAME", help="An arm, or the best one by its mean.")] = "best",
    seed: Annotated[int | None, typer.Option("--seed", help="Default: the study's first seed.", min=0)] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="MODEL", help="Model folder. Default: DIR/models/ARM-seedS.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Train again, and replace a model that is there.")] = False,
    tracking_uri: TrackingOption = None,
    plugins: PluginsOption = None,
) -> None:
    """Train an arm of a study on all training data, and write the model and the fine class of every sample."""
    from fgtune.app.refit import refit

    refit(folder, arm, seed, out, force=force, tracking_uri=tracking_uri, plugins=plugins or (), say=say)


@app.command("pretrain")
def pretrain_encoder(
    source: Annotated[Path, typer.Argument(metavar="STUDY|INPUTS", help="A study file, or inputs in .npz or .npy.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the encoder goes.")] = Path("encoder.pt"),
    arm: Annotated[
        str | None, typer.Option("--arm", metavar="NAME", help="Default: the study's first arm with model.pretrain.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Default: the study's first seed.", min=0)] = None,
    all_samples: Annotated[
        bool, typer.Option("--all", help="Train on all inputs, not only on the training split.")
    ] = False,
    set_: SetOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    plugins: PluginsOption = None,
) -> None:
    """Train an encoder on inputs without fine labels, and write it for model.weights."""
    from fgtune.app.pretrain import pretrain

    pretrain(
        source,
        out,
        arm,
        seed,
        set_ or (),
        all_samples=all_samples,
        force=force,
        plugins=plugins or (),
        say=say,
    )


@app.command("predict")
def predict_classes(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The model folder.")],
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="Inputs in .npz, .npy, .parquet or .csv, a .yaml with a data config or a study, or kind=digits.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where predictions go, .parquet or .csv.")] = Path(
        "predictions.parquet"
    ),
    coarse: Annotated[
        list[str] | None,
        typer.Option(
            "--coarse", metavar="COLUMN", help="Coarse labels, which restrict the fine class; once for each source."
        ),
    ] = None,
    plugins: PluginsOption = None,
) -> None:
    """Write fine class, confidence and coarse parent of new samples."""
    from fgtune.app.predict import predict

    predict(model, data, out, plugins or (), say, coarse or ())


data_app.command("check")(check_data)
data_app.command("convert")(convert_data)


@app.command("verify")
def verify_folder(
    folder: FolderArgument,
    reruns: Annotated[
        int,
        typer.Option("--rerun", metavar="N", min=0, help="Run N complete cells again, drawn at random, and compare."),
    ] = 0,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Seed of that draw. Default: another one each time, printed.")
    ] = None,
    data: Annotated[bool, typer.Option(help="Read the study's data, to check their fingerprint and the plan.")] = True,
    plugins: PluginsOption = None,
) -> None:
    """Check a study folder against itself: hashes, plan, ledger, curves, relations, tables, report."""
    from fgtune.app.verify import drawn_seed, exit_code, print_verification, verify

    seed = drawn_seed() if seed is None else seed
    if reruns:
        typer.echo(f"running {count(reruns, 'cell')} again, drawn with --seed {seed}")
    outcome = verify(folder, data=data, plugins=plugins or (), reruns=reruns, seed=seed)
    print_verification(outcome, say, partial(say, err=True))
    raise typer.Exit(exit_code(outcome))


app.command()(validate)
app.command("plan")(show_plan)
app.command()(schema)
app.command()(settings)
