from __future__ import annotations

import re

import numpy as np
import pytest

from fgtune.config.schema.data_images import ImageFolderConfig
from fgtune.data.load import load_dataset
from fgtune.errors import DataError

TABLE = "path,group,kind,age,part\n"


@pytest.fixture
def folders(tmp_path, save_image):
    """cat/{siamese, persian}, dog/{beagle}: four images each; returns root and pixels in order of loading."""
    root = tmp_path / "pets"
    order = [(c, f, n) for c, f in (("cat", "persian"), ("cat", "siamese"), ("dog", "beagle")) for n in range(4)]
    return root, [save_image(root / c / f / f"{n}.png") for c, f, n in order]


def config(root, **fields) -> ImageFolderConfig:
    return ImageFolderConfig.from_plain({"kind": "image_folder", "path": str(root), "size": 8, **fields})


def test_folders_give_coarse_and_fine_classes_by_name(folders):
    root, pixels = folders
    (root / "cat" / "persian" / "notes.txt").write_text("no image")
    (root / ".hidden").mkdir()
    data = load_dataset(config(root))
    assert data.coarse[:, 0].tolist() == [0] * 8 + [1] * 4
    assert data.fine.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert data.coarse_names == (("cat", "dog"),)
    assert data.fine_names == ("cat/persian", "cat/siamese", "dog/beagle")
    assert np.array_equal(data.inputs[:], np.stack(pixels).transpose(0, 3, 1, 2))


def test_images_in_the_coarse_folders_themselves_have_coarse_labels_alone(tmp_path, save_image):
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        for copy in range(5):
            save_image(tmp_path / name.replace(".png", f"{copy}.png"))
    (tmp_path / "dog" / "notes").mkdir()
    data = load_dataset(config(tmp_path))
    assert data.coarse[:, 0].tolist() == [0] * 10 + [1] * 5
    assert data.coarse_names == (("cat", "dog"),)
    assert data.fine is data.num_fine is data.fine_names is None
    assert not data.notes


def test_images_beside_folders_of_fine_classes_are_told_and_classes_without_such_folders_refused(folders, save_image):
    root, _ = folders
    save_image(root / "cat" / "overview.png")
    data = load_dataset(config(root))
    assert len(data.inputs) == 12
    assert data.notes == (f"{root}: images beside the folders of fine classes are not used: cat/overview.png",)
    save_image(root / "fox" / "1.png")
    with pytest.raises(DataError, match="fox holds images itself, and cat holds them in folders of fine classes"):
        load_dataset(config(root))


def test_folders_whose_names_are_written_in_two_ways_are_one_class(tmp_path, save_image):
    for number, name in enumerate(["caf\u00e9", "cafe\u0301", "the"]):
        for copy in range(4):
            save_image(tmp_path / name / "x" / f"{number}{copy}.png")
    data = load_dataset(config(tmp_path))
    assert data.coarse_names == (("caf\u00e9", "the"),)
    assert np.bincount(data.coarse[:, 0]).tolist() == [8, 4]
    assert data.fine_names == ("caf\u00e9/x", "the/x")


@pytest.fixture
def table(folders):
    root, _ = folders
    names = [
        f"{c}/{f}/{n}.png" for c, f in (("cat", "persian"), ("cat", "siamese"), ("dog", "beagle")) for n in range(4)
    ]
    rows = [
        f"{name},{'dog' if 'dog' in name else 'cat'},{name.split('/')[1]},{20 + row / 2},train"
        for row, name in enumerate(names)
    ]
    rows[1] = rows[1].replace("train", "val")
    rows[2] = rows[2].replace("train", "test")

    def write(change=lambda rows: rows, header=TABLE):
        (root / "labels.csv").write_text(header + "\n".join(change(list(rows))) + "\n", encoding="utf-8")
        return root

    return write


def test_a_table_gives_classes_continuous_targets_and_split(table):
    fields = {
        "table": "labels.csv",
        "coarse": ["group"],
        "fine": "kind",
        "fine_values": ["age"],
        "split_column": "part",
    }
    data = load_dataset(config(table(), **fields))
    assert data.coarse[:, 0].tolist() == [0] * 8 + [1] * 4
    assert data.fine_names == ("beagle", "persian", "siamese")
    assert data.fine.tolist() == [1] * 4 + [2] * 4 + [0] * 4
    assert data.fine_values.dtype == np.float32
    assert data.fine_values[:, 0].tolist() == [20 + row / 2 for row in range(12)]
    assert data.given_split.tolist() == [0, 1, 2] + [0] * 9


