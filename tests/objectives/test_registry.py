"""A loss term takes its module and one line of the registry: all else follows from these."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fgtune
from fgtune.catalog import METRICS
from fgtune.catalog.terms import TERMS, weight_of
from fgtune.config.schema.objective import ObjectiveConfig
from fgtune.objectives.base import Need, TermContext
from fgtune.objectives.objective import Objective

PACKAGE = Path(fgtune.__file__).parent

TERM = '''
"""A term that is not fgtune's."""

from typing import ClassVar

from fgtune.objectives.base import Need, Term, provided


class FlatTerm(Term):
    """Mean over samples of the largest log-probability plus log K_F."""

    needs: ClassVar = frozenset({Need.FINE_HEAD})

    def __init__(self, config, context):
        super().__init__()

    def forward(self, outputs):
        log_probs = provided(outputs.log_probs, Need.FINE_HEAD)
        return (log_probs.max(dim=1).values + log_probs.new_tensor(log_probs.shape[1]).log()).mean()
'''

LINE = '    "flat": TermSpec("fgtune.objectives.flat:FlatTerm", "how far predictions are from uniform"),\n'
REGISTRY_END = '}\n"""Every term by name."""\n'

SCRIPT = """
import json

from support.small_cell import BASE

from fgtune.catalog import spec_of
from fgtune.config.reading.merge import patch
from fgtune.config.reading.reference import settings_page
from fgtune.config.schema.trial import TrialConfig
from fgtune.config.arms.search import is_changeable
from fgtune.data.load import load_dataset
from fgtune.training.build import build_trainer
from fgtune.training.prepared import prepare_split, views

config = TrialConfig.from_plain(patch(BASE, {"objective.lambda_flat": 0.5, "epochs": 2}, TrialConfig))
dataset = load_dataset(config.data)
prepared = prepare_split(dataset, config, 0, threads=1)
trainer = build_trainer(config, *views(dataset, prepared), prepared, 0)
found = {
    "curve": [dict(entry.metrics) for entry in trainer],
    "metrics": dict(trainer.outcome().metrics),
    "description": spec_of("train/loss_flat").description,
    "documented": "`lambda_flat` | number, >= 0.0 | required | How far predictions are from uniform."
    in settings_page(),
    "searched": is_changeable("objective.lambda_flat", noise=False),
    "written": config.to_plain()["objective"]["lambda_flat"],
    "resumed": TrialConfig.from_plain(config.to_plain()) == config,
}
print(json.dumps(found))
"""


@pytest.mark.slow
@pytest.mark.integration
def test_a_module_and_one_line_make_a_term(tmp_path):
    copy = shutil.copytree(PACKAGE, tmp_path / "fgtune", ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "objectives" / "flat.py").write_text(TERM, encoding="utf-8")
    registry = copy / "catalog" / "terms.py"
    text = registry.read_text(encoding="utf-8")
    assert text.count(REGISTRY_END) == 1
    registry.write_text(text.replace(REGISTRY_END, LINE + REGISTRY_END), encoding="utf-8")
    search = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[1])])
    environ = {**os.environ, "PYTHONPATH": search, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environ, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    for metrics in (*found["curve"], found["metrics"]):
        assert metrics["train/loss_flat"] > 0
        assert metrics["val/loss_flat"] > 0
    assert found["description"] == "how far predictions are from uniform, unweighted"
    assert found["documented"]
    assert found["searched"]
    assert found["written"] == 0.5
    assert found["resumed"]


ABOUT_ONE_TERM = {
    "analysis/checks/cells.py": {"reg"},
    "config/arms/plan_warnings.py": {"reg", "instance", "ancor"},
    "config/schema/clustering.py": {"reg"},
    "config/schema/trial.py": {"scgm"},
    "objectives/objective.py": {"fine"},
    "training/clustering/class_models.py": {"reg"},
    "training/networks.py": {"base"},
}
"""Where a term is named besides: warnings and messages about that term alone, and the weight of a class's own model."""


@pytest.mark.parametrize("name", TERMS)
def test_a_name_of_a_term_stands_in_the_registry_the_presets_and_its_module(name):
    pattern = re.compile(rf'\b(lambda|loss)_{name}\b|\b(weight|term)\("{name}"\)')
    holders = set()
    for path in PACKAGE.rglob("*.py"):
        # messages and docstrings may name a term; code may not
        code = re.sub(r'"""(.|\n)*?"""|#.*', "", path.read_text(encoding="utf-8"))
        if pattern.search(code):
            holders.add(path.relative_to(PACKAGE).as_posix())
    module = TERMS[name].place.partition(":")[0].removeprefix("fgtune.").replace(".", "/") + ".py"
    about = {path for path, names in ABOUT_ONE_TERM.items() if name in names}
    assert holders <= {"catalog/terms.py", "config/schema/objective.py", module} | about


@pytest.mark.parametrize("name", TERMS)
def test_the_registry_says_what_the_term_says(name):
    import torch

    config = ObjectiveConfig.from_plain({"preset": "untrained", weight_of(name): 1.0})
    objective = Objective(config, TermContext(4, 5, (2,), torch.arange(6) % 2, torch.arange(6)[:, None] % 2, 4))
    term, spec = objective.term(name), TERMS[name]
    assert config.terms == {name}
    assert term.on_validation == spec.on_validation
    assert (Need.NEIGHBORS in term.needs) == spec.neighbors
    assert (Need.FINE_HEAD in term.needs) == spec.fine_head
    assert (Need.FINE_LABELS in term.needs) == (spec.reads == "fine classes") == bool(config.oracle_weights)
    assert METRICS[f"loss_{name}"].splits == (("train", "val") if spec.on_validation else ("train",))
    assert METRICS[f"loss_{name}"].oracle == (spec.reads == "fine classes")
