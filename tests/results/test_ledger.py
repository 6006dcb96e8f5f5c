from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgtune.errors import StudyFolderError
from fgtune.results.ledger import Chain, Ledger
from fgtune.results.records import CellResult, CellState, SolverUse


def result(cell_id: str = "c0", **changes) -> CellResult:
    made = CellResult(
        cell_id=cell_id,
        arm="num_fine_ratio=0.8",
        seed=3,
        config_hash="abc",
        state=CellState.COMPLETE,
        metrics={"test/ari": 0.1 + 0.2, "test/accuracy": 1 / 3},
        seconds=1.5,
        epochs=60,
        levels={"classes.num_fine_ratio": 0.8, "relations.solver": {"kind": "flow"}},
        config={"epochs": 60, "data": {"kind": "digits", "limit": None}},
        solver=SolverUse("flow", 12, 0.25, {"optimal": 12}, 0.0),
        finished_at="2026-01-01T00:00:00+00:00",
        host="there, über",
    )
    return replace(made, **changes)


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    return Ledger(tmp_path / "study" / "results.jsonl")


def test_a_ledger_that_does_not_exist_is_empty(ledger):
    assert ledger.read() == []
    assert not ledger.path.exists()


def test_results_are_read_back_as_they_were(ledger):
    written = [result("a"), result("b", state=CellState.FAIL, cause="it\nbroke", solver=None), result("c", metrics={})]
    for each in written:
        assert ledger.append(each) == each
    assert ledger.read() == written
    assert len(ledger.path.read_bytes().splitlines()) == 3


def test_the_latest_result_of_a_cell_wins(ledger):
    ledger.append(result("a", state=CellState.FAIL, cause="x"))
    ledger.append(result("b"))
    again = ledger.append(result("a", attempts=2))
    assert ledger.read() == [result("b"), again]
    assert ledger.read_with_head() == ([result("b"), again], ledger.head)


def test_the_same_metrics_give_the_same_bytes_whatever_their_order(tmp_path):
    metrics = {"b": 0.1, "a": 1e-300, "c": 3}
    one, two = Ledger(tmp_path / "one"), Ledger(tmp_path / "two")
    one.append(result(metrics=metrics))
    two.append(result(metrics=dict(reversed(metrics.items()))))
    assert one.path.read_bytes() == two.path.read_bytes()
    assert list(json.loads(one.path.read_bytes())["metrics"]) == ["a", "b", "c"]


def test_metrics_that_are_not_finite_are_left_out_and_named(ledger):
    metrics = {"val/a": math.nan, "test/b": 0.5, "test/c": -math.inf}
    stored = ledger.append(result(metrics=metrics))
    assert stored.metrics == {"test/b": 0.5}
    assert stored.cause == "not finite: test/c, val/a"
    assert ledger.read() == [stored]
    assert ledger.append(result(metrics=metrics, cause="stopped")).cause == "stopped; not finite: test/c, val/a"


def test_metrics_that_cannot_be_counted_with_are_left_out_and_named(ledger):
    stored = ledger.append(result(metrics={"a": 1e200, "b": -1e149, "c": math.nan}))
    assert (stored.metrics, stored.cause) == ({"b": -1e149}, "not finite: c; beyond 1e150: a")
    line = json.loads(ledger.path.read_bytes())
    ledger.path.write_text(json.dumps(line | {"metrics": {"a": -1.7e308, "b": 10**400, "c": 0.5}}) + "\n")
    assert ledger.read()[0].metrics == {"c": 0.5}
    assert ledger.read()[0].cause == "not finite: c; beyond 1e150: a; beyond 1e150: a, b"


def test_a_gap_without_a_bound_is_read_back_as_infinite(ledger):
    ledger.append(result(solver=SolverUse("scip", 1, 30.0, {"time_limit": 1}, math.inf)))
    assert "Infinity" not in ledger.path.read_text()
    assert ledger.read()[0].solver.max_gap == math.inf


def plain(line: bytes) -> dict[str, object]:
    """A line without the hash of what stands before it."""
    return {key: value for key, value in json.loads(line).items() if key != "previous"}


