"""A corpus of study folders, model folders and tables of runs that mean harm; the runner knows what must come of it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from support.hostile import BOMB
from support.hostile_data import HUGE, RunsCode, npy, npy_header, npz
from support.hostile_images import ESCAPES, Make
from support.hostile_tables import _arrow, _long_list, _long_runs, _parquet, _shared, _sparse

DEEP, HOLE = 100_000, 10**12
"""Levels of nesting, and bytes of a file without content."""

ANYWHERE: dict[str, Make] = {
    "zero": lambda path: path.symlink_to("/dev/zero"),
    "pipe": os.mkfifo,
    "loop": lambda path: path.symlink_to(path.name),
    "hole": lambda path: _sparse(path, b"", HOLE),
    "bytes": lambda path: path.write_bytes(bytes(range(256)) * 4000),
}
"""What may stand in the place of any file."""


def _texts(nested: str) -> dict[str, Make]:
    """What a file of text may hold."""
    return {
        "nested": lambda path: path.write_text(nested),
        "one_line": lambda path: path.write_bytes(b"x" * 300_000_000),
        "lines": lambda path: path.write_bytes(b"{}\n" * 5_000_000),
    }


def _changed_line(change: Callable[[dict], object]) -> Callable[[Path, bytes], object]:
    """A ledger whose first line says something else."""

    def make(path: Path, content: bytes) -> None:
        first, *others = content.splitlines()
        line = json.loads(first)
        change(line)
        path.write_bytes(b"\n".join([json.dumps(line).encode(), *others]) + b"\n")

    return make


def _raw(old: str, new: str) -> Callable[[Path, bytes], object]:
    """A file in which a piece of text, wherever it stands, is another one."""
    return lambda path, content: path.write_bytes(content.replace(old.encode(), new.encode()))


LEDGER: dict[str, Callable[[Path, bytes], object]] = {
    "cell_out": _changed_line(lambda line: line.update(cell_id="../../../RUN")),
    "cell_absolute": _changed_line(lambda line: line.update(cell_id="/tmp/RUN")),
    "cell_zero": _changed_line(lambda line: line.update(cell_id="a\0b")),
    "cell_long": _changed_line(lambda line: line.update(cell_id="x" * 10_000)),
    "arm_escapes": _changed_line(lambda line: line.update(arm=ESCAPES)),
    "arm_markup": _changed_line(lambda line: line.update(arm="<script>alert(1)</script>")),
    "arm_of_five_megabytes": _changed_line(lambda line: line.update(arm="x" * 5_000_000)),
    "seed_of_digits": _changed_line(lambda line: line.update(seed=10**4000)),
    "epochs": _changed_line(lambda line: line.update(epochs=10**15)),
    "million_metrics": _changed_line(lambda line: line.update(metrics={f"m{n}": 0.5 for n in range(10**6)})),
    "metric_escapes": _changed_line(lambda line: line["metrics"].update({f"test/{ESCAPES}": 0.5})),
    "beyond_floats": _raw('"seconds": ', '"seconds": 1e999, "x": '),
    "digits": _raw('"seed": 0', f'"seed": {"9" * 100_000}'),
    "cause_of_five_megabytes": _changed_line(lambda line: line.update(cause=ESCAPES * 1_000_000)),
    "evidence": _changed_line(lambda line: line.update(evidence={"../../RUN": "x"})),
    "host": _changed_line(lambda line: line.update(host=ESCAPES)),
    "config": _changed_line(lambda line: line.update(config={"kind": "os:system"})),
    "code": _raw('"kind": "arrays"', '"kind": "evil:run"'),
    "function": _changed_line(lambda line: line.update(config={"kind": "function", "call": "evil:run"})),
    "million_levels": _changed_line(lambda line: line.update(levels={f"x{n}": 1 for n in range(10**6)})),
    "metric_markup": _changed_line(lambda line: line["metrics"].update({"</script><script>alert(1)</script>": 0.5})),
    "metric_out": _changed_line(lambda line: line["metrics"].update({"../../RUN": 0.5})),
    "metrics_huge": _changed_line(lambda line: line.update(metrics=dict.fromkeys(line["metrics"], 1.7e308))),
    "state": _changed_line(lambda line: line.update(state="os.system")),
    "time": _changed_line(lambda line: line.update(finished_at="9999-99-99", seconds=1e300)),
    "solver": _changed_line(lambda line: line.update(solver={"solver": ESCAPES, "solves": 10**18})),
}
"""Ledgers whose lines are changed."""


def _plan(columns: int, rows: int) -> Callable[[Path, bytes], object]:
    def make(path: Path, content: bytes) -> None:
        head, *lines = content.decode().splitlines()
        wide = ",".join(f"x{n}" for n in range(columns))
        path.write_text(
            "\n".join([f"{head},{wide}", *(f"{line},{',' * (columns - 1)}" for line in lines * rows)]) + "\n"
        )

    return make


PLAN: dict[str, Callable[[Path, bytes], object]] = {
    "50,000_columns": _plan(50_000, 1),
    "two_million_rows": _plan(1, 300_000),
    "cell_of_100_megabytes": lambda path, content: path.write_bytes(content + b"x," + b"y" * 10**8 + b"\n"),
    "cell_out": lambda path, content: path.write_bytes(content.replace(b"\n", b"\n../../RUN,", 2)),
}
"""Plans."""

ZEROS = 3 * 10**8
"""Numbers of arrays that are small in their file, and large once they are read."""


def _zeros(count: int) -> bytes:
    return npy_header(f"({count},)", "'<i8'") + bytes(8 * count)


def _record(**members: Callable[[], bytes]) -> Callable[[Path, bytes], object]:
    """An ``.npz`` whose arrays are as they were, but for the given ones."""

    def make(path: Path, content: bytes) -> None:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            kept = {name: npy(arrays[name]) for name in arrays.files}
        npz(path, {**kept, **{name: made() for name, made in members.items()}}, zipfile.ZIP_DEFLATED)

    return make


def _pickled() -> bytes:
    return npy(np.array([RunsCode()] * 6, dtype=object), pickled=True)


def _arrays(name: str) -> dict[str, Callable[[Path, bytes], object]]:
    """What the array ``name`` of a record may be."""
    return {
        "bomb": _record(**{name: lambda: _zeros(ZEROS)}),
        "claims": _record(**{name: lambda: npy_header(f"({HUGE},)", "'<i8'")}),
        "pickled": _record(**{name: _pickled}),
        "negative": _record(**{name: lambda: npy_header("(-1,)", "'<i8'")}),
        "header": _record(**{name: lambda: npy_header("(6,)", "'<i8'", padding=10**8, version=2)}),
        "code": _record(**{name: lambda: npy_header("__import__('os').system('touch RUN')")}),
        "wide": _record(**{name: lambda: npy(np.zeros((6, 200_000), dtype=np.int64))}),
        "large_numbers": _record(**{name: lambda: npy(np.full(6, 2**62))}),
        "below_zero": _record(**{name: lambda: npy(np.full(6, -(2**62)))}),
        "pickle": lambda path, _: path.write_bytes(pickle.dumps(RunsCode())),
        "twenty_thousand": lambda path, _: npz(path, {f"a{n}": b"" for n in range(20_000)}),
    }


def _of(makes: dict[str, Make]) -> dict[str, Callable[[Path, bytes], object]]:
    return {name: lambda path, _, make=make: make(path) for name, make in makes.items()}  # type: ignore[misc]


TABLES: dict[str, Make] = {
    "shared_texts": _arrow(lambda pa: {"cell_id": _shared(pa, 10**6, 10**5), "epoch": [1] * 10**6}),
    "lists": _arrow(lambda pa: {"cell_id": ["a"], "epoch": [[1]]}),
    "runs": _long_runs,
    "wide": lambda path: _parquet(path, 300_000),
    "cut": lambda path: path.write_bytes(b"PAR1" + bytes(100) + b"\xff\xff\xff\x7fPAR1"),
}

JSON = _texts("[" * DEEP) | {
    "nested_mappings": lambda path: path.write_text('{"a": ' * DEEP),
    "digits": lambda path: path.write_text('{"format": ' + "9" * 10**6 + "}"),
}
YAML = _texts("a: " + "[" * DEEP) | {
    "aliases": lambda path: path.write_text(BOMB),
    "latin": lambda path: path.write_bytes("study: \u00e9".encode("latin-1")),
    "object": lambda path: path.write_text("study: !!python/object/apply:os.system ['touch RUN']\n"),
}

FOLDER: dict[str, dict[str, Callable[[Path, bytes], object]]] = {
    "results.jsonl": {**_of(ANYWHERE | _texts("[" * DEEP + "\n")), **LEDGER},
    "plan.csv": {**_of(ANYWHERE | _texts('"' * DEEP)), **PLAN},
    "study.yaml": {**_of(ANYWHERE | YAML), "code": _raw("kind: arrays", "kind: 'evil:run'")},
    "study.resolved.yaml": {**_of(ANYWHERE | YAML), "code": _raw("kind: arrays", "kind: 'evil:run'")},
    "provenance.json": {
        **_of(ANYWHERE | JSON),
        "command": _raw('"command": [', f'"command": ["{"x" * 5_000_000}", '),
        "escapes": _raw('"host": "', '"host": "\\u001b]0;title\\u0007<script>alert(1)</script>'),
    },
    "verdicts.json": _of(ANYWHERE | JSON),
    "curves.parquet": _of(ANYWHERE | TABLES),
    "results.parquet": _of(ANYWHERE | TABLES),
    "relations/*.npz": {**_of(ANYWHERE), **_arrays("fine_to_coarse")},
    "predictions/*.npz": {**_of(ANYWHERE), **_arrays("fine")},
    "coarse_labels/*.npz": {**_of(ANYWHERE), **_arrays("coarse")},
    "failures/*.txt": {
        **_of(ANYWHERE | _texts("<" * DEEP)),
        "escapes": lambda path, _: path.write_text(ESCAPES + "</pre><script>alert(1)</script>"),
    },
    "stopping.jsonl": _of(ANYWHERE | _texts("[" * DEEP)),
    "running.json": _of(ANYWHERE | JSON),
    "storage.json": {
        **_of(ANYWHERE | JSON),
        "elsewhere": lambda path, _: path.write_text('{"storage": "s3://127.0.0.1:9/x", "folder": "real-01234567"}'),
        "outside": lambda path, _: path.write_text('{"storage": "/etc", "folder": "../../RUN"}'),
        "escapes": lambda path, _: path.write_text(json.dumps({"storage": ESCAPES, "folder": ESCAPES})),
        "numbers": lambda path, _: path.write_text('{"storage": 1e999, "folder": [[]]}'),
    },
    "faults.log": _of(ANYWHERE | _texts("x")),
    ".lock": _of(ANYWHERE | JSON),
}
"""By file of a study folder (the first that the pattern finds, or the name itself), what it may hold."""


def place(root: Path, pattern: str) -> Path:
    """The file that a pattern of ``FOLDER`` names in a folder."""
    return next(iter(sorted(root.glob(pattern))), root / pattern.replace("*", "x"))


def put(path: Path, make: Callable[[Path, bytes], object]) -> None:
    """Make a hostile file in the place of what is there."""
    content = path.read_bytes() if path.is_file() else b""
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    make(path, content)


def _safetensors(header: str, claimed: int | None = None, content: bytes = b"") -> Make:
    text = header.encode()
    length = (len(text) if claimed is None else claimed).to_bytes(8, "little")
    return lambda path: path.write_bytes(length + text + content)


MODEL: dict[str, dict[str, Callable[[Path, bytes], object]]] = {
    "model.json": _of(ANYWHERE | JSON),
    "config.yaml": _of(ANYWHERE | YAML)
    | {
        "hidden": _raw("hidden:", "hidden: [1000000000000]\nx:"),
        "plugin": _raw("kind: mlp", "kind: os:system"),
    },
    "weights.safetensors": _of(
        ANYWHERE
        | {
            "claims": _safetensors('{"a": {"dtype": "F32", "shape": [10000000000000], "data_offsets": [0, 4]}}'),
            "length": _safetensors("{}", 2**62),
            "nested": _safetensors("[" * DEEP),
            "pickle": lambda path: path.write_bytes(pickle.dumps(RunsCode())),
        }
    ),
    "relations.npz": _of({name: make for name, make in ANYWHERE.items() if name != "hole"}) | _arrays("fine_to_coarse"),
}
"""By file of a model folder, what it may hold; its digest in ``model.json`` is then that of the file."""


def sign(root: Path, name: str) -> None:
    """Give a model's card the digest of a file of its, as whoever made it would."""
    card, path = root / "model.json", root / name
    if name == card.name or not path.is_file() or path.is_symlink() or path.stat().st_size > 10**9:
        return
    plain = json.loads(card.read_text())
    plain["files"][name] = hashlib.sha256(path.read_bytes()).hexdigest()
    card.write_text(json.dumps(plain))


