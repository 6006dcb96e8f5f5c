"""A real study folder, trained without Ray and written by the recorder: lost cells, a retry, tables and report."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

STUDY = """
study: real
question: Does the number of fine classes matter on an easy hierarchy?
design: {kind: sensitivity, factors: {classes.num_fine_ratio: [1.0, 1.5]}}
seeds: 3
metrics: {primary: test/clustering_accuracy, also: [test/ged]}
trial:
  data: {kind: arrays, path: DATA}
  model: {backbone: {kind: mlp, hidden: [8]}}
  classes: {num_fine_ratio: 1.0}
  relations: {every_steps: 3}
  epochs: 3
  batch_size: 64
"""

FAILS_ONCE, FAILS = ("num_fine_ratio=1.5", 1), ("num_fine_ratio=1.5", 2)
"""The cell that fails and is run again, and the one that stays failed."""


def write_data(path: Path) -> None:
    """Six Gaussian classes in two groups of three."""
    import numpy as np

    rng = np.random.default_rng(0)
    fine = np.arange(240) % 6
    inputs = rng.normal(0, 1, (240, 4)) + 2.5 * np.eye(6, 4)[fine] - 2.5 * (fine[:, None] == 5)
    np.savez(path, inputs=inputs, coarse=fine // 3, fine=fine)


def train(out: Path) -> Path:
    """Train the study below ``out``, and write its folder as a run does."""
    from threadpoolctl import threadpool_limits

    from fgtune.engine.opening import open_study
    from fgtune.engine.recorder import Recorder, record_labels
    from fgtune.reporting.html import write_up
    from fgtune.results.folder import StudyFolder
    from fgtune.results.options import RunOptions
    from fgtune.results.provenance import collect_provenance
    from fgtune.training.build import build_trainer
    from fgtune.training.portraits import Painter
    from fgtune.training.prepared import dataset_key, prepare_split, views

    write_data(out / "data.npz")
    study = out / "real.yaml"
    study.write_text(STUDY.replace("DATA", str(out / "data.npz")), encoding="utf-8")
    opened = open_study(study)
    folder = StudyFolder(out / "reports" / "real")
    folder.create_or_check(opened.plan, opened.loaded, collect_provenance(opened.plan, RunOptions(study)))
    record_labels(folder, opened.plan, opened.datasets)
    silent = SimpleNamespace(epochs=lambda *_: None, finished=lambda _: None, say=lambda _: None)
    recorder = Recorder(folder, {cell.cell_id: cell for cell in opened.plan.cells}, lambda *_: None, silent)
    with threadpool_limits(1):  # as in a trial
        for cell in opened.plan.cells:
            place = (cell.arm, cell.seed)
            dataset = opened.datasets[dataset_key(cell.config)]
            prepared = prepare_split(dataset, cell.config, cell.seed, threads=1)
            painter = Painter(dataset, with_samples=True) if cell.seed == 0 else None  # as a run does
            trainer = build_trainer(cell.config, *views(dataset, prepared), prepared, cell.seed, painter=painter)
            if place in (FAILS_ONCE, FAILS):
                recorder.on_epochs(cell.cell_id, [next(iter(trainer))])
                recorder.on_fail(cell.cell_id, "TrialError: the loss is nan", "Traceback: ...", 1)
            if place != FAILS:
                for _ in trainer:
                    pass
                recorder.on_complete(cell.cell_id, trainer.outcome(), 1)
    folder.gather_curves()
    write_up(folder)
    return folder.root


@pytest.fixture(scope="session")
def real_folder(tmp_path_factory) -> Path:
    """The folder; tests change copies of it."""
    return train(tmp_path_factory.mktemp("real"))