@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.slow), 17])
def test_a_line_torn_at_any_byte_loses_nothing_that_was_finished(tmp_path, step):
    whole = Ledger(tmp_path / "whole")
    for name in ("a", "b", "c", "d"):
        whole.append(result(name))
    lines = whole.path.read_bytes().splitlines(keepends=True)
    content, next_line = b"".join(lines[:3]), plain(lines[3])
    ends = {len(b"".join(lines[:n])) + near for n in (1, 2, 3) for near in (-2, -1, 0)}
    for cut in sorted({*range(0, len(content), step), *ends}):
        torn = Ledger(tmp_path / "torn")
        torn.path.write_bytes(content[:cut])
        # A line that lacks only its line end is finished.
        finished = sum(len(b"".join(lines[:n])) - 1 <= cut for n in (1, 2, 3))
        assert [each.cell_id for each in torn.read()] == ["a", "b", "c"][:finished]
        torn.append(result("d"))
        *before, last = torn.path.read_bytes().splitlines(keepends=True)
        assert before == lines[:finished]
        assert plain(last) == next_line
        assert torn.chain.broken == ()


def test_a_result_returned_from_append_was_synced_before(ledger, monkeypatch):
    synced = []
    monkeypatch.setattr("os.fsync", lambda descriptor: synced.append(descriptor))
    ledger.append(result())
    assert len(synced) == 2  # the file, and the folder that gained it
    ledger.append(result())
    assert len(synced) == 3


def test_zeros_left_by_a_power_cut_are_a_torn_line(ledger):
    ledger.append(result("a"))
    with ledger.path.open("ab") as file:
        file.write(b"\x00" * 50)
    assert [each.cell_id for each in ledger.read()] == ["a"]
    ledger.append(result("b"))
    assert ledger.read() == [result("a"), result("b")]


@pytest.mark.parametrize(
    "line", ["", "{", "[]", '{"cell_id": "x"}', "null", '{"solver": 3}', "\x00"], ids=lambda line: repr(line)
)
def test_a_line_in_the_middle_that_is_no_result_is_told_with_its_number(ledger, line):
    ledger.append(result("a"))
    with ledger.path.open("a") as file:
        file.write(f"{line}\n")
    ledger.append(result("b"))
    with pytest.raises(
        StudyFolderError, match=r"results\.jsonl:2: this line of the ledger is not a result, got .*Fix: rest"
    ):
        ledger.read()


def test_keys_of_another_version_are_not_read_as_if_known(ledger):
    ledger.append(result("a"))
    ledger.path.write_text(ledger.path.read_text().replace('"host":', '"hostess":'))
    with pytest.raises(StudyFolderError, match=r"results\.jsonl:1: "):
        ledger.read()


FLOATS = st.floats(-1e150, 1e150)
RESULTS = st.builds(
    result,
    cell_id=st.sampled_from(["a", "b", "c"]),
    seed=st.integers(0, 2**40),
    state=st.sampled_from(CellState),
    metrics=st.dictionaries(st.text(max_size=6), FLOATS, max_size=4),
    seconds=FLOATS,
    levels=st.dictionaries(st.text(max_size=4), FLOATS | st.text(max_size=4) | st.none() | st.booleans(), max_size=3),
    cause=st.none() | st.text(max_size=20),
    arm=st.text(max_size=10),
)


@settings(deadline=None, max_examples=40)
@given(st.lists(RESULTS, max_size=5), st.data())
def test_any_results_are_read_back_exactly_after_any_cut(tmp_path_factory, results, data):
    ledger = Ledger(tmp_path_factory.getbasetemp() / "any.jsonl")
    ledger.path.unlink(missing_ok=True)
    for each in results:
        ledger.append(each)
    latest = {}
    for each in results:
        latest.pop(each.cell_id, None)
        latest[each.cell_id] = each
    assert ledger.read() == list(latest.values())
    if results:
        content = ledger.path.read_bytes()
        cut = data.draw(st.integers(0, len(content)))
        ledger.path.write_bytes(content[:cut])
        kept = ledger.read()
        complete = content[:cut].count(b"\n")
        assert {each.cell_id for each in results[:complete]} <= {each.cell_id for each in kept}


def plain_lines(ledger: Ledger) -> list[bytes]:
    return ledger.path.read_bytes().splitlines()


