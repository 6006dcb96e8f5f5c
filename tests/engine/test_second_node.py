"""A node that sees neither study folder, nor data, nor fgtune itself runs all trials, and may be taken away."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from fgtune.results.folder import StudyFolder

pytestmark = pytest.mark.long

EPOCHS = 600
TABLE = """
study: table
question: Does a table reach a node that does not see it?
design: {{kind: sensitivity, factors: {{objective.lambda_reg: [1.0, 2.0]}}}}
seeds: 2
metrics: {{primary: test/clustering_accuracy}}
trial:
  data: {{kind: arrays, path: {folder}/table.csv, columns: {{coarse: coarse, fine: fine}}}}
  model: {{backbone: {{kind: mlp, hidden: [8]}}}}
  classes: {{num_fine: 4}}
  epochs: {epochs}
  batch_size: 32
execution: {{checkpoint_every_epochs: {every}, max_failures: {failures}}}
"""
IMAGES = """
study: images
question: Do images reach a node that does not see them?
design: {{kind: sensitivity, factors: {{objective.lambda_reg: [1.0, 2.0]}}}}
seeds: 1
metrics: {{primary: test/clustering_accuracy}}
trial:
  data: {{kind: image_folder, path: {folder}/images, size: 8}}
  model: {{backbone: {{kind: mlp, hidden: [8]}}, weights: {{path: {folder}/encoder.pt}}}}
  classes: {{num_fine: 4}}
  epochs: 3
  batch_size: 32
"""
PLUGIN = """
from pathlib import Path


def run(config, seed, report):
    for epoch in range(report.epochs):
        report({"val/score": config["slope"] * (epoch + 1) + seed, "sees": float(Path(config["folder"]).exists())})
"""
FUNCTION = """
study: function
question: Does code of the user's own reach the node?
design: {{kind: sensitivity, factors: {{config.slope: [1.0, 2.0]}}}}
seeds: 2
metrics: {{primary: val/score}}
trial:
  kind: function
  call: "far_plugin:run"
  epochs: 2
  metrics: {{val/score: {{direction: maximize}}, sees: {{direction: maximize}}}}
  config: {{slope: 1.0, folder: {folder}/images}}
