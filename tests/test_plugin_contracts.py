"""Modules of the user's own: what is imported by permission, and what a broken part is told by its contract."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from fgtune.config.reading.load import load_plugin
from fgtune.config.schema.plugin import PluginConfig
from fgtune.errors import ConfigError, SolverError
from fgtune.plugins import ENVIRONMENT, Permit, parse_packages, permit_for_workers, permitting, resolve
from fgtune.testing import ContractError
from fgtune.testing.backbones import check_backbone
from fgtune.testing.datasets import check_dataset
from fgtune.testing.solvers import check_solver
from fgtune.testing.terms import check_term


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module called ``broken`` into the working directory; it is forgotten after the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(ENVIRONMENT, raising=False)

    def write(text: str) -> None:
        Path("broken.py").write_text("from __future__ import annotations\n" + text, encoding="utf-8")

    yield write
    sys.modules.pop("broken", None)


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
