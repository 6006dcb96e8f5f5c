"""The page about results from elsewhere does what it shows."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from fgtune.app.cli import main

PAGE = (Path(__file__).parents[3] / "docs" / "elsewhere.md").read_text(encoding="utf-8")


def block(language, heading=""):
    """The first block of a language, on the page or below one of its headings."""
    part = PAGE.split(f"\n## {heading}\n")[1] if heading else PAGE
    return re.search(rf"```{language}\n(.*?)```", part, re.DOTALL)[1]


def test_the_table_and_the_command_of_the_page_give_verdicts(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("results.csv").write_text(block("csv"), encoding="utf-8")
    command = shlex.split(block("sh"))
    assert command[0] == "fgtune"
    assert main(command[1:]) == 0
    assert "reports/old_or_new/verdicts.json" in capsys.readouterr().out
    found = json.loads(Path("reports/old_or_new/verdicts.json").read_text(encoding="utf-8"))
    assert [(each["arm"], each["n"], each["lost"]) for each in found["contrasts"]] == [("new", 2, 1)]


@pytest.mark.slow
def test_the_script_of_the_example_and_its_command_give_the_answer_of_the_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(block("python", "An example"), "elsewhere.md", "exec"), {})  # noqa: S102 - the code of our own page
    assert main(shlex.split(block("sh", "An example"))[1:]) == 0
    shown, printed = block("text", "An example").splitlines(), capsys.readouterr().out.splitlines()
    assert printed[0] == shown[0]
    without_numbers = re.compile(r"[-+−]?\d+\.\d+")  # which differ a little between versions of scikit-learn
    assert without_numbers.sub("", printed[1]) == without_numbers.sub("", shown[1])


def test_the_python_of_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(block("python", "From Python"), "elsewhere.md", "exec"), {})  # noqa: S102 - the code of our own page
    assert "0.705" in capsys.readouterr().out
