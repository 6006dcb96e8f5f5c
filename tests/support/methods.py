"""Every preset with settings that a small cell can take, and the variants of methods that are tested beside them."""

from __future__ import annotations

import pytest

from fgtune.config.schema.objective import PRESETS

QUEUE = {"objective.instance": {"kind": "queue", "size": 64, "projection_dim": 8}}
SMALL = {
    "coins": {"objective.instance": {"kind": "queue", "size": 64}},
    "coins_released": {"objective.instance": {"kind": "queue", "size": 64}},
    "ancor": {"objective.ancor.size": 32},
    "george": {"clustering": {"kind": "george", "reduction": "pca", "min_samples": 5}},
}
"""Queues as long as little data need, and no UMAP, which compiles for seconds."""
METHODS = [pytest.param({"objective.preset": preset, **SMALL.get(preset, {})}, id=preset) for preset in PRESETS]
METHODS += [
    pytest.param({"objective.preset": "base_indi", "objective.instance.scope": "coarse"}, id="base_indi-coarse"),
    pytest.param({"objective.preset": "indi", **QUEUE}, id="indi-queue"),
    pytest.param({"objective.preset": "falcon_instance", **QUEUE}, id="falcon-queue"),
    pytest.param({"objective.preset": "scan", "neighbors.scope": "global"}, id="scan-global"),
    pytest.param({"objective.preset": "base", "clustering.scope": "global"}, id="base-global"),
    pytest.param({"objective.preset": "base", "clustering.sizes": "variance"}, id="base-variance"),
    *(
        pytest.param({"objective.preset": "base", "clustering": changes}, id=f"base-{name}")
        for name, changes in {
            "pca": {"pca": 3},
            "gmm": {"kind": "gmm", "sizes": "variance"},
            "spectral": {"kind": "spectral", "pca": 0.9},
            "agglomerative": {"kind": "agglomerative", "scope": "global", "max_samples": 100},
        }.items()
    ),
    pytest.param({"objective.preset": "fierce", "evaluation.weights": "teacher"}, id="fierce-teacher"),
]
STEPS = [
    pytest.param({"neighbors.targets": "forward"}, id="forward"),
    pytest.param({}, id="memory"),
    pytest.param({"neighbors.memory_momentum": 0.5}, id="averaged"),
    pytest.param({"objective.preset": "base"}, id="base"),
    pytest.param({"objective.preset": "fierce"}, id="fierce"),
    pytest.param({"objective.preset": "indi"}, id="indi"),
    pytest.param(
        {"objective.preset": "falcon_instance", "objective.instance": {"kind": "queue", "size": 64}}, id="queue"
    ),
    pytest.param(
        {"objective.preset": "coins_released", "objective.instance": {"kind": "queue", "size": 64}},
        id="coins as released",
    ),
    pytest.param({"objective.preset": "snca"}, id="snca"),
    pytest.param({"objective.preset": "scgm"}, id="scgm"),
    pytest.param({"data.non_nested": 0.2, "objective.prior": "learned"}, id="learned prior"),
]
"""Methods whose steps may not wait for the device."""
HOST = frozenset({"ancor", "base_indi-coarse"})
"""Ids of methods that ask the device which classes a batch has, so that their steps are no CUDA graph."""
