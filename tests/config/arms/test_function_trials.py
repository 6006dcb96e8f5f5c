"""Studies of a user's own trainer: what their files may say, and the plan that comes of it."""

from __future__ import annotations

import pytest
from support.functions import STUDY

from fgtune.config.arms.expand import expand
from fgtune.config.arms.plan_checks import check_metrics
from fgtune.config.reading.load import load_study
from fgtune.config.schema.function import FunctionTrialConfig
from fgtune.errors import ConfigError


@pytest.fixture
def plan_of(tmp_path):
    def make(text=STUDY, *overrides):
        path = tmp_path / "own.yaml"
        path.write_text(text, encoding="utf-8")
        loaded = load_study(path, overrides)
        check_metrics(loaded)
        return expand(loaded, lambda _: pytest.fail("no data are read"))

    return make


def with_design(design: str) -> str:
    return STUDY.replace("{kind: sensitivity, factors: {config.gain: [0.0, 0.2]}}", design)


def test_factors_vary_the_users_settings_and_need_no_data(plan_of):
    plan = plan_of()
    assert [arm.name for arm in plan.arms] == ["baseline", "gain=0.0", "gain=0.2"]
    assert [dict(arm.levels) for arm in plan.arms] == [{"config.gain": gain} for gain in (0.1, 0.0, 0.2)]
    assert plan.arms[2].config.config == {"gain": 0.2, "Depth": 2}
    assert (len(plan.cells), plan.shapes) == (6, {})


def test_the_first_metric_with_a_direction_is_primary_where_none_is_named(plan_of):
    metrics = plan_of(STUDY.replace("metrics: {score", "metrics: {size: {}, score")).study.metrics
    assert (metrics.primary, metrics.also, metrics.equivalence_margin) == ("score", ("size", "loss"), 0.02)


def test_a_comparison_an_ablation_and_a_search_name_the_same_settings(plan_of):
    compared = plan_of(with_design("{kind: comparison, arms: [{name: low}, {name: deep, set: {config.Depth: 8}}]}"))
    assert dict(compared.arms[1].levels) == {"config.Depth": 8}
    ablation = "{kind: ablation, components: {gain: {off: {config.gain: 0}}}, schemes: [leave_one_out]}"
    assert [arm.name for arm in plan_of(with_design(ablation)).arms] == ["full", "no_gain"]
    space = "{parameters: {config.gain: {kind: uniform, low: 0, high: 1}}, constraints: [config.gain < config.Depth]}"
    search = plan_of(with_design(f"{{kind: search, metric: score, trials: 3, space: {space}}}"))
    assert search.factors == ("config.gain",)
    assert search.search.space.config({"config.gain": 0.7}).config["gain"] == 0.7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (STUDY.replace("config.gain:", "config.gian:"), "no such setting in trial"),
        (with_design("{kind: comparison, arms: [{name: a}, {name: b, set: {config.gian: 1}}]}"),
         "no such setting in trial.config. Fix: did you mean 'config.gain'"),
        (with_design("{kind: comparison, arms: [{name: a}, {name: b, set: {metrics.score.direction: minimize}}]}"),
         "is the same in all arms"),
        (STUDY + "metrics: {primary: scroe}\n", "is not among trial.metrics, got 'scroe'. Fix: did you mean 'score'"),
        (STUDY + "scheduler: {kind: asha}\n", "asha needs a metric to judge running trials by"),
        (STUDY + "scheduler: {kind: pbt, metric: score}\n", "pbt changes the parameters of a search"),
        (STUDY.replace("score:", "seconds:"), "'seconds' already means something in the tables"),
        (STUDY.replace("usersown:run", "usersown.run"), "trial.call"),
        (with_design("{kind: variance}"), "this needs a trial of fgtune's own trainer"),
        (with_design("{kind: imported, arms: [a], baseline: a}"), "go together"),
    ],
)  # fmt: skip
def test_what_a_study_of_a_function_cannot_say_is_one_error(plan_of, text, message):
    with pytest.raises(ConfigError) as caught:
        plan_of(text)
    assert message in str(caught.value)


def test_what_metrics_mean_changes_the_study_and_none_of_its_cells(plan_of):
    before, after = plan_of(), plan_of(STUDY.replace("range: [0, 1]", "range: [0, 2]"))
    assert before.study_hash != after.study_hash
    assert [cell.cell_id for cell in before.cells] == [cell.cell_id for cell in after.cells]
    assert plan_of(STUDY.replace("usersown:run", "usersown:fails")).cells[0].cell_id != before.cells[0].cell_id


def test_rules_for_names_of_fgtunes_own_settings_do_not_reach_into_the_users(plan_of):
    text = STUDY.replace("gain: 0.1,", "gain: 0.1, classes: {num_fine: 3, num_fine_ratio: 2},")
    plan = plan_of(text, "trial.config.classes.num_fine=9")
    assert plan.arms[0].config.config["classes"] == {"num_fine": 9, "num_fine_ratio": 2}


def test_the_stored_config_is_read_back():
    plain = {"kind": "function", "call": "m:f", "metrics": {"a": {"direction": "minimize"}}, "config": {"x": [1]}}
    config = FunctionTrialConfig.from_plain(plain)
    assert FunctionTrialConfig.from_plain(config.to_plain()) == config
