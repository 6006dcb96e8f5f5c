from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
from pydantic import TypeAdapter

from fgtune.config.schema.data import DataConfig
from fgtune.data.load import load_dataset
from fgtune.data.readers.class_lists import read_class_lists
from fgtune.data.views import true_relations
from fgtune.errors import DataError

BIRDS = ("Gray_Catbird", "Indigo_Bunting", "House_Wren", "Horned_Grebe", "Mallard", "Ovenbird", "Sora", "Winter_Wren")


def load(plain, **changes):
    return load_dataset(TypeAdapter(DataConfig).validate_json(json.dumps(plain | changes)))


@pytest.fixture
def tiny(layouts, tmp_path):
    """Write a tiny set of a kind; returns its plain config and its folder."""

    def make(kind):
        return layouts.tiny_config(kind, tmp_path / "set"), tmp_path / "set"

    return make


def shades(data) -> np.ndarray:
    """Mean brightness of every image; the writers give each image one shade."""
    return data.inputs[:].reshape(len(data.inputs), -1).mean(axis=1)


# --- ImageNet subsets ----------------------------------------------------------------------------------------------


def test_breeds_takes_its_classes_from_imagenets_folders(tiny):
    data = load(tiny("breeds")[0])
    assert data.num_coarse == (17,)
    assert data.num_fine == 68
    assert np.bincount(true_relations(data)[0]).tolist() == [4] * 17
    assert np.bincount(data.given_split).tolist() == [184, 20, 68]
    assert data.coarse_names[0][0] == "group 000"
    assert data.fine_names[0].startswith("name of n30000")
    of_class = shades(data)
    assert all(np.ptp(of_class[data.fine == fine]) < 3 for fine in range(68))


def test_held_out_images_are_stratified_and_follow_their_seed(tiny):
    plain, _ = tiny("breeds")
    first, again, other = load(plain), load(plain), load(plain, split_seed=1)
    assert set(np.bincount(first.coarse[first.given_split == 1, 0], minlength=17)) == {1, 2}  # 1.2 of 12
    assert np.array_equal(first.given_split, again.given_split)
    assert not np.array_equal(first.given_split, other.given_split)
    assert np.array_equal(first.given_split == 2, other.given_split == 2)


def test_tiered_imagenet_numbers_its_parents_by_name(tiny, layouts):
    plain, root = tiny("tiered_imagenet")
    data = load(plain)
    assert data.coarse_names == (("parent_a", "parent_b", "parent_c"),)
    parents = layouts.write_tiered(root / "info")
    assert [data.coarse_names[0][parent] for parent in true_relations(data)[0]] == [
        parents[name] for name in data.fine_names
    ]
    with (root / "info" / "train.csv").open("r+") as file:
        text = file.read()
        file.seek(0)
        file.write("wnid,parent\n" + text)
    assert load(plain).fingerprint == data.fingerprint


def _append(name, text):
    def append(root):
        with (root / name).open("a") as file:
            file.write(text)

    return append


def _remove(name):
    return lambda root: shutil.rmtree(root / name) if (root / name).is_dir() else (root / name).unlink()


def _write(name, text):
    return lambda root: (root / name).write_text(text)


