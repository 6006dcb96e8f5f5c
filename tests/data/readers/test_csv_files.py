"""Wide text tables: the types are those that Arrow finds by itself, in a fraction of its time."""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from fgtune.data.readers.csv_files import read_csv, read_header

CELLS = (
    *("0", "1", "-3", "+4", "007", "9" * 17, "9" * 18, "9" * 25, "0.5", "-1.25", ".5", "5.", "1e3", "1.5e-3", "nan"),
    *("", "NA", "null", "inf", "true", "2024-01-31", "2024-01-31 10:00:00", "10:00", "a", "1,5", "1_000", "²", "٣"),
)
"""What a cell may be; most look like numbers, and not all are."""


def by_arrow(path, texts=()):
    """The table as Arrow reads it when it is told nothing of wide tables."""
    options = pyarrow.csv.ConvertOptions(column_types={name: pa.string() for name in texts})
    reading = pyarrow.csv.ReadOptions(block_size=1 << 24)
    return pyarrow.csv.read_csv(path, read_options=reading, convert_options=options)


@pytest.mark.parametrize("late", [0, 3])
def test_a_wide_table_has_the_types_and_values_that_arrow_finds(tmp_path, late):
    rng = np.random.default_rng(late)
    kinds = [rng.choice(len(CELLS), size=rng.integers(1, 4)) for _ in range(1500)]
    names = [f"c{n}" for n in range(len(kinds))]
    rows = [[CELLS[rng.choice(kind)] for kind in kinds] for _ in range(8)]
    for row in rows[: 8 - late]:  # some tables begin like numbers and go on otherwise
        row[:] = [cell if late == 0 else "1" for cell in row]
    path = tmp_path / "wide.csv"
    lines = [",".join(f'"{cell}"' if "," in cell else cell for cell in row) for row in (names, *rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert read_header(path, ",") == names
    found, expected = read_csv(path, ",", names, None, {"c0", "c7"}), by_arrow(path, ("c0", "c7"))
    assert found.schema == expected.schema
    for name in names:  # NaN is not equal to itself
        assert str(found[name].to_pylist()) == str(expected[name].to_pylist()), name
    some = read_csv(path, ",", names, names[3:1300], {"c7"})
    assert some.schema == expected.select(names[3:1300]).schema


@pytest.mark.slow
def test_lines_longer_than_a_block_of_arrow_are_read(tmp_path):
    path, names = tmp_path / "long.csv", [f"gene_{n:020d}" for n in range(30_000)]
    value = "0.123456789012345678901234567890123456789"
    path.write_text("\n".join([",".join(names), *[",".join([value] * len(names))] * 3]) + "\n")
    with pytest.raises(pa.ArrowInvalid, match="straddling"):
        pyarrow.csv.read_csv(path)
    table = read_csv(path, ",", names, None, set())
    assert table.shape == (3, 30_000)
    assert set(table.schema.types) == {pa.float64()}


@pytest.mark.slow
def test_fifty_thousand_columns_take_a_fraction_of_the_time(tmp_path):
    path, names = tmp_path / "wide.csv", [f"f{n}" for n in range(50_000)]
    path.write_text("\n".join([",".join(names), *[",".join(["0.5"] * len(names))] * 4]) + "\n")
    started = time.process_time()
    by_arrow(path)
    plain = time.process_time()
    read_csv(path, ",", names, None, set())
    assert (time.process_time() - plain) < (plain - started) / 2  # measured: a fifth
