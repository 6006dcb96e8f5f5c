"""Steps as CUDA graphs, replayed by a stand-in that holds addresses and numbers as a card does."""

from __future__ import annotations

import logging

import pytest
import torch
from support.methods import HOST, METHODS, STEPS
from support.replay import ReplayedCalls

from fgtune.errors import TrialError
from fgtune.training.checkpoint import load_checkpoint, save_checkpoint
from fgtune.training.step_graph import Given, StepGraphs

BATCHES = {"batch_size": 18, "epochs": 3}
"""Of two sizes, 36 steps in all."""
CASES = [
    *METHODS,
    *STEPS,
    pytest.param({"optimizer": {"kind": "adamw"}, "schedule": {"kind": "cosine"}}, id="adamw"),
    pytest.param({"neighbors.targets": "memory", "neighbors.memory_refresh_epochs": 1}, id="refreshed memory"),
    pytest.param({"neighbors.features": "teacher", "neighbors.refresh_epochs": 1}, id="refreshed neighbours"),
    pytest.param({"teacher.buffers": "averaged", "relations.every_steps": 1}, id="averaged buffers"),
]


def graphed(trainer):
    """The trainer, whose steps are replayed."""
    trainer.graphs = StepGraphs(trainer.compute.device, ReplayedCalls)
    return trainer


def curve(trainer):
    return [dict(entry.metrics) for entry in trainer]


def weights(trainer):
    return torch.cat([p.detach().flatten() for p in trainer.networks.model.parameters()])


@pytest.mark.slow_except("falcon")
@pytest.mark.parametrize("changes", CASES)
def test_replayed_steps_are_those_of_the_host_bit_for_bit(make_trainer, request, changes):
    plain, replayed = make_trainer({**BATCHES, **changes}), graphed(make_trainer({**BATCHES, **changes}))
    assert curve(replayed) == curve(plain)
    assert torch.equal(weights(replayed), weights(plain))
    most = 0 if request.node.callspec.id in HOST else replayed.graphs.steps // 2
    assert replayed.graphs.replays >= most
    assert (replayed.graphs.replays > 0) == (most > 0)


def test_replayed_steps_go_on_exactly_from_a_checkpoint(make_trainer, tmp_path):
    settings = {**BATCHES, "neighbors.targets": "memory", "objective.prior": "learned"}
    expected = curve(make_trainer(settings))
    cut, resumed = (graphed(make_trainer(settings)) for _ in range(2))
    next(cut)
    next(cut)
    save_checkpoint(tmp_path / "cell.pt", cut.state_dict())
    next(resumed)  # whose graph would change another memory than that of the checkpoint
    resumed.load_state_dict(load_checkpoint(tmp_path / "cell.pt"))
    curve(resumed)
    assert [dict(entry.metrics) for entry in resumed.history] == expected
    assert resumed.graphs.replays > 10


class Counting:
    """A step of which a number, a shape or the memory may change."""

    def __init__(self):
        self.total, self.factor, self.calls = torch.zeros(()), 1.0, 0

    def __call__(self, given):
        self.calls += 1
        self.total.add_(given.rows.sum() * self.factor)
        return {"loss": self.total}


@pytest.fixture
def taken():
    """Take a step on some rows; returns the step, the graphs, and the function."""
    step, graphs = Counting(), StepGraphs(torch.device("cpu"), ReplayedCalls)

    def take(*rows, numbers=(), known=True):
        given = Given(torch.tensor(rows), torch.zeros(1, 1), None)
        return graphs.run(step, given, numbers, {}, known=known)

    return step, graphs, take


def test_a_step_is_recorded_once_it_was_the_same_twice_and_reads_what_is_given(taken):
    step, graphs, take = taken
    for number in range(10):
        take(number, 1)
    assert (step.calls, graphs.replays, float(step.total)) == (4, 7, 55.0)  # set up, seen twice, recorded
    take(5)
    assert (step.calls, float(step.total)) == (5, 60.0)  # another size


def test_what_a_graph_holds_is_held_and_other_numbers_or_memory_make_another(taken):
    step, graphs, take = taken
    memory = torch.zeros(3)
    for _ in range(5):
        take(1, numbers=(0.1, memory))
    step.factor = 100.0  # which a step may not do without saying so
    take(1, numbers=(0.1, memory))
    assert float(step.total) == 6.0
    take(1, numbers=(0.2, memory))
    assert float(step.total) == 106.0
    calls = step.calls
    take(1, numbers=(0.2, memory))
    assert step.calls == calls
    take(1, numbers=(0.2, memory.clone()))
    assert step.calls == calls + 1
    graphs.reset()
    take(1, numbers=(0.2, memory))
    assert step.calls == calls + 2


def test_parts_of_a_users_own_are_seen_twice_again_where_a_number_is_another(taken):
    step, graphs, take = taken
    for epoch in range(3):
        for _ in range(5):
            take(1, numbers=(epoch,), known=False)
    assert step.calls == 4 + 3 + 3
    assert graphs.replays == 2 + 3 + 3


@pytest.mark.parametrize("change", ["number", "wait"])
def test_a_step_that_changes_or_waits_runs_as_without_graphs_and_a_note_says_why(taken, caplog, change):
    step, graphs, _ = taken

    def changing(given):
        if change == "number":
            step.factor += 1.0
        else:
            given.rows.sum().item()
        return step(given)

    given = Given(torch.tensor([1]), torch.zeros(1, 1), None)
    with caplog.at_level(logging.WARNING):
        for _ in range(40):
            graphs.run(changing, given, (), {}, known=True)
            graphs.tell()
    assert (step.calls, graphs.replays) == (40, 0)
    (note,) = [record.getMessage() for record in caplog.records]
    expected = {"number": "shapes or numbers change", "wait": "_local_scalar_dense makes the host wait"}
    assert f"cuda_graph: steps run one by one so far: {expected[change]}" in note


def test_a_graph_on_the_cpu_is_a_clear_error(make_trainer):
    with pytest.raises(TrialError, match="cuda_graph: true needs a GPU, and this trial runs on the CPU"):
        make_trainer({"cuda_graph": True, "device": "cpu"})
