from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgtune.config.expand import expand, resolve_classes
from fgtune.config.load import load_study
from fgtune.config.plan import DataShape, Plan
from fgtune.config.trial import TrialConfig
from fgtune.errors import ConfigError, DataError, MultiConfigError

DIGITS = DataShape(num_coarse=(2,), num_fine=10, fingerprint="f00d")
UNLABELLED = DataShape(num_coarse=(2,), num_fine=None, fingerprint="beef")
FACTORS = "factors:\n    classes.num_fine_ratio: [0.8, 1.0, 1.2]\n  baseline:\n    classes.num_fine_ratio: 1.0"
DESIGN = f"kind: sensitivity\n  {FACTORS}"


def plan_of(path, overrides=(), shape=DIGITS) -> Plan:
    return expand(load_study(path, overrides), lambda _: shape)


def failure_of(path, shape=DIGITS) -> str:
    with pytest.raises(ConfigError) as caught:
        plan_of(path, shape=shape)
    return str(caught.value)


def names(plan: Plan) -> list[str]:
    return [arm.name for arm in plan.arms]


def test_a_sensitivity_study_varies_one_factor_around_its_baseline(write):
    plan = plan_of(write())
    assert names(plan) == ["baseline", "num_fine_ratio=0.8", "num_fine_ratio=1.2"]
    assert plan.baseline.name == "baseline"
    assert plan.factors == ("classes.num_fine_ratio",)
    assert [arm.levels["classes.num_fine_ratio"] for arm in plan.arms] == [1.0, 0.8, 1.2]
    assert [cell.config.classes.num_fine for cell in plan.cells[:3]] == [10, 8, 12]
    assert all(cell.config.classes.num_fine_ratio is None for cell in plan.cells)


def test_cells_come_block_by_block(write):
    plan = plan_of(write())
    assert [(cell.seed, cell.arm) for cell in plan.cells] == list(itertools.product(range(3), names(plan)))
    assert len({cell.cell_id for cell in plan.cells}) == len(plan.cells)


def test_a_level_equal_to_the_baseline_in_another_spelling_is_not_run_twice(write):
    assert len(plan_of(write(("[0.8, 1.0, 1.2]", "[0.8, 1, 1.2]"))).arms) == 3


def test_the_baseline_need_not_be_among_the_levels(write):
    plan = plan_of(write(("[0.8, 1.0, 1.2]", "[0.8, 1.2]")))
    assert names(plan) == ["baseline", "num_fine_ratio=0.8", "num_fine_ratio=1.2"]


def test_without_a_baseline_the_trial_is_the_baseline(write):
    plan = plan_of(write(("  baseline:\n    classes.num_fine_ratio: 1.0\n", "")))
    assert plan.baseline.levels == {"classes.num_fine_ratio": 1.0}


def test_several_factors_are_varied_one_at_a_time(write):
    design = "kind: sensitivity\n  factors:\n    epochs: [60, 20]\n    optimizer.kind: [sgd, adamw]"
    plan = plan_of(write((DESIGN, design)))
    assert names(plan) == ["baseline", "epochs=20", "optimizer=adamw"]
    assert plan.arms[2].levels == {"epochs": 60, "optimizer.kind": "adamw"}
    assert plan.arms[2].config.optimizer.lr == 1e-3


def test_a_full_grid_holds_every_combination_once(write):
    design = "kind: sensitivity\n  grid: full\n  factors:\n    epochs: [60, 20]\n    batch_size: [256, 64, 32]"
    plan = plan_of(write((DESIGN, design)))
    pairs = {(arm.levels["epochs"], arm.levels["batch_size"]) for arm in plan.arms}
    assert pairs == set(itertools.product([60, 20], [256, 64, 32]))
    assert len(plan.arms) == 6
    assert names(plan)[:2] == ["baseline", "epochs=60,batch_size=64"]


def test_leaves_that_two_factors_share_are_told_apart(write):
    design = "kind: sensitivity\n  factors:\n    model.head.kind: [cosine]\n    relations.solver.kind: [scip]"
    assert names(plan_of(write((DESIGN, design)))) == ["baseline", "head=cosine", "solver=scip"]
    design = "kind: sensitivity\n  factors:\n    data.split.train: [0.6]\n    data.split.val: [0.2]\n  grid: full"
    assert names(plan_of(write((DESIGN, design)))) == ["baseline", "train=0.6,val=0.2"]