FAULTS = {
    "breeds: a class folder is missing": ("breeds", _remove("train/n30003001"), "images of class n30003001 not found"),
    "breeds: no validation images": ("breeds", _remove("val"), "not found; looked for"),
    "breeds: info is gone": ("breeds", _remove("info"), "trial.data.info: BREEDS file 'dataset_class_info.json' not"),
    "tiered: a list is missing": ("tiered_imagenet", _remove("info/val.csv"), "class list 'val.csv' not found"),
    "tiered: relabelled": (
        "tiered_imagenet",
        _append("info/test.csv", "n00000000,parent_b\n"),
        "class n00000000 has two parents, 'parent_c' and 'parent_b'",
    ),
    "tiered: no such rows": ("tiered_imagenet", _write("info/val.csv", "a;b\nc;d\n"), "must have rows 'wnid,parent'"),
    "tiered: empty": ("tiered_imagenet", _write("info/val.csv", ""), "must have rows 'wnid,parent'"),
    "pets: no annotations": ("oxford_pets", _remove("annotations"), "list of images 'trainval.txt' not found; looked"),
    "pets: three columns": (
        "oxford_pets",
        _append("annotations/test.txt", "a 1 1\n"),
        "test.txt: trial.data.path: must have 4 columns in every row, got 'a 1 1'",
    ),
    "pets: two species": (
        "oxford_pets",
        _append("annotations/test.txt", "Abyssinian_1 1 2 1\n"),
        "fine class 0 is in two coarse classes",
    ),
    "pets: third species": ("oxford_pets", _append("annotations/test.txt", "a_1 9 3 1\n"), "species 1 or 2"),
    "pets: words": ("oxford_pets", _append("annotations/test.txt", "a_1 one 1 1\n"), "labels must be whole numbers"),
    "pets: an image is missing": (
        "oxford_pets",
        _remove("images/boxer_3.jpg"),
        "boxer_3.jpg: trial.data.path: image cannot be read (No such file or directory)",
    ),
    "pets: climbing": ("oxford_pets", _append("annotations/test.txt", "../../x_1 1 1 1\n"), "must lie below"),
    "products: a list is missing": ("products", _remove("Ebay_test.txt"), "list of images 'Ebay_test.txt' not found"),
    "products: two kinds": (
        "products",
        _append("Ebay_test.txt", "61 1 1 bicycle_final/x.JPG\n"),
        "fine class 1 is in two coarse classes",
    ),
    "products: absolute": ("products", _append("Ebay_test.txt", "61 99 1 /etc/x.JPG\n"), "must lie below"),
    "products: header only": ("products", _write("Ebay_test.txt", "image_id class_id\n"), "must have 4 columns"),
    "few shot: no list": ("few_shot", _remove("lists/val.txt"), "class list 'val.txt' not found; looked for"),
    "few shot: unknown class": ("few_shot", _append("lists/val.txt", "009.Owl\n"), "class '009.Owl' not found"),
    "few shot: listed twice": ("few_shot", _append("lists/val.txt", "001.Bird_0\n"), "'001.Bird_0' is listed twice"),
    "few shot: no images": ("few_shot", _remove("images"), "folder of images not found; looked for"),
    "few shot: empty class": (
        "few_shot",
        lambda root: [file.unlink() for file in (root / "images" / "002.Bird_1").iterdir()],
        "coarse class 1 has no samples",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_gives_one_clear_error(tiny, fault):
    kind, damage, message = FAULTS[fault]
    plain, root = tiny(kind)
    damage(root)
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        load(plain)
    assert "\n" not in str(caught.value)
    if "not found" in message:
        assert "Expected layout: " in str(caught.value)
        assert str(root) in str(caught.value)


# --- Oxford-IIIT Pet, Stanford Online Products ---------------------------------------------------------------------


def test_pets_are_cats_and_dogs_by_breed(tiny):
    data = load(tiny("oxford_pets")[0])
    assert data.coarse_names == (("cat", "dog"),)
    assert data.fine_names == ("Abyssinian", "american_bulldog", "Bombay", "boxer", "pug")
    assert true_relations(data)[0].tolist() == [0, 1, 0, 1, 1]
    assert np.bincount(data.given_split).tolist() == [45, 5, 20]
    assert np.abs(shades(data) - 40 * (data.fine + 1)).max() < 3


def test_pets_where_torchvision_puts_them(tiny, tmp_path):
    plain, root = tiny("oxford_pets")
    first = load(plain).fingerprint
    (tmp_path / "downloads").mkdir()
    root.rename(tmp_path / "downloads" / "oxford-iiit-pet")
    assert load(plain, path=str(tmp_path / "downloads"), download=True).fingerprint == first


def test_products_are_drawn_from_both_files_by_seed(tiny):
    plain, _ = tiny("products")
    data, again, other = load(plain), load(plain), load(plain, data_seed=1)
    assert data.coarse_names == (("bicycle", "cabinet", "chair"),)
    assert data.num_fine == 12
    assert np.bincount(data.given_split).tolist() == [36, 4, 32]
    assert true_relations(data)[0].tolist() == [(fine + 1) % 3 for fine in range(12)]
    assert np.array_equal(data.given_split, again.given_split)
    assert not np.array_equal(data.given_split == 2, other.given_split == 2)
    train = data.given_split == 0
    assert np.unique(data.fine[train]).max() > 5 >= np.unique(data.fine[train]).min()  # of both official files


def test_all_products_as_training_leave_nothing_to_test(tiny):
    with pytest.raises(DataError, match=re.escape("train_count: must be below the number of images (72), got")):
        load(tiny("products")[0], train_count=72)


# --- few-shot ------------------------------------------------------------------------------------------------------


def test_base_classes_are_coarse_labels_and_novel_ones_have_none(tiny):
    config, root = tiny("few_shot")
    data = load(config)
    for part in ("train", "val", "test"):  # the same lists as tables of images
        names = (root / "lists" / f"{part}.txt").read_text().split("\n")
        rows = [f"{name}/{n}.jpg,{name}" for name in names if name and not name.startswith("#") for n in range(2)]
        (root / "lists" / f"{part}.csv").write_text("\n".join(["filename,label", *rows]) + "\n")
        (root / "lists" / f"{part}.txt").unlink()
    assert load(config).fingerprint == data.fingerprint
    assert data.num_coarse == (5,)
    assert data.num_fine == 8
    assert data.coarse[:, 0].tolist() == [fine if fine < 5 else -1 for fine in data.fine]
    assert data.given_split.tolist() == [0 if fine < 5 else 1 if fine == 5 else 2 for fine in data.fine]
    assert data.fine_names[5] == "006.Bird_5"
    assert np.abs(shades(data) - (30 * data.fine + np.tile(np.arange(10), 8))).max() < 3


def birds_by_file(tiny, labels="class{number}", folder="{number:03d}.{name}", names=BIRDS):
    """The tiny set, with lists whose labels are no folders, as FIERCE's loader reads them; (config, root)."""
    config, root = tiny("few_shot")
    for number, old in enumerate(sorted((root / "images").iterdir())):
        old.rename(root / "images" / folder.format(number=number + 1, name=names[number]))
    parts = {"train": range(5), "val": [5], "test": [6, 7]}
    for part, numbers in parts.items():
        rows = [
            f"{names[number]}_00{n}_{number}.jpg,{labels.format(number=number, name=names[number])},0,1,2"
            for number in numbers
            for n in range(2)
        ]
        (root / "lists" / f"{part}.txt").unlink()
        (root / "lists" / f"{part}.csv").write_text("\n".join(["filename, label, concepts", *rows]) + "\n")
    return config, root


def test_file_names_tell_the_classes_whose_labels_are_no_folders(tiny):
    config, root = birds_by_file(tiny)
    data = load(config)
    assert data.fine_names == tuple(f"{number + 1:03d}.{name}" for number, name in enumerate(BIRDS))
    assert np.abs(shades(data) - (30 * data.fine + np.tile(np.arange(10), 8))).max() < 3
    assert data.notes == (
        f"{root}/lists/train.csv: label 'class0' is no folder of {root}/images, "
        "so classes are those that the file names tell",
    )


def test_labels_come_before_file_names_where_they_are_folders(tiny):
    data = load(birds_by_file(tiny, labels="{name}", folder="{name}")[0])
    assert (data.fine_names, data.notes) == (tuple(BIRDS), ())


def test_lists_that_fit_no_folder_either_way_say_both(tiny):
    config, root = birds_by_file(tiny)
    (root / "images" / "003.House_Wren").rename(root / "images" / "003.Wren")
    with pytest.raises(DataError, match="neither the label 'class2' nor the file names of 'housewren' fit") as caught:
        load(config)
    assert str(caught.value).startswith(f"{root}/lists/train.csv: trial.data.classes: ")
    (root / "images" / "003.Wren").rename(root / "images" / "003.House_Wren")
    (root / "images" / "103.House_Wren").mkdir()
    with pytest.raises(DataError, match=re.escape("fit two folders, 003.House_Wren and 103.House_Wren, and labels")):
        load(config)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("filename,class\na.jpg,b\n", "no column 'label'; the table has filename, class"),
        ("", "is no readable table"),
        ("label\nclass0\n", "folder of class 'class0' not found"),
        ("filename,label\n", "train.csv: trial.data.classes: names no class"),
        ('filename,label\ncat_1.png,cat\n"dog_1.png,dog\nfox_1.png,fox\n', "unexpected end of data"),
    ],
)
def test_a_table_without_labels_or_file_names_is_told(tiny, text, message):
    config, root = birds_by_file(tiny)
    (root / "lists" / "train.csv").write_text(text)
    with pytest.raises(DataError, match=re.escape(message)):
        load(config)


