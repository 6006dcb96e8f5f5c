"""Coverage-guided bytes for what reads files from anywhere: does anything but an error for people come out?

    pip install atheris
    python benchmarks/fuzz.py yaml --seconds 600

Targets: ``yaml`` (study files), ``expression`` (conditions and constraints), ``ledger`` (``results.jsonl``) and ``npz``
(headers and arrays in an archive). Atheris, which drives libFuzzer, changes sound inputs byte by byte and keeps each
change that reaches code that none before it did. It stops at the first input that ends in anything but an
``FgtuneError``, or takes 30 s of CPU or 2 GB, and leaves it in ``--found``; the last lines say how many were tried.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

INSTRUMENTED = ["fgtune", "ruamel.yaml", "numpy.lib"]
MOST_BYTES, MOST_SECONDS, MOST_MEGABYTES = 8192, 30.0, 2048
"""Of one input; seconds are of CPU."""
GIVEN_UP = 600
"""Seconds, by the clock, after which one input is given up."""

Target = tuple[Callable[[bytes], None], Sequence[bytes]]
"""What reads an input, and sound inputs to begin with."""


def yaml_target(folder: Path) -> Target:
    """The reader of study files, and that of one value of ``--set``."""
    from fgtune.config.reading.source import parse_value, parse_yaml
    from fgtune.errors import FgtuneError

    def read(content: bytes) -> None:
        text = content.decode("utf-8", "surrogateescape")
        with suppress(FgtuneError):
            parse_yaml(text, "x.yaml")
        with suppress(FgtuneError):
            parse_value(text, "--set x")

    del folder
    return read, [path.read_bytes()[:MOST_BYTES] for path in sorted((ROOT / "studies").glob("*.yaml"))[:10]]


def expression_target(folder: Path) -> Target:
    """Conditions and constraints: parsed, and evaluated where they can be."""
    from fgtune.config.spaces.expression import AbsentError, parse_expression
    from fgtune.errors import FgtuneError

    settings = {"a": 2, "b.c": 0.5, "kind": "scip", "on": True, "none": None, "hidden": [64, 64], "huge": 10**400}

    def get(name: str) -> object:
        if name not in settings:
            raise AbsentError(name)
        return settings[name]

    def read(content: bytes) -> None:
        with suppress(FgtuneError):
            parse_expression(content.decode("utf-8", "surrogateescape")).holds(get, if_absent=False)

    del folder
    sound = ["a < 2 * b.c", "kind == 'scip' -> on", "not (a in [1, 2.5e3])", "max(hidden[0], 1) ** 2 != none and a % 2"]
    return read, [each.encode() for each in sound]


def ledger_target(folder: Path) -> Target:
    """A ledger, whose last line may be torn."""
    from fgtune.errors import FgtuneError
    from fgtune.results.ledger import Ledger

    def read(content: bytes) -> None:
        path = folder / "results.jsonl"
        path.write_bytes(content)
        with suppress(FgtuneError):
            Ledger(path).read()

    lines = (ROOT / "tests/support/earlier_version/small/results.jsonl").read_bytes().splitlines(keepends=True)
    return read, lines[:3]


def npz_target(folder: Path) -> Target:
    """One array of an archive: its header, and what follows."""
    import numpy as np

    from fgtune.data.readers.npz import read_npz
    from fgtune.errors import FgtuneError

    def saved(array: object) -> bytes:
        content = io.BytesIO()
        np.save(content, np.asarray(array), allow_pickle=True)
        return content.getvalue()

    def read(content: bytes) -> None:
        path = folder / "x.npz"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("coarse.npy", content)
        with suppress(FgtuneError):
            read_npz(path, ("coarse",), (), objects=("coarse",))

    labels = np.array(["a", 1, None], dtype=object)
    return read, [saved(each) for each in (np.zeros((4, 2), np.float32), ["a", "b"], [0, 1, -1], labels)]


TARGETS: dict[str, Callable[[Path], Target]] = {
    "yaml": yaml_target,
    "expression": expression_target,
    "ledger": ledger_target,
    "npz": npz_target,
}


def timed(read: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """A reader that is at fault, too, where it takes long."""

    def read_in_time(content: bytes) -> None:
        began = time.process_time()
        read(content)
        took = time.process_time() - began
        if took > MOST_SECONDS:
            raise RuntimeError(f"took {took:.1f} s of CPU")

    return read_in_time


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Coverage-guided fuzzing of what reads files from anywhere.")
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--found", type=Path, default=Path.cwd(), help="where an input that is at fault is left")
    return parser.parse_args()


def main() -> None:
    """Fuzz one target; libFuzzer ends the process, with 0 where nothing was found."""
    try:
        import atheris
    except ImportError:
        raise SystemExit("error: needs a package that is not installed. Fix: pip install atheris") from None
    arguments = parse_arguments()
    folder = Path(tempfile.mkdtemp(prefix="fgtune-fuzz-"))
    corpus = folder / "corpus"
    corpus.mkdir()
    with atheris.instrument_imports(include=INSTRUMENTED):
        read, sound = TARGETS[arguments.target](folder)
    for number, content in enumerate(sound):
        (corpus / f"sound-{number}").write_bytes(content)
    options = {
        "max_total_time": arguments.seconds,
        "seed": arguments.seed,
        "max_len": MOST_BYTES,
        "timeout": GIVEN_UP,
        "rss_limit_mb": MOST_MEGABYTES,
        "artifact_prefix": f"{arguments.found.resolve()}/",
        "print_final_stats": 1,
    }
    atheris.Setup([sys.argv[0], str(corpus), *(f"-{name}={value}" for name, value in options.items())], timed(read))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
