from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fgtune.app import data_check
from fgtune.app.data_check import check
from fgtune.config.schema.data import ArraysConfig, DigitsConfig, HierarchyConfig, ImageFolderConfig
from fgtune.errors import ConfigError, DataError


@pytest.fixture
def save(tmp_path):
    """Save arrays and return a config that reads them."""

    def save_with(**arrays):
        given = {"inputs": np.random.default_rng(0).random((60, 3)), "coarse": np.arange(60) % 2}
        np.savez(tmp_path / "mine.npz", **(given | arrays))
        return ArraysConfig(path=str(tmp_path / "mine.npz"))

    return save_with


def test_the_digits_have_figures_that_are_known():
    text = check(DigitsConfig())
    assert "1,797 samples of 64 float32, fingerprint " in text
    assert "split (drawn by seed 0): train 1,258, val 180, test 359" in text
    assert "2 coarse classes, 896 to 901 samples each: class 0: 901, class 1: 896" in text
    assert "10 fine classes (oracle), 174 to 183 samples each: class 0: 178" in text
    assert "nesting (oracle): 100.0% of fine classes have one parent; 100.0% of samples" in text
    purity = float(re.search(r"1,258 training samples\): mean ([\d.]+)%, 20\.\d% by chance", text)[1])
    assert 90 < purity < 100
    assert text.endswith("no warnings")


def test_every_figure_from_fine_labels_is_marked(save):
    fine = np.arange(60) % 4
    marked = set(check(save(fine=fine, fine_values=np.arange(60.0))).splitlines())
    blind = set(check(save()).splitlines())
    assert all("oracle" in line or "fingerprint" in line for line in marked - blind)
    assert any("no fine labels: metrics that read them cannot be measured" in line for line in blind)
    assert any("continuous fine target 0 (oracle): least, median and greatest 0, 29.5, 59" in line for line in marked)


def test_a_study_is_checked_with_its_trials(small_study):
    text = check(small_study)
    assert text.startswith("hierarchy (kind hierarchy)\n  300 samples of 6 float32")
    assert check(small_study, overrides=["trial.data.num_samples=400"]).split()[3] == "400"
    told = check(small_study, overrides=["trial.batch_size=11"])
    assert "warning: batch_size 11 is below 2 x K_F = 12: a batch cannot show every fine class twice" in told
    assert "warning: batch_size 11 is below 2 x K_F = 18" in told


def test_every_data_set_of_a_study_is_checked_once(tmp_path, small_study_text):
    (tmp_path / "two.yaml").write_text(
        small_study_text.replace("classes.num_fine_ratio: [1.0, 1.5]", "data.dim: [6, 5]")
    )
    reports = check(tmp_path / "two.yaml").split("\n\n")
    assert [report.splitlines()[1].split(",")[0] for report in reports] == [
        f"  300 samples of {dim} float32" for dim in (6, 5)
    ]


def test_a_number_of_classes_that_cannot_be_is_told(small_study):
    text = check(small_study, overrides=["trial.classes.num_fine=1"], smoke=True)
    assert "warning: trial.classes.num_fine: must be >= number of coarse classes" in text


def test_a_smoke_check_of_many_classes_takes_fewer_of_them_where_fine_ones_are_known(tmp_path, small_study_text):
    (tmp_path / "many.yaml").write_text(small_study_text)
    sizes = ["trial.data.num_samples=5000", "trial.data.num_coarse=350", "trial.data.fine_per_coarse=2"]
    text = check(tmp_path / "many.yaml", [*sizes, "design.factors={optimizer.lr: [0.1, 0.2]}"], smoke=True)
    assert "64 samples" in text
    assert "4 coarse classes, 16 samples each" in text
    assert "8 fine classes (oracle), 8 samples each" in text


def test_a_smoke_check_of_many_coarse_classes_has_a_sample_of_each(tmp_path, small_study_text):
    coarse = np.arange(5000) % 350
    np.savez(tmp_path / "many.npz", inputs=np.random.default_rng(0).random((5000, 4)), coarse=coarse)
    data = f"{{kind: arrays, path: {tmp_path / 'many.npz'}}}"
    study = re.sub(r"data: \{kind: hierarchy.*?\}", f"data: {data}", small_study_text)
    study = study.replace("classes.num_fine_ratio: [1.0, 1.5]", "optimizer.lr: [0.1, 0.2]")
    study = study.replace("classes: {num_fine_ratio: 1.0}", "classes: {num_fine: 700}")
    study = re.sub(r"metrics: .*\n", "", study)
    (tmp_path / "many.yaml").write_text(study)
    text = check(tmp_path / "many.yaml", smoke=True)
    assert "1,200 samples" in text
    assert "350 coarse classes" in text


def test_noise_and_second_parents_lower_nesting():
    text = check(HierarchyConfig(num_samples=400, non_nested=0.25))
    classes, samples = re.search(r"(\S+)% of fine classes have one parent; (\S+)% of samples", text).groups()
    assert float(classes) == 0.0
    assert float(samples) == pytest.approx(75, abs=1)


