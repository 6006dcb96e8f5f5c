from __future__ import annotations

import numpy as np
import pytest

from fgtune.analysis import relations_data
from fgtune.analysis.inputs import read_study
from fgtune.analysis.relations_data import LEARNED_ONLY, RIGHT, TRUE_ONLY, median_seed, relations_panels
from fgtune.metrics.relations import ged
from fgtune.results.records import RelationsRecord


@pytest.fixture
def study(synthetic, kf_accuracy, tmp_path):
    return synthetic.SyntheticStudy(accuracy=kf_accuracy).write(tmp_path)


def _replace(folder, arm, record):
    """Store ``record`` as the relations of the arm's median seed."""
    data = read_study(folder)
    seed = median_seed(data, arm)
    cell = next(cell for cell in data.cells(arm) if cell.seed == seed)
    folder.write_relations(cell.cell_id, record)
    return next(panel for panel in relations_panels(read_study(folder)) if panel.arm == arm)


def _counts(pairs, num_learned, num_true):
    counts = np.zeros((num_learned, num_true), dtype=np.int64)
    for (learned, true), n in pairs.items():
        counts[learned, true] = n
    return counts


def test_rows_are_aligned_and_sorted_by_true_parent(study):
    record = RelationsRecord(
        fine_to_coarse=np.array([[1, 0, 0, 1]]),
        coarse_counts=np.array([[[0, 9], [8, 0], [7, 0], [1, 5]]]),
        true_fine_to_coarse=np.array([[0, 1, 0, 1]]),
        fine_counts=_counts({(0, 1): 9, (1, 2): 8, (2, 3): 6, (2, 0): 1, (3, 0): 5}, 4, 4),
    )
    panel = _replace(study, "baseline", record)
    assert panel.rows == ("3 → 0", "1 → 2", "0 → 1", "2 → 3")
    assert panel.columns == ("0", "2", "1", "3")
    assert panel.marks.tolist() == [
        [TRUE_ONLY, LEARNED_ONLY],
        [RIGHT, 0],
        [0, RIGHT],
        [LEARNED_ONLY, TRUE_ONLY],
    ]
    assert panel.counts == (2, 2, 0, 0)
    assert np.allclose(panel.shares.sum(axis=1), 1.0)
    assert panel.shares[3].tolist() == pytest.approx([1 / 7, 0, 0, 6 / 7])


def test_surplus_and_unclaimed_classes_come_last(study):
    surplus = RelationsRecord(
        fine_to_coarse=np.array([[0, 1, 0]]),
        coarse_counts=np.array([[[5, 0], [0, 6], [0, 0]]]),
        true_fine_to_coarse=np.array([[0, 1]]),
        fine_counts=_counts({(0, 0): 5, (1, 1): 6}, 3, 2),
    )
    panel = _replace(study, "baseline", surplus)
    assert panel.rows == ("0 → 0", "1 → 1", "2 → surplus")
    assert np.isnan(panel.shares[2]).all()
    unclaimed = RelationsRecord(
        fine_to_coarse=np.array([[0, 1]]),
        coarse_counts=np.array([[[5, 0], [0, 6]]]),
        true_fine_to_coarse=np.array([[0, 1, 1]]),
        fine_counts=_counts({(0, 0): 5, (1, 2): 6}, 2, 3),
    )
    panel = _replace(study, "baseline", unclaimed)
    assert panel.rows == ("0 → 0", "1 → 2", "unclaimed → 1")
    assert panel.marks[2].tolist() == [0, TRUE_ONLY]
    assert panel.counts == (2, 0, 0, 1)


def test_wrong_edges_are_those_that_ged_counts(study):
    rng = np.random.default_rng(3)
    for num_fine in (4, 6, 9):
        learned, truth = rng.integers(0, 3, size=(1, num_fine)), rng.integers(0, 3, size=(1, 6))
        counts = rng.integers(0, 20, size=(num_fine, 6))
        record = RelationsRecord(learned, np.zeros((1, num_fine, 3), dtype=np.int64), truth, counts)
        _, wrong, surplus, unclaimed = _replace(study, "baseline", record).counts
        assert 2 * (wrong + surplus + unclaimed) == ged(learned, truth, counts)


def test_every_source_has_its_panel(study):
    record = RelationsRecord(
        fine_to_coarse=np.array([[0, 1], [1, 0]]),
        coarse_counts=np.zeros((2, 2, 2), dtype=np.int64),
        true_fine_to_coarse=np.array([[0, 1], [0, 1]]),
        fine_counts=_counts({(0, 0): 5, (1, 1): 6}, 2, 2),
    )
    _replace(study, "baseline", record)
    panels = [panel for panel in relations_panels(read_study(study)) if panel.arm == "baseline"]
    assert [(panel.source, panel.counts[0]) for panel in panels] == [(0, 2), (1, 0)]


def test_without_fine_labels_rows_are_sorted_by_learned_parent(study):
    record = RelationsRecord(fine_to_coarse=np.array([[1, 0, 1]]), coarse_counts=np.array([[[1, 3], [4, 0], [0, 2]]]))
    panel = _replace(study, "baseline", record)
    assert not panel.has_truth
    assert panel.rows == ("1", "0", "2")
    assert panel.marks.tolist() == [[LEARNED_ONLY, 0], [0, LEARNED_ONLY], [0, LEARNED_ONLY]]
    assert panel.shares.tolist() == [[1.0, 0.0], [0.25, 0.75], [0.0, 1.0]]


@pytest.mark.parametrize("most", [3, 4, 7])
def test_neighbours_among_many_classes_share_a_cell_that_has_all_their_samples(study, monkeypatch, most):
    rng = np.random.default_rng(most)
    counts = rng.integers(0, 9, size=(11, 8)) * (rng.random((11, 8)) < 0.3)
    record = RelationsRecord(
        fine_to_coarse=rng.integers(0, 4, size=(1, 11)),
        coarse_counts=np.zeros((1, 11, 4), dtype=np.int64),
        true_fine_to_coarse=rng.integers(0, 4, size=(1, 8)),
        fine_counts=counts,
    )
    single = _replace(study, "baseline", record)
    monkeypatch.setattr(relations_data, "MOST_SHARES", most)
    panel = _replace(study, "baseline", record)
    tall, wide = panel.block
    assert (single.block, panel.rows, panel.columns) == ((1, 1), single.rows, single.columns)
    assert max(panel.shares.shape) <= most
    learned = [None if name.startswith("unclaimed") else int(name.split()[0]) for name in panel.rows]
    true = [int(name) for name in panel.columns]
    for row, shares in enumerate(panel.shares):
        inside = [each for each in learned[row * tall : (row + 1) * tall] if each is not None]
        total = counts[inside].sum()
        for column, share in enumerate(shares):
            found = counts[np.ix_(inside, true[column * wide : (column + 1) * wide])].sum()
            assert np.isnan(share) if total == 0 else share == pytest.approx(found / total)


def test_the_median_seed_is_shown_baseline_first(study):
    data = read_study(study)
    panels = relations_panels(data)
    assert panels[0].arm == "baseline"
    for panel in panels:
        values = data.values(panel.arm, "test/clustering_accuracy")
        assert panel.value == np.median(list(values.values()))
        assert values[panel.seed] == panel.value


def test_a_cell_without_stored_relations_has_no_panel(study):
    for path in study.relations_dir.iterdir():
        path.unlink()
    assert relations_panels(read_study(study)) == ()
