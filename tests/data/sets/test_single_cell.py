from __future__ import annotations

import re
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from fgtune.config.schema.data import SingleCellConfig
from fgtune.data.load import load_dataset
from fgtune.data.preparation import as_prepared, fitted_scale
from fgtune.data.readers import h5ad
from fgtune.data.views import true_relations
from fgtune.errors import DataError

h5py = pytest.importorskip("h5py", reason="h5py comes with fgtune[singlecell]")

EVERYTHING = {"kind": "counts", "min_genes": 0, "min_cells": 0, "genes": {"kind": "all"}}


@pytest.fixture
def load(tmp_path, layouts):
    """Load the tiny file, written in some encoding, with some settings."""

    def load_with(encoding="new", sparse="csr", obs=None, damage=None, **fields):
        counts = layouts.write_h5ad(tmp_path / "cells.h5ad", encoding, sparse, **(obs or {}))
        if damage is not None:
            damage(tmp_path / "cells.h5ad")
        plain = {"fine": "state", "coarse": "type", "preprocess": EVERYTHING} | fields
        plain = {name: value for name, value in plain.items() if value is not None}
        data = load_dataset(SingleCellConfig.from_plain({"path": str(tmp_path / "cells.h5ad"), **plain}))
        return data, counts

    return load_with


def normalised(counts, target=1e4):
    return np.log1p(counts / counts.sum(axis=1, keepdims=True) * target)


@pytest.mark.parametrize("encoding", ["new", "references", "records"])
@pytest.mark.parametrize("sparse", ["csr", "csc", None])
def test_every_encoding_gives_the_same_cells(load, encoding, sparse):
    data, counts = load(encoding, sparse)
    assert data.inputs == pytest.approx(normalised(counts), rel=1e-5)
    assert data.coarse_names == (("type 0", "type 1", "type 2"),)
    assert data.fine_names == tuple(f"state {number}" for number in range(6))
    assert data.fine.tolist() == [number % 6 for number in range(90)]
    assert true_relations(data)[0].tolist() == [0, 1, 2] * 2


def test_a_file_that_anndata_wrote_is_read_as_anndata_reads_it(tmp_path):
    anndata = pytest.importorskip("anndata")
    counts = csr_matrix(np.random.default_rng(0).poisson(0.7, (40, 12)).astype(np.float32))

    def text(values):  # anndata cannot write pandas' newer texts
        return pd.Index([str(value) for value in values], dtype=object)

    state = pd.Categorical.from_codes(np.arange(40) % 4 - 1, text(["a", "b", "c"]))
    obs = pd.DataFrame({"state": state, "type": pd.Categorical.from_codes(np.arange(40) % 2, text(["x", "y"]))})
    obs.index = text(range(40))
    genes = pd.DataFrame(index=text(range(12)))
    cells = anndata.AnnData(counts, obs=obs, var=genes, layers={"dense": 3 * counts.toarray()})
    cells.write_h5ad(tmp_path / "cells.h5ad")
    read = anndata.read_h5ad(tmp_path / "cells.h5ad")
    with h5ad.open_h5ad(tmp_path / "cells.h5ad") as file:
        assert np.array_equal(file.matrix(None).toarray(), read.X.toarray())
        assert np.array_equal(file.matrix("dense"), read.layers["dense"])
        assert file.column("state", "") == read.obs["state"].astype(object).fillna("").tolist()
        assert file.column("type", "") == read.obs["type"].tolist()


def test_labels_of_any_type_that_anndata_writes_are_read_as_they_are(tmp_path):
    anndata = pytest.importorskip("anndata")
    columns = {
        "whole": pd.array([10**17 + 1, None, 10**17 + 2] * 4, dtype="Int64"),
        "truth": pd.array([False, None, True] * 4, dtype="boolean"),
        "real": np.array([2.0, np.nan, 10.0] * 4),
        "numbers": pd.Categorical([2, None, 10] * 4),
        "words": pd.Categorical.from_codes([0, -1, 1] * 4, pd.Index(["NA", "T"], dtype=object)),
    }
    obs = pd.DataFrame(columns, index=pd.Index([f"c{row}" for row in range(12)], dtype=object))
    genes = pd.DataFrame(index=pd.Index(["g0", "g1"], dtype=object))
    matrix = np.arange(24, dtype=np.float32).reshape(12, 2)
    anndata.AnnData(matrix, obs=obs, var=genes).write_h5ad(tmp_path / "cells.h5ad")
    names = {
        "whole": ("100000000000000001", "100000000000000002"),
        "truth": ("False", "True"),
        "real": ("2", "10"),
        "numbers": ("2", "10"),
        "words": ("NA", "T"),
    }
    for column, expected in names.items():
        plain = {"path": str(tmp_path / "cells.h5ad"), "coarse": column, "preprocess": {"kind": "ready"}}
        data = load_dataset(SingleCellConfig.from_plain(plain))
        assert data.coarse_names == (expected,)
        assert data.coarse[:, 0].tolist() == [0, -1, 1] * 4
        assert [("holds the text NA in 4 rows" in note) for note in data.notes] == [True] * (column == "words")


