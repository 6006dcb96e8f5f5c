"""Oracles for the relations programme that share no code with the solvers."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import TypeAdapter

from fgtune.config.schema.classes import SolverConfig
from fgtune.testing.solvers import enumerate_all, naive_value


@pytest.fixture(scope="session")
def value_of():
    return naive_value


@pytest.fixture(scope="session")
def brute_force():
    return enumerate_all


@pytest.fixture(scope="session")
def solver_config():
    adapter = TypeAdapter(SolverConfig)

    def build(kind: str, **settings):
        return adapter.validate_python({"kind": kind, **settings})

    return build


@pytest.fixture(scope="session")
def learned_affinity():
    """An affinity like a learned one: few coarse classes a fine class, total mass 1."""

    def draw(num_fine: int, num_coarse: int, seed: int = 0) -> np.ndarray:
        return np.random.default_rng(seed).dirichlet(np.full(num_coarse, 0.3), size=num_fine) / num_fine

    return draw
