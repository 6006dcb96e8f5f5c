from __future__ import annotations

import math

import pytest

from fgtune.results.records import best_by_mean


@pytest.mark.parametrize(
    ("scores", "mode", "best"),
    [
        ({"a": (0.1, 3), "b": (0.2, 3)}, "maximize", "b"),
        ({"a": (0.1, 3), "b": (0.2, 3)}, "minimize", "a"),
        ({"a": (0.1, 3), "b": (0.9, 2)}, "maximize", "a"),  # what b has lost may have been its bad cells
        ({"a": (0.5, 2), "b": (0.5, 2)}, "maximize", "a"),
        ({"a": (math.nan, 3), "b": (0.2, 2)}, "maximize", "b"),
        ({"a": (-math.inf, 1), "b": (math.nan, 0)}, "maximize", None),
        ({}, "minimize", None),
    ],
)
def test_the_best_mean_among_the_most_complete_arms_wins(scores, mode, best):
    assert best_by_mean(scores, mode) == best
