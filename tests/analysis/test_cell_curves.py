from __future__ import annotations

import itertools
import math

import pytest

from fgtune.analysis.cell_curves import MOST_POINTS, cell_curves_panel, drawn_points
from fgtune.analysis.inputs import read_study
from fgtune.results.records import CellState


@pytest.mark.parametrize("number", [1, 2, 19, 20, 21, 39, 1000])
def test_few_points_are_drawn_in_order_from_the_first_to_the_last_at_even_distances(number):
    places = drawn_points(number)
    assert len(places) == min(number, MOST_POINTS)
    assert (places[0], places[-1]) == (0, number - 1)
    steps = [later - earlier for earlier, later in itertools.pairwise(places)]
    assert all(step >= 1 for step in steps)
    assert not steps or max(steps) - min(steps) <= 1


def test_every_ended_cell_has_its_own_curve_as_far_as_it_came(synthetic, tmp_path):
    lost, stopped, gone = ("num_fine_ratio=0.8", 2), ("num_fine_ratio=1.2", 1), ("baseline", 4)
    faults = synthetic.Faults(missing={gone}, failed={lost: "loss is not finite"}, pruned={stopped})
    data = read_study(synthetic.SyntheticStudy(faults=faults).write(tmp_path))
    panel = cell_curves_panel(data)
    found = {(curve.arm, curve.seed): curve for curve in panel.curves}
    assert list(found) == [(cell.arm, cell.seed) for cell in data.planned if (cell.arm, cell.seed) != gone]
    assert {place for place, curve in found.items() if curve.state is CellState.FAIL} == {lost}
    assert {place for place, curve in found.items() if curve.epochs[-1] == 12} == {lost, stopped}
    assert found[lost].epochs == tuple(range(1, 13))
    stored = data.folder.read_curves()
    for curve in panel.curves:
        own = stored[stored["cell_id"] == curve.cell_id].set_index("epoch")["test/clustering_accuracy"]
        assert curve.values == tuple(own[list(curve.epochs)])
        assert (curve.epochs[0], curve.epochs[-1]) == (1, own.index.max())
        assert data.results[curve.cell_id].state is not CellState.COMPLETE or len(curve.epochs) == MOST_POINTS
        if curve.state is CellState.COMPLETE:
            assert curve.values[-1] == data.results[curve.cell_id].metrics["test/clustering_accuracy"]


def test_an_epoch_without_a_value_is_left_out_and_one_of_all_cells_is_no_curve(synthetic, tmp_path, monkeypatch):
    data = read_study(synthetic.SyntheticStudy().write(tmp_path))
    stored = data.folder.read_curves()
    few = stored[stored["epoch"].isin([30, 60]) & (stored["seed"] < 2)].copy()
    few.loc[(few["epoch"] == 30) & (few["seed"] == 1), "test/clustering_accuracy"] = math.nan
    monkeypatch.setattr(type(data.folder), "read_curves", lambda _: few)
    panel = cell_curves_panel(data)
    assert {(curve.seed, curve.epochs) for curve in panel.curves} == {(0, (30, 60)), (1, (60,))}
    few.loc[few["epoch"] == 30, "test/clustering_accuracy"] = math.nan
    assert cell_curves_panel(data) is None
    monkeypatch.setattr(type(data.folder), "read_curves", lambda _: few.drop(columns="test/clustering_accuracy"))
    assert cell_curves_panel(data) is None
