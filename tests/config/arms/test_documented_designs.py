"""Every example of the pages on designs and search spaces is a study that can be planned."""

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
EXAMPLES = [
    (page, number, text)
    for page in ("designs", "search_spaces")
    for number, text in enumerate(re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / f"{page}.md").read_text(), re.S))
]
SEARCH = {"kind": "search", "trials": 3, "metric": "val/silhouette", "space": "search_spaces/loss_weights.yaml"}


@pytest.mark.parametrize(("page", "number", "text"), EXAMPLES, ids=[f"{page}-{n}" for page, n, _ in EXAMPLES])
def test_an_example_can_be_planned(tmp_path, monkeypatch, page, number, text):
    monkeypatch.chdir(ROOT)
    given = parse_yaml(text, "example").data
    study = {"study": "s", "question": "q", "trial": {"data": {"kind": "digits"}, "classes": {"num_fine_ratio": 1.0}}}
    study |= {"design": SEARCH | {"space": given}} if "parameters" in given else {"design": SEARCH, **given}
    path = tmp_path / "s.yaml"
    path.write_text(json.dumps(study))
    plan = expand(load_study(path), lambda data: DataShape((2,), 12 if data.kind == "hierarchy" else 10, str(data)))
    assert plan.arms


def test_the_page_on_spaces_names_every_shipped_one():
    text = (ROOT / "docs" / "search_spaces.md").read_text()
    assert all(f"`{path.name}`" in text for path in (ROOT / "search_spaces").glob("*.yaml"))
