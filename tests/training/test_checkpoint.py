"""Checkpoints on disk: whole or absent, and a cell that goes on from another one's state."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from fgtune.errors import TrialError
from fgtune.training.checkpoint import load_checkpoint, save_checkpoint, start_from, without_donor


def train(trainer, epochs):
    for _ in range(epochs):
        next(trainer)
    return trainer


def test_a_state_comes_back_as_it_was_saved_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "cell.pt"
    state = {"weights": torch.arange(6.0).reshape(2, 3), "epoch": 3, "names": ["a", "b"], "none": None}
    save_checkpoint(path, state)
    found = load_checkpoint(path)
    assert torch.equal(found.pop("weights"), state.pop("weights"))
    assert found == state
    assert [each.name for each in tmp_path.iterdir()] == ["cell.pt"]


def test_a_state_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "cell.pt"
    save_checkpoint(path, {"epoch": 1})
    with pytest.raises(Exception, match="pickle"):
        save_checkpoint(path, {"epoch": lambda: 2})
    assert load_checkpoint(path) == {"epoch": 1}
    assert [each.name for each in tmp_path.iterdir()] == ["cell.pt"]


def test_what_is_missing_or_cut_off_is_no_checkpoint(tmp_path):
    path = tmp_path / "cell.pt"
    assert load_checkpoint(path) is None
    save_checkpoint(path, {"weights": torch.zeros(1000)})
    whole = path.read_bytes()
    for part in (b"", whole[:100], whole[: len(whole) // 2]):
        path.write_bytes(part)
        assert load_checkpoint(path) is None


class RunsCode:
    """An object that makes a file when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_what_others_have_put_in_its_place_is_no_checkpoint_and_no_code_of_it_runs(tmp_path):
    path, mark = tmp_path / "cell.pt", tmp_path / "RUN"
    harmful = [pickle.dumps(RunsCode(mark), protocol) for protocol in (2, 4)]
    torch.save({"state": RunsCode(mark)}, tmp_path / "saved.pt")
    harmful.append((tmp_path / "saved.pt").read_bytes())
    for content in (*harmful, bytes(range(256)) * 20, pickle.dumps([1, 2], protocol=2), b"PK\x03\x04" + bytes(99)):
        path.write_bytes(content)
        assert load_checkpoint(path) is None
    assert not mark.exists()


def test_a_fork_takes_weights_and_epochs_of_the_donor_but_keeps_its_own_settings(make_trainer):
    donor = train(make_trainer({"optimizer.lr": 0.1}), 2)
    fork = make_trainer({"optimizer.lr": 0.02})
    start_from(fork, donor.state_dict())
    assert fork.epoch == 2
    for name, weights in donor.networks.model.state_dict().items():
        assert torch.equal(fork.networks.model.state_dict()[name], weights)
    assert {group["lr"] for group in fork.optimizer.param_groups} == {0.02}
    rest = [entry.epoch for entry in fork]
    assert rest == [3, 4]
    own = without_donor(fork.outcome(), 2)
    assert [entry.epoch for entry in own.history] == [3, 4]
    assert own.seconds == sum(entry.seconds for entry in fork.outcome().history[2:])


def test_a_donor_with_other_networks_is_refused_with_the_reason(make_trainer):
    donor = train(make_trainer(), 1)
    other = make_trainer({"model.backbone.hidden": [8]})
    with pytest.raises(TrialError, match=r"cannot go on from the donor's state: .*FineClassifier"):
        start_from(other, donor.state_dict())
