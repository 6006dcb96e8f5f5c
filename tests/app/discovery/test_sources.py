"""What is made of a user's table, arrays, cells or images: labels found or asked for, inputs free of labels."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fgtune.app.discovery import columns
from fgtune.app.discovery.columns import Column
from fgtune.app.discovery.read import read_source
from fgtune.app.discovery.request import content_of
from fgtune.app.discovery.source import Asked
from fgtune.config.schema.trial import TrialConfig
from fgtune.data.load import load_dataset
from fgtune.errors import DataError


def test_images_that_a_table_lists_by_names_that_no_file_has_are_told(tmp_path):
    for label in ("a", "b"):
        (tmp_path / "set" / label).mkdir(parents=True)
    lines = [f"{'x' * 5000}{n}.png,{'ab'[n % 2]}" for n in range(20)]
    (tmp_path / "set" / "list.csv").write_text("\n".join(["path,coarse", *lines]))
    source = read_source(Asked(tmp_path / "set"), tmp_path / "out")
    with pytest.raises(DataError, match=r"image cannot be read \(File name too long\)"):
        loaded(source)


@pytest.mark.parametrize("kind", ["too deep", "no UTF-8"])
def test_folders_of_images_that_cannot_be_named_are_told(tmp_path, kind):
    root = tmp_path / "set"
    for name in ("a", os.fsdecode(b"caf\xe9") if kind == "no UTF-8" else "b"):
        (root / name).mkdir(parents=True)
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(root / name / "x.png")
    if kind == "too deep":
        there = os.open(root / "b", os.O_RDONLY)
        for _ in range(30):
            os.mkdir("d" * 200, dir_fd=there)
            there, above = os.open("d" * 200, os.O_RDONLY, dir_fd=there), there
            os.close(above)
        os.close(there)
    with pytest.raises(DataError, match="too long" if kind == "too deep" else "must be UTF-8"):
        read_source(Asked(root), tmp_path / "out")
    assert len(content_of(root)) == 16


@pytest.mark.parametrize("suffix", [".npz", ".h5ad", ".csv", ".parquet"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_pipe_or_a_device_is_never_read(tmp_path, kind, suffix):
    path = tmp_path / f"data{suffix}"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(DataError, match="is neither a regular file nor a folder"):
        read_source(Asked(path), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_is_written_before_the_call_begins(tmp_path):
    table().to_csv(tmp_path / "t.csv", index=False)
    begun = []
    read_source(
        Asked(tmp_path / "t.csv", coarse="kind"), tmp_path / "out", lambda: begun.append((tmp_path / "out").exists())
    )
    assert begun == [False]


def loaded(source):
    return load_dataset(TrialConfig.from_plain({"data": source.config, "classes": {"num_fine": 4}}).data)


def table(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    fine = np.arange(n) % 4
    return pd.DataFrame(
        {
            "id": [f"s{row}" for row in range(n)],
            "length": rng.normal(size=n) + fine,
            "width": rng.normal(size=n),
            "kind": np.where(fine < 2, "cat", "dog"),
            "breed": fine,
            "note": [f"seen on day {row % 7}" for row in range(n)],
        }
    )


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_a_table_gives_its_columns_of_numbers_and_its_coarse_labels(tmp_path, suffix):
    frame, path = table().drop(columns="note"), tmp_path / f"pets{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
    source = read_source(Asked(path), tmp_path / "out")
    assert (source.coarse, source.features, source.id_name) == ("kind", ("length", "width"), "id")
    assert source.ids == [f"s{row}" for row in range(60)]
    dataset = loaded(source)
    assert dataset.fine is None
    assert dataset.coarse_names == (("cat", "dog"),)
    assert [("cat", "dog")[label] for label in dataset.coarse[:, 0]] == frame["kind"].tolist()
    assert np.corrcoef(dataset.inputs[:, 0], frame["length"])[0, 1] == pytest.approx(1.0)


def test_a_column_that_divides_coarse_classes_as_labels_would_is_no_input(tmp_path):
    table().to_csv(tmp_path / "t.csv", index=False)
    source = read_source(Asked(tmp_path / "t.csv", coarse="kind"), tmp_path / "out")
    assert source.features == ("length", "width")
    notes = " ".join(source.notes)
    assert "they divide the coarse classes as labels would: breed" in notes
    assert "they hold text: note" in notes


def nested(n: int, num_fine: int) -> pd.DataFrame:
    """Whole numbers in which fine classes are numbered from 11 on, the first half of them of one coarse class."""
    rng = np.random.default_rng(0)
    fine = rng.permutation(np.arange(n) % num_fine)
    values = {"x": rng.normal(size=n), "days": rng.integers(0, n, n), "species": fine + 11.0}
    return pd.DataFrame({**values, "kind": np.where(fine < num_fine / 2, "cat", "dog")})


@pytest.mark.parametrize(("n", "num_fine"), [(3000, 120), (200, 50), (60, 4)])
def test_fine_labels_of_any_number_of_classes_are_no_input(tmp_path, n, num_fine):
    frame = nested(n, num_fine)
    frame.loc[3, "species"] = np.nan
    frame.to_csv(tmp_path / "t.csv", index=False)
    source = read_source(Asked(tmp_path / "t.csv", coarse="kind"), tmp_path / "out")
    assert source.features == ("x", "days")
    assert "they divide the coarse classes as labels would: species" in " ".join(source.notes)


def test_whole_numbers_that_hardly_repeat_are_an_input(tmp_path):
    frame = table().assign(day=np.random.default_rng(0).permutation(60 * 9)[:60])
    frame.loc[4, "day"] = frame.loc[0, "day"]
    frame.to_csv(tmp_path / "t.csv", index=False)
    source = read_source(Asked(tmp_path / "t.csv", coarse="kind"), tmp_path / "out")
    assert source.features == ("length", "width", "day")


def test_chance_divides_as_often_as_simulated():
    """Pairs of equal values in shuffled coarse classes of shares 1/4 and 3/4: 5/8 a pair."""
    coarse = np.arange(40) % 4 == 0
    pairs = np.arange(40) // 2
    rng = np.random.default_rng(0)
    number = 4
    rows = 2 * number
    kept = Column("x", np.where(np.arange(40) < rows, pairs, np.arange(40)), tuple(map(str, range(40))), text=False)
    drawn = [rng.random(rows) < 0.25 for _ in range(4000)]
    share = np.mean([(one[::2] == one[1::2]).all() for one in drawn])
    assert share == pytest.approx((5 / 8) ** number, abs=0.02)
    label = Column("y", coarse.astype(np.int64), ("a", "b"), text=True)
    for limit, expected in (((5 / 8) ** number * 1.01, False), ((5 / 8) ** number * 0.99, True)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(columns, "CHANCE", limit)
            assert columns.refines_by_chance(kept, label) is expected


def test_all_columns_that_name_or_number_the_rows_are_left_out(tmp_path):
    frame = table().sort_values("kind", kind="stable").drop(columns="breed")
    rows = np.arange(60)
    frame = frame.assign(place=rows + 7, rank=rows.astype(float), patient_id=(rows * 37) % 61, code=rows[::-1] ** 2)
    frame["note"] = [f"note {row}" for row in rows]
    frame.to_csv(tmp_path / "t.csv", index=False)
    source = read_source(Asked(tmp_path / "t.csv"), tmp_path / "out")
    assert source.features == ("length", "width")
    assert "Left out, because they look like row numbers, identifiers or labels: code." in source.notes
    assert source.id_name == "id"
    notes = " ".join(source.notes)
    assert "Samples have the names in column id." in notes
    assert "they name or number the rows: note, patient_id, place, rank." in notes
    frame[["place", "rank", "length", "kind"]].to_csv(tmp_path / "t.csv", index=False)
    source = read_source(Asked(tmp_path / "t.csv"), tmp_path / "out")
    assert (source.id_name, source.ids[:2], source.features) == ("place", ["7", "8"], ("length",))


def test_an_input_may_have_the_name_of_the_prepared_labels(tmp_path):
    table().rename(columns={"length": "coarse_label"}).drop(columns="note").to_csv(tmp_path / "t.csv", index=False)
    source = read_source(Asked(tmp_path / "t.csv", coarse="kind"), tmp_path / "out")
    dataset = loaded(source)
    assert dataset.inputs.shape == (60, len(source.features)) == (60, 2)
    assert dataset.coarse_names == (("cat", "dog"),)


def test_fine_labels_are_kept_apart_where_they_are_named(tmp_path):
    table().to_csv(tmp_path / "t.csv", index=False)
    source = read_source(Asked(tmp_path / "t.csv", coarse="kind", fine="breed"), tmp_path / "out")
    assert source.fine == [str(row % 4) for row in range(60)]
    assert loaded(source).fine is None
    assert "breed" not in pd.read_parquet(tmp_path / "out" / "data.parquet")


def test_columns_that_may_all_hold_the_coarse_labels_are_listed_and_nothing_is_written(tmp_path):
    frame = table().assign(colour=["red", "blue", "red"] * 20)
    frame.to_csv(tmp_path / "t.csv", index=False)
    wanted = r"t\.csv: --coarse: several columns may hold the coarse labels: kind \(2 classes\), note \(7 classes\), "
    with pytest.raises(DataError, match=wanted + r"colour \(2 classes\)\. Fix: name one, e\.g\. --coarse kind"):
        read_source(Asked(tmp_path / "t.csv"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    frame["superclass"] = frame["kind"]
    frame.to_csv(tmp_path / "t.csv", index=False)
    assert read_source(Asked(tmp_path / "t.csv"), tmp_path / "out").coarse == "superclass"


@pytest.mark.parametrize(
    ("frame", "asked", "rule"),
    [
        (table(), {"coarse": "colour"}, "colour: no such column"),
        (table()[["length", "width"]], {}, "no column looks like coarse labels"),
        (table()[["kind", "note"]], {"coarse": "kind"}, "no column of numbers is left"),
        (table().assign(one=1), {"coarse": "one"}, "must hold at least two coarse classes"),
        (table(), {"coarse": "length"}, "they are no classes"),
        (table(8), {}, "must have at least 10 rows"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path, frame, asked, rule):
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match=rule):
        read_source(Asked(tmp_path / "t.csv", **asked), tmp_path / "out")


def test_missing_values_are_filled_and_counted_and_empty_columns_are_left_out(tmp_path):
    frame = table().assign(rare=np.nan)
    frame.loc[[3, 5], "width"] = np.nan
    frame.loc[3, "length"] = np.inf
    frame.loc[:9, "rare"] = 1.0
    frame.to_csv(tmp_path / "t.csv", index=False)
    source = read_source(Asked(tmp_path / "t.csv", coarse="kind"), tmp_path / "out")
    notes = " ".join(source.notes)
    assert "more than half is missing: rare" in notes
    assert "3 values missing in 2 rows" in notes
    assert source.numbers[3, 1] == frame["width"].median()
    column = source.columns[1]
    assert (column.name, column.missing) == ("width", frame["width"].median())
    prepared = pd.read_parquet(tmp_path / "out" / "data.parquet")["width"]
    assert prepared[3] == pytest.approx((column.missing - column.center) / column.divisor)
    assert prepared[0] == pytest.approx((frame["width"][0] - column.center) / column.divisor)


def test_columns_of_very_different_spread_are_brought_to_one_scale(tmp_path):
    frame = table().assign(income=np.random.default_rng(1).normal(size=60) * 5e4)
    frame.to_csv(tmp_path / "t.csv", index=False)
    source = read_source(Asked(tmp_path / "t.csv", coarse="kind"), tmp_path / "out")
    assert np.asarray(loaded(source).inputs).std(axis=0) == pytest.approx(1.0, abs=1e-5)
    frame.drop(columns="income").to_csv(tmp_path / "t.csv", index=False)
    source = read_source(Asked(tmp_path / "t.csv", coarse="kind"), tmp_path / "out")
    deviation = np.asarray(loaded(source).inputs).std(axis=0)
    assert deviation[0] / deviation[1] == pytest.approx(frame["length"].std() / frame["width"].std(), rel=1e-4)


def test_an_empty_cell_is_no_coarse_label(tmp_path):
    frame = table()
    frame.loc[7, "kind"] = None
    frame.to_csv(tmp_path / "t.csv", index=False)
    dataset = loaded(read_source(Asked(tmp_path / "t.csv", coarse="kind"), tmp_path / "out"))
    assert np.flatnonzero(dataset.coarse[:, 0] < 0).tolist() == [7]


def test_arrays_may_have_any_names_and_labels_of_words(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.array(["a", "b"] * 20)
    np.savez(tmp_path / "x.npz", X=rng.normal(size=(40, 6)), y=labels, fine=np.arange(40) % 4)
    source = read_source(Asked(tmp_path / "x.npz", fine="fine"), tmp_path / "out")
    assert (source.kind, source.coarse, source.coarse_names, source.shape) == ("arrays", "y", ("a", "b"), (6,))
    assert source.fine == [str(row % 4) for row in range(40)]
    dataset = loaded(source)
    assert dataset.fine is None
    assert dataset.coarse[:, 0].tolist() == [0, 1] * 20


@pytest.mark.parametrize("shape", [(40, 8, 9), (40, 1, 8, 9), (40, 8, 9, 1)])
def test_arrays_of_images_get_their_channels_first(tmp_path, shape):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "x.npz", images=rng.integers(0, 256, shape, dtype=np.uint8), coarse=np.arange(40) % 2)
    source = read_source(Asked(tmp_path / "x.npz"), tmp_path / "out")
    inputs = np.asarray(loaded(source).inputs)
    assert source.shape == inputs.shape[1:] == (1, 8, 9)
    assert (inputs.min(), inputs.max()) == (0.0, 1.0)
    assert source.numbers is None


def test_arrays_whose_meaning_is_not_clear_are_refused(tmp_path):
    values = np.ones((40, 3))
    np.savez(tmp_path / "x.npz", one=values, two=values, coarse=np.arange(40) % 2)
    with pytest.raises(DataError, match="not clear which array holds the inputs; the file has coarse, one, two"):
        read_source(Asked(tmp_path / "x.npz"), tmp_path / "out")
    np.savez(tmp_path / "x.npz", inputs=values, coarse=np.arange(39) % 2)
    with pytest.raises(DataError, match=r"no column looks like coarse labels"):
        read_source(Asked(tmp_path / "x.npz"), tmp_path / "out")
    with pytest.raises(DataError, match=r"coarse: must have one coarse label per sample \(40\), got \(39,\)"):
        read_source(Asked(tmp_path / "x.npz", coarse="coarse"), tmp_path / "out")
    for fine in (np.arange(39), np.ones((40, 2))):
        np.savez(tmp_path / "x.npz", inputs=values, coarse=np.arange(40) % 2, kinds=fine)
        with pytest.raises(DataError, match=r"kinds: must have one fine label per sample \(40\), got \("):
            read_source(Asked(tmp_path / "x.npz", coarse="coarse", fine="kinds"), tmp_path / "out")


@pytest.mark.parametrize("shape", [(40, 3), (40, 6, 6)])
def test_arrays_with_values_that_are_not_finite_are_refused_by_the_name_of_the_users_file(tmp_path, shape):
    values = np.ones(shape)
    values[7, 1], values[9, 0] = np.nan, -np.inf
    wrong = int((~np.isfinite(values)).sum())
    np.savez(tmp_path / "x.npz", inputs=values, coarse=np.arange(40) % 2)
    rule = rf"x\.npz: inputs: must be finite: {wrong} values in 2 samples are not, the first in row 7\. Fix: fill"
    with pytest.raises(DataError, match=rule):
        read_source(Asked(tmp_path / "x.npz"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_arrays_that_are_left_out_hold_neither_inputs_nor_labels(tmp_path):
    labels = np.arange(40) % 2
    np.savez(tmp_path / "x.npz", one=np.eye(40), two=np.ones((40, 3)), a=labels, b=labels)
    source = read_source(Asked(tmp_path / "x.npz", left_out=("two", "b")), tmp_path / "out")
    assert (source.shape, source.coarse) == ((40,), "a")
    for asked, rule in ((("three",), "three: no such array"), (("a", "two"), "a: cannot hold labels and be left out")):
        with pytest.raises(DataError, match=rule):
            read_source(Asked(tmp_path / "x.npz", coarse="a", left_out=asked), tmp_path / "out")


def test_cells_keep_their_genes_and_names(tmp_path):
    anndata = pytest.importorskip("anndata")
    rng = np.random.default_rng(0)
    cells, genes = (
        pd.Index(names, dtype=object) for names in ([f"c{row}" for row in range(30)], ["CD3", "CD19", "NK"])
    )
    types = pd.Categorical(pd.Series(["T", "B"] * 15, dtype=object))
    obs = pd.DataFrame({"cell_type": types, "depth": rng.normal(size=30)}, index=cells)
    var = pd.DataFrame(index=genes)
    anndata.AnnData(rng.normal(size=(30, 3)), obs, var).write_h5ad(tmp_path / "c.h5ad")
    source = read_source(Asked(tmp_path / "c.h5ad"), tmp_path / "out")
    assert (source.coarse, source.features) == ("cell_type", ("CD3", "CD19", "NK"))
    assert source.ids[:2] == ["c0", "c1"]
    assert "no raw counts" in " ".join(source.notes)
    assert loaded(source).coarse_names == (("B", "T"),)


def test_fine_labels_and_names_of_cells_are_those_of_the_cells_that_filters_keep(tmp_path):
    anndata = pytest.importorskip("anndata")
    rng = np.random.default_rng(0)
    counts = rng.poisson(2.0, (30, 300)).astype(np.float32)
    counts[[4, 11]] = 0
    cells, genes = (
        pd.Index([f"{letter}{row}" for row in range(n)], dtype=object) for letter, n in (("c", 30), ("g", 300))
    )
    types, states = (
        pd.Categorical(pd.Series(names, dtype=object)) for names in (["T", "B"] * 15, list("wxyz") * 7 + ["w", "x"])
    )
    obs = pd.DataFrame({"cell_type": types, "state": states, "empty": np.full(30, np.nan)}, index=cells)
    anndata.AnnData(counts, obs, pd.DataFrame(index=genes)).write_h5ad(tmp_path / "c.h5ad")
    source = read_source(Asked(tmp_path / "c.h5ad", coarse="cell_type", fine="state"), tmp_path / "out")
    kept = [row for row in range(30) if row not in (4, 11)]
    assert list(source.fine) == ["wxyz"[row % 4] for row in kept]
    assert list(source.ids) == [f"c{row}" for row in kept]
    assert len(loaded(source).inputs) == len(source.numbers) == 28
    with pytest.raises(DataError, match="donor: no such column of obs"):
        read_source(Asked(tmp_path / "c.h5ad", coarse="cell_type", left_out=("donor",)), tmp_path / "out")
    with pytest.raises(DataError, match="empty: holds no label"):
        read_source(Asked(tmp_path / "c.h5ad", coarse="cell_type", fine="empty"), tmp_path / "out")


def images(root, folders) -> None:
    rng = np.random.default_rng(0)
    for folder in folders:
        (root / folder).mkdir(parents=True)
        for number in range(6):
            Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(root / folder / f"{number}.png")


def test_the_first_folder_of_an_image_is_its_coarse_class(tmp_path):
    images(tmp_path / "pics", ["cats/siamese", "cats/tabby", "dogs"])
    source = read_source(Asked(tmp_path / "pics"), tmp_path / "out")
    assert (source.kind, source.fine, len(source.ids)) == ("images", None, 18)
    assert "not read as labels" in " ".join(source.notes)
    dataset = loaded(source)
    assert dataset.fine is None
    assert dataset.coarse_names == (("cats", "dogs"),)
    assert dataset.inputs.shape == (18, 3, 32, 32)
    named = read_source(Asked(tmp_path / "pics", fine="folders"), tmp_path / "out")
    assert sorted(set(named.fine)) == ["cats/siamese", "cats/tabby", "dogs"]


def test_a_table_beside_images_gives_their_labels(tmp_path):
    images(tmp_path / "pics", ["."])
    frame = pd.DataFrame({"file": [f"{n}.png" for n in range(6)] * 2, "animal": ["cat", "dog"] * 6})
    frame.to_csv(tmp_path / "pics" / "labels.csv", index=False)
    source = read_source(Asked(tmp_path / "pics"), tmp_path / "out")
    assert source.coarse == "animal"
    assert loaded(source).coarse[:, 0].tolist() == [0, 1] * 6


@pytest.mark.parametrize("written", ["images/{}.png", "{}.png"])
def test_a_table_beside_a_folder_of_images_gives_their_labels(tmp_path, written):
    images(tmp_path / "pics", ["images"])
    (tmp_path / "pics" / "sizes.csv").write_text("what,size\nall,12\n")
    frame = pd.DataFrame({"file": [written.format(n) for n in range(6)] * 2, "animal": ["cat", "dog"] * 6})
    frame.to_csv(tmp_path / "pics" / "labels.csv", index=False)
    source = read_source(Asked(tmp_path / "pics"), tmp_path / "out")
    assert (source.coarse, source.ids[1]) == ("animal", "images/1.png")
    assert "those that labels.csv lists" in source.notes[0]
    dataset = loaded(source)
    assert dataset.inputs.shape == (12, 3, 32, 32)
    assert dataset.coarse[:, 0].tolist() == [0, 1] * 6
    with pytest.raises(DataError, match=r"labels\.csv: colour: no such column\. Fix: the table has file, animal"):
        read_source(Asked(tmp_path / "pics", left_out=("colour",)), tmp_path / "out")


def test_a_table_of_images_goes_before_folders_and_two_of_them_do_not(tmp_path):
    images(tmp_path / "pics", ["wild", "tame"])
    frame = pd.DataFrame({"file": [f"wild/{n}.png" for n in range(6)] * 2, "animal": ["cat", "dog"] * 6})
    frame.to_csv(tmp_path / "pics" / "labels.csv", index=False)
    assert read_source(Asked(tmp_path / "pics"), tmp_path / "out").coarse == "animal"
    frame.to_csv(tmp_path / "pics" / "more.csv", index=False)
    source = read_source(Asked(tmp_path / "pics"), tmp_path / "out")
    assert source.coarse == "the folders"
    assert "more than one table lists images: labels.csv, more.csv" in " ".join(source.notes)


@pytest.mark.parametrize(
    ("folders", "asked", "rule"),
    [
        (["images"], {}, r"at least two folders of images, .* or one \.csv that lists the images, got \['images'\]"),
        (
            ["train/cat", "test/cat"],
            {},
            r"parts of a split \(test, train\), not coarse classes\. Fix: name one of them",
        ),
        (["cat", "dog"], {"coarse": "animal"}, "--coarse: names a column, but the coarse labels are the folders"),
        (["cat", "dog"], {"left_out": ("size",)}, "--leave-out: names a column, but the coarse labels are the folders"),
    ],
)
def test_folders_that_are_no_coarse_classes_are_refused(tmp_path, folders, asked, rule):
    images(tmp_path / "pics", folders)
    with pytest.raises(DataError, match=rule):
        read_source(Asked(tmp_path / "pics", **asked), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "rule"), [("none.csv", "no such file or folder"), ("text.txt", "is not one of the forms")]
)
def test_what_is_no_data_is_refused(tmp_path, name, rule):
    (tmp_path / "text.txt").write_text("hello")
    with pytest.raises(DataError, match=rule):
        read_source(Asked(tmp_path / name), tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no images"):
        read_source(Asked(tmp_path / "empty"), tmp_path / "out")
