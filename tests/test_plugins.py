"""Parts of the user's own: the example of the documentation as it stands there, the permission, and broken parts."""

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
from fgtune.config.reading.load import load_plugin
from fgtune.config.schema.plugin import PluginConfig
from fgtune.engine.run import execute
from fgtune.errors import ConfigError, SolverError
from fgtune.plugins import Permit, parse_packages, permit_for_workers, permitted, permitting, resolve
from fgtune.results.folder import StudyFolder
from fgtune.results.options import RunOptions
from fgtune.results.records import CellState
from fgtune.testing import ContractError
from fgtune.testing.backbones import check_backbone
from fgtune.testing.datasets import check_dataset
from fgtune.testing.solvers import check_solver
from fgtune.testing.terms import check_term

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
        if name.partition(".")[0] in {"shapes", "broken", "parts_of_mine"}:
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
    ('parts:greedy"', 'parts:greedy", options: {fast: true}', "trial.relations.solver.options.fast: unknown key"),
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


# --- the gate itself --------------------------------------------------------------------------------------------


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module called ``broken`` into the working directory."""
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> None:
        Path("broken.py").write_text("from __future__ import annotations\n" + text, encoding="utf-8")

    return write


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import no_such_thing_anywhere", "module broken needs 'no_such_thing_anywhere', which is not installed"),
        ("raise RuntimeError('out of order')", "importing broken fails with RuntimeError: out of order"),
        ("def near(): ...", "module broken has no 'part', got 'broken:part'. Fix: it defines: near"),
    ],
)
def test_a_module_that_cannot_be_used_says_why(module, text, message):
    module(text)
    with permitting(["broken"]), pytest.raises(ConfigError, match=re.escape(message)):
        resolve("broken:part")


def test_permission_and_search_path_end_with_the_block(module):
    module("part = 1")
    path = list(sys.path)
    with permitting(["broken"]):
        assert resolve("broken:part") == 1
        assert permit_for_workers().packages == ("broken",)
        assert str(Path.cwd()) in permit_for_workers().search_path
    assert sys.path == path
    assert permit_for_workers() == Permit()
    with pytest.raises(ConfigError, match="a study file alone may not have the package 'broken' imported"):
        resolve("broken:part")


def test_names_of_packages_are_separated_by_commas_and_checked():
    assert parse_packages(["mine,theirs.parts", " mine "], "--plugins") == ("mine", "theirs.parts")
    with pytest.raises(ConfigError, match="--plugins: must be the name of a package, got 'os; rm'"):
        parse_packages(["os; rm"], "--plugins")


def test_options_must_be_a_config(module):
    module("class Part:\n    Options = dict")
    with permitting(["broken"]), pytest.raises(ConfigError, match="its Options must be a subclass of"):
        load_plugin(PluginConfig(kind="broken:Part"), "trial.model.backbone")


def test_a_term_may_not_ask_for_fine_labels_nor_for_keys_that_nothing_moves(module):
    module(TERM.format(needs="Need.FINE_LABELS", value="1", more=""))
    with pytest.raises(ConfigError, match="asks for fine labels, which only lambda_fine may read"):
        check_term({"kind": "broken:Part"})


# --- broken parts fail their contract ---------------------------------------------------------------------------

TERM = """
import torch
from fgtune.objectives.base import Need, Term
class Part(Term):
    needs = frozenset({{{needs}}})
    def __init__(self, options, context):
        super().__init__()
    def forward(self, outputs):
        return {value}
{more}
"""
TERMS = [
    ("Need.FINE_HEAD", "outputs.log_probs.exp()", "must be a scalar"),
    ("Need.FINE_HEAD", "outputs.log_probs.sum()", "must be >= 0"),
    ("Need.FINE_HEAD", "outputs.log_probs.detach().exp().mean()", "does not require grad"),
    ("Need.FINE_HEAD", "-outputs.log_probs[outputs.coarse[:, 0] >= 0].mean()", "must be finite"),
    ("Need.FINE_HEAD", "outputs.log_probs.exp().mean() * torch.rand(())", "must leave the global random state"),
    ("Need.FINE_HEAD", "outputs.log_probs.exp().square().mean() * outputs.rows.double().mean()", "unsupported|None"),
    ("Need.TEACHER", "outputs.features.square().mean()", "must need FINE_HEAD too"),
    ("", "outputs.teacher_logits.square().mean()", "'NoneType' object has no attribute"),
    (
        "Need.FINE_HEAD",
        "(outputs.log_probs.exp().square() * outputs.log_probs.detach().exp()).mean()",
        "must agree with finite differences",
    ),
]


@pytest.mark.parametrize(("needs", "value", "message"), TERMS, ids=[message for *_, message in TERMS])
def test_a_broken_term_fails_its_contract(module, needs, value, message):
    module(TERM.format(needs=needs, value=value, more=""))
    with pytest.raises((ContractError, RuntimeError, AttributeError), match=message):
        check_term({"kind": "broken:Part"})


BACKBONE = """
import torch
from torch import nn
class Part(nn.Module):
    def __init__(self, options, input_shape):
        super().__init__()
        self.feature_dim = 4
        self.linear = nn.Linear(3, 4)
        {more}
    def forward(self, inputs):
        return {value}
