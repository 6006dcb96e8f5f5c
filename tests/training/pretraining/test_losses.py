"""The losses against slow formulas and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from fgtune.training.pretraining.losses import coarse_cross_entropy, info_nce, negative_cosine, scaled_error


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_negative_cosine_is_the_mean_over_rows_and_stops_at_the_target(rng):
    p, z = rng.normal(size=(5, 4)), rng.normal(size=(5, 4))
    slow = -np.mean([a @ b / (np.linalg.norm(a) * np.linalg.norm(b)) for a, b in zip(p, z, strict=True)])
    predicted, target = (torch.tensor(each, requires_grad=True) for each in (p, z))
    loss = negative_cosine(predicted, target)
    assert float(loss.detach()) == pytest.approx(slow)
    loss.backward()
    assert target.grad is None
    assert predicted.grad.abs().sum() > 0
    assert float(negative_cosine(predicted.detach(), predicted.detach())) == pytest.approx(-1)


def test_info_nce_is_the_loop_of_the_paper_less_the_logarithm_of_the_batch(rng):
    clean, corrupted, temperature = rng.normal(size=(6, 3)), rng.normal(size=(6, 3)), 0.7

    def similarity(a, b):
        return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))

    paper = 0.0
    for i in range(6):
        others = np.mean([math.exp(similarity(clean[i], corrupted[k]) / temperature) for k in range(6)])
        paper += math.log(math.exp(similarity(clean[i], corrupted[i]) / temperature) / others) / 6
    loss = float(info_nce(torch.tensor(clean), torch.tensor(corrupted), temperature))
    assert loss == pytest.approx(math.log(6) - paper)


def test_info_nce_of_projections_that_say_nothing_is_chance():
    same = torch.ones(8, 3)
    assert float(info_nce(same, same, 1.0)) == pytest.approx(math.log(8))


def test_the_error_of_the_mean_is_one_and_constant_numbers_count_nothing(rng):
    inputs = torch.tensor(rng.normal(3.0, [1.0, 20.0, 0.0], size=(2000, 3)))
    deviation = inputs.std(dim=0, correction=0)
    deviation[2] = 0
    mean = inputs.mean(dim=0).expand_as(inputs).clone()
    assert float(scaled_error(mean, inputs, deviation)) == pytest.approx(1)
    mean[:, 2] += 100
    assert float(scaled_error(mean, inputs, deviation)) == pytest.approx(1)
    assert float(scaled_error(mean, inputs, torch.zeros(3))) == 0


def test_coarse_cross_entropy_averages_over_the_labels_of_each_source(rng):
    logits = [torch.tensor(rng.normal(size=(4, classes))) for classes in (2, 3)]
    coarse = torch.tensor([[0, -1], [1, 2], [-1, -1], [0, 0]])
    slow = []
    for source, each in enumerate(logits):
        labels = coarse[:, source].tolist()
        terms = [
            -math.log(np.exp(row[k]) / np.exp(row).sum()) for row, k in zip(each.numpy(), labels, strict=True) if k >= 0
        ]
        slow.append(np.mean(terms))
    assert float(coarse_cross_entropy(logits, coarse)) == pytest.approx(np.mean(slow))
    assert float(coarse_cross_entropy(logits, torch.full((4, 2), -1))) == 0
