from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.spaces import LR, STUDY, failure_of, plan_of

from fgtune.config.arms.plan import Plan
from fgtune.config.reading.load import load_study
from fgtune.config.spaces.space import InfeasibleError

SPACES = Path(__file__).parents[3] / "search_spaces"
SHIPPED = sorted(SPACES.glob("*.yaml"))


def draws(plan: Plan, n: int = 60) -> list[dict]:
    rng = np.random.default_rng(0)
    return [plan.search.space.draw(rng) for _ in range(n)]


def test_every_shipped_space_is_there():
    assert {path.stem for path in SHIPPED} >= {
        "lambda_instance", "loss_weights", "num_fine", "relations", "optimizer", "full"
    }  # fmt: skip


@pytest.mark.slow_except("full", "relations", "optimizer")
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


def test_a_loss_that_the_searched_weights_enter_is_warned_of(write):
    study = STUDY.replace("val/silhouette", "val/loss")
    plan = plan_of(write("parameters: {objective.lambda_nn: {kind: uniform, low: 0, high: 1}}", study))
    assert plan.warnings[0].startswith("val/loss is the sum that objective.lambda_nn enters")
    assert plan_of(write(f"parameters: {{{LR}}}", study)).warnings == ()


@pytest.mark.slow
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
