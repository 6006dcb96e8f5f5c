"""What methods are judged by is what their study reports, on more samples."""

from __future__ import annotations

import numpy as np
import pytest

import fgtune.engine.run
from fgtune.app.discovery import stages
from fgtune.app.discovery.stages import judge_of, space_of
from fgtune.app.extend import extend
from fgtune.config.schema.data_tables import HierarchyConfig
from fgtune.config.schema.trial import TrialConfig
from fgtune.data.load import load_dataset
from fgtune.data.views import vectors
from fgtune.engine.opening import open_study
from fgtune.exporting.folder import load_model, read_card
from fgtune.metrics.fixed_space import FixedJudge
from fgtune.results.folder import StudyFolder
from fgtune.training.prepared import prepare_split

DATA = {"kind": "hierarchy", "num_samples": 1200, "num_coarse": 2, "fine_per_coarse": 2, "dim": 30}


def test_methods_are_judged_in_the_space_of_fixed_silhouette():
    dataset = load_dataset(HierarchyConfig.from_plain(DATA))
    prepared = prepare_split(dataset, TrialConfig.from_plain({"data": DATA, "classes": {"num_fine": 4}}), 0, 1)
    space, sample, rows = space_of(dataset), prepared.fixed["test"], prepared.splits.test
    assert np.array_equal(space.project(vectors(dataset.inputs, rows[sample.positions])), sample.points)
    everything = np.arange(1200)
    judge = FixedJudge(everything, space.project(vectors(dataset.inputs, everything)), dataset.coarse)
    assert judge_of(dataset, space).silhouette(dataset.fine) == judge.silhouette(dataset.fine)


@pytest.mark.slow
def test_a_study_that_was_extended_keeps_its_seeds(small_study, train_study, tmp_path, monkeypatch):
    folder, seen = StudyFolder(train_study(small_study, tmp_path, ("seeds=1",))), []
    text = small_study.read_text().replace("seeds: 2", "seeds: 1")
    small_study.write_text(text)

    def execute(options, *_, **__):
        plan = open_study(options.study, options.overrides).plan
        seen.append((folder.check(plan), len(plan.cells)))
        return 0

    monkeypatch.setattr(fgtune.engine.run, "execute", execute)
    assert stages.run_stage(small_study, text, tmp_path, 10.0, None) == 0
    with monkeypatch.context() as patch:
        patch.setattr(fgtune.engine.run, "execute", lambda *_, **__: 0)
        extend(folder.root, 3)
    assert stages.run_stage(small_study, text, tmp_path, 10.0, None) == 0
    assert seen == [(True, 2), (True, 6)]


def test_a_model_of_another_version_or_choice_is_replaced_and_the_same_one_is_not(small_study, train_study, tmp_path):
    root, target, said = train_study(small_study, tmp_path, ("trial.epochs=1",)), tmp_path / "model", []

    def refitted(seed: int) -> bool:
        before = target.stat().st_ino if target.exists() else None
        stages.refit_choice(root, "baseline", seed, target, said.append)
        load_model(target)
        return target.stat().st_ino != before

    assert refitted(0)
    assert not refitted(0)
    card = (target / "model.json").read_text()
    (target / "model.json").write_text(card.replace(f'"fgtune": "{read_card(target).fgtune}"', '"fgtune": "0.0.1"'))
    assert read_card(target).fgtune == "0.0.1"
    assert refitted(0)
    assert refitted(1)
    assert read_card(target).seed == 1
    (target / "weights.safetensors").write_bytes(b"torn")
    assert refitted(1)
