"""Sums in log space against float64, their gradients against finite differences, and their ends."""

from __future__ import annotations

import math

import pytest
import torch

from fgtune.objectives import log_space
from fgtune.objectives.log_space import log_dot, log_sum_within, mean_probability


def logarithms(*shape: int, scale: float, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return (scale * drawn).log_softmax(dim=-1)


@pytest.mark.parametrize("scale", [0.1, 3.0, 30.0, 300.0])
def test_they_equal_torchs_logsumexp_and_exp_however_confident_predictions_are(scale):
    log_p, log_q = logarithms(6, 11, scale=scale), logarithms(6, 3, 11, scale=scale, seed=1)
    inside = torch.rand(6, 11, generator=torch.Generator().manual_seed(2)) < 0.5
    inside[:, 4] = True
    torch.testing.assert_close(log_dot(log_p, log_q), torch.logsumexp(log_p.unsqueeze(1) + log_q, dim=2))
    within = log_p.masked_fill(~inside, -math.inf).logsumexp(dim=1)
    torch.testing.assert_close(log_sum_within(log_p, inside), within)
    torch.testing.assert_close(mean_probability(log_p), log_p.exp().mean(dim=0))


@pytest.mark.parametrize("scale", [0.1, 3.0, 30.0])
def test_gradients_agree_with_finite_differences(scale):
    log_p, log_q = logarithms(3, 5, scale=scale).requires_grad_(), logarithms(3, 2, 5, scale=scale, seed=1)
    inside = torch.tensor([[True, False, True, False, False]]).repeat(3, 1)
    assert torch.autograd.gradcheck(lambda x: log_dot(x, log_q), (log_p,))
    assert torch.autograd.gradcheck(lambda x: log_sum_within(x, inside), (log_p,))
    assert torch.autograd.gradcheck(mean_probability, (log_p,))


@pytest.mark.parametrize("rows", [1, 7, 64])
def test_without_a_gradient_parts_of_the_rows_give_the_same_numbers(rows, monkeypatch):
    log_p, log_q = logarithms(40, 11, scale=3.0), logarithms(40, 3, 11, scale=3.0, seed=1)
    whole = log_dot(log_p, log_q)
    monkeypatch.setattr(log_space, "_MOST_AT_ONCE", rows * 33)
    held = []
    whole_of = log_space._LogDot.apply
    monkeypatch.setattr(log_space._LogDot, "apply", lambda *part: held.append(len(part[0])) or whole_of(*part))
    with torch.no_grad():
        assert torch.equal(log_dot(log_p, log_q), whole)
    assert max(held) <= rows
    held.clear()
    log_dot(log_p, log_q)
    assert held == [40]


def test_nothing_inside_is_the_logarithm_of_zero_without_a_gradient():
    log_p = logarithms(2, 4, scale=1.0).requires_grad_()
    inside = torch.tensor([[False] * 4, [True] * 4])
    value = log_sum_within(log_p, inside)
    assert value[0] == -math.inf
    value[1].backward()
    assert torch.equal(log_p.grad[0], torch.zeros(4, dtype=torch.float64))
    torch.testing.assert_close(log_p.grad[1], log_p.detach()[1].exp())


def test_disjoint_confident_predictions_have_a_finite_value_and_a_gradient_in_float32():
    log_p = torch.tensor([[0.0, -400.0]], requires_grad=True)
    value = log_dot(log_p, torch.tensor([[[-400.0, 0.0]]]))
    value.sum().backward()
    assert value.item() == pytest.approx(math.log(2) - 400)
    torch.testing.assert_close(log_p.grad, torch.tensor([[0.5, 0.5]]))


def test_what_is_not_finite_stays_so():
    log_p = torch.tensor([[math.nan, 0.0]])
    assert torch.isnan(log_dot(log_p, torch.zeros(1, 1, 2))).all()
    assert torch.isnan(log_sum_within(log_p, torch.tensor([[True, True]]))).all()
    assert torch.isnan(mean_probability(log_p)[0])
