"""Values that no machine holds, or that the data cannot have, are found before any trial, at their place."""

from __future__ import annotations

import pytest

from fgtune.engine.opening import open_study
from fgtune.errors import ConfigError

STUDY = """study: s
question: q
design: DESIGN
seeds: 1
trial:
  data: {kind: hierarchy, num_samples: 200}
  model: {backbone: {kind: mlp, hidden: [8]}}
  classes: {num_fine: 30}
  epochs: 1
"""
SEARCH = "{kind: search, metric: val/silhouette, trials: 4, space: {parameters: {PARAMETERS}}}"
COMPARISON = """
  kind: comparison
  arms: [{name: a, set: {}}, {name: b, set: {}, space: {parameters: {PARAMETERS}}}]
  search: {metric: val/silhouette, trials: 2}
"""


def opened(tmp_path, design: str, parameters: str = ""):
    """The study of a design, opened."""
    path = tmp_path / "s.yaml"
    path.write_text(STUDY.replace("DESIGN", design.replace("PARAMETERS", parameters)), encoding="utf-8")
    return open_study(path)


HIDDEN = "model.backbone.hidden: {kind: choice, values: [[8], [1000000000000], [16]]}"
CLASSES = "classes.num_fine: {kind: int, low: 30, high: 1000000000000000}"


@pytest.mark.parametrize("design", [SEARCH, COMPARISON])
def test_a_choice_that_takes_more_memory_than_there_is_is_refused_at_its_place(tmp_path, design):
    with pytest.raises(ConfigError, match="takes at least") as caught:
        opened(tmp_path, design, HIDDEN)
    assert caught.value.path.endswith("space.parameters.model.backbone.hidden.values[1]")
    assert caught.value.value == [10**12]


def test_each_value_that_is_too_large_is_told_whatever_the_others_are(tmp_path):
    with pytest.raises(ConfigError) as caught:
        opened(tmp_path, SEARCH, f"{HIDDEN}, {CLASSES}")
    text = str(caught.value)
    assert "parameters.model.backbone.hidden.values[1]" in text
    assert "parameters.classes.num_fine.high" in text
    assert len(text.splitlines()) == 2


def test_a_choice_that_the_data_cannot_have_is_refused(tmp_path):
    kinds = "augmentation: {kind: choice, values: [{kind: none}, {kind: crop_flip}]}"
    with pytest.raises(ConfigError, match=r"augmentation\.values\[1\]: needs images"):
        opened(tmp_path, SEARCH, kinds)


def test_a_point_that_a_constraint_forbids_is_not_looked_at(tmp_path):
    design = SEARCH.replace("{PARAMETERS}}", "{PARAMETERS}, constraints: ['classes.num_fine < 5.0e+14']}")
    assert opened(tmp_path, design, CLASSES).plan.search is not None


@pytest.mark.parametrize(
    ("factors", "place"),
    [
        ("model.backbone.hidden: [[8], [1000000000000]]", r"design\.factors\.model\.backbone\.hidden\[1\]"),
        ("classes.num_fine: [30, 1000000000000]", r"design\.factors\.classes\.num_fine\[1\]"),
    ],
)
def test_a_level_that_is_too_large_is_refused_at_its_place(tmp_path, factors, place):
    with pytest.raises(ConfigError, match=rf"s\.yaml:3: {place}.*takes at least"):
        opened(tmp_path, f"{{kind: sensitivity, factors: {{{factors}}}}}")


def test_a_search_on_a_cluster_may_be_larger_than_this_machine(tmp_path, monkeypatch):
    wide = "model.backbone.hidden: {kind: choice, values: [[8], [40000000]]}"  # 16 features: 7.7 GB and more
    monkeypatch.setattr("fgtune.training.size_checks.machine_memory", lambda: 1 << 30)
    with pytest.raises(ConfigError, match="set RAY_ADDRESS"):
        opened(tmp_path, SEARCH, wide)
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    opened(tmp_path, SEARCH, wide)


def test_a_memory_of_predictions_that_does_not_fit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("fgtune.training.size_checks.machine_memory", lambda: 1 << 30)
    many = STUDY.replace("num_fine: 30", "num_fine: 2000000")  # 0.5 GB, and 1 GB more for what is remembered
    many = many.replace("DESIGN", "{kind: comparison, arms: [{name: a}, {name: b, set: {epochs: 2}}]}")
    path = tmp_path / "s.yaml"
    path.write_text(many, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"trial\.neighbors\.targets: makes a trial that takes at least 1\.. GB"):
        open_study(path)
    path.write_text(many.replace("  epochs: 1", "  epochs: 1\n  neighbors: {targets: forward}"), encoding="utf-8")
    open_study(path)