def test_every_line_holds_the_hash_of_the_line_before(ledger):
    for cell in "abc":
        ledger.append(result(cell))
    lines = plain_lines(ledger)
    links = [json.loads(line)["previous"] for line in lines]
    assert links == [hashlib.sha256(each).hexdigest() for each in (b"", *lines[:-1])]
    assert ledger.chain == Chain(3, 0, ())
    assert ledger.head == hashlib.sha256(lines[-1]).hexdigest()


CHANGES = {
    "a line is edited": (lambda lines: [lines[0], lines[1].replace(b"0.333", b"0.334"), *lines[2:]], (3,)),
    "a space is added": (lambda lines: [lines[0], lines[1].replace(b": ", b":  ", 1), *lines[2:]], (3,)),
    "a line is removed": (lambda lines: [lines[0], *lines[2:]], (2,)),
    "the first line is removed": (lambda lines: lines[1:], (1,)),
    "two lines change places": (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], (2, 3, 4)),
    "a line is repeated": (lambda lines: [*lines[:2], lines[1], *lines[2:]], (3,)),
    "a line loses its hash": (
        lambda lines: [*lines[:2], lines[2].split(b', "previous"')[0] + b"}", *lines[3:]],
        (3, 4),
    ),
    "all line ends are changed": (lambda lines: [line + b"\r" for line in lines], (2, 3, 4, 5)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_chain_names_the_line_that_does_not_follow(ledger, change):
    for cell in "abcde":
        ledger.append(result(cell))
    edit, broken = CHANGES[change]
    ledger.path.write_bytes(b"".join(line + b"\n" for line in edit(plain_lines(ledger))))
    assert ledger.chain.broken == broken
    ledger.append(result("f"))  # a later line does not mend it
    assert set(broken) <= set(ledger.chain.broken)


def test_the_head_changes_with_the_last_line(ledger):
    for cell in "ab":
        ledger.append(result(cell))
    before = ledger.head
    ledger.path.write_bytes(ledger.path.read_bytes().replace(b'"seed": 3', b'"seed": 4'))
    assert ledger.head != before


def test_a_ledger_of_an_earlier_version_is_read_and_its_first_new_line_covers_it(ledger):
    written = [ledger.append(result(cell)) for cell in "ab"]
    old = b"".join(line.split(b', "previous"')[0] + b"}\n" for line in plain_lines(ledger))
    ledger.path.write_bytes(old)
    assert ledger.read() == written
    assert ledger.chain == Chain(2, 2, ())
    assert ledger.head == hashlib.sha256(old).hexdigest()
    written += [ledger.append(result(cell)) for cell in "cd"]
    assert ledger.read() == written
    assert json.loads(plain_lines(ledger)[2])["previous"] == hashlib.sha256(old).hexdigest()
    assert ledger.chain.unchained == 2
    assert ledger.chain.broken == ()
    ledger.path.write_bytes(ledger.path.read_bytes().replace(b"0.333", b"0.334", 1))
    assert ledger.chain.broken == (3,)


@pytest.mark.parametrize("length", [10, 1 << 16, (1 << 16) + 1, 1 << 18, 1 << 20])
def test_lines_of_any_length_are_chained(ledger, length):
    for cell in "abc":
        ledger.append(result(cell, cause="x" * length))
    assert ledger.chain.broken == ()
    assert [each.cell_id for each in ledger.read()] == ["a", "b", "c"]


@pytest.mark.parametrize("end", [b'{"cell_id": "torn', b"\0\0", b""])
def test_the_chain_goes_on_after_a_torn_line_and_after_one_without_its_newline(ledger, end):
    for cell in "ab":
        ledger.append(result(cell))
    whole = ledger.path.read_bytes()
    ledger.path.write_bytes(whole + end if end else whole[:-1])
    ledger.append(result("c"))
    assert [each.cell_id for each in ledger.read()] == ["a", "b", "c"]
    assert ledger.chain.broken == ()
    assert ledger.chain.lines == 3


def test_lines_holds_what_a_later_result_replaced(ledger):
    failed = ledger.append(result("a", state=CellState.FAIL, cause="x"))
    again = ledger.append(result("a"))
    assert ledger.lines() == [failed, again]
    assert ledger.read() == [again]
