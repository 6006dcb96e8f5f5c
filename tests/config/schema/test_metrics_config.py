from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from fgtune.config.schema.study import MetricsConfig


def _metrics(**settings):
    return MetricsConfig.from_plain(settings)


@pytest.mark.parametrize(
    ("settings", "margin"),
    [
        pytest.param({}, 0.02, id="a share has a default"),
        pytest.param({"primary": "test/nmi"}, 0.02, id="so has every other metric on [0, 1]"),
        pytest.param({"primary": "test/ged"}, None, id="an unbounded metric has none"),
        pytest.param({"primary": "train/loss"}, None, id="nor has a loss"),
        pytest.param({"primary": "test/ari"}, None, id="nor has a metric that may be negative"),
        pytest.param({"primary": "test/ged", "equivalence_margin": 1.0}, 1.0, id="stated"),
        pytest.param({"primary": "test/ged", "equivalence_margin": {"relative": 0.05}}, 2.0, id="relative"),
    ],
)
def test_the_margin_belongs_to_the_metric(settings, margin):
    assert _metrics(**settings).margin(-40.0) == margin


def test_a_relative_margin_needs_a_baseline():
    found = _metrics(equivalence_margin={"relative": 0.05})
    assert found.margin(0.0) is None
    assert math.isnan(found.margin(math.nan))


@pytest.mark.parametrize("margin", [0.0, -0.1, {"relative": 0.0}, {"relativ": 0.1}, "0.02"])
def test_a_margin_is_positive(margin):
    with pytest.raises(ValidationError):
        _metrics(equivalence_margin=margin)


def test_a_margin_that_is_stated_as_it_would_be_by_default_changes_no_hash():
    assert _metrics(equivalence_margin=0.02).digest == _metrics().digest
    assert _metrics(equivalence_margin=0.03).digest != _metrics().digest
    loss = {"primary": "train/loss"}
    assert _metrics(**loss, equivalence_margin=0.02).digest != _metrics(**loss).digest
