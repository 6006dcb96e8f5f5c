"""Whatever the bytes, each reader returns or raises an error that is written for people: drawn by Hypothesis."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pa_parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import hostile
from support.hostile_data import LABELS, npy_header, npz

from fgtune.app.importing.rows import read_rows
from fgtune.app.importing.runs import read_runs
from fgtune.app.importing.study import Judging, make_study
from fgtune.config.arms.designs import draft_arms
from fgtune.config.reading.load import load_study
from fgtune.config.reading.source import parse_value, parse_yaml
from fgtune.config.schema.data import ArraysConfig
from fgtune.config.spaces.expression import AbsentError, parse_expression
from fgtune.data.readers.npz import read_npz
from fgtune.data.readers.tables import read_table
from fgtune.data.sets.arrays import load_arrays
from fgtune.errors import FgtuneError
from fgtune.results.ledger import Ledger

pytestmark = pytest.mark.long
many = settings(
    max_examples=1000, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
LINES = (Path(__file__).parent / "support/earlier_version/small/results.jsonl").read_bytes()

SIGNS = r"0 -1 1e999 .nan -.inf null ~ true ' \ é [ ] { } : , # ` = 0x 1_0 2026-13-45 &a *a !!int !!python/name:os <<:"
BREAKS = ("- ", "? ", "\t", "\n", "\n  ", "\r", "\r\n", "|\n", ">\n", "%YAML 9\n", "---\n", "\u2028")
ODD = st.sampled_from([*SIGNS.split(), *BREAKS, "", '"', "9" * 400, "\u202e", "\ud800", "\x00", "\x1b[31m"])
YAML = st.lists(ODD | st.text(max_size=4) | st.sampled_from(["study", "seeds", "trial", "a", " ", ": "]), max_size=30)


@st.composite
def changed(draw: st.DrawFn, text: str) -> str:
    """A text in which up to four pieces are replaced by odd ones, repeated, or left out."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        middle = draw(ODD | st.text(max_size=3) | st.just(text[start:end] * 3))
        text = text[:start] + middle + text[end:]
    return text


@many
@given(YAML.map("".join))
def test_a_text_is_yaml_or_refused(text):
    with suppress(FgtuneError):
        assert isinstance(parse_yaml(text, "x.yaml").data, dict)
    with suppress(FgtuneError):
        parse_value(text, "--set x")


@many
@given(text=changed(hostile.STUDY))
def test_a_changed_study_is_read_or_refused(tmp_path, text):
    path = tmp_path / "s.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with suppress(FgtuneError):
        draft_arms(load_study(path))


WORDS = "a b.c gone on kind hidden none and or not in -> implies ( ) [ ] , == != < <= > >= + - * / ** % min( max( abs("
VALUES = """1e308 1e-320 0 2 'x' " ' . .. 1. é __import__('os') a.__class__ lambda True null huge"""
TOKENS = st.sampled_from([*WORDS.split(), *VALUES.split(), "9" * 400, "\x00"])
SETTINGS = {"a": 2, "b.c": 0.5, "kind": "scip", "on": True, "none": None, "hidden": [64, 64], "huge": 10**400}


def lookup(name: str) -> object:
    if name not in SETTINGS:
        raise AbsentError(name)
    return SETTINGS[name]


@many
@given(st.lists(TOKENS | st.text(max_size=3), max_size=25), st.sampled_from(["", " "]))
def test_a_text_is_a_constraint_or_refused(tokens, between):
    with suppress(FgtuneError):
        assert isinstance(parse_expression(between.join(tokens)).holds(lookup, if_absent=False), bool)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def wrong_line(draw: st.DrawFn) -> bytes:
    """A line of a ledger in which one value, at any depth, is another one or gone."""
    plain = json.loads(draw(st.sampled_from(LINES.splitlines())))
    inner = plain
    while True:
        key = draw(st.sampled_from(sorted(inner)))
        if isinstance(inner[key], dict) and inner[key] and draw(st.booleans()):
            inner = inner[key]
            continue
        if draw(st.integers(0, 3)):
            inner[key] = draw(JSON)
        else:
            del inner[key]
        return json.dumps(plain).encode() + b"\n"


