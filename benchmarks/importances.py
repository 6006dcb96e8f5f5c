"""What importances promise, in simulated studies with planted truth.

    OMP_NUM_THREADS=1 python benchmarks/importances.py --studies 1000

Prints three tables. (1) Studies of noise: in how many anything is above chance, alone or as a pair; eight parameters of
every kind (ranges, four listed numbers, 2, 5 and 12 unordered levels, one that exists under a condition), at random and
at points that crowd where earlier outcomes were good. In the rows with a planted effect, only what has none counts. (2)
Planted effects: in how many they are found, beside five parameters without effect. (3) The smallest share that is found
in 80 % of studies. ``--table 4`` is apart: what the functional ANOVA of a random forest finds of the planted effects,
with a band from studies of noise. Rows marked "new" had no part in the choice of the method.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fgtune.analysis.search.effect_terms import Parameter, terms_of
from fgtune.analysis.search.effect_tests import scan
from fgtune.analysis.search.second_opinions import PedAnova, first_order_sobol
from fgtune.arrays import FloatArray
from fgtune.streams import numpy_stream

ALPHA, SHUFFLES = 0.05, 199
LEVELS = (0, 0, 0, 0, 2, 5, 12, 0)
Outcome = Callable[[np.random.Generator, FloatArray], FloatArray]


def mixed_parameters(cube: FloatArray) -> list[Parameter]:
    """Eight parameters of every kind from points (n, 8) in the unit cube; the last one exists in half of them."""
    places = cube.copy()
    for rank, count in ((3, 4), (4, 2), (5, 5), (6, 12)):
        places[:, rank] = (np.floor(cube[:, rank] * count) + 0.5) / count
    places[places[:, 4] < 0.5, 7] = np.nan
    return [Parameter(str(rank), places[:, rank], levels) for rank, levels in enumerate(LEVELS)]


def crowded(rng: np.random.Generator, n: int, outcome: Outcome) -> tuple[FloatArray, FloatArray]:
    """Points that crowd around the best quarter of the earlier ones, as those of TPE do, and their outcomes."""
    cube, values = np.empty((n, 8)), np.empty(n)
    for rank in range(n):
        point = rng.random(8)
        if rank >= 10:
            good = np.argsort(-values[:rank])[: rank // 4]
            near = cube[rng.choice(good, 8), np.arange(8)] + 0.08 * rng.normal(size=8)
            point = np.where(rng.random(8) < 0.2, point, np.clip(near, 0.0, 1.0 - 1e-9))
        cube[rank] = point
        values[rank] = outcome(rng, cube[rank : rank + 1])[0]
    return cube, values


@dataclass(frozen=True)
class Noise:
    """A kind of study in which some parameters have no effect.

    Attributes:
        name: For the table.
        outcome: Values of points (n, 8).
        planted: Positions of the parameters with an effect.
        crowds: Whether points follow from earlier outcomes.
        is_new: Whether it had no part in the choice of the method.
    """

    name: str
    outcome: Outcome
    planted: frozenset[int] = frozenset()
    crowds: bool = False
    is_new: bool = False


def _normal(rng: np.random.Generator, cube: FloatArray) -> FloatArray:
    return rng.normal(size=len(cube))


NOISES = (
    Noise("normal", _normal),
    Noise("Student t, 2 degrees of freedom", lambda rng, cube: rng.standard_t(2, len(cube))),
    Noise("lognormal", lambda rng, cube: np.exp(1.5 * rng.normal(size=len(cube)))),
    Noise("10 % collapse", lambda rng, cube: 0.02 * rng.normal(size=len(cube)) - (rng.random(len(cube)) < 0.1)),
    Noise("sd e^(4x) of a range", lambda rng, cube: rng.normal(size=len(cube)) * np.exp(4 * cube[:, 0])),
    Noise("sd x 4 at 3 of 12 levels", lambda rng, cube: rng.normal(size=len(cube)) * (1 + 3 * (cube[:, 6] > 0.75))),
    Noise("sd x 6 at 1 of 5 levels", lambda rng, cube: rng.normal(size=len(cube)) * (1 + 5 * (cube[:, 5] < 0.2))),
    Noise("normal, crowded points", _normal, crowds=True),
    Noise(
        "beside a strong peak, crowded points",
        lambda rng, cube: 3 * np.exp(-((cube[:, 0] - 0.4) ** 2) / 0.02) + rng.normal(size=len(cube)),
        planted=frozenset({0}),
        crowds=True,
    ),
    Noise(
        "beside a strong trend", lambda rng, cube: 10 * cube[:, 0] + rng.normal(size=len(cube)), planted=frozenset({0})
    ),
    Noise(
        "Laplace, sd x 5 in a corner of two ranges",
        lambda rng, cube: rng.laplace(size=len(cube)) * (1 + 4 * ((cube[:, 0] > 0.6) & (cube[:, 1] > 0.6))),
        is_new=True,
    ),
    Noise("counts, Poisson(2)", lambda rng, cube: rng.poisson(2.0, len(cube)).astype(float), is_new=True),
    Noise("t with 2 degrees, crowded points", lambda rng, cube: rng.standard_t(2, len(cube)), crowds=True, is_new=True),
    Noise(
        "beside a cliff at 0.8 and a strong interaction",
        lambda rng, cube: (
            4.0 * (cube[:, 0] < 0.8) + 12 * (cube[:, 1] - 0.5) * (cube[:, 2] - 0.5) + rng.normal(size=len(cube))
        ),
        planted=frozenset({0, 1, 2}),
        is_new=True,
    ),
)


def _unordered(levels: int) -> Callable[[FloatArray], FloatArray]:
    def effect(cube: FloatArray) -> FloatArray:
        height = np.array([(7 * level) % levels for level in range(levels)], dtype=float)
        return (height[(cube[:, 0] * levels).astype(int)] - height.mean()) / height.std()

    return effect


EFFECTS: dict[str, tuple[tuple[int, ...], Callable[[FloatArray], FloatArray], int]] = {
    "trend": ((0,), lambda cube: math.sqrt(12) * (cube[:, 0] - 0.5), 0),
    "peak in the middle": ((0,), lambda cube: math.sqrt(180) * (1 / 12 - (cube[:, 0] - 0.5) ** 2), 0),
    "step in the middle": ((0,), lambda cube: np.sign(cube[:, 0] - 0.5), 0),
    "cliff at 0.8 (new)": ((0,), lambda cube: ((cube[:, 0] < 0.8) - 0.8) / 0.4, 0),
    "2 levels": ((0,), _unordered(2), 2),
    "5 unordered levels": ((0,), _unordered(5), 5),
    "12 unordered levels": ((0,), _unordered(12), 12),
    "product, pure interaction": ((0, 1), lambda cube: 12 * (cube[:, 0] - 0.5) * (cube[:, 1] - 0.5), 0),
    "xor, pure interaction": ((0, 1), lambda cube: np.sign(cube[:, 0] - 0.5) * np.sign(cube[:, 1] - 0.5), 0),
    "2 levels x trend (new)": (
        (0, 1),
        lambda cube: np.sign(cube[:, 0] - 0.5) * math.sqrt(12) * (cube[:, 1] - 0.5),
        2,
    ),
}
"""Effects of variance 1: which parameters have them, the effect over the cube, and how many levels the first has."""


def planted(rng: np.random.Generator, name: str, share: float, n: int, d: int) -> tuple[list[Parameter], FloatArray]:
    """Points of d parameters and outcomes of variance 1, of which an effect is a share."""
    _, effect, levels = EFFECTS[name]
    cube = rng.random((n, d))
    values = math.sqrt(share) * effect(cube) + math.sqrt(1 - share) * rng.normal(size=n)
    places = cube.copy()
    if levels:
        places[:, 0] = (np.floor(cube[:, 0] * levels) + 0.5) / levels
    return [Parameter(str(rank), places[:, rank], levels if rank == 0 else 0) for rank in range(d)], values


def found(parameters: list[Parameter], values: FloatArray, seed: int) -> set[tuple[int, ...]]:
    """The parameters and pairs above chance."""
    terms = terms_of(parameters)
    return {terms[rank].parameters for rank in scan(terms, values, alpha=ALPHA, seed=seed, shuffles=SHUFFLES).found}


def noise_table(studies: int) -> None:
    """How often something without effect is above chance."""
    print(f"1. studies of {studies} in which something without effect is above chance, in % (promised: at most 5)")
    print(f"{'noise':50} {'n = 30':>7} {'n = 60':>7} {'n = 120':>7} {'PED-ANOVA, n = 60':>18} {'RBD-FAST, n = 60':>17}")
    for noise in NOISES:
        cells = []
        for n in (30, 60, 120):
            wrong = 0
            for seed in range(studies):
                parameters, values = study_of(noise, n, seed)
                wrong += any(not set(pair) <= noise.planted for pair in found(parameters, values, seed))
            cells.append(f"{100 * wrong / studies:7.1f}")
        ped, sobol = ("-", "-") if noise.crowds else other_methods(noise, 60, studies)
        name = f"{noise.name}{' (new)' if noise.is_new else ''}"
        print(f"{name:50} {' '.join(cells)} {ped:>18} {sobol:>17}", flush=True)


def study_of(noise: Noise, n: int, seed: int) -> tuple[list[Parameter], FloatArray]:
    """The points of a study and their values."""
    rng = numpy_stream(seed, noise.name, n)
    if noise.crowds:
        cube, values = crowded(rng, n, noise.outcome)
    else:
        cube = rng.random((n, 8))
        values = noise.outcome(rng, cube)
    return mixed_parameters(cube), values


def other_methods(noise: Noise, n: int, studies: int) -> tuple[str, str]:
    """How often PED-ANOVA and RBD-FAST put something without effect above chance; forty studies share their points."""
    ped = sobol = 0
    free = {str(rank) for rank in range(8) if rank not in noise.planted}
    for seed in range(studies):
        rng = numpy_stream(seed, noise.name, "others")
        if seed % 40 == 0:
            cube = rng.random((n, 8))
            parameters = mixed_parameters(cube)
            judge = PedAnova(parameters, seed=seed)
        values = noise.outcome(rng, cube)
        ped += bool(free & set(judge.opinion(values, "maximize").standing))
        sobol += bool(free & set(first_order_sobol(parameters, values, seed=seed, shuffles=59).standing))
    return f"{100 * ped / studies:.1f}", f"{100 * sobol / studies:.1f}"


def found_share(name: str, share: float, n: int, d: int, studies: int) -> float:
    """Share of studies in which a planted effect is found."""
    hits = 0
    for seed in range(studies):
        parameters, values = planted(numpy_stream(seed, name, n, share), name, share, n, d)
        hits += EFFECTS[name][0] in found(parameters, values, seed)
    return hits / studies


def effects_table(studies: int) -> None:
    """How often planted effects are found."""
    sizes = ((25, 50), (25, 100), (40, 50), (40, 100), (60, 50))
    print(f"\n2. studies of {studies} in which a planted effect is found beside five parameters without effect, in %")
    print(f"{'effect':28}" + "".join(f"{f'{share} %, n = {n}':>14}" for share, n in sizes))
    for name in EFFECTS:
        cells = [100 * found_share(name, share / 100, n, 6, studies) for share, n in sizes]
        print(f"{name:28}" + "".join(f"{cell:14.0f}" for cell in cells), flush=True)


def smallest_table(studies: int) -> None:
    """The smallest share that is found in 80 % of studies, by bisection."""
    print(f"\n3. smallest share of the variation found in 80 % of {studies} studies, in %")
    columns = [(n, d) for n in (30, 60, 120) for d in (6, 12)]
    print(f"{'effect':28}" + "".join(f"{f'n = {n}, d = {d}':>16}" for n, d in columns))
    for name in EFFECTS:
        cells = []
        for n, d in columns:
            low, high = 0.0, 1.0
            for _ in range(5):
                middle = (low + high) / 2
                low, high = (low, middle) if found_share(name, middle, n, d, studies) >= 0.8 else (middle, high)
            cells.append(100 * high)
        print(f"{name:28}" + "".join(f"{cell:16.0f}" for cell in cells), flush=True)


def forest_table(studies: int) -> None:
    """What a random forest's functional ANOVA finds, with a band from the largest of all in studies of noise."""
    print(f"\n4. the same as 2 by the functional ANOVA of a random forest (64 trees), {studies} studies")
    rng = np.random.default_rng(0)
    bands = {}
    for n in (50, 100):
        null = [_forest_effects(rng.random((n, 6)), rng.normal(size=n), seed) for seed in range(4 * studies)]
        bands[n] = [float(np.quantile([each[kind].max() for each in null], 0.975)) for kind in (0, 1)]
    for name, share, n in (
        ("trend", 0.25, 50),
        ("peak in the middle", 0.25, 50),
        ("step in the middle", 0.25, 50),
        ("product, pure interaction", 0.4, 100),
        ("xor, pure interaction", 0.4, 100),
    ):
        hits = 0
        for seed in range(studies):
            parameters, values = planted(numpy_stream(seed, name, n, share), name, share, n, 6)
            cube = np.column_stack([each.places for each in parameters])
            main, total = _forest_effects(cube, values, seed)
            hits += all(main[k] > bands[n][0] or total[k] > bands[n][1] for k in EFFECTS[name][0])
        print(f"{name:28} {100 * share:.0f} %, n = {n}: {100 * hits / studies:.0f} %", flush=True)