def test_shared_leaves_take_the_shortest_suffix_that_differs(write):
    design = (
        "kind: sensitivity\n  factors:\n    optimizer: [{kind: adamw}]\n"
        "    objective.pseudo_labels.temperature: [0.5]\n    model.head.temperature: [0.1]"
    )
    path = write((DESIGN, design), ("epochs: 60", "epochs: 60\n  model: {head: {kind: cosine}}"))
    assert names(plan_of(path)) == [
        "baseline",
        "optimizer=adamw",
        "pseudo_labels.temperature=0.5",
        "head.temperature=0.1",
    ]


def test_mapping_levels_show_their_kind_and_what_tells_them_apart(write):
    levels = "[{kind: scip}, {kind: cvxpy, time_limit_s: 3}, {kind: cvxpy, time_limit_s: 9}]"
    design = f"kind: sensitivity\n  factors:\n    relations.solver: {levels}"
    plan = plan_of(write((DESIGN, design)))
    assert names(plan) == [
        "baseline", "solver=scip", "solver=cvxpy(time_limit_s=3)", "solver=cvxpy(time_limit_s=9)"
    ]  # fmt: skip
    assert plan.arms[1].levels["relations.solver"] == {"kind": "scip", "time_limit_s": 30.0}


def test_lists_and_booleans_are_named_without_spaces(write):
    design = "kind: sensitivity\n  factors:\n    model.backbone.hidden: [[64, 64]]\n    optimizer.nesterov: [true]"
    assert names(plan_of(write((DESIGN, design)))) == ["baseline", "hidden=[64,64]", "nesterov=true"]


COMPARISON = """kind: comparison
  arms:
    - name: full
    - name: no_nn
      set: {objective.lambda_nn: 0.0}
    - name: five
      set: {classes.num_fine: 5}"""


def test_a_comparison_has_its_arms_and_the_first_is_the_baseline(write):
    plan = plan_of(write((DESIGN, COMPARISON)))
    assert names(plan) == ["full", "no_nn", "five"]
    assert plan.baseline.name == "full"
    assert plan.factors == ("objective.lambda_nn", "classes.num_fine")
    assert [arm.levels for arm in plan.arms] == [
        {"objective.lambda_nn": 0.5, "classes.num_fine": None},
        {"objective.lambda_nn": 0.0, "classes.num_fine": None},
        {"objective.lambda_nn": 0.5, "classes.num_fine": 5},
    ]
    assert plan.cells[2].config.classes.num_fine == 5


def test_a_comparison_may_name_its_baseline(write):
    plan = plan_of(write((DESIGN, COMPARISON + "\n  baseline: no_nn")))
    assert plan.baseline.name == "no_nn"
    assert names(plan) == ["no_nn", "full", "five"]