@many
@given(content=st.lists(wrong_line() | st.binary(max_size=20), max_size=3).map(b"".join))
def test_a_ledger_is_read_or_refused(tmp_path, content):
    path = tmp_path / "results.jsonl"
    path.write_bytes(LINES + content)
    before = path.read_bytes()
    with suppress(FgtuneError):
        for result in Ledger(path).read():
            assert result.cell_id
            assert all(isinstance(value, float) for value in result.metrics.values())
    assert path.read_bytes() == before


NUMBERS = "'<f4' '<f8' '<i8' '|O' '<U0' '<U9' '|V4' '<M8[s]' 'c' [('a','<f4')] None 1 '<f4,<f4' '<c16' '|b1' '<g'"
DTYPES = st.sampled_from([*NUMBERS.split(), "('<f4', (10000,))", "__import__('os')", "'" * 3])
SHAPES = st.lists(st.integers(-2, 2**65), max_size=4).map(lambda sizes: f"({''.join(f'{n}, ' for n in sizes)})")


@many
@given(
    shape=SHAPES | st.sampled_from(["(20, 2)", "20", "None", "[20, 2]", "(20., 2)", "(True, 2)", "'x'", "(" * 90]),
    descr=DTYPES,
    name=st.sampled_from(["inputs", "coarse"]),
    content=st.sampled_from([b"", bytes(160), bytes(80), b"\x80\x04N."]) | st.binary(max_size=200),
    version=st.sampled_from([1, 2]),
)
def test_an_npz_is_read_or_refused(tmp_path, shape, descr, name, content, version):
    members = {"inputs": LABELS, "coarse": LABELS} | {name: npy_header(shape, descr, version=version) + content}
    npz(tmp_path / "x.npz", members)
    with suppress(FgtuneError):
        found = read_npz(tmp_path / "x.npz", ("inputs", "coarse"), (), objects=("coarse",))
        assert set(found) == {"inputs", "coarse"}


@many
@given(text=changed(LABELS.decode("latin-1")))
def test_a_changed_npy_is_read_or_refused(tmp_path, text):
    npz(tmp_path / "x.npz", {"inputs": text.encode("latin-1", "replace"), "coarse": LABELS})
    with suppress(FgtuneError):
        read_npz(tmp_path / "x.npz", ("inputs", "coarse"), ())


TABLE = "arm,seed,epoch,state,cause,seconds,score\n" + "".join(
    f"{arm},{seed},{epoch},COMPLETE,,1.5,{0.1 * seed + 0.2}\n"
    for arm in ("base", "b")
    for seed in (0, 1)
    for epoch in (1, 2)
)


@many
@given(text=changed(TABLE) | st.lists(ODD | st.sampled_from(list(",;arm\n")), max_size=30).map("".join))
def test_a_table_of_runs_is_imported_or_refused(tmp_path, text):
    path = tmp_path / "runs.csv"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with suppress(FgtuneError):
        runs = read_runs(read_rows(path), ())
        make_study(runs, Judging("score", "maximize", "base", None, None, {}), "runs", ())


CSV = "coarse,f,g\n" + "".join(f"{'ab'[n % 2]},{n / 7:.3f},{n}\n" for n in range(12))


def parquet_bytes() -> str:
    buffer = io.BytesIO()
    pa_parquet.write_table(pa.table({"coarse": ["a", "b"] * 6, "f": [n / 7 for n in range(12)]}), buffer)
    return buffer.getvalue().decode("latin-1")


@many
@given(text=changed(CSV) | st.lists(ODD | st.sampled_from(list(',;"a1\n')), max_size=30).map("".join))
def test_a_changed_csv_is_read_or_refused(tmp_path, text):
    (tmp_path / "x.csv").write_bytes(text.encode("utf-8", "surrogatepass"))
    config = ArraysConfig.from_plain({"path": str(tmp_path / "x.csv"), "columns": {"coarse": ["coarse"]}})
    with suppress(FgtuneError):
        assert len(load_arrays(config).inputs)


@many
@given(text=changed(parquet_bytes()))
def test_a_changed_parquet_file_is_read_or_refused(tmp_path, text):
    (tmp_path / "x.parquet").write_bytes(text.encode("latin-1", "replace"))
    with suppress(FgtuneError):
        assert "coarse" in read_table(tmp_path / "x.parquet", ["coarse"], others=True)
