from __future__ import annotations

from pathlib import Path

import pytest
from support.spaces import STUDY


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write the tiny study and the text of its space; returns the study file."""
    monkeypatch.chdir(tmp_path)

    def write_files(space: str, study: str = STUDY) -> Path:
        Path("space.yaml").write_text(space)
        Path("tiny.yaml").write_text(study)
        return Path("tiny.yaml")

    return write_files
