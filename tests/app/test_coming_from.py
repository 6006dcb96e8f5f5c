"""Both sides of the page for people who come from another tool run as they stand there."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from fgtune.engine.run import execute
from fgtune.results.folder import StudyFolder
from fgtune.results.options import RunOptions

PAGE = (Path(__file__).parents[2] / "docs" / "coming_from.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", PAGE, re.DOTALL))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with every file of the page."""
    for name, body in FILES.items():
        (tmp_path / name).write_text(body, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(name: str) -> str:
    done = subprocess.run([sys.executable, name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_block_is_a_file_of_the_page():
    assert set(FILES) == {
        "digits_net.py", "digits_net.yaml", "with_ray.py", "with_optuna.py", "with_wandb.py", "sweep.yaml", "judged.py",
    }  # fmt: skip
    assert len(re.findall(r"^```(?:python|yaml)$", PAGE, re.MULTILINE)) == len(FILES)
    for name, body in FILES.items():
        if name.endswith(".py"):
            compile(body, name, "exec")


def test_the_search_is_the_same_in_each_tool():
    study, sweep = (YAML(typ="safe").load(FILES[name]) for name in ("digits_net.yaml", "sweep.yaml"))
    rate, width = (study["design"]["space"]["parameters"][f"config.{name}"] for name in ("lr", "width"))
    assert sweep["parameters"]["lr"] == {"distribution": "log_uniform_values", "min": rate["low"], "max": rate["high"]}
    assert sweep["parameters"]["width"]["values"] == width["values"]
    assert sweep["run_cap"] == study["design"]["trials"] == 8
    bounds = f"{rate['low']}, {rate['high']:.1f}"
    assert f'"lr": tune.loguniform({bounds})' in FILES["with_ray.py"]
    assert f'"lr", {bounds}, log=True' in FILES["with_optuna.py"]
    assert all(str(width["values"]) in FILES[f"with_{tool}.py"] for tool in ("ray", "optuna"))


@pytest.mark.slow
@pytest.mark.integration
def test_the_optuna_side_and_the_judged_table_run(place):
    assert "'width':" in run("with_optuna.py")
    assert "width 8" in run("judged.py")
    assert (place / "reports" / "judged" / "report.html").is_file()


@pytest.mark.long
def test_the_study_runs(place, ray_started):
    options = RunOptions(place / "digits_net.yaml", tracking_uri="none", plugins=("digits_net",))
    assert execute(options) == 0
    assert len(StudyFolder(place / "reports" / "digits_net").ledger.read()) == 27


@pytest.mark.integration
@pytest.mark.long  # a Ray session of its own
def test_the_ray_side_runs(place):
    assert "'width':" in run("with_ray.py")


@pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="Weights & Biases is not installed")
def test_the_wandb_side_runs_offline(place):
    change = 'import os, wandb, runpy; real = wandb.init; os.environ["WANDB_MODE"] = "offline"\n'
    change += "wandb.init = lambda: real(config={'lr': 0.1, 'width': 32})\nrunpy.run_path('with_wandb.py')"
    (place / "offline.py").write_text(change, encoding="utf-8")
    run("offline.py")
