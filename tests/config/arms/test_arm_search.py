"""Searches inside the arms of a comparison, as far as the study file decides them."""

from __future__ import annotations

import json

import pytest

from fgtune.config.arms.arm_search import arm_search_folders
from fgtune.config.arms.expand import expand
from fgtune.config.arms.plan import Plan
from fgtune.config.arms.records import DataShape
from fgtune.config.reading.load import load_study
from fgtune.engine.opening import open_study
from fgtune.errors import ConfigError

LR = {"kind": "log_uniform", "low": 0.01, "high": 1.0}
REG = {"kind": "uniform", "low": 0.0, "high": 4.0}
SPACE = {"parameters": {"optimizer.lr": LR, "objective.lambda_reg": REG}}
ARMS = [
    {"name": "falcon", "space": SPACE},
    {"name": "base", "set": {"objective.preset": "base"}, "space": {"parameters": {"optimizer.lr": LR}}},
    {"name": "fixed", "set": {"optimizer.lr": 0.3}},
]
SEARCH = {"metric": "val/silhouette", "trials": 7, "sampler": {"kind": "random"}}
DATASETS = {"easy": {"kind": "hierarchy", "separation": 8.0}, "hard": {"kind": "hierarchy", "separation": 2.0}}


def file_with(tmp_path, study=(), **design):
    content = {
        "study": "s", "question": "q", "seeds": 2,
        "design": {"kind": "comparison", "arms": ARMS, "search": SEARCH, **design},
        "trial": {"data": {"kind": "digits"}, "classes": {"num_fine_ratio": 1.0}}, **dict(study),
    }  # fmt: skip
    path = tmp_path / "s.yaml"
    path.write_text(json.dumps(content, indent=1))
    return path


def plan_with(tmp_path, study=(), overrides=(), **design) -> Plan:
    loaded = load_study(file_with(tmp_path, study, **design), overrides)
    return expand(loaded, lambda data: DataShape((2,), 12 if data.kind == "hierarchy" else 10, str(data)))


def refused(tmp_path, study=(), **design) -> str:
    with pytest.raises(ConfigError) as caught:
        open_study(file_with(tmp_path, study, **design))
    return str(caught.value)


def test_an_arm_with_a_space_has_no_cells_before_its_settings_are_chosen(tmp_path):
    plan = plan_with(tmp_path)
    assert [arm.name for arm in plan.arms] == ["falcon", "base", "fixed"]
    assert {cell.arm for cell in plan.cells} == {"fixed"}
    assert [each.search.arm for each in plan.pending_arm_searches] == ["falcon", "base"]
    assert plan.factors == ("optimizer.lr", "objective.lambda_reg", "objective.preset")


def test_the_search_inside_an_arm_is_a_study_whose_baseline_is_the_arm(tmp_path):
    falcon, base = plan_with(tmp_path, study={"scheduler": {"kind": "asha"}}).arm_searches
    assert base.plan.baseline.config.objective.preset == "base"
    assert base.plan.baseline.config == next(a for a in plan_with(tmp_path).arms if a.name == "base").config
    assert falcon.plan.search.factors == ("optimizer.lr", "objective.lambda_reg")
    assert base.plan.search.factors == ("optimizer.lr",)
    study = base.plan.study
    assert (study.study, study.seed_list, study.scheduler.kind) == ("s-base", (10_000,), "asha")
    assert (study.design.trials, study.design.metric, study.design.sampler.kind) == (7, "val/silhouette", "random")
    assert study.metrics == plan_with(tmp_path).study.metrics


def test_every_data_set_has_a_search_of_its_own(tmp_path):
    plan = plan_with(tmp_path, datasets=DATASETS)
    names = ["falcon@easy", "base@easy", "falcon@hard", "base@hard"]
    assert [each.search.arm for each in plan.arm_searches] == names
    assert [each.plan.baseline.config.data.separation for each in plan.arm_searches] == [8.0, 8.0, 2.0, 2.0]
    assert len({each.plan.study_hash for each in plan.arm_searches}) == 4


def test_a_choice_gives_an_arm_its_cells_in_their_place(tmp_path):
    plan = plan_with(tmp_path)
    for each in plan.arm_searches:
        point = dict.fromkeys(each.plan.search.factors, 0.5)
        config = each.plan.search.space.config(point)
        found = each.plan.search.arm(3, point, config)
        plan = plan.with_choice(each.search.arm, found, each.plan.search.space.resolve(config))
    assert not plan.pending_arm_searches
    assert [(cell.seed, cell.arm) for cell in plan.cells] == [
        (s, a) for s in (0, 1) for a in ("falcon", "base", "fixed")
    ]
    chosen = plan.cells[0]
    assert (chosen.config.optimizer.lr, chosen.config.objective.lambda_reg) == (0.5, 0.5)
    assert chosen.levels == plan.arms[0].levels == {
        "optimizer.lr": 0.5, "objective.lambda_reg": 0.5, "objective.preset": "falcon"
    }  # fmt: skip
    assert (plan.arms[0].name, plan.arms[0].is_baseline) == ("falcon", True)


def test_arms_that_differ_by_their_search_alone_are_no_repetition(tmp_path):
    arms = [{"name": "own"}, {"name": "tuned", "space": SPACE}]
    assert [each.search.arm for each in plan_with(tmp_path, arms=arms).arm_searches] == ["tuned"]


def test_the_hash_of_a_comparison_without_searches_does_not_know_of_them(tmp_path):
    plain = load_study(file_with(tmp_path, arms=[{"name": "falcon"}, ARMS[2]], search=None)).study.identity()
    assert "search" not in plain["design"]
    assert all("space" not in arm for arm in plain["design"]["arms"])


