from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgtune.config.arms.expand import expand
from fgtune.config.arms.plan import Plan
from fgtune.config.arms.records import DataShape
from fgtune.config.reading.load import load_study
from fgtune.errors import ConfigError

DIGITS = DataShape(num_coarse=(2,), num_fine=10, fingerprint="f00d")
TERMS = ("coarse", "nn", "conf", "reg")


def study_with(tmp_path, design: dict, **trial) -> Plan:
    study = {
        "study": "s", "question": "q", "seeds": 2, "design": {"kind": "ablation", **design},
        "trial": {"data": {"kind": "digits"}, "classes": {"num_fine": 10}, **trial},
    }  # fmt: skip
    path = tmp_path / "s.yaml"
    path.write_text(json.dumps(study, indent=1))
    return expand(load_study(path), lambda _: DIGITS)


def terms(names=TERMS) -> dict:
    return {name: {"off": {f"objective.lambda_{name}": 0.0}} for name in names}


def failure_of(tmp_path, design: dict, **trial) -> str:
    with pytest.raises(ConfigError) as caught:
        study_with(tmp_path, design, **trial)
    return str(caught.value)


def removed(plan: Plan) -> dict[str, tuple[str, ...]]:
    return {arm.name: arm.removed for arm in plan.arms}


def test_leave_one_out_removes_each_component_from_the_full_method(tmp_path):
    plan = study_with(tmp_path, {"components": terms()})
    assert removed(plan) == {"full": (), **{f"no_{name}": (name,) for name in TERMS}}
    assert plan.baseline.name == "full"
    assert plan.factors == TERMS
    assert plan.arms[2].levels == {"coarse": True, "nn": False, "conf": True, "reg": True}
    assert [arm.config.objective.lambda_nn for arm in plan.arms] == [0.5, 0.5, 0.0, 0.5, 0.5]
    assert [(cell.seed, cell.arm) for cell in plan.cells] == list(itertools.product(range(2), removed(plan)))


def test_removing_what_another_component_needs_removes_that_too(tmp_path):
    plan = study_with(tmp_path, {"components": terms(), "constraints": ["conf implies coarse"]})
    assert removed(plan)["no_coarse"] == ("coarse", "conf")
    assert removed(plan)["no_conf"] == ("conf",)
    plan = study_with(
        tmp_path, {"components": terms(), "schemes": ["add_one_in"], "constraints": ["not coarse implies not conf"]}
    )
    assert removed(plan)["only_conf"] == ("nn", "reg")
    assert removed(plan)["only_nn"] == ("coarse", "conf", "reg")


def test_the_published_loss_removal_table_is_a_factorial_with_a_constraint(tmp_path):
    # FALCON: no fine losses, no regulariser, no coarse loss and therefore no confidence loss, and the full method.
    design = {
        "components": {**terms(("coarse", "reg")), "fine": {"off": {"objective.lambda_nn": 0.0}},
                       "conf": {"off": {"objective.lambda_conf": 0.0}}},
        "groups": {"fine_losses": ["fine", "conf"]},
        "constraints": ["conf implies coarse"],
        "over": ["coarse", "fine_losses", "reg"],
    }  # fmt: skip
    assert removed(study_with(tmp_path, design)) == {
        "full": (), "no_coarse": ("coarse", "conf"), "no_fine_losses": ("fine", "conf"), "no_reg": ("reg",)
    }  # fmt: skip


def test_a_ladder_is_cumulative_in_order_and_ends_in_the_full_method(tmp_path):
    plan = study_with(tmp_path, {"components": terms(), "schemes": ["ladder"]})
    assert [(arm.name, sum(arm.levels.values())) for arm in plan.arms] == [
        ("full", 4), ("up_to_coarse", 1), ("up_to_nn", 2), ("up_to_conf", 3)
    ]  # fmt: skip
    plan = study_with(tmp_path, {"components": terms(), "schemes": ["ladder"], "over": ["conf", "nn"]})
    assert removed(plan) == {"full": (), "up_to_conf": ("nn",)}


def test_pairwise_has_every_single_and_every_pair(tmp_path):
    plan = study_with(tmp_path, {"components": terms(), "schemes": ["pairwise"]})
    sets = [frozenset(arm.removed) for arm in plan.arms]
    assert sets == [frozenset(off) for size in range(3) for off in itertools.combinations(TERMS, size)]


