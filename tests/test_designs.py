"""A kind of design is its config class and one object in every layer; no module asks which one it has before it."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import get_args

import pytest

import fgtune
from fgtune.analysis.summary import SUMMARISERS
from fgtune.config.arms import designs as planning
from fgtune.config.schema.designs import Design
from fgtune.config.schema.paths import kind_of, submodels
from fgtune.config.schema.study import DesignConfig
from fgtune.engine import designs as running

CLASSES = submodels(get_args(DesignConfig)[0])
REGISTRIES = {"config": planning.DESIGNS, "engine": running.DESIGNS, "analysis": SUMMARISERS}
SOURCES = sorted(Path(fgtune.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("layer", REGISTRIES)
def test_every_design_of_a_study_file_has_an_object_in_the_layer(layer):
    assert set(REGISTRIES[layer]) == {kind_of(design) for design in CLASSES}


def test_every_design_answers_what_any_design_is_asked():
    assert len(CLASSES) == 6
    assert all(issubclass(design, Design) for design in CLASSES)


def asked(source: Path) -> list[str]:
    """Where a module asks for the class or the kind of a design, instead of asking the design."""
    names, found = {design.__name__ for design in CLASSES}, []
    text = source.read_text(encoding="utf-8")
    if "design.kind" not in text and not any(name in text for name in names):
        return []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
            if names & {each.id for each in ast.walk(node.args[1]) if isinstance(each, ast.Name)}:
                found.append(f"{source}:{node.lineno}: {ast.unparse(node)}")
        elif isinstance(node, ast.Compare) and ast.unparse(node.left).endswith("design.kind"):
            found.append(f"{source}:{node.lineno}: {ast.unparse(node)}")
    return found


def test_no_module_asks_which_design_a_study_has():
    assert [line for source in SOURCES for line in asked(source)] == []


def test_a_question_after_the_design_is_found(tmp_path):
    source = tmp_path / "asking.py"
    source.write_text(
        "def trials(study):\n"
        "    if isinstance(study.design, SearchDesign | ComparisonDesign):\n"
        "        return study.design.trials\n"
        "    return 0 if study.design.kind == 'ablation' else 1\n",
        encoding="utf-8",
    )
    assert len(asked(source)) == 2
