"""Transfer to shares by gradient: it finds what is there, and draws nothing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from fgtune.training.transfer import fit_shares


def planted(n: int = 300):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(n, 3)).astype(np.float32)
    scores = features @ rng.normal(size=(3, 4))
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return features, shares.astype(np.float32)


def test_it_recovers_a_softmax_of_the_features():
    features, shares = planted()
    found = fit_shares(features[:200], shares[:200]).predict(features[200:])
    assert np.square(found - shares[200:]).sum(axis=1).mean() < 1e-3
    assert np.allclose(found.sum(axis=1), 1.0)


def test_it_is_as_good_as_another_optimiser_where_the_map_is_no_softmax():
    features, shares = planted()
    shares = np.roll(shares, 1, axis=0)  # nothing to be found but the mean

    def error(flat):
        scores = features @ flat[:12].reshape(3, 4) + flat[12:]
        predicted = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        return np.square(predicted - shares).sum(axis=1).mean()

    best = minimize(error, np.zeros(16), method="BFGS").fun
    found = np.square(fit_shares(features, shares).predict(features) - shares).sum(axis=1).mean()
    assert found < best + 1e-3


@pytest.mark.slow
def test_it_repeats_itself():
    features, shares = planted(50)
    first, second = (fit_shares(features, shares).predict(features) for _ in range(2))
    assert (first == second).all()
