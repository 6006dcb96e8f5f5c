from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgtune.catalog import spec_of
from fgtune.config.arms.expand import expand, resolve_classes
from fgtune.config.arms.plan import Plan
from fgtune.config.arms.records import DataShape
from fgtune.config.reading.load import load_study
from fgtune.config.schema.study import MetricsConfig
from fgtune.config.schema.trial import TrialConfig
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


def test_metrics_that_a_file_does_not_name_read_no_fine_labels_where_there_are_none(write):
    design = "kind: sensitivity\n  factors: {relations.balance: [1.0, 0.5]}"
    unnamed = ("metrics: {primary: test/clustering_accuracy, also: [test/ari]}\n", "")
    path = write((DESIGN, design), ("{num_fine_ratio: 1.0}", "{num_fine: 5}"), unnamed)
    found = plan_of(path, shape=UNLABELLED).study.metrics
    assert not any(spec_of(name).oracle for name in (found.primary, *found.also))
    stated = plan_of(path, ["metrics.primary=val/coarse_accuracy", "metrics.alpha=0.1"], UNLABELLED).study.metrics
    assert (stated.primary, stated.alpha, stated.also) == ("val/coarse_accuracy", 0.1, found.also)
    assert plan_of(path).study.metrics == MetricsConfig()
    assert plan_of(path).study_hash != plan_of(path, shape=UNLABELLED).study_hash


def test_a_search_without_a_metric_optimises_agreement_and_the_shared_judge(write):
    design = "kind: search\n  trials: 3\n  space: {parameters: {optimizer.lr: {kind: uniform, low: 0.1, high: 0.2}}}"
    path = write((DESIGN, design), ("{num_fine_ratio: 1.0}", "{num_fine: 5}"))
    criteria = [name for name, _ in plan_of(path, ["seeds=2"], UNLABELLED).study.design.criteria]
    assert criteria == ["agreement", "val/fixed_silhouette"]
    with pytest.raises(ConfigError, match="seeds: agreement compares the seeds of a trial with each other"):
        plan_of(path, ["seeds=1"], UNLABELLED)


def test_the_largest_source_bounds_the_number_of_fine_classes(write):
    message = failure_of(write(), DataShape(num_coarse=(2, 9), num_fine=10, fingerprint=""))
    assert "K_F = 8 (0.8 x 10) cannot cover K_C = 9, got 0.8. Fix: use a ratio of 0.9 or more" in message


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
