"""Every hostile input under every verb that reads it, in a process of its own: bounded time and memory, no code run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RUNNER = Path(__file__).parents[1] / "benchmarks" / "hostile.py"
CORPORA = ("model/",)
"""Those of the runner that take minutes; all take an hour."""


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.parametrize("corpus", CORPORA)
def test_no_input_takes_too_much_or_does_what_it_must_not(corpus):
    done = subprocess.run([sys.executable, str(RUNNER), "--only", corpus], capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 at fault" in done.stdout
