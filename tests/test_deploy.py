"""deploy/: every file is held to its own schema or tool, and names the versions and options that there are."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest
import typer
import yaml

from fgtune import __version__
from fgtune.app.cli import app

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
FILES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())
SCRIPTS = sorted(DEPLOY.rglob("*.sbatch"))
LOCK = dict(
    re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.MULTILINE)
)


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def plain(name: str):
    return yaml.safe_load(text_of(DEPLOY / name))


@pytest.mark.parametrize("name", ["on_premise", "aws"])
def test_a_cluster_file_meets_the_schema_of_ray(name):
    (folder,) = importlib.util.find_spec("ray").submodule_search_locations
    schema = json.loads(text_of(Path(folder) / "autoscaler" / "ray-schema.json"))
    errors = jsonschema.Draft7Validator(schema).iter_errors(plain(f"ray/{name}.yaml"))
    assert [f"{error.json_path}: {error.message}" for error in errors] == []


@pytest.mark.parametrize("name", ["on_premise", "aws"])
def test_a_cluster_never_starts_without_its_token(name):
    config = plain(f"ray/{name}.yaml")
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    starts = [line for key in ("head", "worker") for line in config[f"{key}_start_ray_commands"] if "ray start" in line]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token ray start" in line for line in starts)


def test_no_trial_runs_beside_the_driver_in_the_cloud():
    aws = plain("ray/aws.yaml")
    assert aws["available_node_types"][aws["head_node_type"]]["resources"]["CPU"] == 0
    job = plain("kubernetes/rayjob.yaml")["spec"]
    assert job["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    (workers,) = job["rayClusterSpec"]["workerGroupSpecs"]
    assert workers["minReplicas"] >= 1, "one node to ask for its versions before the first cell"


def test_the_ray_job_asks_for_what_it_uses_and_keeps_the_study_folder():
    job = plain("kubernetes/rayjob.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["rayVersion"] == LOCK["ray"]
    assert cluster["authOptions"] == {"mode": "token"}
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = group["template"]["spec"]
        volumes = {each["name"] for each in pod["volumes"]}
        for container in pod["containers"]:
            assert container["resources"]["requests"] == container["resources"]["limits"]
            assert {each["name"] for each in container["volumeMounts"]} == volumes
    head = cluster["headGroupSpec"]["template"]["spec"]
    claims = [each["name"] for each in head["volumes"] if "persistentVolumeClaim" in each]
    mounts = {each["name"]: each["mountPath"] for each in head["containers"][0]["volumeMounts"]}
    (out,) = re.findall(r"--out (\S+)", job["spec"]["entrypoint"])
    assert [mounts[name] for name in claims] == [out]


def test_all_files_name_one_image_of_this_version():
    named = {image for path in FILES for image in re.findall(r"REGISTRY/fgtune:[\w.]+", text_of(path))}
    assert named == {f"REGISTRY/fgtune:{__version__}"}


def test_commands_have_only_options_that_there_are():
    run = typer.main.get_command(app).commands["run"]
    known = {option for param in run.params for option in param.opts}
    lines = [line for path in FILES for line in text_of(path).replace("\n    --", " --").splitlines()]
    lines += text_of(ROOT / "docs" / "cluster.md").replace("\\\n", " ").splitlines()
    commands = [line.partition("fgtune run")[2] for line in lines if "fgtune run " in line]
    assert len(commands) > 8
    used = {option for command in commands for option in re.findall(r"(?<=\s)--[a-z-]+", command)}
    assert used <= known
    assert {"--storage", "--address", "--wait"} <= used


def test_the_image_is_built_of_what_there_is():
    dockerfile = text_of(DEPLOY / "docker" / "Dockerfile")
    done = subprocess.run(
        [Path(sys.executable).with_name("hadolint"), DEPLOY / "docker" / "Dockerfile"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")
    copied = [part for line in re.findall(r"^COPY (.+) \S+$", dockerfile, re.MULTILINE) for part in line.split()]
    assert {"requirements.lock", "pyproject.toml", "fgtune"} <= set(copied)
    assert [name for name in copied if not (ROOT / name).exists()] == []
    (python,) = re.findall(r"^FROM python:(3\.\d+)", dockerfile, re.MULTILINE)
    assert f"/lib/python{python}/" in dockerfile
    assert "uv" in LOCK, "pip reads its version from the lock file"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_batch_script_is_sound(script):
    done = subprocess.run(
        [Path(sys.executable).with_name("shellcheck"), "--shell=bash", script], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")
    head = text_of(script)
    assert re.search(r"^#SBATCH --signal=B:USR1@\d+$", head, re.MULTILINE)
    assert re.search(r"^#SBATCH --requeue$", head, re.MULTILINE)
    assert "--open-mode=append" in head, "a requeued job would begin its log anew"


FAKES = {
    "srun": 'while [[ $1 == --* ]]; do shift; done; exec "$@"',
    "scontrol": 'echo "$@" >> calls; if [[ $1 == show ]]; then echo n1; echo n2; fi',
    "ray": 'echo "ray $@" >> calls; if [[ $1 == start ]]; then exec sleep 30; fi',
    "fgtune": 'echo "fgtune $@" >> calls; trap "echo told >> calls; exit 130" USR1\n'
    'touch running; if [[ -n ${ENDS:-} ]]; then exit "$ENDS"; fi; while :; do sleep 0.05; done',
}


@pytest.fixture
def slurm(tmp_path):
    """Start a batch script as SLURM would, with stand-ins for SLURM, Ray and fgtune; ends all that it started."""
    bin_folder = tmp_path / ".venv" / "bin"
    bin_folder.mkdir(parents=True)
    (bin_folder / "activate").write_text(f'export PATH="{bin_folder}:$PATH"\n')
    for name, body in FAKES.items():
        (bin_folder / name).write_text(f"#!/usr/bin/env bash\n{body}\n")
        (bin_folder / name).chmod(0o755)
    started = []

    def start(script: Path, *arguments: str, **environ: str) -> subprocess.Popen:
        known = {"SLURM_SUBMIT_DIR": str(tmp_path), "SLURM_JOB_ID": "77", "SLURM_JOB_NODELIST": "n[1-2]"}
        known |= {"SLURM_CPUS_PER_TASK": "2", "SLURM_ARRAY_TASK_ID": "1", "HOME": str(tmp_path)}
        process = subprocess.Popen(
            ["bash", str(script), *arguments],
            cwd=tmp_path,
            env={**os.environ, **known, **environ},
            start_new_session=True,
        )
        started.append(process)
        deadline = time.monotonic() + 20
        while not (tmp_path / "running").exists() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.02)
        return process

    start.calls = lambda: (tmp_path / "calls").read_text().splitlines()
    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_warning_of_slurm_reaches_the_driver_and_the_job_is_queued_again(slurm, script, tmp_path):
    process = slurm(script, "studies/a.yaml", "studies/b.yaml")
    process.send_signal(signal.SIGUSR1)
    assert process.wait(timeout=20) == 130
    calls = slurm.calls()
    assert "told" in calls
    assert calls[-1] == "requeue 77"
    assert not list(tmp_path.glob(".fgtune-token*"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
@pytest.mark.parametrize("code", [0, 3])
def test_a_job_whose_study_has_ended_is_not_queued_again(slurm, script, code):
    process = slurm(script, "studies/a.yaml", ENDS=str(code))
    assert process.wait(timeout=20) == code
    assert "requeue 77" not in slurm.calls()


def test_a_study_gets_a_cluster_of_all_nodes_of_its_job(slurm, tmp_path):
    process = slurm(DEPLOY / "slurm" / "study.sbatch", "studies/a.yaml", "--smoke", ENDS="0")
    assert process.wait(timeout=20) == 0
    deadline = time.monotonic() + 10  # the second node may be slower than the driver
    while sum("ray start" in call for call in slurm.calls()) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    calls = "\n".join(slurm.calls())
    assert re.search(r"^ray start --head --node-ip-address=n1 --port=20077 --num-cpus=2 ", calls, re.MULTILINE)
    assert re.search(r"^ray start --address=n1:20077 --num-cpus=2 --block$", calls, re.MULTILINE)
    storage = tmp_path / ".fgtune-storage"
    assert f"fgtune run studies/a.yaml --address n1:20077 --storage {storage} --wait --smoke" in calls


def test_tasks_of_an_array_share_the_studies(slurm):
    process = slurm(DEPLOY / "slurm" / "array.sbatch", "a.yaml", "b.yaml", "c.yaml", SLURM_ARRAY_TASK_ID="4", ENDS="0")
    assert process.wait(timeout=20) == 0
    assert slurm.calls() == ["fgtune run b.yaml --wait"]


def test_every_file_is_walked_through():
    pages = text_of(ROOT / "docs" / "cluster.md") + text_of(DEPLOY / "README.md")
    assert [path.name for path in FILES if path.name not in pages] == []
    assert shutil.which("bash")