def _forest_effects(cube: FloatArray, values: FloatArray, seed: int) -> tuple[FloatArray, FloatArray]:
    """Main and total effects (d,) as shares of the variance of a forest's trees over the unit cube."""
    from sklearn.tree import DecisionTreeRegressor

    rng, parts = np.random.default_rng(seed), []
    for rank in range(64):
        rows = rng.integers(0, len(values), len(values))
        tree = DecisionTreeRegressor(min_samples_leaf=2, max_leaf_nodes=64, random_state=rank)
        parts.append(_tree_variances(tree.fit(cube[rows], values[rows]).tree_))
    variance, main, total = (np.mean([part[kind] for part in parts], axis=0) for kind in range(3))
    return main / variance, total / variance


def _tree_variances(tree: object) -> tuple[float, FloatArray, FloatArray]:
    """Variance of a tree's prediction over the unit cube, main and total effects (Hutter et al. 2014), leaf by leaf."""
    lower, upper = np.zeros((tree.node_count, tree.n_features)), np.ones((tree.node_count, tree.n_features))
    for node in range(tree.node_count):
        left, right = tree.children_left[node], tree.children_right[node]
        if left >= 0:
            for child in (left, right):
                lower[child], upper[child] = lower[node], upper[node]
            upper[left, tree.feature[node]] = lower[right, tree.feature[node]] = tree.threshold[node]
    leaves = tree.children_left < 0
    lower, upper, values = lower[leaves], upper[leaves], tree.value[leaves, 0, 0]
    widths = upper - lower
    volumes = widths.prod(axis=1)
    centred = values - volumes @ values
    variance = float(volumes @ centred**2)
    overlaps = np.maximum(np.minimum(upper[:, None], upper) - np.maximum(lower[:, None], lower), 0.0)
    main, total = np.empty(widths.shape[1]), np.empty(widths.shape[1])
    for k in range(widths.shape[1]):
        others = volumes / widths[:, k] * centred
        main[k] = others @ overlaps[:, :, k] @ others
        alone = widths[:, k] * centred
        total[k] = variance - alone @ np.delete(overlaps, k, axis=2).prod(axis=2) @ alone
    return variance, main, total


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1000, help="simulated studies of each cell")
    parser.add_argument("--table", type=int, choices=(1, 2, 3, 4), help="only this table")
    given = parser.parse_args()
    tables = {1: noise_table, 2: effects_table, 3: smallest_table, 4: forest_table}
    fewer = {1: 1, 2: 1, 3: 5, 4: 4}
    for number in (1, 2, 3) if given.table is None else (given.table,):
        tables[number](max(given.studies // fewer[number], 20))


if __name__ == "__main__":
    main()
