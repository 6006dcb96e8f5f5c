"""SCGM against its released code, run on the same tensors, and against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from fgtune.config.schema.model import CosineHeadConfig, ProjectionHeadConfig
from fgtune.config.schema.objective import ObjectiveConfig
from fgtune.config.schema.trial import TrialConfig
from fgtune.objectives.base import StepOutputs, Term, TermContext
from fgtune.objectives.objective import Objective
from fgtune.objectives.scgm import balanced_assignment

DIM, FINE, CLASSES, TRAIN, TEMPERATURE = 5, 4, 3, 12, 0.1
COARSE = torch.tensor([0, 1, 2, 0, 1, 1, 0, 0, 2, 1, 0, 1])
ROWS = torch.tensor([3, 2, 5, 9, 0, 8])
ALL = torch.arange(TRAIN)


def wave(*shape: int, start: float) -> torch.Tensor:
    """Numbers that need no random generator."""
    return (torch.arange(math.prod(shape), dtype=torch.float64) * 1.7 + start).sin().reshape(shape)


EMBEDDINGS, SUBCLASSES = wave(TRAIN, DIM, start=0.4), wave(FINE, DIM, start=0.6)


def made(**settings) -> Term:
    config = ObjectiveConfig.from_plain({"preset": "untrained", "lambda_scgm": 1.0, "scgm": settings})
    context = TermContext(DIM, FINE, (CLASSES,), COARSE, COARSE[:, None], DIM)
    term = Objective(config, context).double().term("scgm")
    with torch.no_grad():
        term.classes[0].weight.copy_(wave(CLASSES, DIM, start=0.2))
    return term


def outputs(raw: torch.Tensor, rows: torch.Tensor) -> StepOutputs:
    embedded, prototypes = functional.normalize(raw, dim=1), functional.normalize(SUBCLASSES, dim=1)
    log_probs = (embedded @ prototypes.T / TEMPERATURE).log_softmax(dim=1)
    return StepOutputs(COARSE[rows][:, None], raw, rows, log_probs, embedded=embedded, prototypes=prototypes)


def test_assignment_and_loss_agree_with_the_released_code():
    # nijingchao/SCGM c6b14b8: scgm_g/scgm_resnet.py (forward_to_prob, loss), sinkhornknopp.py, train_scgm_g.py
    term = made()
    term.survey(outputs(EMBEDDINGS, ALL))
    assert term.assigned.tolist() == [0, 1, 2, 3, 1, 2, 3, 1, 0, 3, 2, 0]
    raw = EMBEDDINGS[ROWS].clone().requires_grad_()
    value = term(outputs(raw, ROWS))
    (gradient,) = torch.autograd.grad(value, raw)
    assert value.item() == pytest.approx(2.093126439646735, rel=1e-12)
    assert gradient.abs().sum().item() == pytest.approx(2.3897814272470104, rel=1e-12)


def slow_sinkhorn(shares: np.ndarray, sharpness: float) -> np.ndarray:
    """Rows and columns scaled in turns, far beyond the tolerance, on the powers as they are."""
    plan = shares**sharpness
    for _ in range(20_000):
        plan = plan / plan.sum(axis=0) / plan.shape[1]
        plan = plan / plan.sum(axis=1, keepdims=True) / len(plan)
    return plan.argmax(axis=1)


@pytest.mark.parametrize("seed", range(3))
def test_the_assignment_is_that_of_a_plan_with_equal_columns(seed):
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(4), size=60)
    found = balanced_assignment(torch.from_numpy(shares).log(), 5.0).numpy()
    assert (found == slow_sinkhorn(shares, 5.0)).mean() > 0.95  # the released tolerance stops a little early
    assert np.bincount(found, minlength=4).min() >= 11  # 15 each, where a largest share alone may leave a class empty


def test_shares_too_small_for_their_powers_are_assigned_too():
    log_share = torch.tensor([[0.0, -90.0], [-90.0, 0.0], [-200.0, -300.0], [-300.0, -200.0]], dtype=torch.float64)
    assert balanced_assignment(log_share, 25.0).tolist() == [0, 1, 0, 1]


def test_before_samples_are_assigned_and_with_alpha_0_only_coarse_cross_entropy_counts():
    expected = functional.cross_entropy(
        functional.normalize(EMBEDDINGS[ROWS], dim=1).relu() @ wave(CLASSES, DIM, start=0.2).T, COARSE[ROWS]
    ).item()
    assert made()(outputs(EMBEDDINGS[ROWS], ROWS)).item() == pytest.approx(expected, rel=1e-12)
    term = made(alpha=0.0)
    term.survey(outputs(EMBEDDINGS, ALL))
    assert term(outputs(EMBEDDINGS[ROWS], ROWS)).item() == pytest.approx(expected, rel=1e-12)


def test_samples_without_a_coarse_label_are_not_assigned():
    term = made()
    coarse = COARSE.clone()
    coarse[[0, 7]] = -1
    whole = outputs(EMBEDDINGS, ALL)
    term.survey(StepOutputs(**{**vars(whole), "coarse": coarse[:, None]}))
    assert (term.assigned == -1).nonzero().flatten().tolist() == [0, 7]


@pytest.mark.parametrize(("every", "epochs"), [(5, [1, 6, 11]), (1, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])])
def test_samples_are_assigned_anew_every_so_many_epochs(every, epochs):
    assert [epoch for epoch in range(1, 12) if made(every_epochs=every).surveys(epoch)] == epochs


def test_the_preset_brings_a_head_of_class_vectors_and_no_balance_and_what_is_stated_stays():
    plain = {"data": {"kind": "digits"}, "classes": {"num_fine": 10}, "objective": {"preset": "scgm"}}
    config = TrialConfig.from_plain(plain)
    assert config.model.head == ProjectionHeadConfig()
    assert config.relations.balance == 0.0
    other = TrialConfig.from_plain({**plain, "model": {"head": {"kind": "cosine"}}, "relations": {"balance": 1.0}})
    assert (other.model.head, other.relations.balance) == (CosineHeadConfig(), 1.0)
    with pytest.raises(ValueError, match="lambda_scgm needs class vectors"):
        TrialConfig.from_plain({**plain, "model": {"head": {"kind": "linear"}}})