def _rows(head: str, *lines: str) -> Make:
    return lambda path: path.write_text("\n".join((head, *lines)) + "\n", encoding="utf-8", errors="surrogatepass")


def _runs(columns: int, rows: int) -> Make:
    names = ",".join(f"m{n}" for n in range(columns))
    values = ",".join(["0.5"] * columns)
    lines = (f"{'ab'[n % 2]},{n // 2},0.5,{values}" for n in range(rows))
    return lambda path: _rows(f"arm,seed,score,{names}", *lines)(path)


RUNS: dict[str, Make] = {
    "columns.csv": _runs(50_000, 4),
    "million.csv": _runs(1, 1_000_000),
    "arms.csv": lambda path: _rows("arm,seed,score", *(f"a{n},0,0.5" for n in range(200_000)))(path),
    "seed_of_digits.csv": _rows("arm,seed,score", "a," + "9" * 5000 + ",0.5", "b,0,0.5"),
    "seed_below.csv": _rows("arm,seed,score", "a,-1,0.5", "b,-1,0.5"),
    "seed_beyond.csv": _rows("arm,seed,score", f"a,{2**64},0.5", f"b,{2**64},0.5"),
    "escapes.csv": _rows("arm,seed,score", f"{ESCAPES}," + "0,x", "b,0,0.5"),
    "out.csv": _rows("arm,seed,score,../../RUN", "../../RUN,0,0.5,1", "a,0,x,2"),
    "formula.csv": _rows("arm,seed,score", "\"=cmd|'/c touch RUN'!A1\",0,0.5", "b,0"),
    "epochs.csv": _rows("arm,seed,epoch,score", f"a,0,{10**15},0.5", "b,0,-1,0.5"),
    "state.csv": _rows("arm,seed,state,score", "a,0,os.system,0.5", "b,0,COMPLETE,0.5"),
    "cause.csv": _rows("arm,seed,state,cause,score", "a,0,FAIL," + "x" * 5_000_000 + ",", "b,0,COMPLETE,,x"),
    "no_arm.csv": _rows("seed,score", "0,0.5"),
    "twice.csv": _rows("arm,seed,score", "a,0,0.5", "a,0,0.6"),
    "runs.parquet": _long_runs,
    "wide.parquet": lambda path: _parquet(path, 300_000),
    "zero.csv": lambda path: path.symlink_to("/dev/zero"),
    "pipe.csv": os.mkfifo,
    "hole.csv": lambda path: _sparse(path, b"arm,seed,score\n", HOLE),
    "one_line.csv": lambda path: path.write_bytes(b"x" * 200_000_000),
    "commas.csv": lambda path: path.write_bytes(b"," * 20_000_000),
    "cell.csv": lambda path: path.write_bytes(b"arm,seed,score\na,0," + b"1" * 100_000_000 + b"\n"),
    "zeros.csv": lambda path: path.write_bytes(bytes(10**6)),
    "utf16.csv": lambda path: path.write_text("arm,seed,score\na,0,0.5\n", encoding="utf-16"),
    "row.csv": lambda path: path.write_bytes(b"arm,seed,score\na,0" + b"," * 250_000_000 + b"\n"),
    "quoted_row.csv": lambda path: path.write_bytes(b'arm,seed,score\n"' + b",\n" * 50_000_000),
    "million_arms.csv": lambda path: _rows("arm,seed,score", *(f"a{n},0,0.5" for n in range(10**6)))(path),
    "epoch_twice.csv": _rows("arm,seed,epoch,score", "a,0,1,0.5", "a,0,1,0.6", "b,0,1,0.5"),
    "epoch_of_half.csv": _rows("arm,seed,epoch,score", "a,0,1.5,0.5", "b,0,1,0.5"),
    "seed_of_half.csv": _rows("arm,seed,score", "a,0.5,0.5", "b,0,0.5"),
    "no_name.csv": _rows("arm,seed,score", ",0,0.5", "b,0,0.5"),
    "columns_twice.csv": _rows("arm,seed,score,score", "a,0,0.5,0.6", "b,0,0.5,0.6"),
    "no_baseline.csv": _rows("arm,seed,score", "b,0,0.5", "c,0,0.5"),
    "open_quote.csv": _rows("arm,seed,score", '"a,0,0.5', "b,0,0.5"),
    "shared_texts.parquet": _arrow(lambda pa: {"arm": _shared(pa, 200_000, 10**6), "seed": [0] * 200_000}),
    "lists.parquet": _arrow(lambda pa: {"arm": ["a", "b"], "seed": [0, 0], "score": [[1.0], [2.0]]}),
    "long_list.parquet": _arrow(lambda pa: {"arm": ["a"], "seed": [0], "score": _long_list(pa)}),
    "no_rows.parquet": _arrow(lambda pa: {"arm": pa.nulls(0), "seed": pa.nulls(0), "score": pa.nulls(0)}),
    "folder.csv": lambda path: path.mkdir(),
    "loop.csv": lambda path: path.symlink_to(path.name),
}
"""Tables for ``fgtune import`` that are refused."""

