"""Every shipped search space: its points train, and together the spaces reach what a method has to be tuned by."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from support.spaces import plan_of

from fgtune.config.arms.records import DataShape
from fgtune.config.schema.classes import ClassesConfig
from fgtune.config.spaces.space import InfeasibleError
from fgtune.data.load import load_dataset
from fgtune.training.build import build_trainer
from fgtune.training.prepared import prepare_split, views

ROOT = Path(__file__).parents[2] / "search_spaces"
SHIPPED = sorted(path.stem for path in ROOT.glob("*.yaml"))
VECTORS = "{kind: hierarchy, num_samples: 90, num_coarse: 2, fine_per_coarse: 3, dim: 8}"
IMAGES = (
    "{kind: patches, nested: true, num_images: 60, num_big: 2, num_small: 6, canvas: 12, big_size: 6, small_size: 3}"
)
OBJECTIVES = {
    "scan": "scan_self_label",
    "xu": "base_indi",
    "fierce": "fierce",
    "clustering": "base",
    "lambda_instance": "base_indi",
    "contrast": "coins",
    "ancor": "ancor",
    "snca": "snca",
    "scgm": "scgm",
}
STUDY = """\
study: tiny
question: Which settings?
design: {{kind: search, trials: 3, metric: val/silhouette, space: {space}}}
seeds: 1
trial:
  data: {data}
  classes: {{num_fine_ratio: 1.0}}
  objective: {{preset: {preset}}}
  model: {{backbone: {{kind: mlp, hidden: [8]}}}}
  epochs: 1
"""
NOT_SEARCHED = {
    "objective.lambda_fine": "reads fine labels",
    "objective.extra": "a user's own terms",
    "objective.extra.kind": "a user's own terms",
    "objective.extra.options": "a user's own terms",
    "objective.extra.weight": "a user's own terms",
    "relations.solver.options": "of a user's own solver",
    "objective.instance.size": "as large as memory allows",
    "objective.instance.key_momentum": "published once, at its best",
    "objective.instance.projection_dim": "published once",
    "objective.ancor.key_momentum": "published once, at its best",
    "objective.ancor.projection_dim": "published once",
    "clustering.regularization": "a safeguard, no setting of a method",
    "clustering.restarts": "more is better",
    "clustering.max_samples": "more is better",
    "clustering.min_share": "a safeguard, no setting of a method",
    "clustering.min_samples": "a safeguard, no setting of a method",
    "optimizer.kind": "another optimiser is another space",
    "optimizer.momentum": "published once",
}
SECTIONS = ("objective.", "neighbors.", "teacher.", "relations.", "warm_start.", "clustering.", "optimizer.")
NETWORK = {"model.backbone", "model.head.kind", "model.freeze_backbone", "model.pretrain", "augmentation.kind"}


def plan_for(space: str, tmp_path: Path):
    data = IMAGES if space == "image_model" else VECTORS
    text = STUDY.format(space=ROOT / f"{space}.yaml", data=data, preset=OBJECTIVES.get(space, "falcon"))
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return plan_of(path, shape=DataShape(num_coarse=(2,), num_fine=6, fingerprint="f00d"))


def few_points(plan) -> list:
    """Feasible points that together have every parameter and every choice, few of them."""
    space, rng = plan.search.space, np.random.default_rng(0)
    wanted = {(path, repr(value)) for path, each in space.parameters.items() for value in getattr(each, "values", [0])}
    found, tries = [], 0
    while wanted and tries < 4000:
        tries += 1
        point = space.draw(rng)
        has = {(path, repr(point[path]) if hasattr(space.parameters[path], "values") else "0") for path in point}
        if has & wanted and (len(has & wanted) > 1 or tries > 200):
            try:
                found.append(space.config(point))
            except InfeasibleError:
                continue
            wanted -= has
    assert not wanted, f"no feasible point has {wanted}"
    return found


@pytest.mark.slow_except("falcon")
@pytest.mark.parametrize(
    "space", [pytest.param(each, marks=pytest.mark.long if each == "image_model" else ()) for each in SHIPPED]
)
def test_points_with_every_choice_train(space, tmp_path):
    plan = plan_for(space, tmp_path)
    configs = few_points(plan)
    dataset = load_dataset(configs[0].data)
    for config in configs:
        update = {"classes": ClassesConfig(num_fine=int(6 * (config.classes.num_fine_ratio or 1.0) + 0.5))}
        if config.model.pretrain is not None:
            pretrain = config.model.pretrain.model_copy(update={"epochs": 1})
            update["model"] = config.model.model_copy(update={"pretrain": pretrain})
        small = config.model_copy(update=update)
        prepared = prepare_split(dataset, small, 0, threads=1)
        trainer = build_trainer(small, *views(dataset, prepared), prepared, 0)
        epoch = next(trainer)
        if trainer.objective.weights:
            assert epoch.step >= 1
            assert math.isfinite(epoch.metrics["train/loss"])
        assert "test/clustering_accuracy" in epoch.metrics


@pytest.mark.slow
def test_together_they_reach_every_setting_of_every_method(tmp_path):
    searched = {path for space in SHIPPED for path in plan_for(space, tmp_path).search.space.parameters}
    known = plan_for("falcon", tmp_path).study.trial.paths()
    missing = {
        path
        for path in known
        if path.startswith(SECTIONS)
        and not any(other == path or other.startswith(f"{path}.") or path.startswith(f"{other}.") for other in searched)
    }
    assert missing == set(NOT_SEARCHED)
    assert {*NETWORK, "schedule", "batch_size", "classes.num_fine_ratio"} <= searched
