"""The entropic term of FIERCE: its extremes, its gradient, its dials; the batch is what it averages over."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from fgtune.config.schema.objective import ObjectiveConfig
from fgtune.errors import ConfigError
from fgtune.objectives.base import StepOutputs, TermContext
from fgtune.objectives.fierce import EntropicTerm
from fgtune.objectives.objective import Objective

DIM, K = 6, 4
CONTEXT = TermContext(feature_dim=DIM, num_fine=3, num_coarse=(2,), groups=torch.zeros(5, dtype=torch.int64))


def make(seed=0, **entropic):
    config = ObjectiveConfig.from_plain(
        {"preset": "untrained", "lambda_entropic": 1.0, "entropic": {"prototypes": K, "noise": "none", **entropic}}
    )
    term = EntropicTerm(config, CONTEXT).double()
    term.initialize_buffers(seed)
    return term


def value(term, features, generator=None):
    labels = torch.zeros(len(features), 1, dtype=torch.int64)
    return term(StepOutputs(labels, features=features, generator=generator))


SIMILARITIES = ["cosine", "dot", "neg_sq_dist"]


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("batch", [1, 2, 7, 64])
def test_collapsed_batch_has_entropy_zero_whatever_its_size(similarity, batch):
    term = make(similarity=similarity)
    features = term.prototypes[0, :1].expand(batch, DIM) * 5
    assert value(term, features).item() == pytest.approx(math.log2(K))


@pytest.mark.parametrize("similarity", ["cosine", "neg_sq_dist"])
@pytest.mark.parametrize("repeats", [1, 5])
def test_batch_spread_evenly_over_the_prototypes_has_full_entropy(similarity, repeats):
    term = make(similarity=similarity)
    features = term.prototypes[0].repeat(repeats, 1)
    assert value(term, features).item() == pytest.approx(0.0, abs=1e-9)


def test_hard_assignments_of_a_batch_smaller_than_the_prototypes_keep_a_floor():
    term = make(prototypes=64)
    features = term.prototypes[0, :8]
    assert value(term, features).item() == pytest.approx(math.log2(64 / 8))


def test_bins_are_numbered_places_on_a_line_and_a_feature_belongs_to_the_nearest():
    config = ObjectiveConfig.from_plain(
        {"preset": "fierce", "entropic": {"placement": "bins", "similarity": "neg_sq_dist", "noise": "none"}}
    )
    term = EntropicTerm(config, replace(CONTEXT, feature_dim=1))
    term.initialize_buffers(0)
    assert term.prototypes.flatten().tolist() == list(range(1, 101))
    features = torch.tensor([[0.2], [1.4], [1.6], [99.7], [250.0]])
    assert term.assignments(features, None)[0].argmax(dim=1).tolist() == [0, 0, 1, 99, 99]
    assert term.similarity(torch.tensor([[99.71]]))[0, 0, 99].item() == pytest.approx(-0.0841, abs=1e-5)
    assert value(term, torch.arange(1.0, 101.0)[:, None]).item() == pytest.approx(0.0, abs=1e-5)
    with pytest.raises(ConfigError, match="bins divide a single feature, and the backbone gives 6"):
        EntropicTerm(config, CONTEXT)


@pytest.mark.parametrize(("placement", "low"), [("symmetric", -3.0), ("positive", 0.0)])
def test_drawn_prototypes_fill_their_range(placement, low):
    drawn = make(prototypes=1000, placement=placement, scale=3.0).prototypes
    assert low <= drawn.min() < low + 0.01
    assert 2.99 < drawn.max() <= 3.0


@pytest.mark.parametrize("changes", [{"similarity": "cosine"}, {"groups": 2}])
def test_bins_need_distances_and_one_group(changes):
    with pytest.raises(ValueError, match="placement bins needs similarity neg_sq_dist and groups 1"):
        make(**{"placement": "bins", "similarity": "neg_sq_dist", **changes})


def slow(features, prototypes, similarity, temperature):
    rows = []
    for x in features:
        if similarity == "dot":
            s = [float(x @ c) for c in prototypes]
        elif similarity == "cosine":
            s = [float(x @ c) / float(np.linalg.norm(x) * np.linalg.norm(c)) for c in prototypes]
        else:
            s = [-float(((x - c) ** 2).sum()) for c in prototypes]
        w = [math.exp(v / temperature) for v in s]
        rows.append([v / sum(w) for v in w])
    mean = [sum(row[k] for row in rows) / len(rows) for k in range(len(prototypes))]
    return math.log2(len(prototypes)) + sum(p * math.log2(p) for p in mean)


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_soft_assignment_equals_slow_formula_and_passes_gradient_check(similarity, temperature):
    term = make(similarity=similarity, temperature=temperature, assignment="soft")
    features = torch.randn(9, DIM, generator=torch.Generator().manual_seed(2), dtype=torch.float64, requires_grad=True)
    expected = slow(features.detach().numpy(), term.prototypes[0].numpy(), similarity, temperature)
    assert value(term, features).item() == pytest.approx(expected, abs=1e-10)
    assert torch.autograd.gradcheck(lambda x: value(term, x), (features,))


def test_groups_average_their_entropies():
    term = make(groups=3, assignment="soft")
    features = torch.randn(9, DIM, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    expected = np.mean([slow(features.numpy(), each.numpy(), "cosine", 1.0) for each in term.prototypes])
    assert value(term, features).item() == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("assignment", ["hard", "soft"])
@pytest.mark.parametrize("noise", ["gumbel", "none"])
def test_gradient_reaches_the_features_and_raises_the_entropy(assignment, noise):
    term = make(assignment=assignment, noise=noise, temperature=0.2)
    g = torch.Generator().manual_seed(0)
    features = (term.prototypes[0, :1] + 0.3 * torch.randn(64, DIM, generator=g, dtype=torch.float64)).requires_grad_()
    first = value(make(assignment="soft", temperature=0.2), features).item()
    for _ in range(200):
        grad = torch.autograd.grad(value(term, features, g), features)[0]
        assert torch.isfinite(grad).all()
        features = (features - 2.0 * grad).detach().requires_grad_()
    assert value(make(assignment="soft", temperature=0.2), features).item() < 0.5 * first


def test_noise_comes_from_the_generator_alone():
    term = make(noise="gumbel", temperature=5.0)
    features = torch.randn(32, DIM, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    one = value(term, features, torch.Generator().manual_seed(3))
    torch.manual_seed(9)
    again = value(term, features, torch.Generator().manual_seed(3))
    other = value(term, features, torch.Generator().manual_seed(4))
    assert one == again
    assert one != other


def test_gumbel_noise_draws_assignments_with_the_softmax_probabilities():
    term = make(noise="gumbel")
    feature = torch.randn(1, DIM, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    many = term.assignments(feature.expand(20000, DIM), torch.Generator().manual_seed(0))[0]
    expected = (term.similarity(feature)[0, 0] / 1.0).softmax(dim=0)
    np.testing.assert_allclose(many.mean(dim=0).numpy(), expected.numpy(), atol=0.015)


def test_prototypes_are_fixed_by_the_seed_and_travel_in_the_state():
    one, again, other = make(seed=1), make(seed=1), make(seed=2)
    assert torch.equal(one.prototypes, again.prototypes)
    assert not torch.equal(one.prototypes, other.prototypes)
    other.load_state_dict(one.state_dict())
    assert torch.equal(one.prototypes, other.prototypes)
    assert not list(one.parameters())


def test_normalized_weighting_divides_the_whole_sum():
    plain = {"preset": "fierce", "lambda_entropic": 0.2, "entropic": {"prototypes": K, "noise": "none"}}
    outputs = StepOutputs(
        torch.tensor([[0], [1]]), features=torch.randn(2, DIM, generator=torch.Generator().manual_seed(0))
    )
    totals = []
    for weighting in ("additive", "normalized"):
        data = {**plain, "entropic": {**plain["entropic"], "weighting": weighting}}
        objective = Objective(ObjectiveConfig.from_plain(data), CONTEXT)
        objective.initialize_buffers(0)
        with torch.no_grad():
            for parameter in objective.parameters():
                parameter.fill_(0.1)
        totals.append(objective(outputs)[0].item())
    assert totals[1] == pytest.approx(totals[0] / 1.2)
