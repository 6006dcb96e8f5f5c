"""``python -m fgtune`` and ``python -m fgtune.run`` are the command line."""

from __future__ import annotations

import runpy
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "words", "said"),
    [("fgtune", ["validate", "none.yaml"], "no such study file"), ("fgtune.run", ["none.yaml"], "no such study file")],
)
def test_a_module_is_the_command_of_its_name(module, words, said, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [module, *words])
    monkeypatch.delitem(sys.modules, "fgtune.run", raising=False)
    monkeypatch.setattr("fgtune.app.interrupts.end_with", lambda call: sys.exit(call()))
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(module, run_name="__main__")
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