def test_arms_of_several_schemes_are_run_once_under_their_first_name(tmp_path):
    schemes = ["leave_one_out", "add_one_in", "ladder", "pairwise", "factorial"]
    plan = study_with(tmp_path, {"components": terms(), "schemes": schemes})
    assert len(plan.arms) == 2 ** len(TERMS)
    assert len({arm.removed for arm in plan.arms}) == len(plan.arms)
    roles = {arm.name: arm.role for arm in plan.arms}
    assert roles["full"] == "baseline"
    assert roles["no_nn"] == "leave_one_out"
    assert roles["only_coarse"] == "add_one_in"
    assert roles["up_to_nn"] == "ladder"
    assert roles["none"] == "factorial"
    assert "no_conf+reg" not in roles  # it is up_to_nn already


def test_a_combination_that_nothing_stands_in_for_is_left_out_and_told(tmp_path):
    design = {"components": terms(), "schemes": ["add_one_in"], "constraints": ["coarse or nn"]}
    plan = study_with(tmp_path, design)
    assert [arm.name for arm in plan.arms] == ["full", "only_coarse", "only_nn"]
    assert plan.warnings[0] == "arm only_conf of add_one_in is left out: the constraints forbid it"


WRONG = [
    ({"components": {"nn": {"off": {"objective.lambda_nnn": 0.0}}}},
     "design.components.nn.off.objective.lambda_nnn: unknown key. Fix: did you mean 'lambda_nn'?"),
    ({"components": {"nn": {"off": {"objective.lambda_nn": -1.0}}}},
     "design.components.nn.off.objective.lambda_nn: must be >= 0, got -1.0"),
    ({"components": {"nn": {"off": {"objective.lambda_nn": 0.5}}}},
     "design.components.nn: changes nothing: the trial has these settings already."),
    ({"components": {"a": {"off": {"objective.lambda_nn": 0.0}}, "b": {"off": {"objective": {"lambda_nn": 1.0}}}}},
     "design: components 'a' and 'b' both change objective"),
    ({"components": {"a": {"off": {"objective.lambda_nn": 0.0}}, "b": {"off": {"objective.lambda_nn": 0.0}}}},
     "design.components.b.off.objective.lambda_nn: arms 'no_a' and 'no_b' are the same trial"),
    ({"components": {"solver": {"off": {"relations.mode": "random_balanced"}}}},
     "design.components: 'solver' is a column of the results; give it another name"),
    ({"components": {"No Coarse": {"off": {"objective.lambda_coarse": 0.0}}}},
     "design.components.No Coarse: must be lower-case letters, digits and '_' only"),
    ({"components": {"nn": {"off": {}}}}, "design.components.nn.off: must not be empty"),
    ({"components": terms(), "groups": {"nn": ["coarse", "conf"]}},
     "design: a group must not be named like a component, 'nn' is both"),
    ({"components": terms(), "groups": {"fine": ["nn", "cnf"]}},
     "design: group fine: 'cnf' is not a component; there are ['coarse', 'nn', 'conf', 'reg']"),
    ({"components": terms(), "over": ["nn", "nn"]}, "design: over: 'nn' is given twice"),
    ({"components": terms(), "schemes": ["ladder", "ladder"]}, "design: schemes must differ"),
    ({"components": terms(), "schemes": ["loco"]}, "design.schemes[0]: unknown choice, got 'loco'"),
    ({"components": terms(), "constraints": ["cnf implies coarse"]},
     "design.constraints[0]: 'cnf' is not a component, got 'cnf implies coarse'. Fix: did you mean 'conf'?"),
    ({"components": terms(), "constraints": ["conf implies"]},
     "design.constraints[0]: ends too early, got 'conf implies'"),
    ({"components": terms(), "constraints": ["conf + 1"]},
     "design.constraints[0]: calculates with True, which is not a number"),
    ({"components": terms(), "constraints": ["not conf"]},
     "design.constraints[0]: must hold for the full method, where every component is on, got 'not conf'"),
    ({"components": terms(), "constraints": ["coarse and nn and conf and reg"]},
     "design.constraints: exclude everything but the full method"),
    ({"components": {f"c{n}": {"off": {f"trial{n}": 0}} for n in range(3)}},
     "design.components.c0.off.trial0: unknown key"),
]  # fmt: skip