@pytest.mark.parametrize(
    "changed",
    [{"search": SEARCH | {"trials": 8}}, {"search": SEARCH | {"seeds": 2}}, {"arms": [ARMS[1], *ARMS[:1], ARMS[2]]}],
)
def test_what_arms_are_given_is_part_of_the_study(tmp_path, changed):
    assert plan_with(tmp_path).study_hash != plan_with(tmp_path, **changed).study_hash


def test_folder_names_are_plain_and_differ():
    arms = [{"name": name, "space": SPACE} for name in ("a+b", "a.b", "a-b")]
    design = {"kind": "comparison", "arms": arms, "search": SEARCH}
    from fgtune.config.schema.designs import ComparisonDesign

    names = arm_search_folders(ComparisonDesign.from_plain(design))
    assert list(names) == ["a+b", "a.b", "a-b"]
    assert sorted(names.values()) == ["a-b", "a-b-2", "a-b-3"]


def test_a_space_may_be_a_file(tmp_path):
    (tmp_path / "lr.yaml").write_text(json.dumps({"parameters": {"optimizer.lr": LR}}))
    arms = [{"name": "own"}, {"name": "tuned", "space": str(tmp_path / "lr.yaml")}]
    (search,) = plan_with(tmp_path, arms=arms).arm_searches
    assert search.plan.search.factors == ("optimizer.lr",)


def test_smoke_shrinks_the_searches_too(tmp_path):
    study = load_study(file_with(tmp_path, search=SEARCH | {"seeds": 9}), smoke=True).study
    assert (study.design.search.trials, study.design.search.seeds) == (4, 2)


def test_an_override_reaches_what_arms_are_given(tmp_path):
    plan = plan_with(tmp_path, overrides=["design.search.trials=3"])
    assert {each.plan.study.design.trials for each in plan.arm_searches} == {3}


def bad_arm(**space):
    return [*ARMS[:1], {"name": "bad", "space": space}]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"search": None}, "arm 'falcon' has a space; say with `search:` how it is searched"),
        ({"arms": [{"name": "falcon"}]}, "search needs an arm with a space"),
        ({"search": SEARCH | {"seeds": [1, 7]}}, "design.search.seeds: must not be seeds of the study"),
        ({"arms": [*ARMS, {"name": "again", "space": SPACE}]}, "arms 'falcon' and 'again' are the same trial"),
        ({"arms": bad_arm(parameters={"objective.lambda_fine": REG})}, "trains on fine labels"),
        (
            {"datasets": DATASETS, "dataset_settings": {"hard": {"optimizer.lr": 0.3}}},
            "must not search optimizer.lr, which dataset_settings sets for hard",
        ),
        ({"search": SEARCH | {"seeds": [7, 7]}}, "seeds must differ"),
        ({"search": {"metric": "val/silhouette"}}, "trials must be given"),
        ({"search": SEARCH | {"metric": "test/ari"}}, "design.search.metric: reads fine labels"),
        ({"search": SEARCH | {"metric": "val/nothing"}}, "design.search.metric"),
        ({"search": SEARCH | {"metric": ["val/silhouette", "cost/seconds"]}}, "design.search.metric"),
        ({"arms": bad_arm(parameters={})}, "design.arms[1].space.parameters: must have at least one parameter"),
        (
            {"arms": bad_arm(parameters={"optimizer.nope": LR})},
            "design.arms[1].space.parameters.optimizer.nope: no such",
        ),
        ({"arms": bad_arm(parameters={"data.noise": LR})}, "design.arms[1].space.parameters.data.noise"),
        ({"arms": bad_arm(parameters={"epochs": LR})}, "design.arms[1].space.parameters.epochs"),
        (
            {"arms": bad_arm(parameters={"optimizer.lr": LR}, constraints=["optimizer.lr > 2"])},
            "design.arms[1].space.constraints[0]: constraints must leave something",
        ),
        ({"arms": bad_arm(include=["nowhere.yaml"])}, "design.arms[1].space.include: no such search space"),
        ({"search": SEARCH | {"sampler": {"kind": "cmaes"}}}, "design.search.sampler: cmaes needs two parameters"),
    ],
)
def test_what_is_wrong_with_a_search_is_told_at_its_place_in_the_comparison(tmp_path, changes, told):
    text = refused(tmp_path, **changes)
    assert told in text
    assert "s.yaml:" in text


def test_a_population_is_no_search_inside_an_arm(tmp_path):
    assert "pbt changes the parameters of a search" in refused(tmp_path, study={"scheduler": {"kind": "pbt"}})


def test_names_too_long_are_cut_apart(tmp_path):
    plan = plan_with(tmp_path, study={"study": "s" * 95}, datasets=DATASETS)
    names = [each.plan.study.study for each in plan.arm_searches]
    assert len(set(names)) == 4
    assert max(map(len, names)) <= 100


@pytest.mark.slow
def test_few_survivors_of_a_scheduler_are_warned_of(tmp_path):
    scheduler = {"scheduler": {"kind": "asha"}}
    assert not plan_with(tmp_path, study=scheduler).warnings
    (told,) = plan_with(tmp_path, study=scheduler, search=SEARCH | {"seeds": 2}).warnings
    assert told.startswith("asha stops trials seed by seed")


def test_a_scheduler_judges_the_searches_by_their_metric(tmp_path):
    plan = plan_with(tmp_path, study={"scheduler": {"kind": "asha"}})
    assert plan.study.stopping is None
    assert {each.plan.study.stopping.kind for each in plan.arm_searches} == {"asha"}
