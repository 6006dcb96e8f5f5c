"""SCAN's stage of self-labelling: against torch's weighted cross-entropy, and when it begins and stands alone."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.nn import functional

from fgtune.config.schema.objective import ObjectiveConfig
from fgtune.objectives.base import StepOutputs, TermContext
from fgtune.objectives.objective import Objective

NUM_FINE = 4


def objective(**settings) -> Objective:
    plain = {"preset": "scan_self_label", **settings}
    return Objective(ObjectiveConfig.from_plain(plain), TermContext(3, NUM_FINE, (2,), torch.arange(6)))


def outputs(teacher: torch.Tensor, progress: float = 0.9, seed: int = 0) -> StepOutputs:
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(len(teacher), NUM_FINE, generator=g, dtype=torch.float64).requires_grad_()
    neighbors = torch.randn(len(teacher), 2, NUM_FINE, generator=g, dtype=torch.float64).log_softmax(dim=2)
    return StepOutputs(
        coarse=torch.zeros(len(teacher), 1, dtype=torch.int64),
        features=logits,
        log_probs=logits.log_softmax(dim=1),
        fine_to_coarse=torch.tensor([[0, 0, 1, 1]]),
        teacher_logits=teacher,
        neighbor_log_probs=neighbors,
        neighbor_valid=torch.ones(len(teacher), 2, dtype=torch.bool),
        progress=progress,
    )


def teacher(sharpness: float, n: int = 40, seed: int = 1) -> torch.Tensor:
    return sharpness * torch.randn(n, NUM_FINE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("threshold", [0.0, 0.6, 0.99])
def test_it_is_torchs_cross_entropy_with_weights_by_the_reciprocal_size_of_a_class(threshold):
    given = outputs(teacher(8.0))
    value = objective(self_labels={"threshold": threshold}).term("self_label")(given)
    confidence, label = given.teacher_logits.softmax(dim=1).max(dim=1)
    sure = confidence > threshold
    assert 0 < sure.sum() <= 40
    weight = 1.0 / torch.bincount(label[sure], minlength=NUM_FINE).clamp_min(1).double()
    expected = functional.nll_loss(given.log_probs[sure], label[sure], weight=weight)
    torch.testing.assert_close(value, expected)


def test_without_a_confident_sample_it_is_zero_and_moves_nothing():
    given = outputs(teacher(0.01))
    total, values = objective()(given)
    total.backward()
    assert float(values["self_label"]) == 0.0
    assert torch.count_nonzero(given.features.grad) == 0


@pytest.mark.parametrize(("fraction", "begins"), [(0.5, 0.5), (0.25, 0.75), (1.0, 0.0)])
def test_it_stands_alone_from_its_stage_on_and_is_only_measured_before(fraction, begins):
    made = objective(self_labels={"fraction": fraction})
    scan = Objective(ObjectiveConfig.from_plain({"preset": "scan"}), TermContext(3, NUM_FINE, (2,), torch.arange(6)))
    given = outputs(teacher(8.0))
    for progress in (0.0, 0.3, 0.5, 0.74, 0.75, 0.99):
        now = dataclasses.replace(given, progress=progress)
        total, values = made(now)
        assert set(values) == {"nn", "reg", "self_label"}
        expected = values["self_label"] if progress >= begins else scan(now)[0]
        torch.testing.assert_close(total, expected)


@pytest.mark.parametrize(("epochs", "own"), [(10, 7), (3, 1), (3, 2), (12, 4), (20, 6), (50, 50)])
def test_the_stage_has_its_share_of_the_epochs_whatever_that_is_as_a_float(epochs, own):
    term = objective(self_labels={"fraction": own / epochs}).term("self_label")
    given = outputs(teacher(8.0))
    begun = [term.takes_over(dataclasses.replace(given, progress=epoch / epochs)) for epoch in range(epochs)]
    assert begun == [False] * (epochs - own) + [True] * own


def test_every_other_objective_trains_all_of_its_terms_at_any_time():
    made = Objective(ObjectiveConfig.from_plain({"preset": "scan"}), TermContext(3, NUM_FINE, (2,), torch.arange(6)))
    early, late = (made(outputs(teacher(8.0), progress))[0] for progress in (0.0, 0.99))
    torch.testing.assert_close(early, late)
