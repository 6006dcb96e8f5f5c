"""SNCA, ANCOR and CoIns against their released code, run on the same tensors, and against closed forms.

The numbers of the released code were computed in float64 with its own modules at the commits named below.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from fgtune.config.schema.objective import ObjectiveConfig
from fgtune.objectives.base import StepOutputs, Term, TermContext
from fgtune.objectives.objective import Objective

DIM, TRAIN, BATCH = 5, 12, 6
COARSE = torch.tensor([0, 1, 2, 0, 1, 1, 0, 0, 2, 1, 0, 1])
ROWS = torch.tensor([3, 2, 5, 9, 0, 8])


def wave(*shape: int, start: float) -> torch.Tensor:
    """Numbers that need no random generator."""
    return (torch.arange(math.prod(shape), dtype=torch.float64) * 1.7 + start).sin().reshape(shape)


def fill(module: torch.nn.Module, start: float) -> None:
    with torch.no_grad():
        for number, parameter in enumerate(module.parameters()):
            parameter.copy_(wave(*parameter.shape, start=start + number))


def term(name: str, coarse: torch.Tensor = COARSE, classes: int = 3, **settings) -> Term:
    config = ObjectiveConfig.from_plain({"preset": "untrained", f"lambda_{name}": 1.0, **settings})
    made = Objective(config, TermContext(DIM, 4, (classes,), coarse, coarse[:, None])).double()
    made.initialize_buffers(0)
    return made.term(name)


def batch(step: int, coarse: torch.Tensor = COARSE) -> StepOutputs:
    rows = (ROWS + step) % TRAIN
    features = wave(BATCH, DIM, start=0.3 + step).requires_grad_()
    return StepOutputs(coarse[rows][:, None], features, rows, keys=wave(BATCH, DIM, start=0.9 + step))


def value_and_gradient(made: Term, outputs: StepOutputs) -> list[float]:
    value = made(outputs)
    (gradient,) = torch.autograd.grad(value, outputs.features)
    made.after_step()
    return [value.item(), gradient.abs().sum().item()]


@pytest.mark.parametrize(
    ("lonely", "expected"),
    [(False, [10.874523880971104, 16.459578178275038]), (True, [2.1694710540630977, 7.594665720081282])],
)
def test_snca_agrees_with_the_released_code(lonely, expected):
    # microsoft/snca.pytorch, lib/LinearAverage.py and lib/NCA.py; with and without a sample alone with its label
    coarse = COARSE.clone()
    if lonely:
        coarse[2] = 3
    made = term("snca", coarse, 4, snca={"projection_dim": 3})
    fill(made.embed, 0.0)
    made.memory.copy_(wave(TRAIN, 3, start=0.5))
    assert value_and_gradient(made, batch(0, coarse)) == pytest.approx(expected, rel=1e-12)
    assert made.memory.sum().item() == pytest.approx(1.8407521909211646, rel=1e-12)


def test_ancor_agrees_with_the_released_code_over_steps_that_wrap_its_queues_around():
    # guybuk/ANCOR 229f8a5, ancor/calculator_factory.py ("cls" and "cst_by_class", angular), queue_factory.py ("multi")
    made = term("ancor", ancor={"size": 4, "projection_dim": 3})
    for module, start in ((made.query, 0.0), (made.key, 2.0), (made.classes, 4.0)):
        fill(module, start)
    made.queue.copy_(functional.normalize(wave(3, 4, 3, start=0.7), dim=2))
    made.momentum = 1.0  # the momentum copy of the projection stays as it is
    found = [(*value_and_gradient(made, batch(step)), made.queue.sum().item()) for step in range(3)]
    assert found[0] == pytest.approx((6.707658034019395, 6.408552418542168, 3.9835774943923137), rel=1e-12)
    assert found[1] == pytest.approx((4.551818323273221, 5.498354525074321, 5.121369316799176), rel=1e-12)
    assert found[2] == pytest.approx((5.238107290727043, 6.8099398404647085, 6.754048132353665), rel=1e-12)
    assert (made.filled % 4).tolist() == [3, 0, 3]


def test_coins_agrees_with_the_released_code():
    # idstcv/CoIns 1c340a0, moco/builder_coins.py, with the loss of coins_train.py: InfoNCE + 0.5 * cross-entropy
    queue = {"kind": "queue", "start": "random", "coarse_weight": 0.5, "size": 12, "projection_dim": 3}
    made = term("instance", instance=queue)
    for module, start in ((made.query, 0.0), (made.key, 2.0), (made.classes, 4.0)):
        fill(module, start)
    made.queue.copy_(functional.normalize(wave(12, 3, start=0.7), dim=1))
    made.momentum = 1.0
    found = [(*value_and_gradient(made, batch(step)), made.queue.sum().item()) for step in range(3)]
    assert found[0] == pytest.approx((5.753021207223518, 3.225808986859446, 1.798467218767827), rel=1e-12)
    assert found[1] == pytest.approx((4.464441073006501, 4.2658975561308905, 2.231489546483794), rel=1e-12)
    assert found[2] == pytest.approx((4.280955428342181, 11.798893817126798, 1.813540231871781), rel=1e-12)


def test_snca_of_a_memory_of_equal_vectors_is_the_share_of_the_class_among_the_others():
    made = term("snca", snca={"projection_dim": 3})
    made.memory.copy_(torch.ones(TRAIN, 3))
    sizes = torch.bincount(COARSE)[COARSE[ROWS]]
    expected = -((sizes - 1).double() / (TRAIN - 1)).log().mean()
    assert made(batch(0)).item() == pytest.approx(expected.item(), rel=1e-12)


def test_snca_leaves_samples_without_a_label_out_of_every_neighbourhood():
    coarse = COARSE.clone()
    coarse[[1, 9]] = -1
    made = term("snca", coarse, snca={"projection_dim": 3})
    made.memory.copy_(torch.ones(TRAIN, 3))
    known = ROWS[coarse[ROWS] >= 0]
    sizes = torch.bincount(coarse[coarse >= 0])[coarse[known]]
    expected = -((sizes - 1).double() / (TRAIN - 3)).log().mean()
    assert made(batch(0, coarse)).item() == pytest.approx(expected.item(), rel=1e-12)


def test_the_memory_of_snca_is_a_normalised_moving_average():
    made = term("snca", snca={"projection_dim": 3, "memory_momentum": 0.25})
    before = made.memory.clone()
    made(outputs := batch(0))
    made.after_step()
    new = functional.normalize(made.embed(outputs.features), dim=1)
    expected = functional.normalize(0.25 * before[ROWS] + 0.75 * new, dim=1)
    torch.testing.assert_close(made.memory[ROWS], expected.detach())
    rest = [row for row in range(TRAIN) if row not in ROWS.tolist()]
    assert torch.equal(made.memory[rest], before[rest])


def test_the_contrast_of_ancor_counts_the_queue_of_the_own_class_and_sees_angles_alone():
    made = term("ancor", ancor={"size": 4, "projection_dim": 2, "temperature": 0.5})
    directions = torch.tensor([[1.0, 0.0]] * 3, dtype=torch.float64)
    up, down = torch.tensor([[0.0, 1.0]]).double(), torch.tensor([[0.0, -1.0]]).double()
    labels = torch.tensor([1])
    made.queue.copy_(up.expand(3, 4, 2))
    made.queue[1] = 3 * down  # lengths do not count
    value = made._contrast(up, 7 * up, labels, directions, 0)
    # seen from (1, 0), up and down lie at (-1, 1) / sqrt 2 and (-1, -1) / sqrt 2: cosine 0, and 1 with itself
    assert value.item() == pytest.approx(math.log(1 + 4 * math.exp(-1 / 0.5)), rel=1e-12)


def test_ancor_without_contrast_is_coarse_classification():
    made = term("ancor", ancor={"size": 4, "projection_dim": 3, "contrast": 0.0})
    outputs = batch(0)
    (logits,) = made.coarse_logits(outputs.features)
    assert made(outputs).item() == pytest.approx(functional.cross_entropy(logits, COARSE[ROWS]).item(), rel=1e-12)


def test_queues_of_ancor_keep_the_last_keys_of_a_batch_with_more_than_fit():
    made = term("ancor", ancor={"size": 2, "projection_dim": 3})
    keys = wave(BATCH, DIM, start=0.1)
    made(StepOutputs(torch.tensor([[1], [1], [0], [1], [-1], [1]]), batch(0).features, ROWS, keys=keys))
    expected = made.key(keys)
    made.after_step()
    assert made.filled.tolist() == [1, 4, 0]
    torch.testing.assert_close(made.queue[1], expected[[3, 5]].detach())
    torch.testing.assert_close(made.queue[0, 0], expected[2].detach())


def test_two_ways_of_making_keys_in_one_objective_are_an_error():
    plain = {"preset": "ancor", "lambda_instance": 1.0, "instance": {"kind": "queue"}}
    with pytest.raises(ValueError, match="one momentum encoder serves instance and ancor: give both the same key_stat"):
        ObjectiveConfig.from_plain(plain)
    ObjectiveConfig.from_plain({**plain, "instance": {"kind": "queue", "key_statistics": "batch"}})


def test_a_preset_completes_a_section_of_its_kind_and_leaves_another_alone():
    given = ObjectiveConfig.from_plain({"preset": "coins_released", "instance": {"kind": "queue", "size": 64}}).instance
    assert (given.size, given.start, given.coarse_weight, given.batch_groups) == (64, "random", 0.5, 8)
    assert ObjectiveConfig.from_plain({"preset": "coins_released", "instance": {"size": 64}}).instance == given
    other = ObjectiveConfig.from_plain({"preset": "coins_released", "instance": {"kind": "parametric"}}).instance
    assert other == ObjectiveConfig.from_plain({}).instance
