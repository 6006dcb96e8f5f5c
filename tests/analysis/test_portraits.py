"""What the page shows of learned classes, from a folder that was trained, and from hostile ones."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from fgtune.analysis.inputs import read_study
from fgtune.analysis.portrait_cells import choose_portrait, find_map, layout, reliability_lines
from fgtune.analysis.portraits import shown_portrait
from fgtune.errors import ConfigError, DamagedFileError
from fgtune.reporting.html import write_up
from fgtune.results.folder import StudyFolder


@pytest.fixture
def folder(real_folder, tmp_path) -> StudyFolder:
    shutil.copytree(real_folder, tmp_path / "study")
    return StudyFolder(tmp_path / "study")


def test_the_best_arm_that_keeps_a_portrait_is_shown(folder):
    data = read_study(folder)
    found = shown_portrait(data)
    metric = data.study.metrics.primary
    kept = [arm.name for arm in data.arms if any(cell.seed == 0 for cell in data.ended(arm.name))]
    values = {arm: data.values(arm, metric) for arm in kept}
    most = max(len(each) for each in values.values())
    means = {arm: np.mean([*each.values()]) for arm, each in values.items() if len(each) == most}
    assert found.arm == max(means, key=means.get)
    assert found.seed == 0
    assert found.map is not None
    assert found.map.points.shape == (found.on_map, 2)
    record = folder.read_predictions(next(c.cell_id for c in data.cells(found.arm) if c.seed == 0))
    test = record.fine[record.splits == 4]
    assert [each.size for each in found.classes] == sorted(np.bincount(test)[np.unique(test)], reverse=True)


def test_a_user_chooses_arm_and_seed_and_the_page_says_so(folder):
    """With a portrait of a second seed, as ``execution.show_seeds: all`` keeps."""
    data = read_study(folder)
    best = shown_portrait(data).arm
    first, second = next(
        (result, other)
        for arm in data.arms
        if arm.name != best
        for result in data.ended(arm.name)
        for other in data.ended(arm.name)
        if (result.seed, other.seed) == (0, 1)
    )
    shutil.copy(folder.portraits_dir / f"{first.cell_id}.npz", folder.portraits_dir / f"{second.cell_id}.npz")
    assert shown_portrait(data).arm == best, "a second seed changes nothing by itself"
    for wanted, seed in ((first.arm, 0), (f"{first.arm}:1", 1)):
        choose_portrait(data, wanted)
        found = shown_portrait(data)
        assert (found.arm, found.seed, found.is_asked) == (first.arm, seed, True)
    page = write_up(folder)[0].read_text(encoding="utf-8")
    assert "seed 1, on the test samples: arm and seed as chosen with <code>fgtune report --portraits</code>" in page
    assert {line.seed for line in reliability_lines(data, [arm.name for arm in data.arms], 24)[0]} == {0}
    (folder.portraits_dir / f"{second.cell_id}.npz").unlink()
    assert shown_portrait(data).arm == best, "what is gone cannot be shown"
    choose_portrait(data, first.arm)
    choose_portrait(data, "best")
    assert (shown_portrait(data).arm, shown_portrait(data).is_asked) == (best, False)


@pytest.mark.parametrize("wanted", ["nobody", "baseline:7", "baseline:", ":0", ""])
def test_a_choice_that_is_not_there_is_one_error_that_names_what_is(folder, wanted):
    data = read_study(folder)
    kept = ", ".join(f"{arm.name}:0" for arm in data.arms)
    rule = f"--portraits: names no cell that keeps a portrait, got {wanted!r}"
    with pytest.raises(ConfigError, match=re.escape(rule)) as caught:
        choose_portrait(data, wanted)
    assert f"Fix: portraits are kept of {kept}; execution.show_seeds: all keeps every seed of these arms" in str(
        caught.value
    )
    assert not folder.shown_file.exists()


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"portrait": {"arm": 3, "seed": 0}}', "[" * 5000, "\ud800"])
def test_a_damaged_choice_shows_the_best_arm_and_is_told(folder, text):
    folder.shown_file.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(DamagedFileError, match="does not say whose portrait to show"):
        folder.read_shown()
    lenient = folder.leniently()
    assert lenient.read_shown() is None
    assert lenient.damage[folder.shown_file] == "shown.json is damaged, and the report shows the best arm"


def test_the_tree_has_every_learned_class_with_samples_below_the_fine_class_of_most(folder):
    data = read_study(folder)
    for arm in data.arms:
        for result in data.ended(arm.name):
            relations = folder.read_relations(result.cell_id)
            if result.seed != 0 or relations.fine_counts.shape[0] <= relations.fine_counts.shape[1]:
                continue
            for other in data.arms:  # so that this arm is the only one to show
                if other is not arm:
                    for cell in data.cells(other.name):
                        (folder.portraits_dir / f"{cell.cell_id}.npz").unlink(missing_ok=True)
            tree = shown_portrait(data).tree
            counts = relations.fine_counts
            below = {
                (int(name), branch_index)
                for branch_index, fine in enumerate(f for branch in tree for f in branch.fine)
                for name, _, _ in fine.learned
            }
            assert below == {(k, counts[k].argmax()) for k in range(len(counts)) if counts[k].sum()}
            return
    pytest.fail("the folder has no arm with more learned than true classes")


@pytest.mark.slow
def test_beyond_the_largest_the_classes_of_a_coarse_class_are_shown_together(folder, monkeypatch):
    monkeypatch.setattr("fgtune.analysis.portraits.MOST_FIRST", 3)
    data = read_study(folder)
    found = shown_portrait(data)
    cell = next(cell.cell_id for cell in data.ended(found.arm) if cell.seed == found.seed)
    record, relations = folder.read_portrait(cell), folder.read_relations(cell)
    numbers = [[int(each.name.split()[0]) for each in part] for part in (found.classes, found.others)]
    assert numbers[0] == record.classes[:3].tolist()
    parents, sizes = relations.fine_to_coarse[0], dict(zip(record.classes.tolist(), record.sizes.tolist(), strict=True))
    assert numbers[1] == sorted(record.classes[3:].tolist(), key=lambda k: (parents[k], -sizes[k], k))
    assert len({each.parent for each in found.others}) > 1
    assert f"<summary>The other {len(found.others)} classes, by coarse class</summary>" in _page(folder)
    monkeypatch.setattr("fgtune.analysis.portraits.MOST_FIRST", found.kept - 1)
    assert "<summary>The other class, by coarse class</summary>" in _page(folder)
    monkeypatch.setattr("fgtune.analysis.portraits.MOST_FIRST", 3)
    # as of a cell with more classes than are kept, and as an earlier version kept of 24
    described = ("classes", "sizes", "confidence", "differs", "inside", "outside", "effect")
    rows = {name: getattr(record, name) for name in (*described, *(key for key in vars(record) if "sample" in key))}
    for kept in (5, 3):
        cut = {name: array[:kept] for name, array in rows.items() if array is not None}
        folder.write_portrait(cell, replace(record, **cut))
        page, left = _page(folder), found.used - kept
        smaller = f"{left} smaller {'is' if left == 1 else 'are'}"
        assert f"<summary>The 3 largest of {found.used} learned classes that have samples, one by one</summary>" in page
        assert (f"<summary>The next 2 classes, by coarse class; {smaller} left out</summary>" in page) is (kept == 5)
        assert page.count('<div class="portraits">') == (2 if kept == 5 else 1)


def _page(folder: StudyFolder) -> str:
    return write_up(folder)[0].read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_page_is_the_same_when_written_again_and_without_the_map_it_is_found_again(folder):
    first = write_up(folder)[0].read_bytes()
    assert b"What the learned classes look like" in first
    assert b"map-learned" in first
    assert write_up(folder)[0].read_bytes() == first
    shutil.rmtree(folder.maps_dir)
    assert write_up(folder)[0].read_bytes() == first


def test_a_folder_without_portraits_has_a_page_without_the_section(folder):
    shutil.rmtree(folder.portraits_dir)
    assert shown_portrait(read_study(folder)) is None
    assert b"What the learned classes look like" not in write_up(folder)[0].read_bytes()


@pytest.mark.slow
def test_a_portrait_of_other_classes_or_with_markup_in_it_harms_no_page(folder):
    path = next(iter(folder.portraits_dir.glob("*.npz")))
    for each in folder.portraits_dir.glob("*.npz"):
        if each != path:
            each.unlink()
    with np.load(path) as arrays:
        good = dict(arrays)
    np.savez(path, **(good | {"coarse_names": np.array([b"<script>alert(1)</script>", b"\xff\xfe"])}))
    assert b"<script>alert(1)" not in write_up(folder)[0].read_bytes()
    np.savez(path, **(good | {"pictures": np.full(good["samples"].shape, b'x" onerror="y')}))
    assert b"onerror" not in write_up(folder)[0].read_bytes()
    for harm in (
        {"learned": good["learned"] + 1000},
        {"features": good["features"] * np.float16(np.nan)},
        {"coarse": good["coarse"] + 1000},
        {"sizes": good["sizes"][:-1]},
        {"features": good["rows"]},
    ):
        np.savez(path, **(good | harm))
        assert b"What the learned classes look like" not in write_up(folder)[0].read_bytes()
    path.write_bytes(b"no archive")
    page = write_up(folder)[0].read_bytes()
    assert b"What the learned classes look like" not in page
    assert path.name.encode() in page


def test_places_are_the_same_every_time_and_keep_groups_apart():
    groups = np.repeat(np.arange(4), 20)
    features = np.random.default_rng(0).normal(size=(80, 6)) + 12 * np.eye(4, 6)[groups]
    first, second = layout(features), layout(features)
    assert (first == second).all()
    distances = np.linalg.norm(first[:, None] - first[None], axis=2) + np.diag(np.full(80, np.inf))
    assert (groups[distances.argmin(axis=1)] == groups).mean() > 0.95


@pytest.mark.parametrize("features", [np.zeros((50, 3)), np.ones((5, 3)), np.zeros((50, 0))])
def test_samples_that_are_few_or_all_alike_have_no_map(features):
    assert layout(features) is None


def test_a_single_feature_has_a_map():
    assert layout(np.random.default_rng(0).normal(size=(40, 1))).shape == (40, 2)


def test_a_map_is_looked_for_once(folder, monkeypatch):
    data, looked = read_study(folder), []

    def found(features):
        looked.append(len(features))
        return np.zeros((len(features), 2), dtype=np.float32)

    monkeypatch.setattr("fgtune.analysis.portrait_cells.layout", found)
    find_map(data)
    assert not looked, "it is there already"
    shutil.rmtree(folder.maps_dir)
    find_map(data)
    find_map(data)
    assert looked == [shown_portrait(data).on_map]


def test_every_arm_with_a_portrait_has_a_reliability_line_of_its_stored_errors(folder):
    data = read_study(folder)
    order = [arm.name for arm in data.arms]
    lines, kept = reliability_lines(data, order, 24)
    assert {line.seed for line in lines} == {0}
    assert kept == len(lines)
    with_first = {arm.name for arm in data.arms if any(cell.seed == 0 for cell in data.ended(arm.name))}
    assert {line.arm for line in lines} == with_first
    for line in lines:
        result = next(cell for cell in data.ended(line.arm) if cell.seed == 0)
        assert line.error == pytest.approx(result.metrics["test/coarse_ece"], abs=1e-5)
        gaps = np.abs(np.array(line.confidence) - np.array(line.accuracy))
        assert gaps.max() == pytest.approx(result.metrics["test/coarse_mce"], abs=1e-5)
        assert sum(line.counts) == folder.read_relations(result.cell_id).coarse_counts[0].sum()
    last = lines[-1].arm
    assert reliability_lines(data, [last, *order], 1) == ((lines[-1],), kept)
    page = write_up(folder)[0].read_text(encoding="utf-8")
    assert "Reliability of coarse predictions" in page
    assert "Seed 0, coarse labels of the first source" in page
    results = {(arm.name, cell.seed): cell for arm in data.arms for cell in data.ended(arm.name)}
    arm = next(arm for arm in with_first if (arm, 1) in results)
    portraits = [folder.portraits_dir / f"{results[arm, seed].cell_id}.npz" for seed in (0, 1)]
    portraits[0].rename(portraits[1])
    (line,) = (line for line in reliability_lines(data, order, 24)[0] if line.arm == arm)
    assert line.seed == 1
    assert f"Seed 0 (seed 1 of {line.label}), coarse labels" in write_up(folder)[0].read_text(encoding="utf-8")