def test_a_list_without_a_class_is_refused_by_its_name(tiny):
    config, root = tiny("few_shot")
    (root / "lists" / "val.txt").write_text("# none\n\n")
    with pytest.raises(DataError, match=re.escape(f"{root}/lists/val.txt: trial.data.classes: names no class")):
        load(config)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (("cat_1.jpg,cat", "cat_2.jpg,dog2", "fox_1.jpg,fox"), "labels 'cat' and 'dog2' both have files of 'cat'"),
        (("cat_1.jpg,cat", "dog_1.jpg,dog2", "fox_1.jpg,dog2"), "label 'dog2' has files of 'dog' and of 'fox'"),
        (("fox_1.jpg,cat", "dog_1.jpg,dog2"), "label 'cat' is a folder, and its file names are those of another, fox"),
    ],
)
def test_file_names_that_split_join_or_exchange_labels_are_refused(tiny, rows, message):
    names = ["cat", "dog", "fox", "owl", "hen", "elk", "bee", "ant"]
    config, root = birds_by_file(tiny, folder="{name}", names=names)
    (root / "lists" / "train.csv").write_text("\n".join(["filename,label", *rows]) + "\n")
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        load(config)
    assert str(caught.value).startswith(f"{root}/lists/train.csv: trial.data.classes: ")


