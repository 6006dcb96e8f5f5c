"""The table of a benchmark against plain formulas, from folders with known numbers."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from fgtune.analysis.bench.columns import PRIMARY
from fgtune.analysis.bench.table import tabulate
from fgtune.analysis.bench.words import csv_bytes, markdown, pooled_lines
from fgtune.analysis.inputs import read_study
from fgtune.reporting.bench import render_bench
from fgtune.results.records import CellState

METHODS = ("kmeans", "falcon", "base")


@pytest.fixture
def studies(synthetic, tmp_path, ledger_alone):
    """Numbers of three methods on some sets, and their studies; ``lost`` are (set, method, seed) that failed."""

    def write(sets=("digits", "penguins", "vowels"), methods=METHODS, lost=(), name=""):
        found, values = {}, {}
        for place, each in enumerate(sets):
            arms = [{"name": method, "set": {"epochs": 3 + rank}} for rank, method in enumerate(methods)]
            study = {
                "study": each + name, "question": "Which?", "seeds": 3,
                "design": {"kind": "comparison", "baseline": methods[0], "arms": arms},
                "metrics": {"primary": PRIMARY, "also": ["test/ari"]},
                "trial": {"data": {"kind": "digits", "limit": 500 + place}, "classes": {"num_fine": 10}},
            }  # fmt: skip
            folder = synthetic.SyntheticStudy(text=json.dumps(study)).write(tmp_path / f"{each}{name}")
            for line in folder.ledger.read():
                rng = np.random.default_rng([place, METHODS.index(line.arm) if line.arm in METHODS else 9, line.seed])
                value = float(rng.uniform(0.3, 0.9))
                gone = (each, line.arm, line.seed) in lost
                metrics = {} if gone else {PRIMARY: value, "test/ari": value - 0.1}
                state = CellState.FAIL if gone else CellState.COMPLETE
                folder.ledger.append(replace(line, metrics=metrics, state=state, seconds=float(line.seed)))
                if not gone:
                    values[each, line.arm, line.seed] = value
            found[each] = [read_study(folder)]
        return found, values

    return write


def test_means_and_intervals_are_students(studies):
    found, values = studies()
    table = tabulate(found)
    assert len(table.rows) == 9
    for row in table.rows:
        own = [values[row.dataset, row.method, seed] for seed in range(3)]
        half = stats.t.ppf(0.975, 2) * np.std(own, ddof=1) / math.sqrt(3)
        score = row.scores[PRIMARY]
        assert (score.mean, score.low, score.high) == pytest.approx(
            (np.mean(own), max(np.mean(own) - half, 0), min(np.mean(own) + half, 1))
        )
        assert row.scores["seconds"].mean == 1.0
        assert math.isnan(row.scores["test/ged"].mean)


def test_ranks_and_pooled_differences_are_those_of_the_means(studies):
    found, values = studies()
    table = tabulate(found)
    sets = list(found)
    means = np.array([[np.mean([values[s, m, seed] for seed in range(3)]) for m in METHODS] for s in sets])
    ranks = stats.rankdata(-means, axis=1).mean(axis=0)
    gains = means - means[:, :1]
    for row in table.pooled:
        column = METHODS.index(row.method)
        assert row.rank == pytest.approx(ranks[column])
        assert row.mean == pytest.approx(means[:, column].mean())
        if column:
            wanted = stats.ttest_1samp(gains[:, column], 0).confidence_interval(0.95)
            assert row.gain.estimate.mean == pytest.approx(gains[:, column].mean())
            assert (row.gain.estimate.low, row.gain.estimate.high) == pytest.approx((wanted.low, wanted.high))
        else:
            assert row.gain is None
    assert [row.rank for row in table.pooled] == sorted(ranks)
    assert table.ranks.statistic == pytest.approx(stats.friedmanchisquare(*means.T).statistic)


def test_failed_cells_are_counted_and_no_zeros(studies):
    found, values = studies(lost={("digits", "falcon", 1)})
    row = next(row for row in tabulate(found).rows if (row.dataset, row.method) == ("digits", "falcon"))
    assert (row.complete, row.planned) == (2, 3)
    assert row.scores[PRIMARY].mean == pytest.approx(np.mean([values["digits", "falcon", seed] for seed in (0, 2)]))
    assert "| digits | falcon | 2 of 3 |" in markdown(tabulate(found))


def test_a_set_that_has_not_run_to_its_end_is_not_ranked(studies):
    found, _ = studies()
    data = found["vowels"][0]
    last = {cell.cell_id for cell in data.planned if cell.seed == 2}
    results = {cell: result for cell, result in data.results.items() if cell not in last}
    table = tabulate({**found, "vowels": [replace(data, results=results)]})
    assert table.ranks.datasets == ("digits", "penguins")
    assert set(table.ranks.arms) == set(METHODS)
    assert "over 2 data sets" in " ".join(pooled_lines(table))
    assert "| vowels | base | 2 of 3 |" in markdown(table)


def test_a_method_that_was_added_on_one_set_joins_the_table_and_not_the_ranks(studies):
    found, _ = studies()
    more, values = studies(sets=("digits",), methods=("mine",), name="-2")
    table = tabulate({**found, "digits": [*found["digits"], *more["digits"]]})
    mine = next(row for row in table.pooled if row.method == "mine")
    assert (mine.datasets, math.isnan(mine.rank)) == (1, True)
    assert "mine" not in table.ranks.arms
    assert mine.gain.estimate.mean == pytest.approx(
        np.mean([values["digits", "mine", s] - value_of(table, "digits", "kmeans", s) for s in range(3)])
    )


def value_of(table, dataset, method, seed):
    row = next(row for row in table.rows if (row.dataset, row.method) == (dataset, method))
    return row.values[seed]


def test_one_set_has_no_ranks_and_says_so(studies):
    found, _ = studies(sets=("digits",))
    table = tabulate(found)
    assert table.ranks is None
    assert "Ranks need two data sets" in pooled_lines(table)[-1]
    assert tabulate({}).rows == ()
    assert pooled_lines(tabulate({})) == ["No data set has a finished cell yet."]


def test_files_hold_the_same_numbers_and_repeat_to_the_byte(studies):
    found, values = studies()
    table = tabulate(found)
    rows = list(csv.DictReader(io.StringIO(csv_bytes(table).decode())))
    assert len(rows) == 9
    for row in rows:
        own = [values[row["dataset"], row["method"], seed] for seed in range(3)]
        assert float(row["within_coarse_accuracy"]) == pytest.approx(np.mean(own))
        assert row["ged"] == ""
    page = render_bench(table)
    assert page == render_bench(tabulate(found))
    mean = np.mean([values["penguins", "base", seed] for seed in range(3)])
    assert f"{mean:.3f}" in page.decode()
    assert f"{mean:.3f}" in markdown(table)
    assert "Gorman" in page.decode()
