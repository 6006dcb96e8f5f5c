"""The examples in the docstrings of metrics and relations give what they say, and every public function has one."""

from __future__ import annotations

import doctest
import inspect
from importlib import import_module
from pathlib import Path

import pytest

import fgtune

PACKAGE = Path(fgtune.__file__).parent
MODULES = [
    f"fgtune.{folder}.{path.stem}"
    for folder in ("metrics", "relations")
    for path in sorted((PACKAGE / folder).glob("*.py"))
    if path.stem != "__init__"
]
WITHOUT = {
    "nearest_blocks",  # yields blocks of arrays
    "solver_of",
    "checked_problem",
    "check_solution",  # what ``solve`` does with every problem and solution
    "read_status",
    "read_outcome",  # words of SCIP and HiGHS
}


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_say(name, capsys):
    outcome = doctest.testmod(import_module(name))
    assert outcome.failed == 0, capsys.readouterr().out


@pytest.mark.parametrize("name", MODULES)
def test_every_public_function_has_an_example(name):
    module = import_module(name)
    public = {
        key: value
        for key, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == name and not key.startswith("_") and key not in WITHOUT
    }
    assert [key for key, value in public.items() if ">>>" not in inspect.getdoc(value)] == []