def test_paths_of_any_system_tell_the_same_classes(tiny):
    config, root = birds_by_file(tiny)
    data = load(config)
    for place, before in (("train", "C:\\imgs\\"), ("val", "imgs/"), ("test", "")):
        header, *rows = (root / "lists" / f"{place}.csv").read_text().splitlines()
        (root / "lists" / f"{place}.csv").write_text("\n".join([header, *(before + row for row in rows)]))
    assert load(config).fingerprint == data.fingerprint


def test_a_folder_with_lists_comes_before_a_benchmark_of_its_name(tiny, tmp_path, monkeypatch):
    config, root = tiny("few_shot")
    data = load(config)
    (tmp_path / "here" / "cub").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(DataError, match=r"folder of class '003\.Sooty_Albatross' not found"):
        load(config | {"classes": "cub"})  # a folder without lists, such as one of images, is none
    for file in (root / "lists").iterdir():
        file.rename(tmp_path / "here" / "cub" / file.name)
    own = load(config | {"classes": "cub"})
    assert own.fingerprint == data.fingerprint
    folder = tmp_path / "here" / "cub"
    assert own.notes == (f"classes are the lists of the folder {folder}, not those of cub that come with fgtune",)


def test_the_lists_of_cifar_fs_and_cub_come_with_fgtune(cifar_root, layouts, tmp_path):
    cifar = {"kind": "few_shot", "layout": "cifar100", "path": str(cifar_root), "classes": "cifar_fs"}
    data = load(cifar)
    assert [np.unique(data.fine[data.given_split == part]).size for part in range(3)] == [64, 16, 20]
    assert sorted(data.fine_names) == sorted(layouts.FINE_NAMES)
    assert {"otter", "maple_tree", "sea"} <= {*data.fine_names[64:80]}
    assert {"baby", "sweet_pepper", "worm"} <= {*data.fine_names[80:]}
    lists = [part.names for part in read_class_lists("cub")[0]]
    assert [len(names) for names in lists] == [100, 50, 50]
    assert sorted(int(name[:3]) for names in lists for name in names) == list(range(1, 201))
    assert ("019.Gray_Catbird" in lists[0], "159.Black_and_white_Warbler" in lists[1]) == (True, True)
    assert "133.White_throated_Sparrow" in lists[2]


def test_cifar_fs_divides_images_of_both_files_by_class(cifar_root, layouts, tmp_path):
    names = layouts.FINE_NAMES
    layouts.write_class_lists(tmp_path / "lists", names[20:84], names[:16], names[84:])
    plain = {"kind": "few_shot", "layout": "cifar100", "path": str(cifar_root), "classes": str(tmp_path / "lists")}
    data = load(plain)
    assert data.inputs.shape == (96 * 12, 3, 32, 32)
    assert data.num_coarse == (64,)
    assert np.bincount(data.given_split).tolist() == [64 * 12, 16 * 12, 16 * 12]
    class_id = data.inputs[:, 0, 0, 0]
    assert (np.array(data.fine_names)[data.fine] == np.array(names)[class_id]).all()
    layouts.write_class_lists(tmp_path / "lists", ["owl"], names[:16], names[84:])
    with pytest.raises(DataError, match="class 'owl' is not among the 100 of CIFAR-100"):
        load(plain)
