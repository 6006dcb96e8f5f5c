from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgtune.config.arms.expand import expand
from fgtune.config.arms.plan import Plan
from fgtune.config.arms.records import DataShape
from fgtune.config.reading.load import load_study
from fgtune.config.spaces.space import InfeasibleError
from fgtune.errors import ConfigError

DIGITS = DataShape(num_coarse=(2,), num_fine=10, fingerprint="f00d")
SPACES = Path(__file__).parents[3] / "search_spaces"
SHIPPED = sorted(SPACES.glob("*.yaml"))

STUDY = """\
study: tiny
question: Which settings?
design:
  kind: search
  trials: 5
  metric: val/silhouette
  space: space.yaml
seeds: 1
trial:
  data: {kind: digits}
  classes: {num_fine_ratio: 1.0}
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write the tiny study and the text of its space; returns the study file."""
    monkeypatch.chdir(tmp_path)

    def write_files(space: str, study: str = STUDY) -> Path:
        Path("space.yaml").write_text(space)
        Path("tiny.yaml").write_text(study)
        return Path("tiny.yaml")

    return write_files


def plan_of(path, overrides=(), shape=DIGITS) -> Plan:
    return expand(load_study(path, overrides), lambda _: shape)


def failure_of(path, overrides=()) -> str:
    with pytest.raises(ConfigError) as caught:
        plan_of(path, overrides)
    return str(caught.value)


def draws(plan: Plan, n: int = 60) -> list[dict]:
    rng = np.random.default_rng(0)
    return [plan.search.space.draw(rng) for _ in range(n)]


def test_every_shipped_space_is_there():
    assert {path.stem for path in SHIPPED} >= {
        "lambda_instance", "loss_weights", "num_fine", "relations", "optimizer", "full"
    }  # fmt: skip


@pytest.mark.parametrize("space", SHIPPED, ids=lambda path: path.stem)
def test_points_of_a_shipped_space_are_valid_trials(write, space):
    plan = plan_of(write("", STUDY.replace("space.yaml", str(space))))
    valid = []
    for point in draws(plan):
        try:
            config = plan.search.space.config(point)
        except InfeasibleError:
            continue
        valid.append(point)
        plain = config.to_plain()
        assert plan.search.point(point) == point
        for path, value in point.items():
            here = plain
            for part in path.split("."):
                here = here[part]
            assert here == value or value.items() <= here.items()
    assert len(valid) >= 10
    assert set().union(*valid) == set(plan.search.space.parameters) == set(plan.factors)


def test_a_search_plans_its_baseline_alone(write):
    plan = plan_of(write("parameters: {optimizer.lr: {kind: log_uniform, low: 0.01, high: 1.0}}"))
    assert [arm.name for arm in plan.arms] == ["baseline"]
    assert plan.baseline.levels == {"optimizer.lr": 0.1}
    assert len(plan.cells) == 1
    arm = plan.search.arm(7, {"optimizer.lr": 0.5}, plan.search.space.config({"optimizer.lr": 0.5}))
    assert (arm.name, arm.role, arm.levels) == ("trial-0007", "search", {"optimizer.lr": 0.5})


def test_the_study_holds_the_whole_space_and_its_hash_covers_it(write):
    text = "parameters: {optimizer.lr: {kind: log_uniform, low: 0.01, high: 1.0}}"
    first = plan_of(write(text))
    assert first.study.design.space.parameters["optimizer.lr"].high == 1.0
    inline = STUDY.replace("space: space.yaml", f"space: {{{text}}}")
    assert plan_of(write(text, inline)).study_hash == first.study_hash
    assert plan_of(write(text.replace("0.01", "0.02"))).study_hash != first.study_hash


def test_overrides_reach_into_a_space_and_may_name_another(write, tmp_path):
    path = write("parameters: {optimizer.lr: {kind: log_uniform, low: 0.01, high: 1.0}}")
    plan = plan_of(path, ["design.space.parameters.epochs={kind: int, low: 1, high: 3}"])
    assert set(plan.search.space.parameters) == {"optimizer.lr", "epochs"}
    Path("other.yaml").write_text("parameters: {epochs: {kind: int, low: 1, high: 3}}")
    assert set(plan_of(path, ["design.space=other.yaml"]).search.space.parameters) == {"epochs"}
    assert "--set design.space=third.yaml: design.space: no such search space, got 'third.yaml'" in failure_of(
        path, ["design.space=third.yaml"]
    )


