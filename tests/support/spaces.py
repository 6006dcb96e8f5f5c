"""Small searches over spaces that a test writes out as text."""

from __future__ import annotations

from pathlib import Path

import pytest

from fgtune.config.arms.expand import expand
from fgtune.config.arms.plan import Plan
from fgtune.config.arms.records import DataShape
from fgtune.config.reading.load import load_study
from fgtune.errors import ConfigError

DIGITS = DataShape(num_coarse=(2,), num_fine=10, fingerprint="f00d")
LR = "optimizer.lr: {kind: log_uniform, low: 0.01, high: 1.0}"
STUDY = """\
study: tiny
question: Which settings?
design:
  kind: search
  trials: 5
  metric: val/silhouette
  space: space.yaml
seeds: 1
trial:
  data: {kind: digits}
  classes: {num_fine_ratio: 1.0}
"""


def plan_of(path: Path, overrides: list[str] | tuple[()] = (), shape: DataShape = DIGITS) -> Plan:
    """The plan of a study file, its data taken to be of some shape."""
    return expand(load_study(path, overrides), lambda _: shape)


def failure_of(path: Path, overrides: list[str] | tuple[()] = ()) -> str:
    """What is said about a study file that cannot be planned."""
    with pytest.raises(ConfigError) as caught:
        plan_of(path, overrides)
    return str(caught.value)
