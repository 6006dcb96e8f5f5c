"""Data files that claim, hide or cost more than they hold: refused, with nothing written and no code of theirs run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import hostile, hostile_data, hostile_models

from fgtune.app.cli import main

CASES = [(kind, name) for kind, corpus in hostile_data.CORPORA.items() for name in corpus]
HEAVY = {
    "bomb.npz",
    "very_wide.csv",
    "cell.csv",
    "quoted_cell.csv",
    "name.csv",
    "one_line.csv",
    "commas.csv",
}
HEAVY |= {
    "wide.parquet",
    "runs.parquet",
    "bomb",
    "header.npz",
    "lying.npz",
    "xz_bomb.npz",
    "bz2_bomb.npz",
    "comment.npz",
}
HEAVY |= {"long_list.parquet", "shared_texts.parquet", "shared_categories.parquet", "wide_bytes.parquet", "header.csv"}
HEAVY |= {
    "comment.npz",
    "ragged_late.csv",
    "claims",
    "text_bomb",
    "profile_bomb",
    "folders",
    "categories.h5ad",
    "comment_ppm",
}
"""Files that take seconds to make or to read: these are left to the slow suite."""


def options(kind: str, path: Path) -> list[str]:
    """How a study is told to read a data file."""
    chosen = ["--set", f"trial.data={json.dumps(hostile_data.config_of(kind, path))}"]
    return [*chosen, "--set", "trial.model.backbone={kind: small_cnn}"] if kind == "images" else chosen


@pytest.mark.parametrize(
    ("kind", "name"), [pytest.param(*case, marks=[pytest.mark.long] * (case[1] in HEAVY), id=case[1]) for case in CASES]
)
def test_a_data_file_that_means_harm_is_refused(tmp_path, monkeypatch, capsys, kind, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(hostile.STUDY, encoding="utf-8")
    hostile_data.CORPORA[kind][name](tmp_path / name)
    assert main(["validate", "s.yaml", *options(kind, tmp_path / name)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert "Traceback" not in said.err
    assert len(said.err) < 20_000
    assert {path.name for path in tmp_path.iterdir()} == {"s.yaml", name}  # nothing written, no RUN


@pytest.mark.long
@pytest.mark.parametrize("name", hostile_models.WEIGHTS)
def test_weights_that_mean_harm_are_refused(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(hostile.STUDY, encoding="utf-8")
    hostile_models.WEIGHTS[name](tmp_path / name)
    weights = json.dumps({"path": name})
    assert main(["validate", "s.yaml", "--set", f"trial.model.weights={weights}"]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert {path.name for path in tmp_path.iterdir()} == {"s.yaml", name}