def test_smoke_makes_a_search_small(write):
    path = write("parameters: {optimizer.lr: {kind: log_uniform, low: 0.01, high: 1.0}}")
    assert load_study(path, smoke=True).study.design.trials == 4


def test_spaces_are_found_beside_the_study_and_above_it(write, tmp_path, monkeypatch):
    write("parameters: {epochs: {kind: int, low: 1, high: 3}}")
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "tiny.yaml").write_text(STUDY)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert plan_of(tmp_path / "studies" / "tiny.yaml").factors == ("epochs",)


def test_includes_are_merged_and_the_including_space_wins(write):
    path = write(
        "include: [a.yaml, sub/b.yaml]\nparameters: {epochs: {kind: int, low: 7, high: 9}}\nconstraints: [epochs > 7]"
    )
    Path("a.yaml").write_text("parameters: {epochs: {kind: int, low: 1, high: 3}}\nconstraints: [epochs > 2]")
    Path("sub").mkdir()
    Path("sub/b.yaml").write_text("include: [c.yaml]")
    Path("sub/c.yaml").write_text(
        "parameters:\n  optimizer.lr: {kind: uniform, low: 0.1, high: 0.9}\nconstraints: [epochs > 2]"
    )
    space = plan_of(path).study.design.space
    assert {key: each.low for key, each in space.parameters.items()} == {"epochs": 7, "optimizer.lr": 0.1}
    assert space.constraints == ("epochs > 2", "epochs > 7")
    assert space.include == ()


def test_an_inline_space_may_include_files(write):
    study = STUDY.replace("space: space.yaml", "space: {include: [space.yaml], constraints: [epochs > 2]}")
    path = write("parameters: {epochs: {kind: int, low: 1, high: 3}}", study)
    assert plan_of(path).study.design.space.constraints == ("epochs > 2",)


def test_an_error_in_an_included_space_names_its_file_and_line(write):
    path = write("# one\ninclude: [a.yaml]\n")
    Path("a.yaml").write_text("# a\n\nparameters:\n  epochs:\n    kind: int\n    low: 3\n    high: 1\n")
    assert failure_of(path) == (
        "a.yaml:4: design.space.parameters.epochs: low must be <= high, got low 3 and high 1; turn them round"
    )


def test_a_condition_orders_parameters_whatever_the_order_of_the_file(write):
    path = write(
        "parameters:\n"
        "  relations.solver.time_limit_s: {kind: uniform, low: 1, high: 9, when: relations.solver.kind != 'flow'}\n"
        "  relations.solver.kind: {kind: choice, values: [flow, scip]}\n"
    )
    space = plan_of(path).search.space
    assert list(space.parameters) == ["relations.solver.kind", "relations.solver.time_limit_s"]
    for point in draws(plan_of(path)):
        assert ("relations.solver.time_limit_s" in point) == (point["relations.solver.kind"] == "scip")


def test_conditions_may_read_settings_that_are_not_searched(write):
    momentum = "optimizer.momentum: {kind: uniform, low: 0, high: 0.9, when: %s}"
    text = f"parameters:\n  epochs: {{kind: int, low: 1, high: 9}}\n  {momentum}"
    assert all(len(point) == 2 for point in draws(plan_of(write(text % "optimizer.kind == 'sgd'"))))
    assert all(len(point) == 2 for point in draws(plan_of(write(text % "classes.num_fine == 10"))))


