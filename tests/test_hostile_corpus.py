"""Every hostile input under every verb that reads it, in a process of its own: bounded time and memory, no code run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

RUNNER = Path(__file__).parents[1] / "benchmarks" / "hostile.py"
CORPORA = ("model/",)
"""Those of the runner that take minutes; all take an hour."""


@pytest.mark.long
@pytest.mark.integration
@pytest.mark.parametrize("corpus", CORPORA)
def test_no_input_takes_too_much_or_does_what_it_must_not(corpus):
    done = subprocess.run([sys.executable, str(RUNNER), "--only", corpus], capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ", 0 at fault" in done.stdout


def test_a_case_ends_with_the_runner_that_forked_it_and_is_killed_at_its_limit(until_ended):
    script = (
        "import itertools, os, time; from forked import forked\n"
        "def code(work): return os.waitstatus_to_exitcode(os.waitpid(forked(work, 1), 0)[1])\n"
        "print(code(lambda: 3), code(lambda: 1 / 0), code(lambda: sum(itertools.repeat(1))))\n"
        "print(forked(lambda: time.sleep(300), 1), flush=True); time.sleep(300)\n"
    )
    runner = subprocess.Popen(
        [sys.executable, "-c", script], cwd=RUNNER.parent, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert runner.stdout.readline() == "3 70 -9\n"
    case = psutil.Process(int(runner.stdout.readline()))
    runner.kill()
    runner.wait()
    assert until_ended([case])
