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


@pytest.mark.parametrize(
    ("program", "plain"), list(zip(blocks("python"), CONFIGS[-2:], strict=True)), ids=["text", "audio"]
)
def test_the_programs_make_features_that_load(program, plain, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(program, str(PAGE), "exec"), {})  # noqa: S102 (a program of our own page)
    data = load_dataset(TypeAdapter(DataConfig).validate_python(plain))
    assert data.num_fine == 4
    assert np.bincount(true_relations(data)[0]).tolist() == [2, 2]
    centres = np.stack([data.inputs[data.fine == fine].mean(axis=0) for fine in range(4)])
    nearest = ((data.inputs[:, None] - centres[None]) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == data.fine).mean() > 0.9
