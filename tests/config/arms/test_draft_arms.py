from __future__ import annotations

import itertools

import pytest

from fgtune.config.arms.expand import expand
from fgtune.config.arms.plan import Plan
from fgtune.config.arms.records import DataShape
from fgtune.config.reading.load import load_study
from fgtune.errors import ConfigError

DIGITS = DataShape(num_coarse=(2,), num_fine=10, fingerprint="f00d")
FACTORS = "factors:\n    classes.num_fine_ratio: [0.8, 1.0, 1.2]\n  baseline:\n    classes.num_fine_ratio: 1.0"
DESIGN = f"kind: sensitivity\n  {FACTORS}"


def plan_of(path) -> Plan:
    return expand(load_study(path), lambda _: DIGITS)


def failure_of(path) -> str:
    with pytest.raises(ConfigError) as caught:
        plan_of(path)
    return str(caught.value)


def names(plan: Plan) -> list[str]:
    return [arm.name for arm in plan.arms]


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
     "K_F = 1 (0.1 x 10) cannot cover K_C = 2, got 0.1. Fix: use a ratio of 0.2 or more"),
    ("classes.num_fine: [1]",
     "classes.num_fine[0]: must be >= number of coarse classes, "
     "K_F = 1 cannot cover K_C = 2, got 1. Fix: ask for 2 or more"),
    ("objective.prior: [[1.0, 2.0]]",
     "objective.prior[0]: needs one size per fine class (K_F = 10), it has 2, got [1.0, 2.0]. Fix: give as many"),
    ("relations.sizes: [[3, 3, 4]]",
     "relations.sizes[0]: needs one number per coarse class (2), got [3, 3, 4]. Fix: give as many numbers, or a rule"),
    ("relations.sizes: [[3, 4]]",
     "relations.sizes[0]: must sum to K_F = 10, they sum to 7, got [3, 4]. Fix: change them or classes.num_fine"),
    ("relations.sizes: [equal]", "relations.sizes[0]: unknown choice, got 'equal'. Fix: choose one of: balanced,"),
    ("classes.num_fine_ratio: [0.96, 1.2]",
     "classes.num_fine_ratio[0]: arms 'baseline' and 'num_fine_ratio=0.96' are the same trial once classes"),
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
    ("objective.preset: [scan_per_class]", "clustering.restarts: 3",
     "tiny.yaml:5: design.factors.objective.preset[0]: does not go with trial.clustering.restarts: unknown key. "
     "Fix: say the kind of clustering (kmeans, gmm, spectral, george have this setting), or leave it out"),
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