PAIRS = [(arm, seed) for seed in (0, 1) for arm in "ab"]

SOUND_RUNS: dict[str, Make] = {
    "metrics.csv": _runs(290, 20),
    "epochs_of_one.csv": lambda path: _rows("arm,seed,epoch,score", *(f"a,0,{n},0.5" for n in range(1, 290_000)))(path),
    "infinite.csv": _rows("arm,seed,score", "a,0,1e999", "b,0,-1e999"),
    "no_values.csv": _rows("arm,seed,score", "a,0,", "b,0,"),
    "nothing.csv": _rows("arm,seed,score", "a,0,nan", "b,0,NaN", "a,1,0.5", "b,1,"),
    "backwards.csv": _rows("arm,seed,epoch,score", *(f"{arm},0,{n},0.5" for n in (3, 2, 1) for arm in "ab")),
    "gaps.csv": _rows("arm,seed,epoch,score", *(f"{arm},0,{n},0.5" for n in (1, 999_999) for arm in "ab")),
    "names.csv": _rows(
        f"arm,seed,score,../../RUN,{ESCAPES},<script>", *(f"{arm},{n},{n},1,2,3" for n in (0, 1) for arm in "ab")
    ),
    "escaped_arms.csv": _rows("arm,seed,score", *(f"{arm}{ESCAPES},{n},{n}" for arm, n in PAIRS), "a,0,1"),
    "markup_arms.csv": _rows("arm,seed,score", *(f"{arm}</script>,{n},{n}" for arm, n in PAIRS), "a,0,1"),
    "formula_arms.csv": _rows("arm,seed,score", *(f"{arm},{n},{n}" for n in (0, 1) for arm in ("a", "=1+1", "@x"))),
    "bom.csv": lambda path: path.write_bytes(b"\xef\xbb\xbfarm;seed;score\r\na;0;0.5\r\nb;0;0.6\r\n"),
    "huge_numbers.csv": _rows("arm,seed,score", *(f"{arm},{n},{'-' * (arm == 'a')}1.7e308" for arm, n in PAIRS)),
    "next_to_nothing.csv": _rows("arm,seed,score", *(f"{arm},{n},5e-324" for arm, n in PAIRS)),
    "hundred_arms.csv": _rows("arm,seed,score", *(f"a{n or ''},{seed},{n % 7}" for n in range(300) for seed in (0, 1))),
}
"""Tables for ``fgtune import`` that are large or odd, and may be imported."""
