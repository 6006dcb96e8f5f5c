"""The catalogue: complete, readable without heavy imports, helpful about unknown names."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fgtune.errors import ConfigError
from fgtune.metrics import METRICS, spec_of

ORACLE = {
    "clustering_accuracy",
    "macro_accuracy",
    "ari",
    "nmi",
    "v_measure",
    "homogeneity",
    "completeness",
    "ged",
    "ged_structure",
    "size_distance",
    "ged_reference",
}
LABEL_FREE = {
    "coarse_accuracy",
    "neighbor_agreement",
    "mean_confidence",
    "effective_classes",
    "num_used_classes",
    "silhouette",
    "loss",
    "loss_coarse",
    "loss_nn",
    "loss_conf",
    "loss_reg",
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


@pytest.mark.parametrize("name", ["ari", "test/ari", "val/ari", "train/ari"])
def test_names_are_found_with_and_without_split(name):
    assert spec_of(name) is METRICS["ari"]


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


def test_reading_the_catalogue_imports_no_heavy_library():
    code = (
        "import sys, fgtune.metrics; "
        "print([m for m in ('numpy', 'scipy', 'sklearn', 'torch', 'pandas') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_the_numeric_modules_need_neither_torch_nor_scikit_learn():
    code = (
        "import sys, fgtune.metrics.evaluate, fgtune.metrics.label_free, fgtune.metrics.coarse; "
        "print([m for m in ('sklearn', 'torch', 'pandas', 'ray', 'mlflow') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