def test_constraints_see_the_resolved_number_of_fine_classes(write):
    path = write(
        "parameters: {classes.num_fine_ratio: {kind: quantized, low: 0.5, high: 2, step: 0.5}}\n"
        "constraints: [classes.num_fine <= 15]"
    )
    space = plan_of(path).search.space
    assert space.config({"classes.num_fine_ratio": 1.5}).classes.num_fine_ratio == 1.5
    with pytest.raises(InfeasibleError, match=r"breaks the constraint `classes\.num_fine <= 15`"):
        space.config({"classes.num_fine_ratio": 2.0})


def test_linked_parameters_are_choices_of_partial_sections(write):
    weights = "[{lambda_nn: 0.5, lambda_conf: 0.5}, {lambda_nn: 1.0, lambda_conf: 1.0}]"
    path = write(
        f"parameters:\n  objective: {{kind: choice, values: {weights}}}\n"
        "  objective.lambda_reg: {kind: uniform, low: 0, high: 3}"
    )
    plan = plan_of(path)
    for point in draws(plan, 10):
        objective = plan.search.space.config(point).objective
        assert objective.lambda_nn == objective.lambda_conf in (0.5, 1.0)
        assert objective.lambda_reg == point["objective.lambda_reg"]


LR = "optimizer.lr: {kind: log_uniform, low: 0.01, high: 1.0}"
BAD = [
    ("", "space.yaml: must hold a mapping of keys to values. Fix: begin with `parameters:`"),
    ("parameters: {}", "space.yaml:1: design.space.parameters: must have at least one parameter."),
    ("parametrs: {}", "space.yaml:1: design.space.parametrs: unknown key. Fix: did you mean 'parameters'?"),
    ("parameters: {optimizer.lr: 3}", "space.yaml:1: design.space.parameters.optimizer.lr: must be a mapping, got 3"),
    ("parameters: {optimizer.lr: {low: 0.1, high: 1.0}}",
     "space.yaml:1: design.space.parameters.optimizer.lr.kind: must be given. Fix: choose one of: choice, uniform"),
    ("parameters: {optimizer.lr: {kind: loguniform, low: 0.1, high: 1.0}}",
     "space.yaml:1: design.space.parameters.optimizer.lr.kind: unknown kind, got 'loguniform'. Fix: did you mean 'l"),
    ("parameters: {optimizer.lr: {kind: uniform, low: 1.0, high: 0.1}}",
     "space.yaml:1: design.space.parameters.optimizer.lr: low must be < high, got low 1 and high 0.1; turn them round"),
    ("parameters: {optimizer.lr: {kind: uniform, low: 1.0, high: 1.0}}",
     "space.yaml:1: design.space.parameters.optimizer.lr: low must be < high, got low 1 and high 1"),
    ("parameters: {optimizer.lr: {kind: log_uniform, low: 0.0, high: 1.0}}",
     "space.yaml:1: design.space.parameters.optimizer.lr: low must be > 0 on a logarithmic scale, got 0"),
    ("parameters: {epochs: {kind: int, low: 0, high: 8, log: true}}",
     "space.yaml:1: design.space.parameters.epochs: low must be > 0 on a logarithmic scale, got 0"),
    ("parameters: {optimizer.lr: {kind: quantized, low: 0.1, high: 0.95, step: 0.1}}",
     "space.yaml:1: design.space.parameters.optimizer.lr: high must lie a whole number of steps above low; "),
    ("parameters: {optimizer.lr: {kind: choice, values: []}}",
     "space.yaml:1: design.space.parameters.optimizer.lr.values: must not be empty, got []"),
    ("parameters: {optimizer.lr: {kind: choice, values: [1, 2, 1]}}",
     "space.yaml:1: design.space.parameters.optimizer.lr.values: must differ, 1 is given twice"),
    ("parameters:\n  optimizer.lrr: {kind: int, low: 0, high: 8}",
     "space.yaml:2: design.space.parameters.optimizer.lrr: no such setting in trial. Fix: did you mean 'optimizer"),
    ("parameters:\n  data.limit: {kind: int, low: 10, high: 80}",
     "space.yaml:2: design.space.parameters.data.limit: the data must be the same in every trial"),
    ("parameters:\n  optimizer: {kind: choice, values: [{kind: sgd}]}\n  optimizer.lr: {kind: int, low: 1, high: 3}",
     "space.yaml:2: design.space.parameters.optimizer: parameters must not overlap, optimizer.lr lies within this one"),
    ("parameters:\n  optimizer.lr: {kind: uniform, low: -0.1, high: 1.0}",
     "space.yaml:2: design.space.parameters.optimizer.lr: must be > 0, got -0."),
    ("parameters:\n  optimizer.momentum: {kind: uniform, low: 0.0, high: 1.0}",
     "space.yaml:2: design.space.parameters.optimizer.momentum: must be < 1, got 1.0"),
    ("parameters:\n  epochs: {kind: uniform, low: 1.0, high: 9.0}",
     "space.yaml:2: design.space.parameters.epochs: must be a whole number, got "),
    ("parameters:\n  relations.solver.kind: {kind: choice, values: [flow, skip]}",
     "space.yaml:2: design.space.parameters.relations.solver.kind: unknown kind, got 'skip'. Fix: did you mean 'sc"),
    ("parameters:\n  relations.solver.kind: {kind: choice, values: [flow, scip]}\n"
     "  relations.solver.time_limit_s: {kind: uniform, low: 1, high: 9}",
     "space.yaml:3: design.space.parameters.relations.solver.time_limit_s: does not exist in every point of the space. "
     "Fix: add `when:` with the kinds of relations.solver that have it"),
    ("parameters:\n  relations.solver.time_limit_s: {kind: uniform, low: 1, high: 9}",
     "space.yaml:2: design.space.parameters.relations.solver.time_limit_s: does not exist in every point"),
    (f"parameters:\n  {LR[:-1]}, when: epoch > 3}}",
     "space.yaml:2: design.space.parameters.optimizer.lr.when: 'epoch' is not a setting of a trial, got 'epoch > 3'. "
     "Fix: did you mean 'epochs'?"),
    (f"parameters:\n  {LR[:-1]}, when: epochs >}}",
     "space.yaml:2: design.space.parameters.optimizer.lr.when: ends too early, got 'epochs >'"),
    (f"parameters:\n  {LR[:-1]}, when: optimizer.kind > 3}}",
     "space.yaml:2: design.space.parameters.optimizer.lr.when: calculates with 'sgd', which is not a number"),
    (f"parameters:\n  {LR[:-1]}, when: optimizer.kind == 'sgdd'}}\n  epochs: {{kind: int, low: 1, high: 9}}",
     "space.yaml:2: design.space.parameters.optimizer.lr.when: holds in no point of the space, got \"optimizer.kind"),
    ("parameters:\n  epochs: {kind: int, low: 1, high: 9, when: batch_size > 3}\n"
     "  batch_size: {kind: int, low: 2, high: 9, when: epochs > 3}",
     "space.yaml:2: design.space.parameters.epochs.when: conditions must not be circular "
     "(epochs -> batch_size -> epochs). Fix: drop one of the conditions"),
    ("parameters:\n  epochs: {kind: int, low: 1, high: 9, when: epochs > 3}",
     "space.yaml:2: design.space.parameters.epochs.when: conditions must not be circular (epochs -> epochs)"),
    (f"parameters:\n  {LR}\nconstraints:\n  - optimizer.lr > 0\n  - optimizer.lr > 2",
     "space.yaml:5: design.space.constraints[1]: constraints must leave something of the space; each of 2000 points "
     "tried breaks one, 2000 break this one, got 'optimizer.lr > 2'. Fix: loosen it"),
    ("parameters:\n  epochs: {kind: int, low: 1, high: 9}\nconstraints: [epochs > 9]",
     "space.yaml:3: design.space.constraints[0]: constraints must leave something of the space; every one of the 9 "
     "points breaks one, 9 break this one, got 'epochs > 9'"),
    (f"parameters:\n  {LR}\nconstraints: [optimizer.lrr > 2]",
     "space.yaml:3: design.space.constraints[0]: 'optimizer.lrr' is not a setting of a trial"),
    (f"parameters:\n  {LR}\nconstraints: [optimizer.kind > 2]",
     "space.yaml:3: design.space.constraints[0]: calculates with 'sgd', which is not a number"),
    (f"parameters:\n  {LR}\nconstraints: optimizer.lr > 2",
     "space.yaml:3: design.space.constraints: must be a list, got 'optimizer.lr > 2'"),
    ("parameters:\n  classes.num_fine_ratio: {kind: uniform, low: 0.01, high: 0.1}",
     "space.yaml:1: design.space: each of 2000 points tried is no valid trial, 2000 of them because "
     "trial.classes.num_fine_ratio: must be >= number of coarse classes"),
    ("include: [space.yaml]", "space.yaml:1: include: includes itself (space.yaml -> space.yaml)."),
    ("include: [other.yaml]", "space.yaml:1: include: no such search space, got 'other.yaml'. Fix: there are space."),
    ("include: other.yaml", "space.yaml:1: include: must be a list of files, got 'other.yaml'. Fix: write [other"),
    ("parameters: {a: {kind: int, low: 1, high: 9}, a: {}}",
     "space.yaml:1: parameters.a: key given twice, on lines 1 and 1"),
    ("parameters: [", "space.yaml:1: is not valid YAML"),
]  # fmt: skip


