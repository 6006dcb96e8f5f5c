from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array, csr_matrix

from fgtune.data.sets.genes import loess, moments, variable_by_counts, variable_by_dispersion


@pytest.fixture(scope="module")
def counts() -> np.ndarray:
    """200 cells of two kinds and 150 genes; genes 0 .. 9 tell the kinds apart, gene 20 never occurs."""
    rng = np.random.default_rng(0)
    rate = np.exp(rng.normal(0.0, 1.0, 150)) * np.ones((200, 1))
    rate[100:, :10] *= 8
    rate[:, 20] = 0
    return rng.poisson(rate).astype(np.float32)


def slow_loess(x, y, span):
    """The definition, point by point, through numpy's polynomial fit."""
    size = min(len(x), max(3, int(span * len(x) + 1e-5)))
    smooth = []
    for place in x:
        nearest = np.argsort(np.abs(x - place), kind="stable")[:size]
        width = np.abs(x[nearest] - place).max()
        weight = (1 - np.minimum(np.abs(x[nearest] - place) / width, 1) ** 3) ** 3
        used = weight > 0
        smooth.append(np.polyfit(x[nearest][used] - place, y[nearest][used], 2, w=np.sqrt(weight[used]))[-1])
    return np.array(smooth)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(30, 120), st.floats(0.2, 1.0))
def test_the_smoother_agrees_with_its_definition(seed, count, span):
    rng = np.random.default_rng(seed)
    x = rng.random(count)
    y = np.sin(3 * x) + rng.normal(0, 0.1, count)
    assert loess(x, y, span) == pytest.approx(slow_loess(x, y, span), abs=1e-6)


def test_the_smoother_keeps_quadratics_and_takes_ties():
    x = np.repeat(np.linspace(-1, 1, 40), 3)
    assert loess(x, 2 * x**2 - x + 1, 0.3) == pytest.approx(2 * x**2 - x + 1)
    assert loess(np.ones(5), np.arange(5.0), 0.5) == pytest.approx(np.full(5, np.arange(5.0)[:3].mean()))


def test_many_places_are_smoothed_on_a_grid():
    x = np.linspace(0, 1, 3000)
    y = np.exp(x)
    assert np.abs(loess(x, y, 0.3) - y).max() < 1e-3


def test_moments_count_the_zeros_that_are_not_stored(counts):
    mean, variance = moments(csr_array(counts))
    assert mean == pytest.approx(counts.mean(axis=0, dtype=float))
    assert variance == pytest.approx(counts.var(axis=0, ddof=1, dtype=float))


def test_genes_by_counts_agree_with_the_formula_on_dense_counts(counts):
    x = counts.astype(float)
    mean, variance = x.mean(axis=0), x.var(axis=0, ddof=1)
    varies = variance > 0
    deviation = np.ones(150)
    deviation[varies] = np.sqrt(10 ** slow_loess(np.log10(mean[varies]), np.log10(variance[varies]), 0.3))
    standard = np.minimum((x - mean) / deviation, np.sqrt(len(x)))
    score = np.where(varies, (standard**2).sum(axis=0) / (len(x) - 1), 0)
    chosen = variable_by_counts(csr_array(counts), 30, 0.3, None)
    assert chosen.tolist() == sorted(np.argsort(-score)[:30].tolist())
    assert len(set(range(10)) & set(chosen.tolist())) >= 9


def test_genes_over_batches_go_by_their_median_rank(counts):
    batches = ["p1", "p2"] * 100
    chosen = variable_by_counts(csr_array(counts), 25, 0.3, batches)
    assert len(chosen) == 25
    assert len(set(range(10)) & set(chosen.tolist())) >= 9
    same = variable_by_counts(csr_array(np.vstack([counts, counts])), 25, 0.3, ["a"] * 200 + ["b"] * 200)
    assert same.tolist() == variable_by_counts(csr_array(counts), 25, 0.3, None).tolist()


def test_genes_by_dispersion_agree_with_pandas(counts):
    expression = counts.astype(float)
    mean = expression.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        dispersion = np.log(expression.var(axis=0, ddof=1) / mean)
    frame = pd.DataFrame({"bin": pd.cut(np.log1p(mean), 12), "dispersion": dispersion})
    grouped = frame.groupby("bin", observed=True)["dispersion"]
    score = (frame["dispersion"] - grouped.transform("mean")) / grouped.transform(lambda values: values.std(ddof=1))
    score[grouped.transform("count") == 1] = 1.0
    best = np.argsort(-score.fillna(-np.inf).to_numpy(), kind="stable")[:30]
    assert variable_by_dispersion(csr_array(counts), 30, 12).tolist() == sorted(best.tolist())


def test_more_genes_than_there_are_keeps_all(counts):
    assert variable_by_counts(csr_array(counts), 500, 0.3, None).tolist() == list(range(150))
    assert variable_by_dispersion(csr_array(counts), 500, 20).tolist() == list(range(150))


def test_a_batch_of_one_cell_has_no_say(counts):
    batches = ["alone"] + ["rest"] * 199
    chosen = variable_by_counts(csr_array(counts), 20, 0.3, batches)
    assert len(chosen) == 20


@pytest.mark.long
@pytest.mark.parametrize("batch", [None, "batch"])
def test_genes_agree_with_scanpy(counts, batch):
    anndata, scanpy = pytest.importorskip("anndata"), pytest.importorskip("scanpy")
    pytest.importorskip("skmisc")
    cells = anndata.AnnData(csr_matrix(counts))
    cells.obs["batch"] = ["p1", "p2"] * 100
    scanpy.pp.highly_variable_genes(cells, flavor="seurat_v3", n_top_genes=30, batch_key=batch)
    theirs = np.flatnonzero(cells.var["highly_variable"])
    mine = variable_by_counts(csr_array(counts), 30, 0.3, None if batch is None else cells.obs["batch"].tolist())
    assert len(np.intersect1d(theirs, mine)) >= 29
