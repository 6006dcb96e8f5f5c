"""The plan as text: what it holds comes back, and what no study can have written is no plan."""

from __future__ import annotations

import pytest

from fgtune.results.texts import MOST_COLUMNS, parse_plan, rows_text

ROWS = [
    {"cell_id": "a1", "arm": "base, line", "seed": 0, "objective.lambda_nn": 0.5, "objective.prior": None},
    {"cell_id": "b2", "arm": 'say "x"', "seed": 1, "objective.lambda_nn": 2, "objective.prior": "learned"},
]


def test_rows_come_back_with_their_types():
    assert parse_plan(rows_text(ROWS)) == ROWS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("arm,seed\nx,0\n", "needs the columns cell_id, arm, seed"),
        ("cell_id,arm,seed\na,x,first\n", "invalid literal"),
        ("cell_id,arm,seed\na,x,0b,y,1\n", None),
        ("cell_id,arm,seed\na,x,0,b,y,1\n", "the row of a has more values than there are columns"),
        (
            ",".join(["cell_id", "arm", "seed", *(f"x{n}" for n in range(MOST_COLUMNS))]) + "\n",
            r"has 1,003 columns, and no study varies more than 1,000 settings",
        ),
        pytest.param(
            "cell_id,arm,seed\n" + "a,base,0\n" * 200_000,
            "has 200,001 lines, and no study has more than 100,000 cells",
            id="lines",
        ),
    ],
)
def test_what_no_study_has_written_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_plan(text)
