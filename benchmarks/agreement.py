"""Agreement between seeds as a criterion: its interval, what it chooses, and what fools it, with planted truth.

``python benchmarks/agreement.py`` simulates (about a minute); ``--train`` trains settings on the hierarchy and on
digits in this process as well (about ten minutes on one core).
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy import stats

from fgtune.analysis.agreement import agreement_of, pseudo_values
from fgtune.analysis.search.joint_choice import alike, best_together
from fgtune.metrics.agreement import pair_agreement
from fgtune.results.records import LabelsRecord, PredictionsRecord

SEEDS = (2, 3, 5, 10)
RNG = np.random.Generator
MARGIN = 0.02


# --- the interval ----------------------------------------------------------------------------------------------------


def seed_effects(rng: RNG, studies: int, n: int) -> tuple[np.ndarray, float]:
    """Seeds that are better or worse: a pair agrees as the product of both."""
    quality = rng.beta(4, 2, size=(studies, n))
    return quality[:, :, None] * quality[:, None, :], (4 / 6) ** 2


def pair_noise(rng: RNG, studies: int, n: int) -> tuple[np.ndarray, float]:
    """Seeds that do not differ: all variation is of pairs."""
    noise = np.triu(rng.normal(0, 0.1, size=(studies, n, n)), 1)
    return 0.6 + noise + noise.transpose(0, 2, 1), 0.6


def two_solutions(rng: RNG, studies: int, n: int) -> tuple[np.ndarray, float]:
    """Two solutions, found by 70 and 30 % of the seeds."""
    found = rng.random((studies, n)) < 0.7
    return np.where(found[:, :, None] == found[:, None, :], 0.9, 0.4), 0.9 * (0.49 + 0.09) + 0.4 * 0.42


def rare_collapse(rng: RNG, studies: int, n: int) -> tuple[np.ndarray, float]:
    """One seed in ten collapses."""
    fine = rng.random((studies, n)) < 0.9
    return np.where(fine[:, :, None] & fine[:, None, :], 0.9, 0.1), 0.9 * 0.81 + 0.1 * 0.19


WORLDS: tuple[Callable[[RNG, int, int], tuple[np.ndarray, float]], ...] = (
    seed_effects,
    pair_noise,
    two_solutions,
    rare_collapse,
)


def coverage(studies: int) -> Iterator[str]:
    """How often the 95 % interval holds the mean over all pairs of seeds."""
    rng = np.random.default_rng(0)
    for world in WORLDS:
        cells = []
        for n in SEEDS[1:]:
            tables, truth = world(rng, studies, n)
            values = np.array([pseudo_values(table) for table in tables])
            half = stats.t.ppf(0.975, n - 1) * values.std(axis=1, ddof=1) / np.sqrt(n)
            covered = np.abs(values.mean(axis=1) - truth) <= half + 1e-12
            cells.append(f"n = {n}: {covered.mean():.3f}, half-width {half.mean():.2f}")
        yield f"{world.__name__:14} " + "; ".join(cells)


# --- what is chosen --------------------------------------------------------------------------------------------------


def chosen(studies: int, arms: int, n: int, truth: float, fooled: float) -> tuple[float, ...]:
    """Regrets and errors of choices among arms, the first of which is the default.

    Args:
        studies: Number of studies.
        arms: Number of arms.
        n: Number of seeds.
        truth: How much of what the criteria follow is accuracy, from 0 to 1.
        fooled: Likewise for an attractor of their own that both follow and accuracy does not.

    Returns:
        Mean regret of agreement, of the joint choice and of a random one; share of studies in which agreement and the
        joint choice take an arm that is worse than the default by more than the margin; share that is refused.
    """
    rng = np.random.default_rng([arms, n, round(100 * truth), round(100 * fooled)])
    sums = np.zeros(6)
    for _ in range(studies):
        accuracy = rng.normal(0, 0.05, arms)
        signal = truth * accuracy / 0.05 + fooled * rng.normal(size=arms)
        quality = 0.1 * signal[:, None] + rng.normal(0, 0.05, (arms, n))
        noise = np.triu(rng.normal(0, 0.05, (arms, n, n)), 1)
        tables = 0.6 + (quality[:, :, None] + quality[:, None, :]) / 2 + noise + noise.transpose(0, 2, 1)
        judge = 0.1 * (signal + rng.normal(0, 0.7, arms)) + rng.normal(0, 0.05, (arms, n)).mean(axis=1)
        values = np.array([pseudo_values(table) for table in tables])
        agreement = values.mean(axis=1)
        alone, both = int(agreement.argmax()), best_together(agreement, judge)
        gain = values[both] - values[0]
        half = stats.t.ppf(0.975, n - 1) * gain.std(ddof=1) / np.sqrt(n)
        refused = not alike(agreement, judge)[1] <= 0.05 or (both != 0 and gain.mean() <= half)
        both = 0 if refused else both
        best = accuracy.max()
        worse = accuracy < accuracy[0] - MARGIN
        regrets = [best - accuracy[alone], best - accuracy[both], best - accuracy.mean()]
        sums += [*regrets, worse[alone], worse[both], refused]
    return tuple(sums / studies)


# --- what fools it ---------------------------------------------------------------------------------------------------


def fooling(samples: int = 1200) -> Iterator[str]:
    """Agreement, plain and corrected, of seeds that have found nothing, or something else."""
    rng = np.random.default_rng(1)
    true = np.arange(samples) % 12
    coarse = true // 3
    inputs = rng.normal(size=samples)
    labels = LabelsRecord.of(coarse[:, None], (4,))

    def told(name: str, make: Callable[[], np.ndarray]) -> str:
        fines = [make() for _ in range(5)]
        every = np.full(samples, 7, np.int8)
        records = {seed: PredictionsRecord(fine.astype(np.int8), every) for seed, fine in enumerate(fines)}
        found = agreement_of(records, dict.fromkeys(records, 12), labels)
        if found is None:
            raise RuntimeError("no agreement")
        plain = float(found.plain[np.triu_indices(5, 1)].mean())
        accuracy = np.mean([pair_agreement(fine, true, coarse, 4) for fine in fines])
        lost = np.mean([[len(set(fine[coarse == each])) == 1 for each in range(4)] for fine in fines])
        guards = [word for word, on in (("undivided", lost > 0.5), ("identical", found.identical)) if on]
        return f"{name:48} {plain:.3f} {found.mean:.3f} {accuracy:.3f} {', '.join(guards)}"

    def noisy(share: float) -> np.ndarray:
        return np.where(rng.random(samples) < share, 3 * coarse + rng.integers(0, 3, samples), true)

    outliers = coarse.copy()
    outliers[:4] = np.arange(4) + 4
    halves = 2 * coarse + (inputs > 0)
    yield "what the seeds find                              plain corrected truth(ARI) guards"
    yield told("the classes, 20 % of samples confused", lambda: noisy(0.2))
    yield told("nothing: random classes", lambda: 3 * coarse + rng.integers(0, 3, samples))
    yield told("one class for each coarse class", lambda: coarse)
    yield told("one class for all", lambda: np.zeros(samples, dtype=int))
    yield told("one class for each coarse class, and outliers", lambda: outliers)
    yield told("an attractor: halves by another property", lambda: halves)
    yield told("the same, 20 % of samples confused", lambda: np.where(rng.random(samples) < 0.2, 3 * coarse, halves))


# --- trained ---------------------------------------------------------------------------------------------------------


def base_settings(data: str, epochs: int, num_fine: int) -> dict[str, Any]:
    """A trial with the published weights, as plain settings."""
    kinds = {"digits": {"kind": "digits"}, "hierarchy": {"kind": "hierarchy", "separation": 3.5}}
    kinds["imbalanced"] = {**kinds["hierarchy"], "imbalance": 10.0}
    return {
        "data": kinds[data], "classes": {"num_fine": num_fine}, "epochs": epochs, "batch_size": 256,
        "model": {"backbone": {"kind": "mlp", "hidden": [128, 128], "norm": "batch"}, "head": {"kind": "linear"}},
        "objective": {"preset": "falcon", "pseudo_labels": {"soft_fraction": 0.3}}, "relations": {"every_steps": 5},
        "augmentation": {"kind": "noise", "std": 0.2}, "evaluation": {"every_epochs": epochs},
    }  # fmt: skip


def compared() -> Iterator[dict[str, float]]:
    """What each of the compared settings changes: weights, as in ``studies/label_free_selection.yaml``, or nothing."""
    names = ("coarse", "nn", "conf", "reg")
    weights = [
        (1.28, 1.63, 0.3, 2.2), (0.11, 0.23, 0.66, 4.5), (0.34, 0.7, 0.17, 0.5), (0.62, 0.53, 0.47, 4.6),
        (0.24, 0.17, 0.41, 0.9), (1.88, 0.32, 0.12, 2.5), (0.18, 0.14, 0.14, 5.1), (0.26, 1.69, 0.58, 2.7),
    ]  # fmt: skip
    yield {}
    for each in weights:
        yield {f"objective.lambda_{name}": value for name, value in zip(names, each, strict=True)}
    yield {"objective.lambda_reg": 0.0}


def trained(data: str, epochs: int, num_fine: int, seeds: int = 6) -> Iterator[str]:
    """Rank correlation with accuracy and regret, by number of seeds, of settings trained in this process."""
    from fgtune.config.reading.merge import patch
    from fgtune.config.schema.trial import TrialConfig
    from fgtune.data.load import load_dataset
    from fgtune.training.build import build_trainer
    from fgtune.training.prepared import prepare_split, views

    base = TrialConfig.from_plain(base_settings(data, epochs, num_fine))
    dataset = load_dataset(base.data)
    labels = LabelsRecord.of(dataset.coarse, dataset.num_coarse)
    tables, accuracy, judge, own = [], [], [], []
    for change in compared():
        config, records, metrics = TrialConfig.from_plain(patch(base.to_plain(), change, TrialConfig)), {}, []
        for seed in range(seeds):
            prepared = prepare_split(dataset, config, seed, 1)
            trainer = build_trainer(config, *views(dataset, prepared), prepared, seed)
            for _ in trainer:
                pass
            outcome = trainer.outcome()
            records[seed] = outcome.predictions
            metrics.append(outcome.metrics)
        found = agreement_of(records, dict.fromkeys(records, num_fine), labels)
        tables.append(found.corrected)
        accuracy.append(np.mean([each["test/clustering_accuracy"] for each in metrics]))
        judge.append([each["val/fixed_silhouette"] for each in metrics])
        own.append([each.get("val/silhouette", -1.0) for each in metrics])
    truth, fixed, felt = np.array(accuracy), np.array(judge), np.array(own)
    for n in range(2, seeds + 1):
        scores: dict[str, list[tuple[float, float]]] = {}
        for some in itertools.combinations(range(seeds), n):
            pairs = np.triu_indices(n, 1)
            agreement = np.array([table[np.ix_(some, some)][pairs].mean() for table in tables])
            shared, alone = fixed[:, some].mean(axis=1), felt[:, some].mean(axis=1)
            both = stats.rankdata(agreement) + stats.rankdata(shared)
            columns = {"agreement": agreement, "shared judge": shared, "both": both, "own silhouette": alone}
            for name, values in columns.items():
                regret = truth.max() - truth[values.argmax()]
                scores.setdefault(name, []).append((stats.spearmanr(values, truth).statistic, regret))
        means = {name: np.mean(each, axis=0) for name, each in scores.items()}
        cells = [f"{name} {rho:+.2f} ({regret:.3f})" for name, (rho, regret) in means.items()]
        yield f"{data}, {n} seeds: " + ", ".join(cells)
    random, default = truth.max() - truth.mean(), truth.max() - truth[0]
    yield f"{data}: regret of a random choice {random:.3f}, of the default {default:.3f}"


def main(arguments: list[str]) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--train", action="store_true", help="train settings on three data sets, too")
    options = parser.parse_args(arguments)
    print("coverage of the 95 % interval of agreement")
    print(*coverage(options.studies), sep="\n")
    print("\nwhat fools agreement")
    print(*fooling(), sep="\n")
    print("\nregret of agreement, joint, random; worse than the default by agreement, joint; share refused")
    for truth, fooled in ((1.0, 0.0), (0.5, 0.5), (0.0, 0.0), (0.0, 1.0)):
        for n in SEEDS[1:]:
            found = chosen(options.studies // 4, 13, n, truth, fooled)
            values = " ".join(f"{value:.3f}" for value in found)
            print(f"follows accuracy {truth}, attractor {fooled}, n = {n}: {values}")
    if options.train:
        print("\nrank correlation with accuracy (regret), by number of seeds")
        for data, epochs, num_fine in (("hierarchy", 30, 12), ("imbalanced", 30, 12), ("digits", 40, 10)):
            print(*trained(data, epochs, num_fine), sep="\n", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
