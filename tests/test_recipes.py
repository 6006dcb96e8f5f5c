"""Every recipe of a published experiment runs in miniature on a tiny data set in its published layout."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import support.layouts
from rich.console import Console

from fgtune.catalog import ARM_METRICS
from fgtune.config.reading.load import load_study
from fgtune.data.sets.imagenet import TASKS
from fgtune.engine.opening import open_study
from fgtune.engine.run import execute
from fgtune.errors import ConfigError
from fgtune.results.folder import StudyFolder
from fgtune.results.options import RunOptions
from fgtune.results.records import CellState

STUDIES = Path(__file__).parents[1] / "studies"
QUICK = "hyperspectral_fierce"
"""Takes half a minute; the others take longer."""


@pytest.fixture(scope="module")
def layouts() -> ModuleType:
    """The module that writes tiny data sets, beside the tests of the loaders."""
    return support.layouts


def cifar(layouts: ModuleType, root: Path) -> dict[str, object]:
    layouts.write_cifar100(root, per_class=20, test_per_class=3)
    return {"trial.data.path": root}


def breeds(task: str) -> Callable[[ModuleType, Path], dict[str, object]]:
    def write(layouts: ModuleType, root: Path) -> dict[str, object]:
        of = TASKS[task]
        groups = layouts.write_breeds_info(root / "info", of.depth, of.ancestor, of.num_coarse, of.fine_each)
        layouts.write_imagenet(root, [wnid for group in groups.values() for wnid in group], train=5, val=1)
        return {"trial.data.path": root, "trial.data.info": root / "info"}

    return write


def tiered(layouts: ModuleType, root: Path) -> dict[str, object]:
    layouts.write_imagenet(root, layouts.write_tiered(root / "info"))
    return {"trial.data.path": root, "trial.data.info": root / "info"}


def pets(layouts: ModuleType, root: Path) -> dict[str, object]:
    return {"trial.data.path": layouts.write_pets(root)}


def products(layouts: ModuleType, root: Path) -> dict[str, object]:
    return {"trial.data.path": layouts.write_products(root), "trial.data.train_count": 40}


def cifar_fs(layouts: ModuleType, root: Path) -> dict[str, object]:
    return cifar(layouts, root)


def birds(layouts: ModuleType, root: Path) -> dict[str, object]:
    names = [f"{number + 1:03d}.Bird_{number}" for number in range(24)]
    for number, name in enumerate(names):
        for index in range(12):
            layouts.write_image(root / "images" / name / f"{index}.jpg", 10 * number + index)
    layouts.write_class_lists(root / "lists", names[:12], names[12:18], names[18:])
    return {"trial.data.path": root / "images", "trial.data.classes": root / "lists"}


def faces(layouts: ModuleType, root: Path) -> dict[str, object]:
    ages = np.random.default_rng(0).integers(10, 90, 120)
    for number, age in enumerate(ages):
        layouts.write_image(root / f"{number}.png", 2 * int(age), size=(64, 64))
    rows = [f"{number}.png,{age}\n" for number, age in enumerate(ages)]
    (root / "faces.csv").write_text("path,age\n" + "".join(rows))
    return {"trial.data.path": root}


def spectra(_layouts: ModuleType, root: Path) -> dict[str, object]:
    rng = np.random.default_rng(0)
    abundances = rng.dirichlet(np.full(4, 0.5), 300).astype(np.float32)
    spectrum = (abundances @ rng.random((4, 144))).astype(np.float32)
    np.savez(root / "pixels.npz", inputs=spectrum, fine_values=abundances)
    return {"trial.data.path": root / "pixels.npz"}


def cells(layouts: ModuleType, root: Path) -> dict[str, object]:
    pytest.importorskip("h5py", reason="h5py comes with fgtune[singlecell]")
    _, states, types = layouts.cells()
    patients = [f"patient {number % 2}" for number in range(len(states))]
    layouts.write_h5ad(root / "cells.h5ad", cell_state=states, cell_type=types, patient_id=patients)
    few = {"min_genes": 1, "min_cells": 1, "genes.count": 20, "genes.span": 1.0}
    return {"trial.data.path": root / "cells.h5ad"} | {f"trial.data.preprocess.{key}": n for key, n in few.items()}


def news(layouts: ModuleType, root: Path) -> dict[str, object]:
    layouts.write_texts(root / "news.csv", 40, header="text,topic,group")
    return {"trial.data.path": root / "news.csv"}


def two_hierarchies(root: Path, first: str, second: str, fine: str, inputs: list[str], rows: list[list]) -> Path:
    """A table of samples in four fine classes, two of each of two hierarchies that cut across each other."""
    header = [*inputs, first, second, f"{first}_half", f"{second}_half", "both", fine]
    lines = []
    for number, row in enumerate(rows):
        one, two = f"a{number % 2}", f"b{number // 2 % 2}"
        halves = (one, "") if number // 4 % 2 else ("", two)
        lines.append([*row, one, two, *halves, f"{one} {two}", f"class {number % 4}"])
    path = root / "two.csv"
    path.write_text("\n".join(",".join(map(str, line)) for line in [header, *lines]) + "\n", encoding="utf-8")
    return path


def news_twice(_layouts: ModuleType, root: Path) -> dict[str, object]:
    words = ["goal serve", "cell atom", "vote law", "lens film"]
    rows = [[f"{words[number % 4]} and more words {number % 7}"] for number in range(160)]
    return {"trial.data.path": two_hierarchies(root, "topic", "theme", "group", ["text"], rows)}


def vowels(_layouts: ModuleType, root: Path) -> dict[str, object]:
    centres = np.random.default_rng(0).normal(size=(4, 10))
    rows = [[*np.round(centres[number % 4] + 0.01 * number, 3)] for number in range(160)]
    return {"trial.data.path": two_hierarchies(root, "family", "sex", "vowel", [f"f{k}" for k in range(10)], rows)}


def benchmark_sets(layouts: ModuleType, root: Path, parts: int = 1) -> dict[str, object]:
    """The data sets of the benchmark with four classes, each of which is divided in so many."""
    pytest.importorskip("scanpy", reason="scanpy comes with fgtune[singlecell]")
    draws, fine = np.random.default_rng(0), np.arange(160) % (4 * parts)
    for name in ("mnist_5k", "penguins", "segments", "vowels"):
        inputs = draws.normal(size=(160, 6)) + 3 * fine[:, None]
        np.savez(root / f"{name}.npz", inputs=inputs.astype(np.float32), coarse=fine // (2 * parts), fine=fine)
    for name in ("newsgroups", "reuters"):
        rows = [
            f"{text},{group},{topic} {place % parts}"
            for place, (text, group, topic) in enumerate(layouts.made_texts(40))
        ]
        (root / f"{name}.csv").write_text("\n".join(["text,coarse,fine", *rows]) + "\n", encoding="utf-8")
    return {f"design.datasets.{path.stem}.path": path for path in sorted(root.iterdir())}


def tiles(_layouts: ModuleType, root: Path) -> dict[str, object]:
    fine = np.arange(180) % 6
    inputs = 0.1 * fine[:, None, None, None] + 0.4 * np.random.default_rng(0).random((180, 3, 8, 8))
    np.savez(root / "tiles.npz", inputs=inputs.astype(np.float32), coarse=fine // 3, fine=fine)
    return {"trial.data.path": root / "tiles.npz"}


def embedded(_layouts: ModuleType, _root: Path) -> dict[str, object]:
    pytest.importorskip("scanpy", reason="scanpy comes with fgtune[singlecell]")
    return {}


RECIPES: dict[str, Callable[[ModuleType, Path], dict[str, object]]] = {
    "cifar100_falcon": cifar,
    "cifar68_falcon": cifar,
    "cifar_si_falcon": cifar,
    "cifar100_two_taxonomies": cifar,
    "cifar100_xu": cifar,
    "cifar100_loss_ablation": cifar,
    "cifar100_hpo": cifar,
    "cifar100_one_at_a_time": cifar,
    "cifar68_num_fine": cifar,
    "cifar100_num_fine": cifar,
    "cifar68_oracle_relations": cifar,
    **{task: breeds(task) for task in TASKS},
    "tiered_imagenet": tiered,
    "pets_xu": pets,
    "sop_xu": products,
    "cifar_fs_fierce": cifar_fs,
    "cub_fierce": birds,
    "age_fierce": faces,
    "hyperspectral_fierce": spectra,
    "pbmc_falcon": cells,
    "single_cell": embedded,
    "newsgroups_text": news,
    "text_two_hierarchies": news_twice,
    "audio_two_hierarchies": vowels,
    "selection_many_sets": benchmark_sets,
    "num_fine_many_sets": partial(benchmark_sets, parts=3),  # twelve classes, so that no two ratios are one number
    "photographs": tiles,
}
"""For each recipe: write a tiny data set of its kind, and say where it lies."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == QUICK else pytest.mark.long) for name in RECIPES]
)
def test_recipe_runs_in_miniature_on_its_layout(name, layouts, tmp_path, monkeypatch, workers_kept):
    monkeypatch.setenv("FGTUNE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    places = RECIPES[name](layouts, tmp_path / "data")
    overrides = ("execution.max_concurrent=1", *(f"{path}={value}" for path, value in places.items()))
    out = io.StringIO()
    options = RunOptions(STUDIES / f"{name}.yaml", overrides, smoke=True, out=tmp_path, tracking_uri="none")
    assert execute(options, Console(file=out, width=300)) == 0, out.getvalue()
    folder = StudyFolder(tmp_path / f"{name}-smoke")
    results, study = folder.ledger.read(), folder.read_study()
    assert {result.arm for result in results} == {row["arm"] for row in folder.read_plan()}
    assert {result.state for result in results} == {CellState.COMPLETE}
    for result in results:
        assert study.metrics.primary in result.metrics
    told = {name for result in results for name in result.metrics} | {"cost/seconds", "cost/solver_seconds"}
    assert {*study.metrics.also} - ARM_METRICS.keys() <= told
    page = folder.report_file.read_text(encoding="utf-8")
    assert ("Published beside measured" in page) == bool(study.published)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_recipe_opens_with_its_command_and_says_what_it_asks_and_expects(name):
    path = STUDIES / f"{name}.yaml"
    assert path.read_text(encoding="utf-8").startswith(f"# python -m fgtune.run studies/{name}.yaml")
    study = load_study(path).study
    assert study.study == name
    assert study.expectation
    assert study.source


@pytest.mark.parametrize("name", sorted(set(RECIPES) - {"single_cell"}))
def test_recipe_without_its_data_says_where_they_were_sought_and_how_to_get_them(name, tmp_path, monkeypatch):
    if name == "pbmc_falcon":
        pytest.importorskip("h5py", reason="h5py comes with fgtune[singlecell]")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        open_study(STUDIES / f"{name}.yaml")
    assert f"{name}.yaml" in str(caught.value)
    assert re.search(r"trial\.data|design\.datasets\.\w+\.path", str(caught.value))
    assert "Fix:" in str(caught.value)