def test_a_table_without_a_header_line_keeps_its_first_row(table):
    fields = {"table": "labels.csv", "coarse": ["group"], "fine": "kind", "fine_values": ["age"]}
    expected = load_dataset(config(table(), **fields))
    root = table(header="")
    data = load_dataset(config(root, columns=["path", "group", "kind", "age", "part"], **fields))
    assert len(data.inputs) == 12
    for name in ("coarse", "fine", "fine_values"):
        assert np.array_equal(getattr(data, name), getattr(expected, name))
    with pytest.raises(DataError, match=r"trial.data.table: has 5 columns, and 2 are named. Fix: Name the columns"):
        load_dataset(config(root, table="labels.csv", columns=["path", "age"], coarse=["age"]))


def test_coarse_labels_follow_from_ages(table):
    data = load_dataset(config(table(), table="labels.csv", fine_values=["age"], derive_coarse="median"))
    assert data.coarse[:, 0].tolist() == [0] * 6 + [1] * 6
    assert data.fine is None


def test_a_limit_takes_pixels_and_targets_along(table):
    data = load_dataset(config(table(), table="labels.csv", coarse=["group"], fine_values=["age"], limit=10))
    rows = ((data.fine_values[:, 0] - 20) * 2).astype(int)
    whole = load_dataset(config(table(), table="labels.csv", coarse=["group"]))
    assert np.array_equal(data.inputs[:], whole.inputs[rows])


def test_the_fingerprint_follows_pixels_and_labels(folders, save_image):
    root, _ = folders
    first = load_dataset(config(root)).fingerprint
    assert load_dataset(config(root)).fingerprint == first
    save_image(root / "cat" / "persian" / "0.png")
    second = load_dataset(config(root)).fingerprint
    (root / "dog" / "beagle" / "0.png").rename(root / "dog" / "beagle" / "9.png")
    assert len({first, second, load_dataset(config(root)).fingerprint}) == 3


FAULTS = {
    "no folder": (lambda root: None, {"path": "gone"}, "folder of images not found; looked for "),
    "no table": (lambda root: (root / "labels.csv").unlink(), {}, "trial.data.table: no such file"),
    "no column": (
        lambda root: None,
        {"fine": "breed"},
        "no column 'breed'; the table has path, group, kind, age, part",
    ),
    "climbing": ("../x.png", {}, "image paths must lie below"),
    "absolute": ("/x.png", {}, "image paths must lie below"),
    "no image": ("cat/persian/77.png", {}, "77.png: trial.data.path: image cannot be read (No such file"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_gives_one_clear_error(table, fault):
    change, fields, message = FAULTS[fault]
    path = change if isinstance(change, str) else "cat/persian/3.png"
    root = table(lambda rows: [row.replace("cat/persian/3.png", path) for row in rows])
    if callable(change):
        change(root)
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        load_dataset(
            config(**({"root": root, "table": "labels.csv", "coarse": ["group"]} | fields))
            if "path" not in fields
            else config("gone")
        )
    assert "\n" not in str(caught.value)


def test_an_empty_folder_says_what_is_expected(tmp_path):
    (tmp_path / "cat" / "persian").mkdir(parents=True)
    with pytest.raises(
        DataError, match=re.escape("in folders COARSE/FINE or COARSE. Fix: Expected layout: PATH/COARSE/FINE/*")
    ):
        load_dataset(config(tmp_path))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"coarse": ["group"]}, "columns of labels need a table"),
        ({"columns": ["path", "group"]}, "columns of labels need a table"),
        ({"table": "a.csv"}, "give coarse columns or derive_coarse, one of them"),
        ({"table": "a.csv", "coarse": ["group"], "fine": "group"}, "a column means one thing; group is named twice"),
        ({"table": "a.csv", "derive_coarse": "median"}, "derive_coarse reads fine_values, so it needs them"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(fields, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        config("x", **fields)