WRONG_FACTORS = [
    ("clases.num_fine_ratio: [1.2]", "clases.num_fine_ratio: no such setting in trial. Fix: did you mean 'classes.num"),
    ("num_fine_ratio: [1.2]", "num_fine_ratio: no such setting in trial. Fix: did you mean 'classes.num_fine_ratio'?"),
    ("optimizer.lrr: [1.2]", "optimizer.lrr: no such setting in trial. Fix: did you mean 'optimizer.lr'?"),
    ("epoch: [1]", "epoch: no such setting in trial. Fix: did you mean 'epochs'?"),
    ("zzz: [1]", "zzz: no such setting in trial. Fix: sections of trial: data, model, classes, "),
    ("relations.solver.time_limit_s: [1.0]",
     "relations.solver.time_limit_s: no such setting in trial. Fix: relations.solver is of kind 'flow', which has no"),
    ("epochs: [1, 2, 1]", "epochs[2]: level given twice, got 1. Fix: drop one"),
    ("epochs: [60]", "epochs: must have a level other than the baseline's, got [60]"),
    ("epochs: [20, -1]", "epochs[1]: must be >= 1, got -1. Fix: leave it out for the default, 100"),
    ("epochs: [20, long]", "epochs[1]: must be a whole number, got 'long'."),
    ("optimizer: [{kind: adamw, lrr: 1}]", "optimizer[0].lrr: unknown key. Fix: did you mean 'lr'?"),
    ("optimizer: [{kind: adam}]", "optimizer[0].kind: unknown kind, got 'adam'. Fix: did you mean 'adamw'?"),
    ("optimizer: [3]", "optimizer[0]: must be a mapping, got 3"),
    ("neighbors.sampled: [50]", "neighbors.sampled[0]: sampled (50) must be <= stored (20)"),
    ("relations.solver: [{kind: scip}], relations.solver.kind: [cvxpy]",
     "relations.solver: factors must not overlap, relations.solver.kind lies within this one"),
    ("classes.num_fine_ratio: [0.1, 1.2]",
     "classes.num_fine_ratio[0]: must be >= number of coarse classes, "
     "1 fine classes (0.1 x 10) cannot cover 2 coarse ones, got 0.1. Fix: use a ratio of 0.2 or more"),
    ("classes.num_fine: [1]",
     "classes.num_fine[0]: must be >= number of coarse classes, "
     "1 fine classes cannot cover 2 coarse ones, got 1. Fix: ask for 2 or more"),
    ("classes.num_fine_ratio: [0.96, 1.2]",
     "classes.num_fine_ratio[0]: arms 'baseline' and 'num_fine_ratio=0.96' are the same trial once classes are resolved"),
    ("classes.num_fine_ratio: [1.2, 1.21]",
     "classes.num_fine_ratio[1]: arms 'num_fine_ratio=1.2' and 'num_fine_ratio=1.21' are the same trial"),
    ("classes.num_fine: [8, 10]", "classes.num_fine[1]: arms 'baseline' and 'num_fine=10' are the same trial"),
]  # fmt: skip


@pytest.mark.parametrize(("factors", "message"), WRONG_FACTORS, ids=[factors for factors, _ in WRONG_FACTORS])
def test_a_wrong_factor_is_told_at_its_level(write, factors, message):
    path = write((DESIGN, f"kind: sensitivity\n  factors: {{{factors}}}"))
    assert failure_of(path).startswith(f"tiny.yaml:5: design.factors.{message}")


WRONG_BASELINES = [
    ("epochs: [20]", "epoch: 30", "tiny.yaml:6: design.baseline.epoch: unknown key. Fix: did you mean 'epochs'?"),
    ("relations.mode: [oracle]", "classes.num_fine: 7",
     "tiny.yaml:5: design.factors.relations.mode[0]: oracle relations need as many fine classes as the data have (10), "
     "not 7, got 'oracle'. Fix: set classes.num_fine_ratio: 1.0"),
    ("classes.num_fine_ratio: [1.2]", "relations.mode: oracle",
     "tiny.yaml:5: design.factors.classes.num_fine_ratio[0]: does not go with trial.relations.mode: "
     "oracle relations need as many fine classes as the data have (10), not 12"),
]  # fmt: skip


@pytest.mark.parametrize(("factors", "baseline", "message"), WRONG_BASELINES, ids=[each[1] for each in WRONG_BASELINES])
def test_what_does_not_go_with_the_baseline_is_told_where_it_is_brought_about(write, factors, baseline, message):
    path = write((DESIGN, f"kind: sensitivity\n  factors: {{{factors}}}\n  baseline: {{{baseline}}}"))
    assert failure_of(path).startswith(message)


WRONG_ARMS = [
    ("objective.lambda_n: 0.0", "objective.lambda_n: unknown key. Fix: did you mean 'lambda_nn'?"),
    ("model: {backbone: {kind: mlp, hiden: [3]}}", "model.backbone.hiden: unknown key. Fix: did you mean 'hidden'?"),
    ("classes.num_fine: 1", "classes.num_fine: must be >= number of coarse classes"),
    ("epochs: 60", "epochs: arms 'full' and 'no_nn' are the same trial"),
]


