"""Marks of very many arms share two traces, which hold what each arm's own traces would."""

from __future__ import annotations

import math

import pytest

from fgtune.analysis.verdicts.statistics import mean_interval
from fgtune.reporting.estimate_marks import ArmMark, arm_traces
from fgtune.reporting.theme import MOST_NAMED, ArmStyle

VALUES = [[0.1 * rank, 0.1 * rank + 0.05, 0.1 * rank + 0.02][: 1 + rank % 3] for rank in range(MOST_NAMED + 3)]
MARKS = [
    ArmMark(f"arm-{rank}", f"arm {rank}", float(rank), rank - 0.2, mean_interval(values), tuple(enumerate(values)))
    for rank, values in enumerate(VALUES)
]
STYLES = {each.arm: ArmStyle("#112233", ("circle", "square")[rank % 2], "solid") for rank, each in enumerate(MARKS)}


def drawn(traces) -> list[tuple]:
    """Every mark: where, what a reader sees of it, and its interval."""
    found = []
    for trace in traces:
        bar = next((each for each in (trace.error_x, trace.error_y) if each.array is not None), None)
        for rank, (x, y, text) in enumerate(zip(trace.x, trace.y, trace.text, strict=True)):
            ends = (0.0, 0.0) if bar is None else (bar.arrayminus[rank], bar.array[rank])
            found.append((*(float(f"{value:.4g}") for value in (x, y, *ends)), text))
    return sorted(found)


@pytest.mark.parametrize("rows", [True, False])
@pytest.mark.parametrize("sign", [True, False])
def test_shared_traces_hold_the_marks_of_each_arm(rows, sign):
    together = arm_traces(MARKS, STYLES, rows=rows, sign=sign)
    alone = [trace for each in MARKS for trace in arm_traces([each], STYLES, rows=rows, sign=sign)]
    assert len(together) == 2
    for ours, theirs in zip(drawn(together), drawn(alone), strict=True):
        assert ours[:4] == pytest.approx(theirs[:4], rel=2e-3, abs=1e-9)
        assert ours[4] == theirs[4]
    assert list(together[1].marker.symbol) == [STYLES[each.arm].symbol for each in MARKS]
    assert any(math.isnan(each.estimate.high) for each in MARKS), "one value has no interval"
