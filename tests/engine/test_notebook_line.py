"""The line of progress in a notebook: one output that is replaced, none where there is no notebook."""

from __future__ import annotations

import io
import sys
from types import ModuleType, SimpleNamespace

import pytest
from rich.console import Console

from fgtune.engine import notebook_line as module
from fgtune.engine.notebook_line import notebook_line
from fgtune.engine.progress import ProgressDisplay, Tally
from fgtune.results.records import CellResult, CellState


class Page:
    """What a notebook shows: outputs that may be replaced."""

    def __init__(self) -> None:
        self.shown: list[dict[str, str]] = []
        self.made = 0

    def display(self, data, *, raw, display_id):
        assert raw
        assert display_id
        self.made += 1
        self.shown.append(data)
        return SimpleNamespace(update=lambda data, raw: self.shown.append(data))


@pytest.fixture
def page(monkeypatch):
    """A process that is a notebook's kernel."""
    made, inner = ModuleType("IPython"), ModuleType("IPython.display")
    page = Page()
    made.get_ipython = lambda: SimpleNamespace(kernel=object())
    inner.display = page.display
    monkeypatch.setitem(sys.modules, "IPython", made)
    monkeypatch.setitem(sys.modules, "IPython.display", inner)
    return page


def test_there_is_none_outside_a_notebook(monkeypatch):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert notebook_line() is None
    shell = ModuleType("IPython")
    shell.get_ipython = lambda: SimpleNamespace()  # IPython in a terminal has no kernel
    monkeypatch.setitem(sys.modules, "IPython", shell)
    assert notebook_line() is None


def test_it_replaces_itself_and_is_escaped(page, monkeypatch):
    monkeypatch.setattr(module, "_PAUSE_S", 0.0)
    line = notebook_line()
    line.show(0, 4, "best <b> & \x1b[31m")
    line.show(1, 4, "then")
    assert page.made == 1
    assert "&lt;b&gt; &amp; " in page.shown[0]["text/html"]
    assert "\x1b" not in page.shown[0]["text/html"]
    assert page.shown[1]["text/plain"] == "1/4 then"
    assert '<progress value="1" max="4"></progress>' in page.shown[1]["text/html"]


def test_epochs_do_not_flood_the_page_but_finished_cells_show_at_once(page, monkeypatch):
    monkeypatch.setattr(module, "_PAUSE_S", 1000.0)
    line = notebook_line()
    for _ in range(50):
        line.show(0, 4, "training")
    line.show(1, 4, "one is done")
    assert [each["text/plain"] for each in page.shown] == ["0/4 training", "1/4 one is done"]


@pytest.mark.parametrize("quiet", [False, True])
def test_a_study_shows_one_line_and_prints_failures_alone(page, monkeypatch, quiet):
    monkeypatch.setattr(module, "_PAUSE_S", 0.0)
    out = io.StringIO()
    cells = {name: SimpleNamespace(config=SimpleNamespace(planned_epochs=2)) for name in "ab"}
    display = ProgressDisplay(Tally(cells, "m", maximize=True), Console(file=out, quiet=quiet, width=200))
    display.open()
    for name, state in (("a", CellState.COMPLETE), ("b", CellState.FAIL)):
        metrics = {"m": 0.5} if state is CellState.COMPLETE else {}
        display.finished(CellResult(name, "arm", 0, "hash", state, metrics, 1.0, 2, {}, {}, cause="it broke"))
    display.close()
    if quiet:
        assert (page.shown, out.getvalue()) == ([], "")
        return
    assert page.made == 1
    assert page.shown[-1]["text/plain"] == "2/2 best 0.5000 (arm, seed 0) | 1 failed"
    assert out.getvalue().splitlines() == [
        "[2/2] arm, seed 0: FAIL: it broke (1.0 s) | best 0.5000 (arm, seed 0) | 1 failed"
    ]
