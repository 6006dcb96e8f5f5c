from __future__ import annotations

import numpy as np
import pytest
import torch

from fgtune.config.schema.classes import RelationsConfig
from fgtune.training import relations_state
from fgtune.training.relations_state import RelationsState, add_by_label

CPU = torch.device("cpu")


@pytest.mark.parametrize("many", [1, 1000])
@pytest.mark.parametrize(("num_fine", "num_coarse", "samples"), [(10, 2, 256), (100, 20, 250), (6, 3, 1)])
def test_sums_by_label_are_the_product_with_one_hot_labels(num_fine, num_coarse, samples, many, monkeypatch):
    monkeypatch.setattr(relations_state, "MANY", many)
    generator, numbers = torch.Generator().manual_seed(0), torch.arange(num_coarse)
    sums = torch.zeros(num_coarse, num_fine, dtype=torch.float64)
    plain = torch.zeros(num_fine, num_coarse, dtype=torch.float64)
    for _ in range(4):
        probs = torch.randn(samples, num_fine, generator=generator).softmax(dim=1)
        labels = torch.randint(-1, num_coarse, (samples,), generator=generator)
        add_by_label(sums, probs, labels, numbers)
        plain += probs.double().T @ (labels[:, None] == numbers).double()
    torch.testing.assert_close(sums.T, plain, rtol=1e-13, atol=0.0)


@pytest.mark.parametrize("many", [1, 1000])
def test_clusters_get_the_parents_of_most_of_their_samples(many, monkeypatch):
    monkeypatch.setattr(relations_state, "MANY", many)
    rng = np.random.default_rng(4)
    fine = np.concatenate([np.arange(12), rng.integers(0, 12, 300)])
    coarse = np.column_stack([fine % 4, fine // 6])
    coarse[12:][rng.random((300, 2)) < 0.2] = -1
    state = RelationsState(RelationsConfig(), 12, (4, 2), 0, CPU)
    state.solve_for(np.eye(12, dtype=np.float32)[fine], coarse)
    np.testing.assert_array_equal(state.fine_to_coarse, [np.arange(12) % 4, np.arange(12) // 6])


def _collected(state: RelationsState, seed: int) -> None:
    """A batch without samples of the classes 2 to 5, which are equally good for every fine class."""
    generator = torch.Generator().manual_seed(seed)
    probs = torch.randn(64, 18, generator=generator).softmax(dim=1)
    state.collect(probs, torch.randint(0, 2, (64, 1), generator=generator))


def test_a_state_that_was_stored_goes_on_to_the_same_relations_among_ties():
    config = RelationsConfig(every_steps=1)
    whole, first = (RelationsState(config, 18, (6,), 0, CPU) for _ in range(2))
    for step in (1, 2):
        for state in (whole, first):
            _collected(state, step)
            state.solve_if_due(step, balanced=True)
    _collected(first, 3)
    second = RelationsState(config, 18, (6,), 1, CPU)
    second.load_state_dict(first.state_dict())
    _collected(whole, 3)
    for state in (whole, second):
        state.solve_if_due(3, balanced=True)
    np.testing.assert_array_equal(whole.fine_to_coarse, second.fine_to_coarse)
    for kept, restored in zip(whole.state_dict()["prices"], second.state_dict()["prices"], strict=True):
        assert torch.equal(kept, restored)


def test_a_state_of_an_earlier_version_which_kept_no_prices_is_read():
    state = RelationsState(RelationsConfig(), 6, (2,), 0, CPU)
    stored = {name: value for name, value in state.state_dict().items() if name != "prices"}
    other = RelationsState(RelationsConfig(), 6, (2,), 1, CPU)
    other.load_state_dict(stored)
    np.testing.assert_array_equal(other.fine_to_coarse, state.fine_to_coarse)
    assert other.state_dict()["prices"] == [None]
