"""Parquet files whose values take more than the file shows."""

from __future__ import annotations

import io
import resource

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from fgtune.parquet import parquet_schema, parquet_shape, read_parquet


def repeated(path, rows: int, length: int, as_categories: bool) -> None:
    """Two long texts, each of which many rows share."""
    words = pa.DictionaryArray.from_arrays(pa.array(np.arange(rows) % 2, pa.int32()), ["x" * length, "y" * length])
    parquet.write_table(pa.table({"group": words}), path, compression="zstd", store_schema=as_categories)


@pytest.mark.parametrize("as_categories", [True, False])
def test_texts_that_rows_share_are_not_copied_before_it_is_known_what_they_take(tmp_path, as_categories):
    path = tmp_path / "a.parquet"
    repeated(path, 20_000, 100_000, as_categories)
    assert path.stat().st_size < 100_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=r"the texts of column 'group' in .* hold nothing: they would take 2.0 GB"):
        read_parquet(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB
    repeated(path, 20_000, 100, as_categories)
    assert read_parquet(path)["group"].to_pylist()[:2] == ["x" * 100, "y" * 100]


def test_rows_that_hold_nothing_are_refused(tmp_path):
    path = tmp_path / "a.parquet"
    table = pa.table({"a": pa.DictionaryArray.from_arrays(np.zeros(10**7, np.int32), ["x"])})
    with parquet.ParquetWriter(path, table.schema, compression="zstd") as writer:
        for _ in range(3):
            writer.write_table(table)
    with pytest.raises(ValueError, match=r"30,000,000 rows of 1 values in .* hold nothing"):
        read_parquet(path)


@pytest.mark.parametrize("column", [pa.array([[1.0]]), pa.array([{"a": 1}]), pa.array([[1]], pa.list_(pa.int8(), 1))])
def test_lists_and_mappings_are_no_values(tmp_path, column):
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"inside": column, "a": [1]}), path)
    with pytest.raises(ValueError, match=r"column 'inside' holds .* and a value must be a number or a text"):
        read_parquet(path)
    assert read_parquet(path, ["a"]).column_names == ["a"]


def test_a_table_is_read_as_pandas_reads_it_and_its_folder_adds_nothing(tmp_path):
    path = tmp_path / "group=x" / "a.parquet"
    path.parent.mkdir()
    frame = pd.DataFrame(
        {
            "text": ["a", None, "b"],
            "word": pd.Categorical(["u", "v", "u"]),
            "bytes": [b"a", b"b", None],
            "n.1": [0.5, float("nan"), 1.5],
            "n": pd.array([1, None, 3], dtype="Int64"),
            "day": pd.to_datetime(["2020", "2021", None]),
        },
        index=pd.Index([3, 4, 5], name="k"),
    )
    frame.to_parquet(path)
    content = io.BytesIO(path.read_bytes())
    pd.testing.assert_frame_equal(read_parquet(path).to_pandas(), pd.read_parquet(io.BytesIO(path.read_bytes())))
    pd.testing.assert_frame_equal(read_parquet(content).to_pandas(), read_parquet(path).to_pandas())
    assert read_parquet(path, ["n", "text"]).column_names == ["n", "text"]
    assert parquet_schema(path).names == [*frame.columns, "k"]
    assert parquet_shape(content) == (3, 7)


def test_a_description_longer_than_that_of_any_table_is_not_read(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1" + bytes(100) + (2**31 - 1).to_bytes(4, "little") + b"PAR1")
    with pytest.raises(ValueError, match="the description of its columns has 2047 MiB"):
        parquet_schema(path)
