"""What each verb that only looks may import: the libraries that take seconds are left to the verbs that need them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARIES = (
    "PIL", "anndata", "cvxpy", "faiss", "jinja2", "mlflow", "networkx", "numpy", "optuna", "pandas", "plotly",
    "pyarrow", "pyscipopt", "ray", "ruamel", "scipy", "sklearn", "torch", "torchvision",
)  # fmt: skip

CODE = f"""\
import sys
from fgtune.app.cli import main
code = main(sys.argv[1:])
print(code, *(name for name in {LIBRARIES!r} if name in sys.modules), file=sys.stderr)
"""


def imported(*arguments: str) -> set[str]:
    """Which of the libraries a fresh interpreter has after a verb."""
    command = [sys.executable, "-c", CODE, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    code, *found = done.stderr.splitlines()[-1].split()
    assert code == "0", done.stderr
    return set(found)


@pytest.mark.slow_except("--help")
@pytest.mark.parametrize("verb", ["--help", "schema", "settings"])
def test_what_needs_no_study_imports_no_library(verb):
    assert imported(verb) == set()


@pytest.mark.slow_except("kf_sensitivity-plan")
@pytest.mark.parametrize("verb", ["validate", "plan"])
@pytest.mark.parametrize("study", ["kf_sensitivity", "loss_weights", "tuned_comparison"])
def test_a_study_of_the_digits_is_looked_at_without_scikit_learn(verb, study):
    assert imported(verb, f"studies/{study}.yaml") == {"numpy", "ruamel"}


def test_the_status_of_a_folder_is_read_without_its_tables(tmp_path):
    folder = shutil.copytree(ROOT / "tests" / "support" / "earlier_version" / "small", tmp_path / "small")
    assert imported("status", str(folder)) == {"numpy", "ruamel"}


def test_help_does_not_make_the_settings():
    code = "import sys; from fgtune.app.cli import main; main(['--help']); sys.exit('fgtune.config' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_the_package_can_be_started_as_a_module():
    done = subprocess.run([sys.executable, "-m", "fgtune", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("fgtune ")