def test_matrix_as_it_stands_and_layers(load):
    data, counts = load(preprocess={"kind": "ready"})
    assert np.array_equal(data.inputs, counts)
    data, counts = load(preprocess={"kind": "ready"}, layer="doubled")
    assert np.array_equal(data.inputs, 2 * counts)


def test_filters_count_expressed_genes_and_then_cells(load):
    filters = {"kind": "counts", "min_genes": 11, "min_cells": 20, "genes": {"kind": "all"}}
    data, counts = load(preprocess=filters)
    kept = counts[(counts > 0).sum(axis=1) >= 11]
    kept = kept[:, (kept > 0).sum(axis=0) >= 20]
    assert 0 < len(kept) < 90
    assert 0 < kept.shape[1] < 30
    assert data.inputs == pytest.approx(normalised(kept), rel=1e-5)
    assert len(data.fine) == len(kept)


def test_target_and_logarithm_are_settings(load):
    data, counts = load(preprocess=EVERYTHING | {"target_sum": 50.0, "log1p": False})
    assert data.inputs == pytest.approx(counts / counts.sum(axis=1, keepdims=True) * 50, rel=1e-5)


@pytest.mark.parametrize(
    "genes", [{"kind": "seurat_v3", "count": 12, "span": 0.9}, {"kind": "dispersion", "count": 12}]
)
def test_variable_genes_are_columns_of_all_genes(load, genes):
    data, _ = load(preprocess=EVERYTHING | {"genes": genes})
    whole = {column.tobytes() for column in load()[0].inputs.T.copy()}
    assert data.inputs.shape == (90, 12)
    assert all(column.tobytes() in whole for column in data.inputs.T.copy())


def test_batches_come_from_a_column(load):
    genes = {"kind": "seurat_v3", "count": 12, "span": 0.9, "batch_key": "plain"}
    assert load(preprocess=EVERYTHING | {"genes": genes})[0].inputs.shape == (90, 12)


@pytest.mark.parametrize(("column", "names"), [("plain", 6), ("number", 4)])
def test_columns_of_text_and_numbers_are_labels_too(load, column, names):
    assert load(fine=column)[0].num_fine == names


def test_a_mapping_names_coarse_classes_and_leaves_other_cells_out(load):
    mapping = {"state 0": "low", "state 1": "low", "state 5": "high"}
    data, _ = load(coarse=None, coarse_of=mapping)
    assert data.coarse_names == (("high", "low"),)
    assert data.fine_names == ("state 0", "state 1", "state 5")
    assert len(data.fine) == 45


def test_cells_without_labels(load):
    types = ["" if number % 5 == 0 else f"type {number % 2}" for number in range(90)]
    data, _ = load(obs={"type": types})
    assert (data.coarse[:, 0] < 0).sum() == 18
    states = ["" if number % 5 == 0 else "a" for number in range(90)]
    assert len(load(obs={"state": states})[0].fine) == 72
    assert len(load(fine="missing")[0].fine) == 60


def test_fine_classes_are_not_needed(load):
    data, _ = load(fine=None)
    assert data.fine is None


def _edit(edit):
    def damage(path):
        with h5py.File(path, "r+") as root:
            edit(root)

    return damage


def _truncate(path):
    path.write_bytes(path.read_bytes()[:2000])


def _link(root):
    del root["obs/state"]
    root["obs/state"] = h5py.ExternalLink("other.h5ad", "/obs/state")


def _external(root):
    del root["X"]
    root.create_dataset("X", (90, 30), dtype="f4", external=[("/etc/hostname", 0, 90 * 30 * 4)])


def _codes(root):
    root["obs/state/codes"][3] = 77


def _shorten(root):
    del root["obs/plain"]
    root["obs/plain"] = np.arange(5)


def _indices(root):
    root["X/indices"][5] = 999


