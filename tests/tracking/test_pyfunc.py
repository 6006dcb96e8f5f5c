"""Models in MLflow: logged once, below the study's run, and loaded by a fresh process that only knows MLflow."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from fgtune.app.refit import refit
from fgtune.data.load import load_dataset
from fgtune.engine.opening import open_study
from fgtune.errors import ConfigError, TrackingError
from fgtune.exporting.folder import load_model, read_card
from fgtune.tracking import open_tracker
from fgtune.tracking.pyfunc import _load_pyfunc, open_model_log


@pytest.fixture(scope="module")
def study(tmp_path_factory, train_study, small_study_text):
    """A finished study: its file, its folder, and the folder of a model."""
    root = tmp_path_factory.mktemp("study")
    path = root / "small.yaml"
    path.write_text(small_study_text, encoding="utf-8")
    folder = train_study(path, root / "reports", ("seeds=1",))
    model = refit(folder, arm="baseline", tracking_uri="none", say=lambda _: None)
    return path, folder, model


def runs_of(client, **tags: str):
    experiment = client.get_experiment_by_name("small")
    runs = client.search_runs([experiment.experiment_id])
    return [run for run in runs if all(run.data.tags.get(f"fgtune.{name}") == value for name, value in tags.items())]


@pytest.mark.slow
def test_mlflow_loads_the_model_and_gets_the_labels_for_an_array_and_a_table(study, store_file, monkeypatch):
    import mlflow

    _, _, model = study
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store_file}")
    loaded = mlflow.pyfunc.load_model(open_model_log().log(model, read_card(model)))
    inputs = load_dataset(load_model(model)[0].config.data).inputs
    labels = pd.read_parquet(model / "labels.parquet")
    for given in (inputs, pd.DataFrame(inputs)):
        found = loaded.predict(given)
        pd.testing.assert_frame_equal(found, labels[list(found.columns)])


@pytest.mark.integration
@pytest.mark.long
def test_a_fresh_process_loads_the_model_and_gets_the_labels(study, store_file, tmp_path):
    _, _, model = study
    log = open_model_log(f"sqlite:///{store_file}")
    uri = log.log(model, read_card(model))
    np.save(tmp_path / "x.npy", load_dataset(load_model(model)[0].config.data).inputs)
    code = (
        "import mlflow, numpy as np, pandas as pd, sys\n"
        "model = mlflow.pyfunc.load_model(sys.argv[1])\n"
        "x = np.load(sys.argv[2])\n"
        "model.predict(x).to_parquet(sys.argv[3] + '/array.parquet')\n"
        "model.predict(pd.DataFrame(x)).to_parquet(sys.argv[3] + '/frame.parquet')\n"
        "assert not {'ray', 'optuna'} & sys.modules.keys()\n"
    )
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{store_file}", "MLFLOW_DISABLE_TELEMETRY": "true"}
    arguments = [sys.executable, "-c", code, uri, str(tmp_path / "x.npy"), str(tmp_path)]
    done = subprocess.run(arguments, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    labels = pd.read_parquet(model / "labels.parquet")
    for name in ("array", "frame"):
        found = pd.read_parquet(tmp_path / f"{name}.parquet")
        pd.testing.assert_frame_equal(found, labels[list(found.columns)])


def test_a_model_is_logged_once_and_below_the_run_of_its_study(study, store_file, monkeypatch):
    path, folder, model = study
    uri = f"sqlite:///{store_file}"
    tracker = open_tracker(uri)
    tracker.start(open_study(path, ("seeds=1",)).plan, folder)
    log = open_model_log(uri)
    first = log.log(model, read_card(model))
    assert open_model_log(uri).log(model, read_card(model)) == first
    (parent,) = runs_of(log._client, role="study")
    (run,) = runs_of(log._client, role="model")
    assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert run.info.status == "FINISHED"
    assert run.data.metrics["test/ari"] == read_card(model).metrics["test/ari"]
    assert run.outputs.model_outputs[0].model_id == first.removeprefix("models:/")


def test_without_a_tracked_study_the_model_has_a_run_of_its_own(study, store_file):
    _, _, model = study
    log = open_model_log(f"sqlite:///{store_file}")
    log.log(model, read_card(model))
    (run,) = runs_of(log._client)
    assert "mlflow.parentRunId" not in run.data.tags


def test_no_python_object_is_pickled_into_the_store(study, store_file):
    _, _, model = study
    open_model_log(f"sqlite:///{store_file}").log(model, read_card(model))
    stored = [path for path in (store_file.parent / "mlruns").rglob("*") if path.is_file()]
    assert {"MLmodel", "model.json", "weights.safetensors"} <= {path.name for path in stored}
    assert not [path for path in stored if path.suffix in (".pkl", ".pickle", ".pt", ".pth")]


def test_a_failed_upload_leaves_no_model_that_looks_ready(study, store_file, monkeypatch):
    _, _, model = study
    log = open_model_log(f"sqlite:///{store_file}")
    monkeypatch.setattr(log._client, "log_model_artifacts", _refusing)
    with pytest.raises(TrackingError, match="did not take the model: disk full"):
        log.log(model, read_card(model))
    (run,) = runs_of(log._client, role="model")
    assert run.info.status == "FAILED"
    monkeypatch.undo()
    again = open_model_log(f"sqlite:///{store_file}")
    uri = again.log(model, read_card(model))
    found = again._client.search_logged_models([run.info.experiment_id])
    assert sorted((each.status.value, each.model_uri == uri) for each in found) == [("FAILED", False), ("READY", True)]


def _refusing(*_: object, **__: object) -> None:
    raise OSError("disk full")


def test_refit_says_where_the_model_is_and_goes_on_when_tracking_fails(study, store_file, monkeypatch):
    _, folder, model = study
    lines: list[str] = []
    refit(folder, arm="baseline", tracking_uri=f"sqlite:///{store_file}", say=lines.append)
    assert any(line.startswith("MLflow: models:/") for line in lines)
    monkeypatch.setattr("mlflow.MlflowClient.search_logged_models", _refusing)
    assert refit(folder, arm="baseline", tracking_uri=f"sqlite:///{store_file}", say=lines.append) == model
    assert any(line.startswith("warning: tracking failed") for line in lines)


def test_tracking_is_off_on_request_and_a_bad_store_stops_before_training(study, tmp_path):
    _, folder, _ = study
    assert open_model_log("none") is None
    with pytest.raises(ConfigError, match="database or a server"):
        refit(folder, out=tmp_path / "m", tracking_uri="./mlruns", say=lambda _: None)
    assert not (tmp_path / "m").exists()


def test_the_loader_takes_what_mlflow_servers_send_and_refuses_other_shapes(study):
    _, _, model = study
    loaded = _load_pyfunc(str(model))
    rows = [[0.5] * 6, [-0.5] * 6]
    expected = loaded.predict(np.array(rows))
    for form in (rows, {"inputs": rows}, pd.DataFrame(rows)):
        pd.testing.assert_frame_equal(loaded.predict(form), expected)
    with pytest.raises(ConfigError, match=r"shape \(6,\), got \(2,\)"):
        loaded.predict([[1.0, 2.0]])
