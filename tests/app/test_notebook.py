"""The notebook of the docs runs from top to bottom, and is stored without outputs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "first_study.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
CODE = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]

RUN = """
import ast, json, sys

namespace = {"__name__": "__main__"}
for number, source in enumerate(json.load(sys.stdin)):
    tree = ast.parse(source)
    shown = ast.Expression(tree.body.pop().value) if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, f"cell {number}", "exec"), namespace)
    if shown is not None:  # a notebook shows the value of a last expression
        value = eval(compile(shown, f"cell {number}", "eval"), namespace)
        if value is not None:
            print(repr(value))
"""


def test_it_is_stored_without_outputs():
    for cell in CELLS:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


@pytest.mark.integration
@pytest.mark.timeout(600)  # nine cells
def test_it_runs_from_top_to_bottom(tmp_path):
    environ = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        input=json.dumps(CODE),
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "3 arms, 9 cells" in done.stdout
    assert "[9/9]" in done.stdout
    assert (tmp_path / "reports" / "first_study" / "report.html").is_file()
