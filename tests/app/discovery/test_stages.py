"""What methods are judged by is what their study reports, on more samples."""

from __future__ import annotations

import numpy as np

from fgtune.app.discovery.stages import judge_of, space_of
from fgtune.config.schema.data_tables import HierarchyConfig
from fgtune.config.schema.trial import TrialConfig
from fgtune.data.load import load_dataset
from fgtune.data.views import vectors
from fgtune.metrics.fixed_space import FixedJudge
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
