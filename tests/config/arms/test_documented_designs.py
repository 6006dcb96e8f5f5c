"""Every example of a study, or of a part of one, can be planned, but for pages that have a test of their own."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from fgtune.config.arms.expand import expand
from fgtune.config.arms.records import DataShape
from fgtune.config.reading.load import load_study
from fgtune.config.reading.source import parse_yaml

ROOT = Path(__file__).parents[3]
PAGES = {page.stem: page for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
OWN_TESTS = {
    "data": "tests/data/test_docs.py",
    "coming_from": "tests/app/test_coming_from.py",
    "own_trainer": "tests/app/test_documented_blocks.py",
    "plugins": "tests/app/test_documented_blocks.py",
}
"""Pages whose examples another test reads."""
EXAMPLES = [
    (page, number, text)
    for page in PAGES
    if page not in OWN_TESTS
    for number, text in enumerate(re.findall(r"```yaml\n(.*?)```", PAGES[page].read_text(), re.S))
]
ARMS = [
    {"name": "falcon"},
    {"name": "base", "set": {"objective.preset": "base"}},
    {"name": "few", "set": {"classes.num_fine_ratio": 0.8}},
]
COMPARISON = {"kind": "comparison", "baseline": "falcon", "arms": ARMS}
SECTIONS = ("classes", "model", "objective", "neighbors")
"""Parts of a trial that an example may show alone."""
SEARCH = {"kind": "search", "trials": 3, "metric": "val/silhouette", "space": "search_spaces/loss_weights.yaml"}


@pytest.mark.parametrize(("page", "number", "text"), EXAMPLES, ids=[f"{page}-{n}" for page, n, _ in EXAMPLES])
def test_an_example_can_be_planned(tmp_path, monkeypatch, page, number, text):
    monkeypatch.chdir(ROOT)
    given = parse_yaml(text, "example").data
    classes = {"num_fine": 10} if "classes.num_fine:" in text else {"num_fine_ratio": 1.0}
    trial = {"data": {"kind": "digits"}, "classes": classes}
    design = SEARCH if "scheduler" in given else COMPARISON
    study = {"study": "s", "question": "q", "design": design}
    if "parameters" in given:
        study |= {"design": SEARCH | {"space": given}}
    elif given.keys() <= {*SECTIONS}:
        trial |= given
    else:
        study |= {key: value for key, value in given.items() if key != "trial"}
        trial |= given.get("trial", {})
        trial["data"] = {"kind": "digits"}  # not a file of the reader's
    path = tmp_path / "s.yaml"
    path.write_text(json.dumps(study | {"trial": trial}))
    plan = expand(load_study(path), lambda data: DataShape((2,), 12 if data.kind == "hierarchy" else 10, str(data)))
    assert plan.arms


def test_every_page_with_examples_is_read_somewhere():
    assert EXAMPLES
    for page, test in OWN_TESTS.items():
        assert "```yaml" in PAGES[page].read_text()
        assert page in (ROOT / test).read_text()


def test_the_page_on_spaces_names_every_shipped_one():
    text = (ROOT / "docs" / "search_spaces.md").read_text()
    assert all(f"`{path.name}`" in text for path in (ROOT / "search_spaces").glob("*.yaml"))
