"""Parts of the user's own: the example of the documentation as it stands there, and the permission."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from fgtune import plugins
from fgtune.app.cli import main
from fgtune.engine.run import execute
from fgtune.plugins import permitted
from fgtune.results.folder import StudyFolder
from fgtune.results.options import RunOptions
from fgtune.results.records import CellState

PAGE = (Path(__file__).parents[1] / "docs" / "plugins.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`([\w./]+)`:\n\n```\w+\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))
MARK = "\nfrom pathlib import Path\nPath(__file__).with_name('imported').touch()\n"


@pytest.fixture(autouse=True)
def clean_process(monkeypatch):
    """No permission from outside, and no module of a test outlives it."""
    monkeypatch.delenv(plugins.ENVIRONMENT, raising=False)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.partition(".")[0] == "shapes":
            del sys.modules[name]


@pytest.fixture
def example(tmp_path, monkeypatch):
    """The working directory, with the files of the page; the package leaves a mark when it is imported."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text + (MARK if name == "shapes/__init__.py" else ""), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def imported(folder: Path) -> bool:
    return (folder / "shapes" / "imported").exists()


def test_the_page_has_the_whole_example():
    assert list(FILES) == ["shapes/__init__.py", "shapes/parts.py", "rings.yaml", "test_shapes.py"]


@pytest.mark.parametrize("verb", ["validate", "plan", "run"])
def test_a_study_file_alone_has_nothing_imported(example, capsys, verb):
    assert main([verb, "rings.yaml"]) == 2
    told = capsys.readouterr().err
    refusal = re.search(r"^error: rings.yaml:5: trial.data.kind: .*$", PAGE, re.MULTILINE).group()
    assert refusal in told.splitlines()
    assert [line.split(": ")[2] for line in told.splitlines()] == [
        "trial.data.kind",
        "trial.model.backbone.kind",
        "trial.relations.solver.kind",
        "trial.objective.extra.confident.kind",
    ]
    assert not imported(example)
    assert "shapes" not in sys.modules
    assert not (example / "reports").exists()


def test_a_permitted_package_makes_a_valid_study(example, capsys):
    assert main(["validate", "rings.yaml", "--plugins", "shapes"]) == 0
    assert imported(example)
    assert "valid, 2 arms x 2 seeds = 4 cells" in capsys.readouterr().out
    assert main(["validate", "rings.yaml"]) == 2, "permission must not outlive the command that gave it"


def test_data_of_ones_own_can_be_looked_at(example, capsys):
    assert main(["data", "check", "rings.yaml"]) == 2
    assert not imported(example)
    assert main(["data", "check", "rings.yaml", "--plugins", "shapes"]) == 0
    assert "120 samples of 2 float32" in capsys.readouterr().out


def test_the_environment_permits_too(example, monkeypatch):
    monkeypatch.setenv("FGTUNE_PLUGINS", "others, shapes")
    assert main(["validate", "rings.yaml"]) == 0


@pytest.mark.parametrize("packages", ["", "others", "shap", "shapes.other", "shapes.parts.rings"])
def test_another_package_is_no_permission(example, packages):
    assert main(["validate", "rings.yaml", "--plugins", packages]) == 2
    assert not imported(example)


@pytest.mark.long  # the tests of the example run it without Ray
def test_the_example_runs_in_a_ray_session_that_began_without_permission(example, ray_started):
    fewer = ("seeds=1", "execution.max_concurrent=1")
    options = RunOptions(Path("rings.yaml"), fewer, out=Path("reports"), tracking_uri="none", plugins=("shapes",))
    out = io.StringIO()
    assert execute(options, Console(file=out, width=300)) == 0, out.getvalue()
    folder = StudyFolder(example / "reports" / "rings")
    results = folder.ledger.read()
    assert [result.state for result in results] == [CellState.COMPLETE] * 2
    assert {result.solver.solver for result in results} == {"shapes.parts:greedy"}
    measured = {result.levels["objective.extra.confident.weight"]: set(result.metrics) for result in results}
    assert "train/loss_confident" in measured[0.3]
    assert "train/loss_confident" not in measured[0.0]
    recorded = json.loads(folder.provenance_file.read_text())["plugins"]
    assert list(recorded) == ["shapes"]
    assert re.fullmatch(r"[0-9a-f]{16}", recorded["shapes"]["sha256"])
    assert permitted() == ()


def test_the_line_to_continue_names_the_packages():
    options = RunOptions(Path("s.yaml"), plugins=("mine", "theirs"))
    assert options.command() == "python -m fgtune.run s.yaml --plugins mine --plugins theirs"


@pytest.mark.slow
@pytest.mark.integration
def test_the_tests_of_the_example_pass(example):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_shapes.py"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout


WRONG = [
    ("points: 30", "points: 3", "trial.data.options.points: must be >= 5, got 3"),
    ("points: 30", "pionts: 30", "trial.data.options.pionts: unknown key. Fix: did you mean 'points'?"),
    ("width: 8", "width: wide", "trial.model.backbone.options.width: must be a whole number, got 'wide'"),
    (
        'parts:greedy"',
        'parts:greedy", options: {fast: true}',
        "trial.relations.solver.options.fast: unknown key. Fix: le",
    ),
    ("parts:Radial", "parts:Radail", "trial.model.backbone.kind: module shapes.parts has no 'Radail'"),
    ("parts:Radial", "parts:rings", "trial.model.backbone.kind: must name a subclass of Module"),
    ("parts:Confident", "parts:Radial", "trial.objective.extra.confident.kind: must name a subclass of Term"),
    ("parts:Radial", "wholes:Radial", "trial.model.backbone.kind: there is no module 'shapes.wholes'"),
    ("parts:rings", "parts:np", "trial.data.kind: must name a class or a function, got 'shapes.parts:np'"),
    ("shapes.parts:greedy", "shapes parts:greedy", "trial.relations.solver.kind: must be a place in a package"),
    ("weight: 0.3}", "weight: -1}", "trial.objective.extra.confident.weight: must be >= 0, got -1"),
    ("      confident:", "      nn:", "trial.objective: extra needs a name that no term of fgtune has, it has nn"),
]


@pytest.mark.parametrize(("old", "new", "message"), WRONG, ids=[new for _, new, _ in WRONG])
def test_what_is_wrong_with_a_part_is_told_with_its_place(example, capsys, old, new, message):
    study = Path("rings.yaml").read_text()
    assert study.count(old) == 1
    Path("rings.yaml").write_text(study.replace(old, new))
    assert main(["validate", "rings.yaml", "--plugins", "shapes"]) == 2
    assert re.search(rf"^error: rings\.yaml:\d+: {re.escape(message)}", capsys.readouterr().err, re.MULTILINE)


def test_a_part_among_the_values_of_a_search_needs_permission_too(example, capsys):
    text = Path("rings.yaml").read_text()
    text = re.sub(r"design: .*", 'design: {kind: search, trials: 4, metric: val/loss, space: {parameters: {'
                  'relations.solver.kind: {kind: choice, values: [flow, "others.parts:fast"]}}}}', text)  # fmt: skip
    Path("rings.yaml").write_text(text)
    assert main(["validate", "rings.yaml", "--plugins", "shapes"]) == 2
    assert "may not have the package 'others' imported" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["no_such_package", "no_such_package.parts"])
def test_a_package_that_is_not_there_is_told_even_if_nothing_uses_it(example, capsys, name):
    assert main(["validate", "rings.yaml", "--plugins", "shapes", "--plugins", name]) == 2
    assert f"error: --plugins: no such package, got '{name}'" in capsys.readouterr().err
    assert not imported(example)
    assert not plugins.permitted()
