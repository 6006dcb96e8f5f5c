"""Base, Fine and Indi of Xu et al. against slow formulas; scopes and queue of the instance term."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from fgtune.config.schema.objective import ObjectiveConfig
from fgtune.objectives.base import Need, StepOutputs, TermContext
from fgtune.objectives.objective import Objective
from fgtune.objectives.xu import BaseTerm, FineTerm, instance_term

DIM, TRAIN, BATCH = 5, 12, 6
GROUPS = torch.tensor([0, 2, 1, 0, 2, 2, 1, 0, 0, 2, 1, 1])
CONTEXT = TermContext(feature_dim=DIM, num_fine=4, num_coarse=(3, 2), groups=GROUPS)


def config(**changes):
    return ObjectiveConfig.from_plain({"preset": "untrained", **changes})


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def outputs():
    coarse = torch.tensor([[0, -1], [1, 0], [2, 1], [-1, 1], [0, 0], [-1, -1]])
    rows = torch.tensor([3, 2, 5, 9, 0, 11])
    return StepOutputs(coarse=coarse, features=draw(BATCH, DIM).requires_grad_(), rows=rows)


def log_softmax(values):
    values = values - max(values)
    return values - math.log(sum(math.exp(v) for v in values))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_base_term_is_the_mean_cross_entropy_over_labelled_pairs(outputs, smoothing):
    term = BaseTerm(config(lambda_base=1.0, label_smoothing=smoothing), CONTEXT).double()
    losses = []
    for n in range(BATCH):
        for s, k in enumerate(CONTEXT.num_coarse):
            y = int(outputs.coarse[n, s])
            if y >= 0:
                head = term.heads[s]
                logits = (head.weight.detach() @ outputs.features[n].detach() + head.bias.detach()).numpy()
                target = np.full(k, smoothing / k)
                target[y] += 1 - smoothing
                losses.append(-float(target @ log_softmax(logits)))
    assert term(outputs).item() == pytest.approx(sum(losses) / len(losses), abs=1e-12)


def test_base_term_passes_gradient_check(outputs):
    term = BaseTerm(config(lambda_base=1.0), CONTEXT).double()
    assert torch.autograd.gradcheck(lambda x: term(StepOutputs(outputs.coarse, features=x)), (outputs.features,))


def test_base_term_without_any_label_is_zero_with_a_gradient(outputs):
    bare = StepOutputs(torch.full_like(outputs.coarse, -1), features=outputs.features)
    value = BaseTerm(config(lambda_base=1.0), CONTEXT).double()(bare)
    value.backward()
    assert value == 0
    assert (outputs.features.grad == 0).all()


def test_fine_term_is_the_cross_entropy_of_fine_labels_and_asks_for_them_by_name():
    log_probs = draw(BATCH, 4).log_softmax(dim=1)
    fine = torch.tensor([0, 1, 2, 3, 0, 1])
    value = FineTerm(config(lambda_fine=1.0), CONTEXT)(StepOutputs(fine[:, None], log_probs=log_probs, fine=fine))
    assert value.item() == pytest.approx(-sum(float(log_probs[n, y]) for n, y in enumerate(fine)) / BATCH)
    assert Need.FINE_LABELS in FineTerm.needs


@pytest.mark.parametrize("scope", ["all", "coarse"])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_parametric_instance_term_is_a_softmax_over_samples_in_scope(outputs, scope, temperature):
    instance = {"kind": "parametric", "scope": scope, "temperature": temperature}
    term = instance_term(config(lambda_instance=1.0, instance=instance), CONTEXT).double()
    with torch.no_grad():
        term.weight.copy_(draw(TRAIN, DIM, seed=1))
    losses = []
    for n, row in enumerate(outputs.rows.tolist()):
        members = [j for j in range(TRAIN) if scope == "all" or GROUPS[j] == GROUPS[row]]
        logits = (term.weight.detach()[members] @ outputs.features[n].detach()).numpy() / temperature
        losses.append(-float(log_softmax(logits)[members.index(row)]))
    assert term(outputs).item() == pytest.approx(sum(losses) / BATCH, abs=1e-12)
    assert torch.autograd.gradcheck(
        lambda x: term(StepOutputs(outputs.coarse, features=x, rows=outputs.rows)), (outputs.features,)
    )


def test_coarse_scope_moves_no_row_of_another_group(outputs):
    term = instance_term(
        config(lambda_instance=1.0, instance={"kind": "parametric", "scope": "coarse"}), CONTEXT
    ).double()
    with torch.no_grad():
        term.weight.copy_(draw(TRAIN, DIM, seed=1))
    only = StepOutputs(outputs.coarse[:1], features=outputs.features[:1], rows=outputs.rows[:1])  # group 0
    term(only).backward()
    moved = term.weight.grad.abs().sum(dim=1) > 0
    assert torch.equal(moved, GROUPS == 0)


def queue(size=8, **changes):
    instance = {"kind": "queue", "size": size, "projection_dim": 3, "key_momentum": 0.5, "temperature": 0.2, **changes}
    term = instance_term(config(lambda_instance=1.0, instance=instance), CONTEXT).double()
    term.initialize_buffers(0)
    return term


def test_queue_term_is_info_nce_against_the_keys_of_earlier_batches(outputs):
    term = queue()
    keys = [draw(3, DIM, seed=s) for s in (5, 6)]
    first = StepOutputs(outputs.coarse[:3], features=outputs.features[:3], keys=keys[0])
    assert term(first).item() == pytest.approx(0.0)  # nothing to tell apart yet
    stored = torch.nn.functional.normalize(term.key(keys[0]), dim=1)
    term.after_step()
    second = StepOutputs(outputs.coarse[3:], features=outputs.features[3:], keys=keys[1])
    value = term(second).item()
    q = torch.nn.functional.normalize(term.query(outputs.features[3:]), dim=1).detach()
    k = torch.nn.functional.normalize(term.key(keys[1]), dim=1)
    losses = [
        -float(log_softmax(np.array([float(q[n] @ k[n]), *(q[n] @ stored.T).tolist()]) / 0.2)[0]) for n in range(3)
    ]
    assert value == pytest.approx(sum(losses) / 3, abs=1e-12)


def test_queue_keeps_the_newest_keys_and_the_key_projection_trails(outputs):
    term = queue(size=4)
    for seed in range(3):
        batch = StepOutputs(outputs.coarse[:3], features=outputs.features[:3], keys=draw(3, DIM, seed=seed))
        term(batch)
        newest = torch.nn.functional.normalize(term.key(batch.keys), dim=1)
        with torch.no_grad():
            term.query[0].weight += 1.0
        before = term.key[0].weight.clone()
        term.after_step()
        torch.testing.assert_close(term.key[0].weight, 0.5 * before + 0.5 * term.query[0].weight)
    places = (6 + torch.arange(3)) % 4
    torch.testing.assert_close(term.queue[places], newest)
    assert int(term.filled) == 9


def test_terms_that_have_no_label_free_validation_value_are_left_out_there(outputs):
    objective = Objective(config(lambda_base=1.0, lambda_instance=0.5), CONTEXT).double()
    with torch.no_grad():
        objective.term("instance").weight.copy_(draw(TRAIN, DIM, seed=1))
    total, values = objective(outputs)
    assert set(values) == {"base", "instance"}
    assert total.item() == pytest.approx(values["base"].item() + 0.5 * values["instance"].item())
    total, values = objective(StepOutputs(outputs.coarse, features=outputs.features), validation=True)
    assert set(values) == {"base"}
