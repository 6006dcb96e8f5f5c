"""A study that got further seeds: its runs in MLflow stay, and bear its new hash."""

from __future__ import annotations

import json

from support.lazy import LazyModule

from fgtune.results.folder import StudyFolder

mlflow = LazyModule("mlflow")


def test_runs_of_an_extended_study_are_found_and_none_is_stored_twice(
    open_again, store_file, make_plan, make_result, make_curve, tmp_path
):
    before, after = make_plan(), make_plan(seeds=(0, 1, 2))
    folder = StudyFolder(tmp_path / "kf_small")
    curve = make_curve()
    first = open_again()
    first.start(before, folder.root)
    results = [make_result(cell) for cell in before.cells]
    for result in results:
        first.log_cell(result, curve)
    folder.root.mkdir()
    sides = {"from": (before, [0, 1]), "to": (after, [0, 1, 2])}
    entry = {side: {"study_hash": plan.study_hash, "seeds": seeds} for side, (plan, seeds) in sides.items()}
    entry["at"] = "2026-11-21T10:00:12+00:00"
    folder.provenance_file.write_text(json.dumps({"study_hash": after.study_hash, "extended": [entry]}))
    tracker = open_again()
    tracker.start(after, folder.root)
    new = [make_result(cell) for cell in after.cells if cell.seed == 2]
    assert tracker.sync([*results, *new], lambda _: curve) == len(new)
    client = mlflow.MlflowClient(f"sqlite:///{store_file}")
    runs = client.search_runs([each.experiment_id for each in client.search_experiments()])
    roles = [run.data.tags["fgtune.role"] for run in runs]
    assert (roles.count("study"), roles.count("cell")) == (1, len(after.cells))
    assert {run.data.tags["fgtune.study_hash"] for run in runs} == {after.study_hash}