@pytest.mark.parametrize(("change", "message"), WRONG_ARMS, ids=[change for change, _ in WRONG_ARMS])
def test_a_wrong_arm_is_told_at_its_patch(write, change, message):
    path = write((DESIGN, COMPARISON.replace("objective.lambda_nn: 0.0", change)))
    assert failure_of(path).splitlines()[0].startswith(f"tiny.yaml:8: design.arms[1].set.{message}")


def test_a_split_that_only_one_arm_leaves_out_is_refused(write):
    path = write((DESIGN, COMPARISON.replace("objective.lambda_nn: 0.0", "evaluation.splits: [val]")))
    assert "metrics.primary: test is not among trial.evaluation.splits (val)" in failure_of(path)


def test_arms_of_one_name_and_unknown_baselines_are_refused(write):
    text = COMPARISON.replace("five", "full")
    assert "design: arm names must differ, ['full'] appear more than once" in failure_of(write((DESIGN, text)))
    text = COMPARISON + "\n  baseline: ful"
    assert "design: baseline must name an arm, one of ['full', 'no_nn', 'five'], got 'ful'" in failure_of(
        write((DESIGN, text))
    )


def test_every_wrong_level_is_told(write):
    path = write((DESIGN, "kind: sensitivity\n  factors:\n    epochs: [20, -1, x]\n    batch_size: [1]"))
    assert [line.split(": ")[1] for line in failure_of(path).splitlines()] == [
        "design.factors.epochs[1]", "design.factors.epochs[2]", "design.factors.batch_size[0]"
    ]  # fmt: skip


def test_what_is_wrong_with_the_trial_itself_is_told_once_at_its_own_place(write):
    path = write(
        (DESIGN, "kind: sensitivity\n  factors: {epochs: [20, 30]}"), ("{num_fine_ratio: 1.0}", "{num_fine: 1}")
    )
    assert failure_of(path).startswith("tiny.yaml:11: trial.classes.num_fine: must be >= number of coarse classes")
    assert len(failure_of(path).splitlines()) == 1


def test_a_value_set_on_the_command_line_is_told_as_such(write):
    path = write((DESIGN, "kind: sensitivity\n  factors: {epochs: [20, 30]}"))
    with pytest.raises(ConfigError, match=r"^--set trial\.classes\.num_fine=1: trial\.classes\.num_fine: must be >= "):
        plan_of(path, ["trial.classes.num_fine=1"])


def test_data_without_fine_labels_need_a_number_of_fine_classes(write):
    message = failure_of(write(), UNLABELLED)
    assert message.splitlines()[0].startswith(
        "tiny.yaml:8: design.baseline.classes.num_fine_ratio: needs fine labels, which the data do not have, got 1.0. "
        "Fix: give classes.num_fine instead"
    )
    design = "kind: sensitivity\n  factors: {relations.mode: [oracle]}"
    path = write((DESIGN, design), ("{num_fine_ratio: 1.0}", "{num_fine: 5}"))
    assert failure_of(path, UNLABELLED).startswith(
        "tiny.yaml:5: design.factors.relations.mode[0]: oracle relations need fine labels, which the data do not have"
    )


def test_the_largest_source_bounds_the_number_of_fine_classes(write):
    message = failure_of(write(), DataShape(num_coarse=(2, 9), num_fine=10, fingerprint=""))
    assert "8 fine classes (0.8 x 10) cannot cover 9 coarse ones, got 0.8. Fix: use a ratio of 0.9 or more" in message


def test_data_errors_are_told_at_the_data_section_and_keep_their_type(write):
    def broken(_):
        raise DataError("inputs must be finite", where="mine.npz", fix="drop those rows")

    with pytest.raises(DataError) as caught:
        expand(load_study(write()), broken)
    assert str(caught.value) == "tiny.yaml:12: trial.data: mine.npz: inputs must be finite. Fix: drop those rows"


def test_data_are_loaded_once_a_data_config(write):
    asked = []

    def shape_of(config):
        asked.append(config)
        return DIGITS

    design = "kind: sensitivity\n  factors:\n    epochs: [20]\n    data.limit: [100, 200]"
    plan = expand(load_study(write((DESIGN, design))), shape_of)
    assert [config.limit for config in asked] == [None, 100, 200]
    assert len(plan.shapes) == 3


