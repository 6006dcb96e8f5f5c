"""What analysis and report make of studies of every design, from their folders alone."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from fgtune.analysis.curve_panels import learning_panels
from fgtune.analysis.inputs import read_study
from fgtune.analysis.level_panels import sensitivity_panels, shown_groups
from fgtune.analysis.summary import summarise
from fgtune.reporting.html import write_up

ABLATION = {
    "kind": "ablation",
    "components": {name: {"off": {f"objective.lambda_{name}": 0.0}} for name in ("coarse", "nn", "conf")},
    "constraints": ["conf implies coarse"],
}
COMPARISON = {
    "kind": "comparison",
    "arms": [{"name": "falcon"}, {"name": "no_nn", "set": {"objective.lambda_nn": 0.0}}],
    "datasets": {"all": {"kind": "digits"}, "some": {"kind": "digits", "limit": 500}},
}
SOBOL = {
    "kind": "sensitivity",
    "grid": "sobol",
    "points": 3,
    "factors": {
        "objective.lambda_nn": {"low": 0.1, "high": 1.0, "scale": "log"},
        "relations.solver.kind": ["scip", "flow"],
    },
}
GRID = {
    "kind": "sensitivity",
    "grid": "full",
    "factors": {"objective.lambda_nn": [0.1, 0.5, 1.0], "relations.solver.kind": ["scip", "flow"]},
}
SEARCH = {
    "kind": "search",
    "trials": 3,
    "metric": "val/silhouette",
    "space": {"parameters": {"objective.lambda_nn": {"kind": "uniform", "low": 0.1, "high": 1.0}}},
}


@pytest.fixture
def folder_of(synthetic, tmp_path):
    def write(design, **options):
        study = {
            "study": "designed", "question": "Which?", "design": design, "seeds": 4,
            "metrics": {"primary": "test/clustering_accuracy", "also": ["test/ari"]},
            "trial": {"data": {"kind": "digits"}, "classes": {"num_fine": 10}, "epochs": 20},
        }  # fmt: skip
        return synthetic.SyntheticStudy(text=json.dumps(study), **options).write(tmp_path)

    return write


def test_an_ablation_is_compared_with_the_full_method_component_by_component(folder_of):
    folder = folder_of(ABLATION, accuracy={"full": 0.9, "no_coarse": 0.5, "no_nn": 0.7, "no_conf": 0.8}, noise=0.001)
    data, summary = read_study(folder), summarise(folder)
    assert data.factors == ("coarse", "nn", "conf")
    assert data.baseline.name == summary.baseline.arm == "full"
    assert {arm.label: dict(arm.levels) for arm in data.arms}["no_coarse"] == {
        "coarse": False,
        "nn": True,
        "conf": False,
    }
    effects = {contrast.arm: round(contrast.contrast.estimate.mean, 1) for contrast in summary.contrasts}
    assert effects == {"no_coarse": -0.4, "no_nn": -0.2, "no_conf": -0.1}


def test_arms_are_compared_with_the_baseline_on_their_own_data(folder_of):
    accuracy = {"falcon@all": 0.9, "no_nn@all": 0.8, "falcon@some": 0.6, "no_nn@some": 0.4}
    folder = folder_of(COMPARISON, accuracy=accuracy, noise=0.001)
    data, summary = read_study(folder), summarise(folder)
    assert [arm.name for arm in data.arms if arm.is_baseline] == ["falcon@all", "falcon@some"]
    assert [data.baseline_of(arm).name for arm in data.arms] == ["falcon@all"] * 2 + ["falcon@some"] * 2
    effects = {contrast.arm: round(contrast.contrast.estimate.mean, 1) for contrast in summary.contrasts}
    assert effects == {"no_nn@all": -0.1, "no_nn@some": -0.2}


def test_the_answer_has_a_clause_for_every_data_set(folder_of, synthetic):
    accuracy = {"falcon@all": 0.9, "no_nn@all": 0.8, "falcon@some": 0.6, "no_nn@some": 0.4}
    missing = {("falcon@some", seed) for seed in range(4)}
    folder = folder_of(COMPARISON, accuracy=accuracy, noise=0.001)
    summary = summarise(folder)
    means = {arm.arm: f"{arm.estimates['test/clustering_accuracy'].mean:.3f}" for arm in summary.arms}
    for dataset in ("all", "some"):
        reached = f"On {dataset}, the baseline (falcon) reaches clustering accuracy (test) {means[f'falcon@{dataset}']}"
        assert reached in summary.answer
    assert summary.answer.count("no_nn (") == 2
    assert "@" not in summary.answer
    assert summary.answer.index("On all") < summary.answer.index("On some")
    data = read_study(folder)
    kept = {cell.cell_id: data.results[cell.cell_id] for cell in data.planned if (cell.arm, cell.seed) not in missing}
    assert "On some, no answer yet" in summarise(replace(data, results=kept)).answer


def test_bounds_of_lost_cells_are_against_the_baseline_on_the_same_data(folder_of, synthetic):
    faults = synthetic.Faults(failed={("falcon@some", 0): "TrialError: loss is not finite"})
    summary = summarise(folder_of(COMPARISON, faults=faults))
    assert [bound.arm for bound in summary.bounds] == ["falcon@some", "no_nn@some"]


@pytest.mark.parametrize(("seeds", "listed", "grouped"), [((0, 1, 2), 12, 0), ((0, 1, 2, 3), 0, 16)])
def test_many_stopped_cells_are_grouped_outside_a_search_too(folder_of, synthetic, seeds, listed, grouped):
    pruned = {(f"{arm}@{on}", seed) for arm in ("falcon", "no_nn") for on in ("all", "some") for seed in seeds}
    summary = summarise(folder_of(COMPARISON, faults=synthetic.Faults(pruned=pruned)))
    assert [row.state for row in summary.failures] == ["PRUNED"] * listed
    assert sum(group.cells for group in summary.pruned) == grouped
    assert len(summary.bounds) == 4


@pytest.mark.parametrize("design", [ABLATION, GRID, COMPARISON], ids=["ablation", "grid", "comparison"])
def test_every_arm_is_in_the_figures_that_show_arms(folder_of, design):
    data = read_study(folder_of(design))
    arms, metrics = {arm.name for arm in data.arms}, set(data.shown_metrics)
    levels = [(panel.metric.name, point.arm) for panel in sensitivity_panels(data) for point in panel.points]
    assert {*levels} == {(metric, arm) for metric in metrics for arm in arms}
    curves = [(panel.metric.name, curve.arm) for panel in learning_panels(data) for curve in panel.curves]
    assert {*curves} == {(metric, arm) for metric in (*metrics, "train/loss") for arm in arms}


def test_an_ablation_has_one_panel_a_metric(folder_of):
    panels = sensitivity_panels(read_study(folder_of(ABLATION)))
    assert [panel.metric.name for panel in panels] == ["test/clustering_accuracy", "test/ari"]
    assert all(panel.axis.path == "" for panel in panels)


def test_figures_over_a_factor_stand_beside_all_arms_where_some_change_several(folder_of):
    groups = shown_groups(read_study(folder_of(GRID)))
    assert [factor for factor, _ in groups] == [None, "objective.lambda_nn", "relations.solver.kind"]
    assert [len(arms) for _, arms in groups] == [6, 3, 2]


@pytest.mark.parametrize(
    "design", [ABLATION, COMPARISON, SOBOL, SEARCH], ids=["ablation", "comparison", "sobol", "search"]
)
def test_a_report_is_written_for_every_design(folder_of, design):
    page = write_up(folder_of(design))[0].read_text(encoding="utf-8")
    assert "designed" in page
    assert len(page) > 100_000