@pytest.mark.parametrize(("space", "message"), BAD, ids=[message[12:70] for _, message in BAD])
def test_a_bad_space_is_one_clear_error(write, space, message):
    told = failure_of(write(space))
    assert told.startswith(message), told
    assert len(told.splitlines()) == 1, told


BAD_DESIGNS = [
    ("sampler: {kind: cmaes}", "design.sampler: cmaes cannot do choices, optimizer.nesterov is one."),
    ("sampler: {kind: brute_force}", "design.sampler: brute_force needs a finite space, optimizer.lr has no end"),
    ("sampler: {kind: grid}", "design.sampler.kind: unknown kind, got 'grid'. Fix: choose one of: tpe, gp, cmaes"),
    ("start: [{optimizer.lr: 2.0}]", "design.start[0].optimizer.lr: must be in its domain {'low': 0.01, 'high': 1.0, "),
    ("start: [{optimizer.l: 2.0}]",
     "design.start[0].optimizer.l: is not a parameter of the space. Fix: did you mean 'op"),
    ("start: [{optimizer.lr: 0.9, optimizer.nesterov: true}]",
     "design.start[0]: is not feasible: breaks the constraint `optimizer.nesterov implies optimizer.lr < 0.5`"),
    ("mode: [maximize, minimize]", "design: mode needs one entry per metric (1), it has 2"),
    ("metric: [val/silhouette, val/silhouette]", "design.metric: must differ, val/silhouette is given twice"),
    ("metric: silhouette", "design.metric: "),
    ("trials: null", "design: trials must be given; sampler tpe has no end of its own"),
    ("trials: 0", "design.trials: must be >= 1, got 0"),
    ("sampler: {kind: cmaes}\n  metric: [val/silhouette, cost/seconds]", "design: sampler cmaes has one objective"),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "message"), BAD_DESIGNS, ids=[lines for lines, _ in BAD_DESIGNS])
