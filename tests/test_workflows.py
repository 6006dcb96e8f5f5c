"""Continuous integration runs targets that the Makefile has, and pre-commit the checks of ``make lint``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def read(path: Path) -> dict:
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


def steps(path: Path) -> list[dict]:
    return [step for job in read(path)["jobs"].values() for step in job["steps"]]


def recipe(target: str) -> list[str]:
    """The commands of a target."""
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)*)", MAKEFILE, re.MULTILINE)
    assert found, f"no target {target}"
    return [line.strip() for line in found[1].splitlines()]


def test_a_workflow_tests_every_change_and_another_runs_the_slow_suite_every_night():
    assert [path.stem for path in WORKFLOWS] == ["nightly", "test"]
    nightly, test = map(read, WORKFLOWS)
    assert set(test["on"]) == {"push", "pull_request"}
    assert "schedule" in nightly["on"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_runs_only_targets_of_the_makefile(path):
    commands = [step["run"] for step in steps(path) if "run" in step]
    assert commands
    for command in commands:
        make, *targets = command.split()
        assert make == "make"
        for target in targets:
            assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target


def test_the_supported_versions_of_python_are_tested():
    (job,) = read(ROOT / ".github" / "workflows" / "test.yml")["jobs"].values()
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    assert [each["versions"] for each in job["strategy"]["matrix"]["include"]] == ["lowest"]


def test_pre_commit_runs_what_lint_runs():
    (local,) = read(ROOT / ".pre-commit-config.yaml")["repos"]
    hooks = {hook["entry"].removeprefix(".venv/bin/").replace(" --force-exclude", "") for hook in local["hooks"]}
    linted = {line.removeprefix("$(BIN)/").removesuffix(" .") for line in recipe("lint")}
    assert hooks == linted
