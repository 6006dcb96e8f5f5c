"""The contract that every registered term keeps."""

from __future__ import annotations

import pytest

from fgtune.catalog.terms import TERMS
from fgtune.testing.terms import CHECKS, TermCase


def alone(name: str, **changes):
    return {"preset": "untrained", f"lambda_{name}": 1.0, **changes}


CASES = {
    **{name: TermCase(alone(name)) for name in TERMS if name not in {"entropic", "self_label", "snca", "ancor"}},
    "base, smoothed": TermCase(alone("base", label_smoothing=0.2)),
    "instance, coarse": TermCase(alone("instance", instance={"kind": "parametric", "scope": "coarse"})),
    "instance, queue": TermCase(alone("instance", instance={"kind": "queue", "size": 16, "projection_dim": 3})),
    "instance, CoIns as released": TermCase(
        alone("instance", instance={"kind": "queue", "size": 16, "start": "random", "coarse_weight": 0.5})
    ),
    "snca": TermCase(alone("snca", snca={"projection_dim": 3})),
    "ancor": TermCase(alone("ancor", ancor={"size": 6, "projection_dim": 3})),
    "entropic": TermCase(alone("entropic"), smooth=False),  # hard assignments pass gradients straight through
    "self_label": TermCase(alone("self_label", self_labels={"threshold": 0.4})),  # drawn predictions are not sure
    "entropic, soft": TermCase(alone("entropic", entropic={"assignment": "soft"})),
}


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_term_keeps_the_contract(case, check):
    check(case)
