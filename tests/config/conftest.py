from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

STUDY = """\
study: tiny
question: What happens?
design:
  kind: sensitivity
  factors:
    classes.num_fine_ratio: [0.8, 1.0, 1.2]
  baseline:
    classes.num_fine_ratio: 1.0
seeds: 3
metrics: {primary: test/clustering_accuracy, also: [test/ari]}
trial:
  data:
    kind: digits
  classes: {num_fine_ratio: 1.0}
  optimizer: {kind: sgd, lr: 0.1}
  epochs: 60
"""


@pytest.fixture
def study_text() -> str:
    return STUDY


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write a study file: the tiny study with pieces of its text replaced, under a short relative name."""
    monkeypatch.chdir(tmp_path)

    def write_study(*replaced: tuple[str, str], text: str = STUDY) -> Path:
        for old, new in replaced:
            assert text.count(old) == 1, f"{old!r} must occur once"
            text = text.replace(old, new)
        path = Path("tiny.yaml")
        path.write_text(text, encoding="utf-8")
        return path

    return write_study