FAULTS = {
    "truncated": ({"damage": _truncate}, "cells.h5ad: trial.data.path: is not a readable .h5ad ("),
    "text": ({"damage": lambda path: path.write_text("no file")}, "is not a readable .h5ad ("),
    "gone": ({"damage": lambda path: path.unlink()}, "AnnData file not found; looked for "),
    "no column": ({"fine": "kind"}, "trial.data.fine: no column 'kind' in obs, which has missing, number, plain"),
    "a column misspelt": (
        {"fine": "stat"},
        "no column 'stat' in obs, which has missing, number, plain, state, type. Fix: Did you mean 'state'?",
    ),
    "no column in records": ({"fine": "kind", "encoding": "records"}, "no column 'kind' in obs, which has state"),
    "no batch": (
        {"preprocess": EVERYTHING | {"genes": {"kind": "seurat_v3", "batch_key": "patient"}}},
        "trial.data.preprocess.genes.batch_key: no column 'patient' in obs",
    ),
    "no layer": ({"layer": "counts"}, "trial.data.layer: no layer 'counts'; the file has doubled"),
    "no matrix": ({"damage": _edit(lambda root: root.pop("X"))}, "no matrix X"),
    "codes beyond the categories": ({"damage": _edit(_codes)}, "codes do not fit their categories"),
    "indices beyond the genes": ({"damage": _edit(_indices)}, "is not a readable .h5ad ("),
    "a link to another file": ({"damage": _edit(_link)}, "'state' is a link, and links are not followed"),
    "content in another file": (
        {"damage": _edit(_external)},
        "'X' is stored outside the file, and that is not read",
    ),
    "other lengths": (
        {"damage": _edit(_shorten), "fine": "plain"},
        "obs has 5 cells, the matrix 90",
    ),
    "scaled counts": (
        {"damage": _edit(lambda root: root["X/data"].__setitem__(0, 0.5))},
        "the matrix holds no raw counts",
    ),
    "filtered to nothing": ({"preprocess": {"kind": "counts", "min_genes": 500}}, "filters leave 0 cells"),
    "a name misspelt": (
        {"coarse": None, "coarse_of": {"State 0": "a", "state 1": "b"}},
        "trial.data.coarse_of: no cell is of fine class 'State 0'. Fix: Write the names as the column does: state 0,",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_gives_one_clear_error(load, fault):
    fields, message = FAULTS[fault]
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        load(**fields)
    assert "\n" not in str(caught.value)


def test_without_h5py_the_error_says_how_to_install_it(load, monkeypatch):
    monkeypatch.setattr(h5ad, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=re.escape("needs h5py, which is not installed. Fix: Install it")):
        load()


def test_without_scanpy_the_embedded_set_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr("fgtune.data.sets.single_cell.find_spec", lambda name: None)
    with pytest.raises(DataError, match="pbmc68k_reduced comes with scanpy, which is not installed"):
        load_dataset(SingleCellConfig())


@pytest.mark.skipif(find_spec("scanpy") is None, reason="scanpy comes with fgtune[singlecell]")
def test_the_embedded_set_has_ten_states_in_five_types():
    data = load_dataset(SingleCellConfig())
    assert data.inputs.shape == (700, 765)
    assert data.coarse_names == (("B", "NK", "T", "myeloid", "progenitor"),)
    assert np.bincount(data.coarse[:, 0]).tolist() == [95, 31, 192, 369, 13]
    assert data.num_fine == 10
    assert np.bincount(true_relations(data)[0]).tolist() == [1, 1, 5, 2, 1]


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"fine": "state"}, "pbmc68k_reduced brings its own"),
        ({"preprocess": {"kind": "counts"}}, "pbmc68k_reduced holds no raw counts"),
        ({"path": "x.h5ad"}, "give coarse (a column) or coarse_of (fine name -> coarse name), one of them"),
        ({"path": "x.h5ad", "coarse_of": {"a": "b"}}, "coarse_of maps fine classes, so it needs fine"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(plain, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        SingleCellConfig.from_plain(plain)


@pytest.mark.parametrize(
    ("wish", "expected"), [({}, None), ({"standardize": "none"}, None), ({"standardize": True}, "standard")]
)
def test_genes_are_brought_to_one_scale_by_training_cells_if_asked(load, wish, expected):
    plain, _ = load()
    data, _ = load(**wish)
    np.testing.assert_array_equal(data.inputs, plain.inputs)  # as they are until a split is known
    scale = fitted_scale(data, np.arange(0, len(data.inputs), 2))
    assert (scale is None) == (expected is None)
    if scale is not None:
        training = np.asarray(plain.inputs, dtype=np.float64)[::2]
        spread = training.std(axis=0)
        by_hand = (plain.inputs - training.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
        np.testing.assert_allclose(as_prepared(data, scale).inputs, by_hand, rtol=1e-5, atol=1e-6)