"""
BACKBONES = [
    ("", "self.linear(inputs)[:, :3]", r"features must be \(B, feature_dim\) = \(5, 4\), they are"),
    ("", "self.linear(inputs).double()", "features must be float32, they are torch[.]float64"),
    ("self.idle = nn.Linear(2, 2)", "self.linear(inputs)", "every parameter must get a finite gradient"),
    ("", "self.linear(inputs - inputs.mean(dim=0))", "in evaluation a sample must be treated alone"),
    (
        "",
        "self.linear(inputs) + torch.rand(4)",
        "the same seed must give the same logits",
    ),
    ("self.scale = nn.Parameter(torch.rand(4))", "self.linear(inputs) * self.scale", "needs reset_parameters"),
    (
        "self.shift = torch.rand(4)",
        "self.linear(inputs) + self.shift",
        "the same seed must give the same logits",
    ),
]


@pytest.mark.parametrize(("more", "value", "message"), BACKBONES, ids=[message for *_, message in BACKBONES])
def test_a_broken_backbone_fails_its_contract(module, more, value, message):
    module(BACKBONE.format(more=more or "pass", value=value))
    with pytest.raises((ContractError, RuntimeError, TypeError), match=message):
        check_backbone({"kind": "broken:Part"}, input_shape=(3,))


DATASET = """
import numpy as np
from fgtune.data.base import Dataset
def part(options):
    coarse = np.arange(30) % 2
    return {value}
"""
DATASETS = [
    ("coarse", "must return a Dataset, got 'ndarray'"),
    ("Dataset('x', np.random.rand(30, 2).astype(np.float32), coarse[:, None], (2,))", "must give the same content"),
    ("Dataset('x', np.ones((30, 2)), coarse[:, None], (2,))", "inputs must be float32 or uint8, not float64"),
    ("Dataset('x', np.ones((30, 2), np.float32), coarse[:, None], (3,))", "coarse class 2 has no samples"),
    ("Dataset('x', np.ones((30, 2), np.float32), coarse[:, None].astype(np.int32), (2,))", "coarse must be int64"),
]


@pytest.mark.parametrize(("value", "message"), DATASETS, ids=[message for _, message in DATASETS])
def test_a_broken_data_set_fails_its_contract(module, value, message):
    module(DATASET.format(value=value))
    with pytest.raises((ContractError, ConfigError), match=message):
        check_dataset({"kind": "broken:part"})


SOLVER = """
import numpy as np
from fgtune.relations.base import RawSolution, SolveStatus, objective_value
from fgtune.relations.flow import solve_flow
from dataclasses import replace
def part(problem, options):
    right = solve_flow(problem, None)
    return {value}
"""
SOLVERS = [
    ("right.fine_to_coarse", "must return a RawSolution, got ndarray"),
    ("replace(right, objective=right.objective - 1)", "claims the objective"),
    ("replace(right, bound=right.bound + 1)", "claims the bound"),
    ("replace(right, fine_to_coarse=0 * right.fine_to_coarse)", "every coarse class needs a fine class"),
    (
        "RawSolution(np.arange(len(problem.affinity)) % problem.affinity.shape[1], SolveStatus.OPTIMAL, "
        "*[objective_value(problem, np.arange(len(problem.affinity)) % problem.affinity.shape[1])] * 2)",
        "claims the bound .*, above the optimum",
    ),
]


@pytest.mark.parametrize(("value", "message"), SOLVERS, ids=[message for _, message in SOLVERS])
def test_a_broken_solver_fails_its_contract(module, value, message):
    module(SOLVER.format(value=value))
    with pytest.raises((ContractError, SolverError), match=message):
        check_solver({"kind": "broken:part"})
