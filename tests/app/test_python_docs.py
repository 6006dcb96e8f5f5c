"""The code of docs/python.md runs as it stands, in its order, in one interpreter."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(encoding="utf-8"), re.DOTALL)


def test_every_block_is_python():
    assert len(BLOCKS) >= 5
    for block in BLOCKS:
        compile(block, "docs/python.md", "exec")


@pytest.mark.integration
@pytest.mark.long  # a smoke run of a shipped study
def test_the_page_runs_from_top_to_bottom(tmp_path):
    (tmp_path / "studies").symlink_to(ROOT / "studies")
    done = subprocess.run([sys.executable, "-c", "\n".join(BLOCKS)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Fix: did you mean 'epochs'?" in done.stdout
    assert "8/8" in done.stdout
    assert (tmp_path / "reports" / "kf_sensitivity-smoke" / "report.html").is_file()