@pytest.mark.parametrize(("design", "message"), WRONG, ids=[message[:60] for _, message in WRONG])
def test_a_wrong_ablation_is_told_at_its_place(tmp_path, design, message):
    place, _, rest = failure_of(tmp_path, design).splitlines()[0].partition(": ")
    assert place.startswith(str(tmp_path / "s.yaml:"))
    assert rest.startswith(message)


def test_a_factorial_beyond_all_reason_is_refused(tmp_path):
    settings_of = ["batch_size", "epochs", *(f"objective.lambda_{name}" for name in TERMS), "optimizer.lr",
                   "optimizer.momentum", "teacher.decay", "relations.balance", "relations.every_steps",
                   "neighbors.stored", "objective.pseudo_labels.temperature"]  # fmt: skip
    components = {f"c{n}": {"off": {path: 30 if n < 2 else 21 if path[-1] == "s" or "stored" in path else 0.25}}
                  for n, path in enumerate(settings_of)}  # fmt: skip
    message = failure_of(tmp_path, {"components": components, "schemes": ["factorial"]})
    assert "design.schemes: must have at most 5000 arms, every combination of 13 parts is 2^13 = 8192" in message
    assert "combine fewer parts with over, or use pairwise" in message


NAMES = ("a", "b", "c", "d")
PATHS = ("objective.lambda_coarse", "objective.lambda_nn", "objective.lambda_conf", "objective.lambda_reg")


@settings(deadline=None, max_examples=40)
@given(
    implications=st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=3),
    schemes=st.lists(
        st.sampled_from(["leave_one_out", "add_one_in", "ladder", "pairwise", "factorial"]),
        min_size=1, max_size=5, unique=True,
    ),
)  # fmt: skip
def test_every_arm_keeps_every_constraint_and_the_factorial_has_all_that_do(tmp_path_factory, implications, schemes):
    components = {name: {"off": {path: 0.0}} for name, path in zip(NAMES, PATHS, strict=True)}
    design = {
        "components": components,
        "schemes": schemes,
        "constraints": [f"{one} implies {two}" for one, two in implications],
    }
    plan = study_with(tmp_path_factory.getbasetemp(), design)

    def allowed(on: frozenset[str]) -> bool:
        return all(one not in on or two in on for one, two in implications)

    planned = {frozenset(NAMES) - frozenset(arm.removed) for arm in plan.arms}
    assert len(planned) == len(plan.arms)
    assert all(allowed(on) for on in planned)
    if "factorial" in schemes:
        every = (frozenset(on) for size in range(5) for on in itertools.combinations(NAMES, size))
        assert planned == {on for on in every if allowed(on)}
    for arm in plan.arms:
        weights = [getattr(arm.config.objective, path.rpartition(".")[2]) for path in PATHS]
        assert [weight > 0 for weight in weights] == list(arm.levels.values())


def test_none_is_the_arm_without_any_part_that_is_combined(tmp_path):
    design = {"components": terms(), "schemes": ["leave_one_out", "add_one_in", "none"], "over": ["nn", "conf"]}
    assert removed(study_with(tmp_path, design)) == {
        "full": (), "no_nn": ("nn",), "no_conf": ("conf",), "none": ("nn", "conf"),
    }  # fmt: skip


def test_parts_that_are_added_alone_call_for_an_arm_without_any(tmp_path):
    design = {"components": terms(), "schemes": ["leave_one_out", "add_one_in"], "over": ["nn", "conf", "reg"]}
    (warning,) = study_with(tmp_path, design).warnings
    assert "add none to the schemes" in warning
    assert study_with(tmp_path, design | {"schemes": [*design["schemes"], "none"]}).warnings == ()


def test_planned_interactions_need_the_arms_that_show_them(tmp_path):
    design = {"components": terms(), "schemes": ["leave_one_out", "add_one_in"], "interactions": "planned"}
    message = failure_of(tmp_path, design)
    assert "interactions: planned needs pairwise, factorial, or leave_one_out with add_one_in and none" in message
    assert study_with(tmp_path, design | {"schemes": ["pairwise"]}).study.design.plans_joint_effects


def test_planning_interactions_changes_no_cell(tmp_path):
    design = {"components": terms(), "schemes": ["pairwise"]}
    plain, planned = study_with(tmp_path, design), study_with(tmp_path, design | {"interactions": "planned"})
    assert [cell.cell_id for cell in plain.cells] == [cell.cell_id for cell in planned.cells]
    assert "interactions" not in str(plain.study.identity())