def test_metrics_of_a_split_left_out_are_refused(write):
    message = failure_of(write(("epochs: 60", "evaluation: {splits: [val]}")))
    assert message.splitlines() == [
        "tiny.yaml:10: metrics.primary: test is not among trial.evaluation.splits (val), "
        "got 'test/clustering_accuracy'. Fix: add test to trial.evaluation.splits",
        "tiny.yaml:10: metrics.also[0]: test is not among trial.evaluation.splits (val), got 'test/ari'. "
        "Fix: add test to trial.evaluation.splits",
    ]


def test_small_batches_are_warned_of(write):
    assert plan_of(write()).warnings == ()
    warnings = plan_of(write(("epochs: 60", "batch_size: 20"))).warnings
    assert len(warnings) == 1
    assert warnings[0].startswith("arm num_fine_ratio=1.2: batch_size 20 is below 2 x num_fine = 24")


def test_the_study_hash_covers_settings_and_data_but_not_execution(write):
    first = plan_of(write()).study_hash
    assert plan_of(write(), ["execution.cpus=2"]).study_hash == first
    assert plan_of(write(), ["trial.epochs=61"]).study_hash != first
    assert plan_of(write(), shape=DataShape((2,), 10, "other")).study_hash != first


def test_a_cell_keeps_its_id_when_the_study_grows(write):
    small = {cell.cell_id for cell in plan_of(write()).cells}
    large = {cell.cell_id for cell in plan_of(write(("[0.8, 1.0, 1.2]", "[0.8, 1.0, 1.2, 2.0]")), ["seeds=4"]).cells}
    assert small < large


@pytest.mark.parametrize(
    ("ratio", "true", "expected"),
    [(0.85, 10, 9), (1.15, 10, 12), (1.25, 10, 13), (0.25, 10, 3), (0.8, 68, 54), (1.5, 1, 2)],
)
def test_ratios_are_rounded_half_up_as_written(ratio, true, expected):
    config = TrialConfig.from_plain({"data": {"kind": "digits"}, "classes": {"num_fine_ratio": ratio}})
    assert resolve_classes(config, DataShape((1,), true, "")).classes.num_fine == expected


@settings(deadline=None, max_examples=40)
@given(
    levels=st.lists(st.sampled_from([1, 2, 5, 60, 7]), min_size=1, max_size=5, unique=True),
    sizes=st.lists(st.sampled_from([32, 64, 256]), min_size=1, max_size=3, unique=True),
    grid=st.sampled_from(["full", "one_at_a_time"]),
    seeds=st.integers(1, 3),
)
def test_a_plan_is_complete_distinct_and_balanced(tmp_path_factory, levels, sizes, grid, seeds):
    factors = {"epochs": [*levels, 3], "batch_size": [*sizes, 16]}
    study = {
        "study": "s", "question": "q", "seeds": seeds,
        "design": {"kind": "sensitivity", "grid": grid, "factors": factors},
        "trial": {"data": {"kind": "digits"}, "classes": {"num_fine": 8}, "epochs": 60},
    }  # fmt: skip
    path = tmp_path_factory.getbasetemp() / "study.yaml"
    path.write_text(json.dumps(study))
    plan = plan_of(path)
    pairs = [(arm.levels["epochs"], arm.levels["batch_size"]) for arm in plan.arms]
    wanted = {(60, 256)}
    if grid == "full":
        wanted |= set(itertools.product([*levels, 3], [*sizes, 16]))
    else:
        wanted |= {(level, 256) for level in [*levels, 3]} | {(60, size) for size in [*sizes, 16]}
    assert sorted(pairs) == sorted(wanted)
    assert len(set(names(plan))) == len(plan.arms)
    assert len(plan.cells) == seeds * len(plan.arms)
    for arm in plan.arms:
        assert arm.config.epochs == arm.levels["epochs"]


def test_wrong_splits_in_both_metrics_are_told_together(write):
    with pytest.raises(MultiConfigError):
        plan_of(write(("epochs: 60", "evaluation: {splits: [val]}")))
