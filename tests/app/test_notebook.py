"""The notebook of the docs runs from top to bottom, and is stored without outputs."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "first_study.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
CODE = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]


def run_cell(number: int, source: str, namespace: dict[str, object]) -> None:
    """Run a cell as a notebook does, which shows the value of a last expression."""
    tree = ast.parse(source)
    shown = ast.Expression(tree.body.pop().value) if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, f"cell {number}", "exec"), namespace)  # noqa: S102 - the code of our own documentation
    value = None if shown is None else eval(compile(shown, f"cell {number}", "eval"), namespace)  # noqa: S307
    if value is not None:
        print(repr(value))


def test_it_is_stored_without_outputs():
    for cell in CELLS:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


@pytest.mark.slow
def test_it_runs_from_top_to_bottom(tmp_path, monkeypatch, ray_started, capsys):
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for number, source in enumerate(CODE):
        run_cell(number, source, namespace)
    printed = capsys.readouterr().out
    assert "3 arms, 9 cells" in printed
    assert "[9/9]" in printed
    assert (tmp_path / "reports" / "first_study" / "report.html").is_file()
