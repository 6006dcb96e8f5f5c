from __future__ import annotations

import pytest

from fgtune.config.arms.expand import expand
from fgtune.config.arms.plan import selected_cells
from fgtune.config.arms.records import DataShape
from fgtune.config.reading.load import load_study
from fgtune.errors import ConfigError

STUDY = """
study: s
question: q
seeds: 3
design: {kind: sensitivity, factors: {classes.num_fine_ratio: [0.8, 1.0, 1.2], model.head.kind: [linear, cosine]}}
trial:
  data: {kind: digits}
  classes: {num_fine_ratio: 1.0}
"""


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    path = tmp_path_factory.mktemp("only") / "s.yaml"
    path.write_text(STUDY)
    return expand(load_study(path), lambda _: DataShape(num_coarse=(2,), num_fine=10, fingerprint="f00d"))


def named(cells):
    return {(cell.arm, cell.seed) for cell in cells}


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (["seed=1"], lambda cell: cell.seed == 1),
        (["seed=1", "seed=2"], lambda cell: cell.seed in {1, 2}),
        (["arm=base*"], lambda cell: cell.arm == "baseline"),
        (["classes.num_fine_ratio=1.2"], lambda cell: cell.levels["classes.num_fine_ratio"] == 1.2),
        (
            ["model.head.kind=cos*", "seed = 0"],
            lambda cell: cell.levels["model.head.kind"] == "cosine" and cell.seed == 0,
        ),
        ([], lambda _: True),
    ],
)
def test_conditions_select_what_they_say(plan, conditions, expected):
    assert named(selected_cells(plan, conditions)) == named(filter(expected, plan.cells))


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("seed", "must be KEY=PATTERN"),
        ("sed=1", "KEY is one of arm, seed, classes.num_fine_ratio, model.head.kind"),
        ("seed=7", "selects no cell of the study"),
        ("arm=Baseline", "arms are baseline"),
    ],
)
def test_what_selects_nothing_is_refused(plan, condition, message):
    with pytest.raises(ConfigError, match=message):
        selected_cells(plan, [condition])
