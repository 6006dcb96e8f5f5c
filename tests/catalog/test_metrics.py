"""The catalogue: complete, readable without heavy imports, helpful about unknown names."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from fgtune.catalog import METRICS, find_spec, spec_of
from fgtune.config.schema.base import METRIC_PATTERN
from fgtune.config.schema.evaluation import EvaluationConfig
from fgtune.config.schema.paths import all_paths, value_at
from fgtune.config.schema.trial import TrialConfig
from fgtune.errors import ConfigError

PROBES = ("knn_fine", "linear_fine", "ridge_r2", "ridge_mse", "rank_mse", "gradient_mse")
ORACLE = {
    "clustering_accuracy",
    "macro_accuracy",
    "ari",
    "nmi",
    "v_measure",
    "homogeneity",
    "completeness",
    "within_coarse_accuracy",
    "within_coarse_ari",
    "ged",
    "ged_structure",
    "size_distance",
    "ged_reference",
    *(f"recall_fine_{k}" for k in (1, 2, 4, 8, 10, 100, 1000)),
    *(f"fewshot_{shots}{end}" for shots in (1, 5) for end in ("", "_low", "_high", "_best")),
    *PROBES,
    "raw_mse",
    "loss_fine",
    "cleaning_precision",
    "cleaning_recall",
    "wrong_labels",
}
CLEANING = ("cleaned_labels", "cleaning_precision", "cleaning_recall", "wrong_labels")
LABEL_FREE = {
    "num_fine",
    "attention_big",
    "attention_small",
    *(f"recall_coarse_{k}" for k in (1, 2, 4, 8, 10, 100, 1000)),
    "coarse_accuracy",
    "coarse_top1",
    "coarse_top5",
    "coarse_set_accuracy",
    "coarse_set_f1",
    "neighbor_agreement",
    "mean_confidence",
    "coarse_ece",
    "coarse_mce",
    "coarse_information",
    "coarse_stability",
    "feature_entropy",
    "effective_classes",
    "num_used_classes",
    "silhouette",
    "fixed_silhouette",
    "fixed_calinski_harabasz",
    "loss",
    "loss_coarse",
    "loss_nn",
    "loss_conf",
    "loss_reg",
    "loss_base",
    "loss_instance",
    "loss_entropic",
    "loss_self_label",
    "cleaned_labels",
    "loss_snca",
    "loss_ancor",
    "loss_scgm",
}


def test_every_metric_has_an_entry_under_its_own_name():
    assert set(METRICS) == ORACLE | LABEL_FREE
    assert all(name == spec.name for name, spec in METRICS.items())


def test_exactly_the_metrics_that_read_fine_labels_are_oracles():
    assert {name for name, spec in METRICS.items() if spec.oracle} == ORACLE


@pytest.mark.parametrize("spec", METRICS.values(), ids=lambda spec: spec.name)
def test_entries_state_range_direction_and_empty_behaviour(spec):
    assert spec.low < spec.high
    assert spec.direction in {"maximize", "minimize", "none"}
    assert spec.description
    assert spec.empty
    assert spec.reads in {"no labels", "coarse labels", "fine classes", "fine values", "right coarse labels"}
    assert re.fullmatch(METRIC_PATTERN, f"test/{spec.name}")


def test_only_what_must_be_asked_for_or_fitted_is_missing_from_curves_and_splits():
    assert {name for name, spec in METRICS.items() if spec.final} == {
        name for name in METRICS if name.startswith(("fewshot", "attention"))
    } | {
        *PROBES,
        *CLEANING,
    }
    assert {name for name, spec in METRICS.items() if "train" not in spec.splits} == {
        *PROBES,
        "attention_big",
        "attention_small",
    }
    assert {name for name, spec in METRICS.items() if "val" not in spec.splits} == {
        "fewshot_1_best",
        "fewshot_5_best",
        "loss_fine",
        "loss_instance",
        *CLEANING,
        "loss_snca",
        "loss_ancor",
        "loss_scgm",
    }
    assert {name for name, spec in METRICS.items() if "test" not in spec.splits} == {
        *(name for name in METRICS if name.startswith("loss")),
        *CLEANING,
    }


def test_the_setting_that_a_metric_needs_is_one_that_the_config_takes():
    asked = EvaluationConfig.from_plain(
        {"recall": [1, 2, 4, 8, 10, 100, 1000], "probes": ["knn", "linear", "ridge", "gradient"], "few_shot": {}}
    )
    plain = {"evaluation": asked.to_plain()}
    needs = {
        name: (*need.paths, need.entry)
        for name, spec in METRICS.items()
        for need in spec.needs
        if need.entry is not None
    }
    assert all(entry in value_at(plain, path) for path, entry in needs.values())
    assert needs["recall_fine_4"] == ("evaluation.recall", 4)
    assert needs["fewshot_5_low"] == ("evaluation.few_shot.shots", 5)
    assert needs["rank_mse"] == ("evaluation.probes", "ridge")
    assert {path for spec in METRICS.values() for need in spec.needs for path in need.paths} <= {
        *all_paths(TrialConfig)
    }


@pytest.mark.parametrize("name", ["ari", "test/ari", "val/ari", "train/ari"])
def test_names_are_found_with_and_without_split(name):
    assert spec_of(name) is METRICS["ari"]


def test_any_number_makes_a_member_of_a_family():
    (need,) = find_spec("recall_fine_37").needs
    assert (need.paths, need.entry, need.fix) == (("evaluation.recall",), 37, "add 37 to trial.evaluation.recall")
    assert spec_of("val/recall_coarse_3").oracle is False
    assert spec_of("test/fewshot_20_high").direction == "none"
    assert "among the 37 nearest samples" in find_spec("recall_fine_37").description


@pytest.mark.parametrize("name", METRICS)
def test_listed_members_are_the_ones_that_families_give(name):
    assert find_spec(name) == METRICS[name]


@pytest.mark.parametrize(
    "name", ["recall_fine_0", "recall_fine_04", "recall_1", "fewshot_5_mid", "fewshot_", "zzz", ""]
)
def test_names_near_a_family_are_not_of_it(name):
    assert find_spec(name) is None


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("train/knn_fine", r"val/knn_fine or test/knn_fine"),
        ("train/ridge_r2", r"val/ridge_r2 or test/ridge_r2"),
        ("test/loss_nn", r"train/loss_nn or val/loss_nn"),
    ],
)
def test_a_split_on_which_a_metric_is_never_measured_is_refused(name, fix):
    with pytest.raises(ConfigError, match=rf"is not measured on this split, got '{name}'\. Fix: write {fix}"):
        spec_of(name)


def test_unknown_metric_names_the_nearest():
    with pytest.raises(
        ConfigError, match=r"unknown metric, got 'test/clustering_acc'\. Fix: did you mean test/clustering_accuracy\?"
    ):
        spec_of("test/clustering_acc")


def test_unknown_metric_without_near_name_lists_the_known():
    with pytest.raises(
        ConfigError, match=r"unknown metric, got 'zzz'\. Fix: known metrics: clustering_accuracy, macro_"
    ):
        spec_of("zzz")


def test_unknown_split_is_refused():
    with pytest.raises(
        ConfigError, match=r"a metric's split must be one of train, val, test, got 'dev/ari'\. Fix: write test/ari"
    ):
        spec_of("dev/ari")


@pytest.mark.integration
def test_reading_the_catalogue_imports_no_heavy_library():
    code = (
        "import sys, fgtune.metrics; "
        "print([m for m in ('numpy', 'scipy', 'sklearn', 'torch', 'pandas') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.integration
def test_the_numeric_modules_need_neither_torch_nor_scikit_learn():
    code = (
        "import sys, fgtune.metrics.evaluate, fgtune.metrics.label_free, fgtune.metrics.coarse; "
        "import fgtune.metrics.retrieval, fgtune.metrics.probes, fgtune.metrics.regression; "
        "import fgtune.metrics.episodes, fgtune.metrics.attention; "
        "print([m for m in ('sklearn', 'faiss', 'torch', 'pandas', 'ray', 'mlflow') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
