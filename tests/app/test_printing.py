"""Whatever names a folder holds and whatever the terminal can show, every verb prints, and no terminal acts on it."""

from __future__ import annotations

import io
import sys
from xml.etree import ElementTree

import pytest
import typer.main
from support import hostile

from fgtune.app.cli import app, main

ESCAPES = "\x1b]0;title\x07\x1b[31m\x9b2J\u202e"
NAMES = ("a é", f"b 漢{ESCAPES}", "c ≥ 1")

PRINTS: dict[str, list[list[str]]] = {
    "status": [["status", "FOLDER"]],
    "verify": [["verify", "FOLDER"], ["verify", "DAMAGED"]],
    "report": [["report", "FOLDER"]],
    "power": [["power", "FOLDER"], ["power", "FOLDER", "--json"]],
    "compare": [["compare", "FOLDER", "DAMAGED"]],
    "export": [
        ["export", "FOLDER", "--format", "csv"],
        ["export", "FOLDER", "--format", "latex"],
        ["export", "FOLDER", "--format", "parquet", "--out", "OUT"],
        ["export", "FOLDER", "--figures", "svg", "--out", "OUT"],
        ["export", "DAMAGED", "--format", "csv"],
        ["export", "FOLDER", "--format", "predictions", "--out", "OUT"],
    ],
    "import": [
        ["import", "RUNS", "--primary", "score", "--direction", "maximize", "--baseline", "a é", "--out", "OUT"]
    ],
    "plan": [["plan", "STUDY", "--out", "OUT"], ["plan", "STUDY", "--cells"]],
    "validate": [["validate", "STUDY"], ["validate", f"no {ESCAPES} é 漢"]],
    "schema": [["schema"]],
    "settings": [["settings"]],
    "data": [["data", "check", "STUDY"], ["data", "convert", f"no {ESCAPES} é 漢.npz"]],
}
"""Calls of every verb that prints what it finds; words in capitals are paths."""
TRAIN = {"run", "discover", "extend", "bench", "refit", "pretrain", "predict", "ui"}
"""Verbs that train or serve; what they print goes through ``print_line`` and ``say``, which ``test_visible`` tests."""


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A folder of runs whose arms have odd names, one more that is damaged, and a study file, all of odd names."""
    root = tmp_path_factory.mktemp("places") / f"ein {ESCAPES} é 漢"
    root.mkdir()
    rows = [f'"{name}",{seed},{0.5 + 0.01 * seed + 0.1 * rank}' for rank, name in enumerate(NAMES) for seed in range(3)]
    runs = root / "runs.csv"
    runs.write_text("\n".join(["arm,seed,score", *rows]) + "\n", encoding="utf-8")
    study = root / f"s {ESCAPES} é.yaml"
    study.write_text(hostile.STUDY, encoding="utf-8")
    judged = ("--primary", "score", "--direction", "maximize", "--baseline", NAMES[0])
    for name in ("whole", "damaged"):
        assert main(["import", str(runs), *judged, "--out", str(root / name)]) == 0
    (root / "damaged" / "results.csv").unlink()
    (root / "damaged" / "plan.csv").write_text("cell_id,arm\n", encoding="utf-8")
    return {"FOLDER": root / "whole", "DAMAGED": root / "damaged", "RUNS": runs, "STUDY": study}


class Terminal(io.TextIOWrapper):
    """A terminal without colours."""

    def isatty(self) -> bool:
        return True


def printed(arguments, encoding, monkeypatch) -> tuple[int, bytes]:
    """Exit code and bytes of a call on a terminal of an encoding, output and errors together."""
    terminal = Terminal(io.BytesIO(), encoding=encoding, errors="strict", write_through=True)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", terminal)
        patched.setattr(sys, "stderr", terminal)
        code = main(arguments)
    return code, terminal.buffer.getvalue()


def test_every_verb_is_tried_or_trains():
    assert {*typer.main.get_command(app).commands} == PRINTS.keys() | TRAIN


@pytest.mark.parametrize("encoding", ["ascii", pytest.param("latin-1", marks=pytest.mark.slow)])
@pytest.mark.parametrize("call", [pytest.param(call, id=" ".join(call)) for calls in PRINTS.values() for call in calls])
def test_a_verb_prints_on_any_terminal(places, tmp_path, monkeypatch, encoding, call):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "dumb")
    paths = places | {"OUT": tmp_path / f"out é {ESCAPES}"}
    code, content = printed([str(paths.get(part, part)) for part in call], encoding, monkeypatch)
    assert code in {0, 1, 2, 3}
    text = content.decode(encoding)
    assert "Traceback" not in text
    assert text.strip()
    for figure in paths["OUT"].glob("*.svg"):
        ElementTree.parse(figure)  # which allows no control character
    assert [sign for sign in text if sign not in "\n\t" and (sign < " " or "\x7f" <= sign < "\xa0")] == []
