from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from fgtune.results.options import RunOptions
from fgtune.results.provenance import PACKAGES, collect_provenance, git_state


@pytest.fixture
def repository(tmp_path, monkeypatch):
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    for command in (
        ["init", "-q"],
        ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-q", "--allow-empty", "-m", "first"],
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


def test_a_clean_repository_has_a_commit_and_no_difference(repository):
    state = git_state(repository)
    assert len(state["commit"]) == 40
    assert state == {"commit": state["commit"], "dirty": False, "diff_hash": None, "untracked": 0}


def test_what_differs_from_the_commit_is_seen(repository):
    (repository / "a.txt").write_text("one")
    assert git_state(repository)["untracked"] == 1
    subprocess.run(["git", "add", "a.txt"], cwd=repository, check=True)
    first = git_state(repository)
    (repository / "a.txt").write_text("two")
    second = git_state(repository)
    assert first["dirty"]
    assert second["dirty"]
    assert first["diff_hash"] != second["diff_hash"]
    (repository / "a.txt").write_text("one")
    assert git_state(repository) == first


def test_outside_of_a_repository_there_is_no_git_state(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state(tmp_path) is None


def test_without_git_there_is_no_git_state(repository, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert git_state(repository) is None


def test_provenance_tells_versions_machine_command_and_data(small_plan):
    facts = collect_provenance(small_plan, RunOptions(Path("s.yaml")))
    assert facts["study_hash"] == small_plan.study_hash
    assert list(facts["data"].values()) == ["f00d"]
    assert facts["command"] == ["python", "-m", "fgtune.run", "s.yaml"]
    assert set(facts["packages"]) == set(PACKAGES)
    assert facts["packages"]["numpy"]
    assert facts["host"]["cpus"] >= 1
    assert facts["started_at"].endswith("+00:00")
    assert json.loads(json.dumps(facts)) == facts


def test_passwords_and_environment_stay_out(small_plan, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hunter2")
    uri = "postgresql://me:hunter2@db:5432/x"
    facts = collect_provenance(small_plan, RunOptions(Path("s.yaml"), ("a=http://t:1@h/",), tracking_uri=uri))
    assert "hunter2" not in json.dumps(facts)
    assert facts["command"][4:] == ["--set", "a=http://t:***@h/", "--tracking-uri", "postgresql://me:***@db:5432/x"]
    assert facts["options"]["tracking_uri"] == "postgresql://me:***@db:5432/x"
    assert facts["options"]["overrides"] == ["a=http://t:***@h/"]
