from __future__ import annotations

import math

import pytest

from fgtune.analysis.inputs import read_study
from fgtune.reporting import cell_list
from fgtune.reporting.cell_list import cell_groups, cell_rows


@pytest.fixture
def study(synthetic, tmp_path):
    faults = synthetic.Faults(missing={("baseline", 4)}, failed={("num_fine_ratio=0.8", 2): "loss is not finite"})
    folder = synthetic.SyntheticStudy(faults=faults).write(tmp_path)
    failed = next(result.cell_id for result in folder.ledger.read() if result.state == "FAIL")
    folder.write_failure(failed, "Traceback")
    return read_study(folder)


def test_every_planned_cell_has_a_row_whose_files_are_there(study):
    rows = cell_rows(study)
    assert [row.cell_id for row in rows] == [cell.cell_id for cell in study.planned]
    for row in rows:
        files = [place for place in row.links.values() if not place.startswith("#")]
        assert all((study.folder.root / place).is_file() for place in files)
        assert ("relations" in row.links) == (row.state == "COMPLETE")
        assert ("failure" in row.links) == (row.state == "FAIL")
    (planned,) = [row for row in rows if row.state == "PLANNED"]
    assert (planned.arm, planned.seed, planned.links) == ("baseline", 4, {})
    assert math.isnan(planned.value)


def test_very_many_cells_are_counted_by_arm(study, monkeypatch):
    monkeypatch.setattr(cell_list, "MOST_CELLS", 19)
    assert cell_rows(study) == ()
    groups = {group.arm: (group.cells, group.complete) for group in cell_groups(study)}
    assert (groups["baseline"], groups["num_fine_ratio=0.8"], groups["num_fine_ratio=1.2"]) == ((5, 4), (5, 4), (5, 5))