def test_duplicates_and_what_they_contradict_are_told(save):
    inputs = np.random.default_rng(0).random((60, 3))
    inputs[50:] = inputs[:10]
    coarse = np.arange(60) % 2
    coarse[50] = 1
    text = check(save(inputs=inputs, coarse=coarse))
    assert "warning: 10 samples have the same inputs as an earlier one" in text
    assert re.search(r"warning: \d+ test samples? have the same inputs as a training sample", text)
    assert "warning: 1 input with several coarse labels of source 0" in text


def test_tiny_classes_are_named(save):
    coarse, fine = np.arange(100) % 2, np.arange(100) % 2
    coarse[:5], fine[:2] = 2, 5
    text = check(save(inputs=np.random.default_rng(0).random((100, 3)), coarse=coarse, fine=fine))
    assert "warning: 1 coarse class with 20 training samples or fewer" in text
    assert "fewer neighbours than are stored: class 2\n" in text
    assert "warning: 1 fine class (oracle) with fewer than 10 training samples: class 2" in text


def test_sources_that_disagree(save):
    first = np.arange(60) % 2
    second = first.copy()
    second[::10] = 1 - second[::10]
    text = check(save(coarse=np.stack([first, np.where(np.arange(60) % 4 == 3, -1, second)], axis=1)))
    assert "2 coarse classes of source 0, 30 samples each" in text
    assert "15 samples without a coarse label of source 1 (25.0%)" in text
    assert "sources 0 and 1, by samples: 3 pairs of labels occur; source 1 differs from what source 0" in text


def test_many_classes_show_their_extremes(save):
    coarse = np.sort(np.arange(600) % 30)
    coarse[:5] = 29
    text = check(save(inputs=np.random.default_rng(0).random((600, 2)), coarse=coarse))
    assert "30 coarse classes, 15 to 25 samples each: least class 0: 15, " in text
    assert "greatest class 24: 20, " in text
    assert "class 29: 25" in text


def test_large_sets_are_measured_on_a_sample(monkeypatch):
    monkeypatch.setattr(data_check, "PURITY_SAMPLES", 100)
    assert "within the coarse class, 100 training samples)" in check(DigitsConfig())


def test_image_sets_are_checked_by_their_pixels_and_names(tmp_path, monkeypatch):
    monkeypatch.setenv("FGTUNE_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for coarse, fine in (("cat", "siamese"), ("cat", "persian"), ("dog", "pug")):
        (tmp_path / "pets" / coarse / fine).mkdir(parents=True)
        for index in range(8):
            pixels = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / coarse / fine / f"{index}.png")
    text = check(ImageFolderConfig(path=str(tmp_path / "pets"), size=40))
    assert "24 samples of 3 x 40 x 40 uint8" in text
    assert "2 coarse classes, 8 to 16 samples each: cat: 16, dog: 8" in text
    streamed = check(ImageFolderConfig(path=str(tmp_path / "pets"), size=40, budget_gib=1e-9))
    assert "warning: duplicates were not looked for" in streamed


def test_faults_of_study_and_data_come_through(tmp_path, small_study):
    with pytest.raises(ConfigError, match="no such study file"):
        check(tmp_path / "gone.yaml")
    with pytest.raises(DataError, match="no such file"):
        check(ArraysConfig(path=str(tmp_path / "gone.npz")))


def test_a_feature_that_tells_a_label_is_named_and_what_was_left_out_is_told(tmp_path):
    fine = np.repeat(np.arange(6), 50)
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(300, 4)), columns=list("abcd"))
    table["seconds"] = np.sort(np.random.default_rng(1).random(300))
    table["genus"], table["species"] = np.array(["A", "NA"])[fine // 3], [f"s{each}" for each in fine]
    table.to_csv(tmp_path / "noise.csv")
    plain = {"path": str(tmp_path / "noise.csv"), "columns": {"coarse": "genus", "fine": "species"}}
    warnings = [line for line in check(ArraysConfig.from_plain(plain)).splitlines() if "warning: " in line]
    for expected in (
        "coarse column 'genus' holds the text NA in 150 rows, which is taken as the name of a class",
        "left out of the features: (no name) (without a name, as row names and numbers are written)",
        "features whose values rise or fall from row to row: seconds.",
        "seconds (100%) alone tells the coarse label almost perfectly, where the median feature goes",
        "alone tells the fine class (oracle) almost perfectly",
    ):
        assert sum(expected in line for line in warnings) == 1, expected


def test_sizes_of_image_files_and_dark_images_are_told(tmp_path):
    for number in range(12):
        (tmp_path / "set" / f"c{number % 2}").mkdir(parents=True, exist_ok=True)
        values = np.full((8, 8 + number // 11), 300 * number, np.uint16)
        Image.fromarray(values).save(tmp_path / "set" / f"c{number % 2}" / f"{number}.png")
    text = check(ImageFolderConfig(path=str(tmp_path / "set"), size=8, cache=False))
    assert (
        "images in the files have 2 sizes, 8 x 8 (11: c0/0.png, c0/10.png and 9 more) to 9 x 8 (1: c1/11.png)" in text
    )
    assert "warning: no pixel exceeds 13 of 255; where files of 16 bits hold" in text
    assert "no pixel exceeds" not in check(ImageFolderConfig(path=str(tmp_path / "set"), size=8, cache=False, bits=12))
