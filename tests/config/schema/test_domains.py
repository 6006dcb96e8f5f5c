from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fgtune.config.schema.domains import ChoiceDomain, IntDomain, LogUniformDomain, QuantizedDomain, UniformDomain

DOMAINS = [
    ChoiceDomain(values=("a", "b", "c")),
    ChoiceDomain(values=(1, 2.5, True, None, [1, 2], {"kind": "sgd"})),
    UniformDomain(low=-1.0, high=3.0),
    LogUniformDomain(low=0.01, high=100.0),
    IntDomain(low=-2, high=5),
    IntDomain(low=1, high=64, log=True),
    QuantizedDomain(low=0.5, high=1.5, step=0.1),
    QuantizedDomain(low=-0.3, high=0.6, step=0.15),
]


@pytest.mark.parametrize("domain", DOMAINS, ids=str)
def test_what_a_domain_draws_is_its_own_and_all_of_it_is_drawn(domain):
    drawn = [domain.at(share) for share in np.linspace(0.0, 1.0, 4001)]
    assert all(domain.canonical(value) == value for value in drawn)
    if domain.size is not None:
        listed = domain.values_in_order()
        assert len(listed) == domain.size
        assert [value for rank, value in enumerate(drawn) if rank == 0 or value != drawn[rank - 1]] == list(listed)


@pytest.mark.parametrize("domain", [each for each in DOMAINS if each.size is None], ids=str)
def test_a_continuous_domain_has_no_list(domain):
    with pytest.raises(TypeError, match="a continuous domain has no list of values; look at size first"):
        domain.values_in_order()


@pytest.mark.parametrize(
    ("domain", "shares"),
    [
        (ChoiceDomain(values=(1, 2, 3, 4)), [0.25] * 4),
        (IntDomain(low=1, high=5), [0.2] * 5),
        (QuantizedDomain(low=0.0, high=1.0, step=0.5), [1 / 3] * 3),
        # Each whole number owns what rounds to it: on the log scale the shares of [0.5, 1.5), [1.5, 2.5), ...
        (IntDomain(low=1, high=3, log=True), [math.log(b / a, 7) for a, b in [(0.5, 1.5), (1.5, 2.5), (2.5, 3.5)]]),
    ],
    ids=str,
)
def test_values_are_drawn_in_their_shares(domain, shares):
    drawn = [domain.at(u) for u in (np.arange(20000) + 0.5) / 20000]
    values = list(domain.values_in_order())
    assert [drawn.count(value) / 20000 for value in values] == pytest.approx(shares, abs=1e-3)


OWN = [
    (ChoiceDomain(values=(1, 2)), 1.0, 1),
    (ChoiceDomain(values=(True, "x")), True, True),
    (ChoiceDomain(values=({"kind": "cosine"}, {"kind": "cosine", "period": 0.5})),
     {"kind": "cosine", "period": 0.5, "min_lr": 0.0}, {"kind": "cosine", "period": 0.5}),
    (QuantizedDomain(low=0.1, high=0.5, step=0.1), 0.1 + 0.2, 0.3),
    (IntDomain(low=1, high=5), 3.0, 3),
    (UniformDomain(low=1, high=5), 3, 3.0),
]  # fmt: skip


@pytest.mark.parametrize(("domain", "given_value", "value"), OWN, ids=str)
def test_a_value_is_written_as_the_domain_writes_it(domain, given_value, value):
    found = domain.canonical(given_value)
    assert found == value
    assert type(found) is type(value)


FOREIGN = [
    (ChoiceDomain(values=(1, 2)), True),
    (ChoiceDomain(values=(1, 2)), 3),
    (ChoiceDomain(values=({"kind": "sgd"},)), {"kind": "adamw"}),
    (UniformDomain(low=1, high=5), 5.1),
    (UniformDomain(low=1, high=5), "3"),
    (UniformDomain(low=0, high=5), True),
    (UniformDomain(low=0, high=5), math.nan),
    (IntDomain(low=1, high=5), 2.5),
    (IntDomain(low=1, high=5), None),
    (QuantizedDomain(low=0.1, high=0.5, step=0.1), 0.15),
    (QuantizedDomain(low=0.1, high=0.5, step=0.1), 0.6),
]


@pytest.mark.parametrize(("domain", "value"), FOREIGN, ids=str)
def test_a_value_from_elsewhere_is_told(domain, value):
    with pytest.raises(LookupError):
        domain.canonical(value)


@settings(deadline=None, max_examples=200)
@given(low=st.floats(-100, 100), steps=st.integers(1, 50), step=st.sampled_from([0.01, 0.1, 0.25, 1.0, 3.0]))
def test_quantized_values_are_evenly_spaced_and_clean(low, steps, step):
    low = round(low, 3)
    values = QuantizedDomain(low=low, high=low + steps * step, step=step).values_in_order()
    assert len(values) == steps + 1
    assert np.diff(values) == pytest.approx([step] * steps, rel=1e-6)
    assert all(len(repr(value)) <= 14 for value in values)
