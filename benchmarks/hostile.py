"""Every hostile input in a process of its own, with its CPU seconds, its peak of memory and what it left behind.

    python benchmarks/hostile.py
    python benchmarks/hostile.py --only tables/ --only folder/results

Inputs are those of the test suite (``tests/support/hostile*.py``): study files, options, variables, code, data,
weights, study folders, model folders and tables of runs. Each goes to every verb that reads such a thing, in a process
that is forked from one in which fgtune is imported, so that seconds are without start-up and bytes with it. An input is
at fault when its process
ends with a traceback or a code that it must not end with, takes over 30 s of CPU, waits as long, takes over 2 GB, runs
code of the input (which makes a file RUN), writes anything that it must not, or says more than 250,000 characters or
any control character. Ray is not started: whoever would start it has accepted the input. Exits with 1 if any is at
fault.
"""

from __future__ import annotations

import argparse
import io
import itertools
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from forked import FAILED, forked  # noqa: E402
from hostile_cases import (  # noqa: E402
    MOST_CPU,
    STARTS_RAY,
    Case,
    call_cases,
    data_cases,
    folder_cases,
    model_cases,
    remove,
    runs_cases,
    study_cases,
    weights_cases,
)
from support import real_folder  # noqa: E402

MOST_SECONDS, MOST_BYTES = 30.0, 2 * 10**9
GIVEN_UP, STOPPED_AT = 90.0, 6 * 10**9
"""Seconds and bytes at which a process is killed: far above what is a fault."""
MOST_SAID = 250_000


@dataclass
class Outcome:
    """What came of a case."""

    case: Case
    code: int
    cpu: float
    wall: float
    peak: float
    said: str
    faults: list[str] = field(default_factory=list)


# --- how it is tried -----------------------------------------------------------------------------------------------


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """What is in a folder, with size and time."""
    found = {}
    for place, folders, files in os.walk(folder):  # what lies too deep for a path is left out
        for name in (*folders, *files):
            with suppress(OSError):
                path = Path(place, name)
                state = path.lstat()
                found[str(path.relative_to(folder))] = (state.st_size, state.st_mtime_ns)
    return found


def attempt(case: Case, folder: Path, said: Path) -> Outcome:
    """Run a case in a forked process and measure it."""
    before = listing(folder)
    started = time.monotonic()
    child = forked(lambda: _call(case, folder, said), GIVEN_UP)
    code, cpu, peak, killed = _watch(child, started)
    text = said.read_text(encoding="utf-8", errors="replace")
    outcome = Outcome(case, code, cpu, time.monotonic() - started, peak, text)
    changed = {path for path, state in listing(folder).items() if before.get(path) != state}
    written = sorted(path for path in changed if Path(path).parts[0] not in case.writes)
    tells = {
        killed: bool(killed),
        f"ended with {code}": code not in case.codes and not killed,
        "traceback": "Traceback (most recent call last)" in text,
        f"{cpu:.1f} s of CPU": cpu > MOST_SECONDS,
        f"{outcome.wall:.1f} s, of which it waits most": outcome.wall > MOST_SECONDS and cpu < outcome.wall / 20,
        f"{peak / 1e9:.2f} GB": peak > MOST_BYTES,
        "code was run": any(path.rpartition("/")[2].startswith("RUN") for path in changed),
        f"wrote {written}": bool(written),
        f"said {len(text):,} characters": len(text) > MOST_SAID,
        "said control characters": any(ord(sign) < 32 and sign not in "\n\t" for sign in text),
    }
    outcome.faults = [what for what, is_so in tells.items() if is_so]
    for path in changed:
        if Path(path).parts[0] not in ("real", "model", "kept"):
            remove(folder / Path(path).parts[0])
    return outcome


def _call(case: Case, folder: Path, said: Path) -> int:
    """In the child: run the verb, and return its exit code."""
    os.setsid()
    os.chdir(folder)
    for name, value in case.variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    with said.open("w", encoding="utf-8", errors="backslashreplace") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        with redirect_stdout(file), redirect_stderr(file):
            try:
                from fgtune.app.cli import main

                return main([str(part) for part in case.arguments])
            except BaseException:  # whatever comes out of it is what is looked for
                traceback.print_exc()
                return FAILED


