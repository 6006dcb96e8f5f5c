"""Results that come with fgtune: all of them, as the docs say, beside one's own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fgtune.analysis.bench.shipped import SHIPPED_FILE, Shipped, shipped_csv, shipped_results
from fgtune.analysis.bench.table import BenchRow, BenchTable
from fgtune.analysis.bench.words import csv_bytes, markdown, row_cells, row_head
from fgtune.analysis.verdicts.statistics import mean_interval
from fgtune.app.benching.methods import METHODS
from fgtune.data.benchmark import SETS
from fgtune.reporting.bench import render_bench

DOCS = Path(__file__).parents[3] / "docs" / "bench.md"


def table(shipped: Shipped | None) -> BenchTable:
    """A method of the benchmark and one of a user's own on one data set."""
    keys = ("test/clustering_accuracy", "test/within_coarse_accuracy", "test/ari", "test/ged", "seconds")
    scores = {key: mean_interval([0.1, 0.2, 0.3], 0.95) for key in keys}
    rows = tuple(BenchRow("digits", name, 3, 3, 3, scores, {}, ("0.1.0",)) for name in ("kmeans", "mine"))
    return BenchTable(rows, (), None, "0.1.0", shipped)


def test_every_method_has_a_result_on_every_data_set():
    found = shipped_results()
    assert set(found.scores) == {(dataset, method) for dataset in SETS for method in METHODS}
    assert all(0 <= low <= mean <= high <= 1 for mean, low, high in found.scores.values())
    assert found.version in SHIPPED_FILE.name
    columns = shipped_csv().splitlines()[0]
    assert columns == csv_bytes(table(None)).decode().splitlines()[0]


def test_the_docs_have_the_same_numbers():
    means = {key: mean for key, (mean, _, _) in shipped_results().scores.items()}
    text = DOCS.read_text(encoding="utf-8").split("Within-coarse accuracy, means over seeds:")[1]
    head, _, *lines = (re.findall(r"[^|\s][^|]*[^|\s]", line) for line in text.split("\n\n")[1].splitlines())
    methods = [name.strip("`") for name in head[1:]]
    assert len(lines) == len(SETS)
    assert f"Version {shipped_results().version} as it was on {shipped_results().measured} (" in DOCS.read_text(
        encoding="utf-8"
    )
    for name, *numbers in lines:
        assert numbers == [f"{means[name.strip('`'), method]:.3f}" for method in methods]


@pytest.mark.parametrize("render", [markdown, lambda found: render_bench(found).decode()], ids=["md", "html"])
def test_they_stand_beside_ones_own_with_their_version(render):
    shipped = Shipped("7.8.9", "2001-02-03", {("digits", "kmeans"): (0.111, 0.0555, 0.2)})
    text = render(table(shipped))
    assert re.search(r"within-coarse accuracy\W+(th\W.*)?shipped 7.8.9", text)
    assert "0.111 (0.056 to 0.200)" in text
    assert "accuracy that version 7.8.9 gave on another machine on 2001-02-03, with" in text
    assert "shipped" not in render(table(None))


def test_a_method_of_ones_own_has_none():
    found = table(shipped_results())
    place = row_head(found).index("shipped 0.1.0")
    own = [cells[place] for cells in row_cells(found)]
    mean, low, high = shipped_results().scores["digits", "kmeans"]
    assert own == [f"{mean:.3f} ({low:.3f} to {high:.3f})", "–"]
    assert {len(cells) for cells in row_cells(found)} == {len(row_head(found))}
