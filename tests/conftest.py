"""Settings and real parts that the whole suite shares: one thread a process, one Ray session, small study files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# In CI the same examples every time, so that a change and not chance decides; at a desk new ones each time.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch, FAISS and BLAS are first imported

SMALL_STUDY = """
study: small
question: Does the number of fine classes matter on an easy hierarchy?
design: {kind: sensitivity, factors: {classes.num_fine_ratio: [1.0, 1.5]}}
seeds: 2
metrics: {primary: test/clustering_accuracy, also: [test/ged]}
trial:
  data: {kind: hierarchy, num_samples: 300, num_coarse: 2, fine_per_coarse: 3, dim: 6}
  model: {backbone: {kind: mlp, hidden: [16]}}
  classes: {num_fine_ratio: 1.0}
  relations: {every_steps: 3}
  epochs: 4
  batch_size: 64
execution: {checkpoint_every_epochs: 1}
"""


@pytest.fixture(scope="session")
def small_study_text() -> str:
    """A study of 4 cells, a second of training each."""
    return SMALL_STUDY


@pytest.fixture
def small_study(tmp_path) -> Path:
    """A file with the small study."""
    path = tmp_path / "small.yaml"
    path.write_text(SMALL_STUDY, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def ray_started():
    """The suite's one Ray session; runs inside it neither start nor stop Ray."""
    from fgtune.tuning.session import ray_session

    with ray_session():
        yield