def _watch(child: int, started: float) -> tuple[int, float, float, str]:
    """Wait for a child, and kill it where it goes too far: exit code, CPU seconds, bytes, and why it was killed."""
    killed = ""
    while True:
        done, state, used = os.wait4(child, os.WNOHANG)
        if done:
            cpu = used.ru_utime + used.ru_stime
            return os.waitstatus_to_exitcode(state), cpu, used.ru_maxrss * 1024.0, killed
        if not killed:
            with suppress(OSError, ValueError, IndexError):
                held = int(Path(f"/proc/{child}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
                if held > STOPPED_AT:
                    killed = f"killed at {held / 1e9:.1f} GB"
            if time.monotonic() - started > GIVEN_UP:
                killed = f"killed after {GIVEN_UP:.0f} s"
            if killed:
                with suppress(ProcessLookupError):
                    os.killpg(child, signal.SIGKILL)
        time.sleep(0.01)


def prepare(folder: Path) -> tuple[Path, Path]:
    """A good study folder and a good model, and everything imported that a verb would import."""
    import importlib

    for name in (
        *("numpy", "pandas", "pyarrow.csv", "pyarrow.parquet", "h5py", "PIL.Image", "torch", "safetensors.torch"),
        *("fgtune.app.cli", "fgtune.engine.run", "fgtune.app.data_check", "fgtune.app.predict", "fgtune.app.pretrain"),
        *("fgtune.app.discover", "fgtune.app.discovery.call", "fgtune.app.import_results", "fgtune.app.verify"),
        *("fgtune.app.extend", "fgtune.app.refit", "fgtune.app.export", "fgtune.app.power", "fgtune.app.compare"),
        *("fgtune.reporting.html", "fgtune.training.trainer", "fgtune.data.load", "fgtune.tuning.runner"),
    ):
        importlib.import_module(name)
    sys.path.insert(0, "")  # as of ``python -m fgtune``
    # What would start Ray has accepted the input.
    sys.modules["fgtune.engine.run"]._start_ray = _no_ray  # type: ignore[attr-defined]
    sys.modules["fgtune.tuning.session"].ray_session = _no_ray  # type: ignore[attr-defined]
    child = forked(lambda: _make_good(folder), MOST_CPU)  # so that no thread of a training is forked with every case
    _, state = os.waitpid(child, 0)
    if state:
        raise SystemExit("the good folder and model could not be made")
    good, model = folder / "reports" / "real", folder / "model"
    _import_what_verbs_import(folder, good, model)
    return good, model


_PACKAGES = {
    *("fgtune", "pandas", "pyarrow", "plotly", "jinja2", "matplotlib"),
    *("scipy", "sklearn", "rich", "torch", "PIL"),
}


def _import_what_verbs_import(folder: Path, good: Path, model: Path) -> None:
    """Import what each verb imports when it is called, which every case would else import again."""
    import importlib

    there = folder / "warm"
    shutil.copytree(good, there / "real")
    verbs = (
        *(["status", "real"], ["verify", "real", "--rerun", "1", "--seed", "0"], ["report", "real"], ["power", "real"]),
        ["export", "real", "--format", "predictions", "--out", "x.csv"],
        ["export", "real", "--figures", "png", "--out", "figures"],
        ["compare", "real", str(good), "--html", "page.html"],
        ["extend", "real", "--seeds", "4", "--tracking-uri", "none"],
        ["data", "check", str(folder / "real.yaml")],
        ["predict", str(model), str(folder / "data.npz")],
        ["discover", str(folder / "data.npz"), "--minutes", "1", "--out", "out"],
        ["run", str(folder / "real.yaml"), "--out", "out", "--tracking-uri", "none"],
    )
    names = folder / "modules.txt"

    def call_all() -> int:
        from fgtune.app.cli import main

        os.chdir(there)
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
            for arguments in verbs:
                with suppress(BaseException):
                    main(arguments)
        names.write_text("\n".join(sorted(sys.modules)))
        return 0

    os.waitpid(forked(call_all, MOST_CPU), 0)
    shutil.rmtree(there)
    for name in names.read_text().splitlines():
        if name.partition(".")[0] in _PACKAGES:
            with suppress(Exception):  # a part of a package that is no module of its own
                importlib.import_module(name)


def _no_ray(*_: object, **__: object) -> None:
    raise SystemExit(STARTS_RAY)


def _make_good(folder: Path) -> int:
    """In a child: a study folder, and a model of its baseline."""
    from fgtune.app.cli import main

    with redirect_stdout(io.StringIO()):
        root = real_folder.train(folder)
        return main(["refit", str(root), "--out", str(folder / "model"), "--tracking-uri", "none"])


# --- what is printed -----------------------------------------------------------------------------------------------


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Hostile inputs, each in a process of its own.")
    parser.add_argument("--only", action="append", metavar="TEXT", help="only inputs whose name holds this")
    parser.add_argument("--verbose", action="store_true", help="a line for each")
    return parser.parse_args()


def main() -> int:
    """Try all, print a table by corpus and verb, and each input that is at fault."""
    arguments = parse_arguments()
    outcomes: list[Outcome] = []

    def wanted(name: str) -> bool:
        return not arguments.only or any(text in name for text in arguments.only)

    with tempfile.TemporaryDirectory(prefix="fgtune-hostile-") as made:
        base, folder, said = Path(made, "good"), Path(made, "work"), Path(made, "said.txt")
        base.mkdir()
        folder.mkdir()
        good, model = prepare(base)
        tried = (
            study_cases(folder, wanted),
            call_cases(folder, wanted, good),
            weights_cases(folder, wanted),
            data_cases(folder, wanted, model),
            runs_cases(folder, wanted),
            folder_cases(folder, wanted, good),
            model_cases(folder, wanted, model),
        )
        for case in itertools.chain(*tried):
            outcome = attempt(case, folder, said)
            outcomes.append(outcome)
            if outcome.faults or arguments.verbose:
                print(f"{case.name} [{case.verb}]: {'; '.join(outcome.faults) or outcome.code}", flush=True)
            if outcome.faults:
                print("", *outcome.said.splitlines()[-3:], sep="\n    ", flush=True)
    return summarise(outcomes)


def summarise(outcomes: Sequence[Outcome]) -> int:
    """The table, and the exit code."""
    print(f"\n{'corpus':10} {'verb':20} {'runs':>5} {'at fault':>8} {'CPU s, most':>12} {'GB, most':>9}")
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for each in outcomes:
        groups.setdefault((each.case.name.partition("/")[0], each.case.verb), []).append(each)
    for (corpus, verb), group in groups.items():
        most, peak = max(each.cpu for each in group), max(each.peak for each in group)
        bad = sum(bool(each.faults) for each in group)
        print(f"{corpus:10} {verb:20} {len(group):5} {bad:8} {most:12.1f} {peak / 1e9:9.2f}")
    faults = [each for each in outcomes if each.faults]
    inputs = len({each.case.name for each in outcomes})
    print(f"{inputs} inputs, {len(outcomes)} processes, {len(faults)} at fault")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