def test_a_bad_search_is_told_at_its_place(write, lines, message):
    space = (
        f"parameters:\n  {LR}\n  optimizer.nesterov: {{kind: choice, values: [true, false]}}\n"
        "constraints: [optimizer.nesterov implies optimizer.lr < 0.5]"
    )
    kept = [line for line in STUDY.splitlines() if not any(line.strip().startswith(f"{new.split(':')[0].strip()}:")
            for new in lines.splitlines())]  # fmt: skip
    study = "\n".join(kept).replace("  kind: search", f"  kind: search\n  {lines}") + "\n"
    told = failure_of(write(space, study))
    place, _, rest = told.partition(": ")
    assert place.startswith("tiny.yaml:")
    assert rest.startswith(message), told


CONDITIONS = [
    ("qmc", "{kind: choice, values: [flow, scip]}", "qmc cannot do conditions, relations.solver.time_limit_s has one"),
    ("cmaes", "{kind: choice, values: [flow, scip]}", "cmaes cannot do conditions"),
]


@pytest.mark.parametrize(("sampler", "domain", "message"), CONDITIONS, ids=lambda each: each[:12])
def test_samplers_that_cannot_do_conditions_say_so(write, sampler, domain, message):
    space = (
        f"parameters:\n  relations.solver.kind: {domain}\n  relations.solver.time_limit_s: "
        "{kind: uniform, low: 1, high: 9, when: relations.solver.kind == 'scip'}"
    )
    study = STUDY.replace("  kind: search", f"  kind: search\n  sampler: {{kind: {sampler}}}")
    assert f"design.sampler: {message}" in failure_of(write(space, study))


