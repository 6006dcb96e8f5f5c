from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fgtune.config.arms.expand import expand
from fgtune.config.arms.plan import Plan
from fgtune.config.arms.records import DataShape
from fgtune.config.reading.load import LoadedStudy, load_study

TEXT = """\
# Question: what?
study: small
question: What happens?
design:
  kind: sensitivity
  factors:
    classes.num_fine: [4, 5]
    relations.solver: [{kind: flow}, {kind: scip}]
    relations.mode: [learned, random_balanced]
    optimizer.nesterov: [false, true]
seeds: 2
trial: {data: {kind: digits}, classes: {num_fine: 4}, optimizer: {kind: sgd, lr: 1e-5}}
"""

Made = tuple[LoadedStudy, Plan]


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Made]:
    """Load and expand the small study with overrides, on data with the given fingerprint."""

    def make_study(*overrides: str, fingerprint: str = "f00d") -> Made:
        path = tmp_path / "small.yaml"
        path.write_text(TEXT)
        loaded = load_study(path, overrides)
        return loaded, expand(loaded, lambda _: DataShape((2,), 10, fingerprint))

    return make_study


@pytest.fixture
def small_plan(make: Callable[..., Made]) -> Plan:
    return make()[1]


@pytest.fixture
def provenance(small_plan: Plan) -> dict[str, object]:
    return json.loads(json.dumps({"study_hash": small_plan.study_hash, "command": ["fgtune"]}))
