"""Oracles for the relations programme that share no code with the solvers."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from pydantic import TypeAdapter

from fgtune.config.relations import SolverConfig
from fgtune.relations.base import RelationsProblem


def naive_value(problem: RelationsProblem, parents) -> float:
    """The programme as FALCON eq. 8 writes it, in plain loops."""
    num_fine, num_coarse = problem.affinity.shape
    gained = sum(float(problem.affinity[fine, parent]) for fine, parent in enumerate(parents))
    squares = sum(list(parents).count(coarse) ** 2 for coarse in range(num_coarse))
    return -gained + problem.beta * (squares / num_coarse - (num_fine / num_coarse) ** 2)


@dataclass(frozen=True)
class BruteForce:
    optimum: float
    optima: list[tuple[int, ...]]


def enumerate_all(problem: RelationsProblem) -> BruteForce:
    """Try every assignment that leaves no coarse class empty; ``optima`` are those within rounding of the best."""
    num_fine, num_coarse = problem.affinity.shape
    choices = itertools.product(range(num_coarse), repeat=num_fine)
    values = {choice: naive_value(problem, choice) for choice in choices if len(set(choice)) == num_coarse}
    optimum = min(values.values())
    tolerance = 1e-9 * (1 + abs(optimum))
    return BruteForce(optimum, [choice for choice, value in values.items() if value <= optimum + tolerance])


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