def test_one_parameter_is_too_few_for_cmaes(write):
    study = STUDY.replace("  kind: search", "  kind: search\n  sampler: {kind: cmaes}")
    assert "design.sampler: cmaes needs two parameters or more" in failure_of(write(f"parameters: {{{LR}}}", study))


def test_a_scheduler_must_go_with_the_design(write):
    space = f"parameters: {{{LR}}}"
    assert plan_of(write(space, STUDY + "scheduler: {kind: asha}\n")).study.scheduler.grace_epochs == 5
    several = STUDY.replace("metric: val/silhouette", "metric: [val/silhouette, cost/seconds]")
    told = failure_of(write(space, several + "scheduler: {kind: asha}\n"))
    assert told.startswith(
        "tiny.yaml:12: scheduler: asha needs a metric to judge running trials by. Fix: add `metric:`"
    )
    enumerated = STUDY.replace(STUDY[STUDY.index("  kind: search") : STUDY.index("seeds")],
                               "  kind: sensitivity\n  factors: {epochs: [3]}\n")  # fmt: skip
    told = failure_of(write(space, enumerated + "scheduler: {kind: pbt, metric: val/silhouette}\n"))
    assert "scheduler: pbt changes the parameters of a search, the design is a sensitivity" in told


def test_a_loss_that_the_searched_weights_enter_is_warned_of(write):
    study = STUDY.replace("val/silhouette", "val/loss")
    plan = plan_of(write("parameters: {objective.lambda_nn: {kind: uniform, low: 0, high: 1}}", study))
    assert plan.warnings[0].startswith("val/loss is the sum that objective.lambda_nn enters")
    assert plan_of(write(f"parameters: {{{LR}}}", study)).warnings == ()


@settings(deadline=None, max_examples=30)
@given(
    low=st.floats(-5, 5), width=st.floats(0.5, 9), bound=st.floats(-9, 14), steps=st.integers(1, 6), data=st.data()
)  # fmt: skip
def test_a_feasible_point_keeps_its_constraints_and_comes_back_from_its_config(
    tmp_path_factory, low, width, bound, steps, data
):
    folder = tmp_path_factory.getbasetemp()
    space = {
        "parameters": {
            "objective.lambda_reg": {"kind": "uniform", "low": abs(low), "high": abs(low) + width},
            "relations.balance": {"kind": "quantized", "low": 0.5, "high": 0.5 + steps * 0.25, "step": 0.25},
            "relations.every_steps": {"kind": "int", "low": 1, "high": 20},
        },
        "constraints": [f"objective.lambda_reg + relations.balance <= {max(bound, abs(low) + width / 2 + 0.5)}"],
    }
    study = {
        "study": "s", "question": "q", "seeds": 1,
        "design": {"kind": "search", "trials": 3, "metric": "val/silhouette", "space": space},
        "trial": {"data": {"kind": "digits"}, "classes": {"num_fine": 10}},
    }  # fmt: skip
    path = folder / "s.yaml"
    path.write_text(json.dumps(study))
    made = plan_of(path).search.space
    point = made.draw(np.random.default_rng(data.draw(st.integers(0, 99))))
    total = point["objective.lambda_reg"] + point["relations.balance"]
    limit = float(made.constraints[0].text.split("<= ")[1])
    try:
        config = made.config(point)
    except InfeasibleError:
        assert total > limit
        return
    assert total <= limit
    assert made.point_of(config.to_plain()) == point
