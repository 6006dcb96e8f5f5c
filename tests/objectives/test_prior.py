"""Sizes wanted of fine classes against sums by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fgtune.objectives.prior import MOMENTUM, ClassPrior

COARSE = torch.tensor([[0], [0], [0], [1], [-1]])
PARENTS = torch.tensor([[0, 1, 1, 0, 0]])
SIZES = torch.tensor([0.1, 0.3, 0.2, 0.3, 0.1])


def prior(kind, coarse=COARSE, num_coarse=(2,), parents=PARENTS):
    return ClassPrior(kind, coarse, num_coarse, SIZES).log(parents).exp().numpy()


def test_coarse_shares_are_divided_equally_within_a_coarse_class():
    expected = [0.75 / 3, 0.25 / 2, 0.25 / 2, 0.75 / 3, 0.75 / 3]
    np.testing.assert_allclose(prior("coarse_shares"), expected, rtol=1e-5)


@pytest.mark.parametrize("kind", ["clusters", "learned"])
def test_cluster_sizes_are_scaled_to_the_share_of_the_coarse_class(kind):
    expected = [0.75 * 0.2, 0.25 * 0.6, 0.25 * 0.4, 0.75 * 0.6, 0.75 * 0.2]
    np.testing.assert_allclose(prior(kind), expected, rtol=1e-5)


def test_the_prior_follows_the_relations():
    moved = torch.tensor([[0, 1, 0, 0, 0]])
    np.testing.assert_allclose(prior("coarse_shares", parents=moved), [0.75 / 4, 0.25, *[0.75 / 4] * 3], rtol=1e-5)


def test_sources_are_averaged_by_their_labelled_samples():
    coarse = torch.tensor([[0, -1], [1, -1], [-1, 0], [-1, 0], [-1, 1], [-1, 1]])
    parents = torch.tensor([[0, 0, 0, 0, 1], [0, 1, 1, 1, 1]])
    first, second = np.array([0.125] * 4 + [0.5]), np.array([0.5] + [0.125] * 4)
    found = prior("coarse_shares", coarse, (2, 2), parents)
    np.testing.assert_allclose(found, (2 * first + 4 * second) / 6, rtol=1e-5)


def test_only_a_learned_prior_follows_the_predictions_and_is_restored():
    log_probs = torch.log(torch.tensor([[0.6, 0.1, 0.1, 0.1, 0.1], [0.2, 0.2, 0.2, 0.2, 0.2]]))
    for kind in ("coarse_shares", "clusters"):
        made = ClassPrior(kind, COARSE, (2,), SIZES)
        before = made.log(PARENTS)
        made.follow(log_probs)
        assert torch.equal(made.log(PARENTS), before)
    learned = ClassPrior("learned", COARSE, (2,), SIZES)
    learned.follow(log_probs)
    sizes = MOMENTUM * SIZES.numpy() + (1 - MOMENTUM) * np.array([0.4, 0.15, 0.15, 0.15, 0.15])
    own = sizes[[0, 3, 4]] / sizes[[0, 3, 4]].sum() * 0.75
    np.testing.assert_allclose(learned.log(PARENTS).exp().numpy()[[0, 3, 4]], own, rtol=1e-5)
    restored = ClassPrior("learned", COARSE, (2,), SIZES)
    restored.load_state_dict(learned.state_dict())
    assert torch.equal(restored.log(PARENTS), learned.log(PARENTS))


def test_a_class_without_samples_keeps_a_finite_logarithm():
    made = ClassPrior("clusters", COARSE, (2,), torch.tensor([0.0, 0.5, 0.5, 0.0, 0.0]))
    assert torch.isfinite(made.log(PARENTS)).all()


def test_what_an_evaluation_asks_for_serves_a_step_of_training_until_relations_or_sizes_change():
    made = ClassPrior("clusters", COARSE, (2,), SIZES)
    with torch.inference_mode():
        first = made.log(PARENTS)
    assert made.log(PARENTS) is first
    weights = torch.full((5,), 0.2, requires_grad=True)
    (weights * first).sum().backward()
    assert torch.equal(weights.grad, first)
    moved = torch.tensor([[0, 1, 0, 0, 0]])
    assert not torch.equal(made.log(moved), first)
    learned = ClassPrior("learned", COARSE, (2,), SIZES)
    assert torch.equal(learned.log(PARENTS), first)
    state = learned.state_dict()
    learned.follow(torch.log(torch.tensor([[0.6, 0.1, 0.1, 0.1, 0.1]])))
    assert not torch.equal(learned.log(PARENTS), first)
    learned.load_state_dict(state)
    assert torch.equal(learned.log(PARENTS), first)  # a state does not move with what it was taken from
