"""Marks of very many arms share two traces, which hold what each arm's own traces would."""

from __future__ import annotations

import math
import re

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


def texts_of(trace) -> list[str | None]:
    """The hover text of every mark, put together from names, seeds and values as the page does it."""
    if trace.text is not None:
        return list(trace.text)
    axis, form = re.search(r"%{([xy]):(.*?)}<extra>", trace.hovertemplate).groups()
    names = [name for _, number, label in trace.meta["runs"] for name in [*[label] * number, None]]
    arms = [arm for arm, number, _ in trace.meta["runs"] for arm in [*[arm] * number, None]]
    assert [name if name is None else name.replace(" ", "-") for name in names] == arms
    signs = dict(zip("+-", "+−", strict=True))
    return [
        None if name is None else f"{name}, seed {seed}: {''.join(signs.get(c, c) for c in format(value, form))}"
        for name, seed, value in zip(names, trace.customdata, getattr(trace, axis), strict=True)
    ]


def drawn(traces) -> list[tuple]:
    """Every mark: where, what a reader sees of it, and its interval."""
    found = []
    for trace in traces:
        bar = next((each for each in (trace.error_x, trace.error_y) if each.array is not None), None)
        for rank, (x, y, text) in enumerate(zip(trace.x, trace.y, texts_of(trace), strict=True)):
            if text is not None:  # the gap after an arm
                ends = (0.0, 0.0) if bar is None else (bar.arrayminus[rank], bar.array[rank])
                found.append((*(float(f"{value:.4g}") for value in (x, y, *ends)), text))
    return sorted(found)


@pytest.mark.parametrize("rows", [True, False])
@pytest.mark.parametrize("sign", [True, False])
def test_shared_traces_hold_the_marks_of_each_arm(rows, sign):
    together = arm_traces(MARKS, STYLES, rows=rows, sign=sign)
    alone = [trace for each in MARKS for trace in arm_traces([each], STYLES, rows=rows, sign=sign)]
    assert len(together) == 2
    assert {len(together[0].x), len(together[0].y), len(together[0].customdata)} == {len(texts_of(together[0]))}
    for ours, theirs in zip(drawn(together), drawn(alone), strict=True):
        assert ours[:4] == pytest.approx(theirs[:4], rel=2e-3, abs=1e-9)
        (name, value), (same, expected) = (text.rsplit(": ", 1) for text in (ours[4], theirs[4]))
        assert name == same
        assert value == expected or float(value.replace("−", "-")) == float(expected.replace("−", "-"))
    assert list(together[1].marker.symbol) == [STYLES[each.arm].symbol for each in MARKS]
    assert any(math.isnan(each.estimate.high) for each in MARKS), "one value has no interval"
