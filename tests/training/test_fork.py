"""A copy goes on exactly where its donor was, under its own settings."""

from __future__ import annotations

import pytest
import torch

from fgtune.errors import TrialError
from fgtune.training.checkpoint import load_checkpoint, save_checkpoint, start_from, without_donor


def trained(trainer, epochs: int, path):
    """The state of a trainer after some epochs, as it comes back from a file."""
    for _ in range(epochs):
        next(trainer)
    save_checkpoint(path, trainer.state_dict())
    return load_checkpoint(path)


def weights(trainer):
    return torch.cat([p.detach().flatten() for p in trainer.networks.model.parameters()]).clone()


def test_with_the_same_settings_it_repeats_what_the_donor_does(make_trainer, tmp_path):
    donor = make_trainer()
    state = trained(donor, 2, tmp_path / "donor.2.pt")
    copy = make_trainer()
    start_from(copy, state)
    assert copy.epoch == 2
    theirs, ours = [dict(each.metrics) for each in donor], [dict(each.metrics) for each in copy]
    assert ours == theirs
    assert torch.equal(weights(copy), weights(donor))


def test_its_outcome_counts_its_own_epochs_seconds_and_solves(make_trainer, tmp_path):
    copy = make_trainer()
    start_from(copy, trained(make_trainer(), 2, tmp_path / "donor.2.pt"))
    list(copy)
    whole = make_trainer()
    list(whole)
    outcome = without_donor(copy.outcome(), 2)
    assert [each.epoch for each in outcome.history] == [3, 4]
    assert outcome.seconds == pytest.approx(sum(each.seconds for each in copy.history[2:]))
    first = make_trainer()
    next(first)
    next(first)
    assert outcome.solver.solves == whole.outcome().solver.solves - first.relations.use().solves
    assert outcome.metrics == whole.outcome().metrics


def test_the_optimizers_own_numbers_are_in_force(make_trainer, tmp_path):
    state = trained(make_trainer(), 2, tmp_path / "donor.2.pt")
    changes = {"optimizer.lr": 0.03, "optimizer.momentum": 0.4, "optimizer.weight_decay": 0.02}
    changes["schedule"] = {"kind": "constant"}
    copy = make_trainer(changes)
    start_from(copy, state)
    next(copy)
    for group in copy.optimizer.param_groups:
        assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.03, 0.4, 0.02)
    assert not torch.equal(weights(copy), weights(make_trainer(changes)))


def test_without_a_learning_rate_to_speak_of_nothing_moves(make_trainer, tmp_path):
    donor = make_trainer()
    state = trained(donor, 2, tmp_path / "donor.2.pt")
    copy = make_trainer({"optimizer.lr": 1e-30})
    start_from(copy, state)
    next(copy)
    assert torch.equal(weights(copy), weights(donor))


def test_the_weights_of_its_terms_are_in_force(make_trainer, tmp_path):
    state = trained(make_trainer(), 2, tmp_path / "donor.2.pt")
    own = {"coarse": 0.7, "nn": 0.3, "conf": 1.1, "reg": 0.9}
    copy = make_trainer({f"objective.lambda_{name}": weight for name, weight in own.items()})
    start_from(copy, state)
    metrics = next(copy).metrics
    total = sum(weight * metrics[f"train/loss_{name}"] for name, weight in own.items())
    assert metrics["train/loss"] == pytest.approx(total, rel=1e-5)


@pytest.mark.slow
def test_the_settings_of_relations_and_pseudo_labels_and_views_are_in_force(make_trainer, tmp_path):
    state = trained(make_trainer(), 2, tmp_path / "donor.2.pt")

    def curve(changes):
        copy = make_trainer(changes)
        start_from(copy, state)
        return [dict(each.metrics) for each in copy], copy

    plain, _ = curve({})
    for changes in ({"objective.pseudo_labels.temperature": 0.5, "objective.pseudo_labels.hardening": "none"},
                    {"augmentation.std": 0.5}):  # fmt: skip
        changed, _ = curve(changes)
        assert changed[0]["train/loss"] != plain[0]["train/loss"]
    _, rarer = curve({"relations.every_steps": 1000})
    assert rarer.outcome().solver is None
    _, other = curve({"relations.solver.kind": "cvxpy"})
    assert other.outcome().solver.solver == "cvxpy"


def test_a_state_of_other_networks_is_refused_in_a_sentence(make_trainer, tmp_path):
    state = trained(make_trainer({"model.backbone.hidden": [8]}), 1, tmp_path / "donor.1.pt")
    with pytest.raises(TrialError, match="cannot go on from the donor's state"):
        start_from(make_trainer(), state)
