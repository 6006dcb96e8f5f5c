from __future__ import annotations

from dataclasses import replace

import pytest

from fgtune.analysis.formatting import metric_info
from fgtune.analysis.inputs import read_study

STUDY = """
study: two_sets
question: Which?
design:
  kind: comparison
  arms: [{name: base, set: {epochs: 3}}, {name: other, set: {epochs: 4}}]
  datasets: {small: {kind: digits, limit: 500}, large: {kind: digits, limit: 900}}
seeds: 2
trial: {data: {kind: digits}, classes: {num_fine: 10}}
"""


@pytest.fixture
def study(synthetic, tmp_path):
    """Two data sets, the test sets of ten times as many samples on one of them."""
    folder = synthetic.SyntheticStudy(text=STUDY).write(tmp_path)
    for result in folder.ledger.read():
        if result.arm.endswith("large"):
            record = folder.read_relations(result.cell_id)
            folder.write_relations(result.cell_id, replace(record, fine_counts=10 * record.fine_counts))
    return read_study(folder)


def test_each_data_set_has_the_grain_of_its_own_test_set(study):
    info = metric_info("test/clustering_accuracy")
    for dataset in ("small", "large"):
        arm = next(arm for arm in study.arms if arm.dataset == dataset)
        record = study.folder.read_relations(study.cells(arm.name)[0].cell_id)
        assert study.grain(info, dataset) == 1.0 / record.fine_counts.sum()
    assert study.grain(info, "small") > 5 * study.grain(info, "large")


def test_a_metric_that_counts_no_samples_has_no_grain(study):
    assert study.grain(metric_info("test/ari"), "small") == 0.0