"""


@pytest.fixture
def files(tmp_path):
    """A table, a folder of pictures, weights and a plugin; writes studies of them."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(120, 5)) + np.repeat(np.arange(4), 30)[:, None]
    rows = [f"{','.join(f'{x:.5f}' for x in row)},k{i // 60},f{i // 30}" for i, row in enumerate(points)]
    (tmp_path / "table.csv").write_text("\n".join(["a,b,c,d,e,coarse,fine", *rows]) + "\n")
    for fine in range(4):
        folder = tmp_path / "images" / f"coarse{fine // 2}" / f"fine{fine}"
        folder.mkdir(parents=True)
        for number in range(20):
            pixels = np.full((8, 8, 3), 50 * fine, np.uint8) + rng.integers(0, 50, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    (tmp_path / "far_plugin.py").write_text(PLUGIN)

    def write(text: str, epochs: int = 3, every: int = 1, failures: int = 1) -> Path:
        study = yaml_name(text)
        path = tmp_path / f"{study}.yaml"
        path.write_text(text.format(folder=tmp_path, epochs=epochs, every=every, failures=failures))
        return path

    return write


def yaml_name(text: str) -> str:
    return text.split("study: ")[1].split()[0]


def metrics_of(folder: StudyFolder) -> dict[str, dict[str, float]]:
    return {result.cell_id: dict(result.metrics) for result in folder.ledger.read()}


def write_weights(path: Path) -> None:
    """Weights of the backbone of the images, which is an MLP."""
    import torch

    from fgtune.config.schema.model import ModelConfig
    from fgtune.models.classifier import build_classifier

    config = ModelConfig.from_plain({"backbone": {"kind": "mlp", "hidden": [8]}})
    torch.save(build_classifier(config, (3, 8, 8), 4, 5).backbone.state_dict(), path)


@pytest.mark.timeout(1200)
def test_tables_images_weights_and_plugins_reach_a_node_that_sees_none_of_them(
    far_node, files, tmp_path, train_study, monkeypatch
):
    monkeypatch.setenv("FGTUNE_CACHE", str(tmp_path / "cache"))
    write_weights(tmp_path / "encoder.pt")
    for text, options in ((TABLE, ()), (IMAGES, ()), (FUNCTION, ("--plugins", "far_plugin"))):
        study = files(text)
        done = far_node.run(study, "--out", str(tmp_path / "out"), *options)
        assert done.returncode == 0, done.stdout + done.stderr
        assert ("waiting for one to join" in done.stdout) is (text is TABLE), "the node is still starting then"
        assert f"not all nodes of the cluster see {tmp_path}" in done.stdout
        found = metrics_of(StudyFolder(tmp_path / "out" / yaml_name(text)))
        if text is FUNCTION:
            assert [each["sees"] for each in found.values()] == [0.0] * 4
            continue
        alone = metrics_of(StudyFolder(train_study(study, tmp_path / "alone")))
        assert found.keys() == alone.keys()
        for cell_id, metrics in found.items():
            assert metrics == pytest.approx(alone[cell_id], rel=1e-6, nan_ok=True), cell_id


@pytest.mark.timeout(1800)
def test_a_node_taken_away_every_30_seconds_costs_epochs_but_no_cell(far_node, files, tmp_path, bucket):
    far_node.start_node()
    study = files(TABLE, epochs=EPOCHS, every=20, failures=40)
    process = far_node.start(study, "--out", str(tmp_path / "out"), "--storage", bucket.uri("spot"))
    kills, seen = 0, 0
    while process.poll() is None and not (tmp_path / "out" / "table" / "running.json").exists():
        time.sleep(0.5)
    began = time.monotonic()
    while process.poll() is None and time.monotonic() - began < 1200:
        time.sleep(30)
        if process.poll() is None:  # of two nodes the older one goes, and a new one comes
            seen = max(seen, len(bucket.objects))
            far_node.kill_node()
            far_node.start_node()
            kills += 1
    output = process.communicate()[0]
    print(f"{kills} kills in {time.monotonic() - began:.0f} s")
    assert process.returncode == 0, output
    results = StudyFolder(tmp_path / "out" / "table").ledger.read()
    print("attempts", [result.attempts for result in results])
    assert len(results) == 4
    assert {result.state.name for result in results} == {"COMPLETE"}
    assert kills >= 2
    assert max(result.attempts for result in results) > 1
    assert seen > 0, "checkpoints were in the bucket while the study ran"
    assert bucket.objects == {}
    curves = StudyFolder(tmp_path / "out" / "table").read_curves()
    assert curves.groupby("cell_id")["epoch"].apply(lambda epochs: sorted(epochs) == list(range(1, EPOCHS + 1))).all()


@pytest.mark.timeout(900)
def test_the_head_of_a_cluster_is_lost_and_the_call_ends_with_the_line_that_continues(
    far_node, files, tmp_path, until_ended
):
    study = files(TABLE, epochs=100_000, every=1000)
    out = tmp_path / "out"
    process = far_node.start(study, "--out", str(out))
    deadline = time.monotonic() + 240
    while not (out / "table" / "running.json").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    children = process.children(recursive=True)
    far_node.kill_head()
    began = time.monotonic()
    output = process.communicate(timeout=120)[0]
    took = time.monotonic() - began
    print(f"{took:.1f} s\n{output}")
    assert process.returncode == 1
    assert took < 60
    assert "the head of the Ray cluster" in output
    assert "continue with: python -m fgtune.run" in output
    assert (out / "table" / "report.html").is_file()
    assert json.loads((out / "table" / "verdicts.json").read_text())
    until_ended(children)
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)


@pytest.mark.timeout(600)
def test_a_study_that_hands_states_from_machine_to_machine_needs_a_storage_there(far_node, files, tmp_path):
    study = files(TABLE)
    text = study.read_text().replace(
        "design: {kind: sensitivity, factors: {objective.lambda_reg: [1.0, 2.0]}}",
        "design: {kind: search, metric: val/silhouette, trials: 2, sampler: {kind: random}, "
        "space: {parameters: {objective.lambda_reg: {kind: uniform, low: 1, high: 2}}}}\n"
        "scheduler: {kind: asha, metric: val/silhouette}",
    )
    study.write_text(text)
    done = far_node.run(study, "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert "execution.storage: must be given: trials go on from states of other machines" in done.stderr
    assert not (tmp_path / "out").exists()
