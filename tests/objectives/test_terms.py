"""Each term against an independent, slow formula in float64, a gradient check, and its edge cases."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from fgtune.catalog.terms import TERMS
from fgtune.config.schema.objective import ObjectiveConfig, PseudoLabelConfig
from fgtune.errors import TrialError
from fgtune.objectives.base import Need, StepOutputs, TermContext
from fgtune.objectives.falcon import CoarseTerm, ConfidenceTerm, NeighborTerm, UniformityTerm
from fgtune.objectives.objective import Objective, soft_epochs, softness

NUM_FINE, BATCH, K = 5, 7, 3
RELATIONS = np.array([[0, 0, 1, 1, 1], [0, 1, 1, 0, 1]])
CONFIG = ObjectiveConfig.from_plain({})
CONTEXT = TermContext(feature_dim=4, num_fine=NUM_FINE, num_coarse=(2, 2), groups=torch.tensor([0, 0, 1, 1, 1]))


def make_outputs(
    seed: int = 0, softness: float = 0.4, dtype: torch.dtype = torch.float64
) -> tuple[torch.Tensor, StepOutputs]:
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(BATCH, NUM_FINE, generator=g, dtype=dtype, requires_grad=True)
    coarse = torch.tensor([[0, -1], [1, -1], [-1, 0], [-1, 1], [0, 1], [1, 0], [-1, -1]])
    valid = torch.rand(BATCH, K, generator=g) < 0.7
    outputs = StepOutputs(
        log_probs=logits.log_softmax(dim=1),
        coarse=coarse,
        fine_to_coarse=torch.from_numpy(RELATIONS),
        teacher_logits=torch.randn(BATCH, NUM_FINE, generator=g, dtype=dtype),
        neighbor_log_probs=torch.randn(BATCH, K, NUM_FINE, generator=g, dtype=dtype).log_softmax(dim=2),
        neighbor_valid=valid,
        softness=softness,
    )
    return logits, outputs


def slow_coarse(outputs: StepOutputs) -> float:
    p, y = outputs.log_probs.detach().exp().numpy(), outputs.coarse.numpy()
    losses = [
        -math.log(sum(p[n, i] for i in range(NUM_FINE) if RELATIONS[s, i] == y[n, s]))
        for n, s in itertools.product(range(BATCH), range(2))
        if y[n, s] >= 0
    ]
    return sum(losses) / len(losses)


def slow_neighbor(outputs: StepOutputs) -> float:
    p, q = outputs.log_probs.detach().exp().numpy(), outputs.neighbor_log_probs.exp().numpy()
    losses = [
        -math.log(sum(p[n, f] * q[n, k, f] for f in range(NUM_FINE)))
        for n, k in itertools.product(range(BATCH), range(K))
        if outputs.neighbor_valid[n, k]
    ]
    return sum(losses) / len(losses)


def slow_confidence(outputs: StepOutputs) -> float:
    log_p, teacher, y = outputs.log_probs.detach().numpy(), outputs.teacher_logits.numpy(), outputs.coarse.numpy()
    losses = []
    for n, s in itertools.product(range(BATCH), range(2)):
        if y[n, s] < 0:
            continue
        group = [i for i in range(NUM_FINE) if RELATIONS[s, i] == y[n, s]]
        weights = {i: math.exp(teacher[n, i] / 0.9) for i in group}
        soft = {i: w / sum(weights.values()) for i, w in weights.items()}
        best = max(group, key=lambda i: soft[i])
        target = {i: outputs.softness * soft[i] + (1 - outputs.softness) * (i == best) for i in group}
        losses.append(-sum(target[i] * log_p[n, i] for i in group))
    return sum(losses) / len(losses)


def slow_uniformity(outputs: StepOutputs) -> float:
    mean = outputs.log_probs.detach().exp().numpy().mean(axis=0)
    return sum(m * math.log(m * NUM_FINE) for m in mean)


CASES = [
    pytest.param(CoarseTerm, slow_coarse, id="coarse"),
    pytest.param(NeighborTerm, slow_neighbor, id="nn"),
    pytest.param(ConfidenceTerm, slow_confidence, id="conf"),
    pytest.param(UniformityTerm, slow_uniformity, id="reg"),
]


def test_every_registered_term_is_tested():
    tested = {case.id for case in CASES} | {
        "base",
        "fine",
        "instance",
        "entropic",
        "self_label",
        "snca",
        "ancor",
        "scgm",
    }  # in files of their own
    assert tested == set(TERMS)


@pytest.mark.parametrize(("term", "slow"), CASES)
@pytest.mark.parametrize("seed", range(5))
def test_term_equals_slow_formula(term, slow, seed):
    _, outputs = make_outputs(seed)
    assert term(CONFIG, CONTEXT)(outputs).item() == pytest.approx(slow(outputs), abs=1e-12)


@pytest.mark.parametrize(("term", "slow"), CASES)
def test_term_passes_gradient_check(term, slow):
    logits, outputs = make_outputs(1)

    def value(x: torch.Tensor) -> torch.Tensor:
        return term(CONFIG, CONTEXT)(StepOutputs(**{**vars(outputs), "log_probs": x.log_softmax(dim=1)}))

    assert torch.autograd.gradcheck(value, (logits,))


@pytest.mark.parametrize(("term", "slow"), CASES)
def test_term_is_zero_with_a_gradient_where_nothing_is_labelled(term, slow):
    logits, outputs = make_outputs(2)
    bare = StepOutputs(
        **{
            **vars(outputs),
            "coarse": torch.full_like(outputs.coarse, -1),
            "neighbor_valid": torch.zeros_like(outputs.neighbor_valid),
        }
    )
    value = term(CONFIG, CONTEXT)(bare)
    value.backward()
    assert torch.isfinite(logits.grad).all()
    if term.needs & {Need.RELATIONS, Need.NEIGHBORS}:  # the others read neither labels nor neighbours
        assert value == 0


def test_coarse_term_gives_equal_gradients_to_every_probability_of_the_true_group():
    # FALCON, appendix B: as a function of p the loss is -log of the group's sum, which cannot tell its members apart.
    p = torch.tensor([[0.1, 0.25, 0.3, 0.15, 0.2]], dtype=torch.float64, requires_grad=True)
    outputs = StepOutputs(torch.tensor([[1]]), log_probs=p.log(), fine_to_coarse=torch.tensor([[0, 0, 1, 1, 1]]))
    CoarseTerm(CONFIG, CONTEXT)(outputs).backward()
    np.testing.assert_allclose(p.grad[0].numpy(), [0, 0, -1 / 0.65, -1 / 0.65, -1 / 0.65], atol=1e-12)


def test_neighbor_term_stays_finite_where_probabilities_underflow():
    log_p = torch.tensor([[0.0, -400.0]], dtype=torch.float32, requires_grad=True)
    log_q = torch.tensor([[[-400.0, 0.0]]], dtype=torch.float32)
    outputs = StepOutputs(
        torch.tensor([[0]]), log_probs=log_p, neighbor_log_probs=log_q, neighbor_valid=torch.tensor([[True]])
    )
    value = NeighborTerm(CONFIG, CONTEXT)(outputs)
    value.backward()
    assert value.item() == pytest.approx(400.0 - math.log(2))
    assert torch.isfinite(log_p.grad).all()


def test_uniformity_term_spans_zero_to_log_number_of_classes():
    uniform = torch.full((8, NUM_FINE), -math.log(NUM_FINE))
    collapsed = torch.tensor([[0.0, *[-torch.inf] * (NUM_FINE - 1)]]).expand(8, NUM_FINE)
    labels = torch.zeros(8, 1, dtype=torch.int64)
    term = UniformityTerm(CONFIG, CONTEXT)
    assert term(StepOutputs(labels, log_probs=uniform)).item() == pytest.approx(0.0, abs=1e-6)
    assert term(StepOutputs(labels, log_probs=collapsed)).item() == pytest.approx(math.log(NUM_FINE))


def test_uniformity_term_measures_the_distance_from_a_given_prior():
    sizes = [4.0, 1.0, 1.0, 2.0, 2.0]
    term = UniformityTerm(ObjectiveConfig.from_plain({"prior": sizes}), CONTEXT)
    matching = torch.tensor(sizes).div(10).log().expand(8, NUM_FINE)
    labels = torch.zeros(8, 1, dtype=torch.int64)
    assert term(StepOutputs(labels, log_probs=matching)).item() == pytest.approx(0.0, abs=1e-6)
    _, outputs = make_outputs(4)
    mean = outputs.log_probs.detach().exp().mean(dim=0).numpy()
    expected = sum(m * math.log(m / (s / 10)) for m, s in zip(mean, sizes, strict=True))
    assert term(outputs).item() == pytest.approx(expected, abs=1e-6)
    with pytest.raises(TrialError, match=r"objective.prior needs one size per fine class \(5\), it has 2"):
        UniformityTerm(ObjectiveConfig.from_plain({"prior": [1.0, 1.0]}), CONTEXT)


def test_objective_is_the_weighted_sum_and_leaves_out_terms_of_weight_zero():
    config = ObjectiveConfig.from_plain({"lambda_nn": 0.0, "lambda_reg": 3.0})
    objective = Objective(config, CONTEXT)
    _, outputs = make_outputs(3)
    total, values = objective(outputs)
    assert set(values) == {"coarse", "conf", "reg"}
    assert "neighbors" not in {need.value for need in objective.needs}
    assert float(total.detach()) == pytest.approx(
        0.5 * slow_coarse(outputs) + 0.5 * slow_confidence(outputs) + 3 * slow_uniformity(outputs)
    )


def test_softness_follows_the_published_schedule():
    config = PseudoLabelConfig(soft_fraction=0.3)
    assert soft_epochs(config, 100) == 30
    assert softness(config, 1, 100) == 1.0
    assert softness(config, 30, 100) == pytest.approx(0.0027, abs=5e-5)
    assert softness(config, 31, 100) == 0.0
    assert softness(PseudoLabelConfig(hardening="none"), 100, 100) == 1.0
    assert softness(PseudoLabelConfig(hardening="hard"), 1, 100) == 0.0


def test_missing_input_of_a_term_is_named():
    outputs = StepOutputs(torch.zeros(1, 1, dtype=torch.int64), log_probs=torch.zeros(1, 2))
    with pytest.raises(ValueError, match="the outputs lack relations, which this term needs"):
        CoarseTerm(CONFIG, CONTEXT)(outputs)
