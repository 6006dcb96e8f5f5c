"""What cheap clusterings reach on the inputs as they are, with the coarse label used wherever it is known.

    OMP_NUM_THREADS=1 python benchmarks/baselines.py --seeds 5

Prints three tables of mean clustering accuracy over seeds, one row a clustering and one column a data set: where all
samples are clustered (transductive), and where a fifth of them is held out, with its coarse label (within) and without.
Within coarse classes, a transductive clustering has the same accuracy with and without the label. The best of each
column is bold. A seed changes restarts and split, and for made data the samples as well. Trials run in this process,
through fgtune's own trainer, with the true number of fine classes. ``--arms FALCON`` gives FALCON with the settings of
the example studies, which takes minutes.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from typing import Any

import numpy as np

from fgtune.config.schema.trial import TrialConfig
from fgtune.data.load import load_dataset
from fgtune.training.build import build_trainer
from fgtune.training.prepared import prepare_split, views

HIERARCHY = {"kind": "hierarchy", "separation": 3.5}
DATASETS: dict[str, dict[str, Any]] = {
    "digits 0-4, 5-9": {"kind": "digits"},
    "digits 0-6, 7-9": {"kind": "digits", "coarse_groups": [[0, 1, 2, 3, 4, 5, 6], [7, 8, 9]]},
    "digits 0-2, 3-5, 6-9": {"kind": "digits", "coarse_groups": [[0, 1, 2], [3, 4, 5], [6, 7, 8, 9]]},
    "hierarchy 3 + 3 + 3 + 3": HIERARCHY,
    "hierarchy 1 + 2 + 4 + 8": {**HIERARCHY, "fine_per_coarse": [1, 2, 4, 8]},
    "hierarchy, imbalance 10": {**HIERARCHY, "imbalance": 10.0},
    "single cells": {"kind": "single_cell"},
}
"""Data by the name in the table; the last needs the extra ``singlecell``."""

BY_VARIANCE = {"sizes": "variance"}
CLUSTERINGS: dict[str, dict[str, Any]] = {
    "k-means, all samples": {"scope": "global"},
    "k-means": {},
    "k-means, PCA": {"pca": 0.9},
    "mixture, full": {"kind": "gmm"},
    "mixture, full, PCA": {"kind": "gmm", "pca": 0.9},
    "mixture, tied": {"kind": "gmm", "covariance": "tied"},
    "mixture, diagonal": {"kind": "gmm", "covariance": "diag"},
    "spectral": {"kind": "spectral"},
    "Ward": {"kind": "agglomerative"},
    "Ward, PCA": {"kind": "agglomerative", "pca": 0.9},
    "mean linkage": {"kind": "agglomerative", "linkage": "average"},
    "k-means, sizes by variance": BY_VARIANCE,
    "mixture, full, sizes by variance": {"kind": "gmm", **BY_VARIANCE},
    "mixture, full, PCA, sizes by variance": {"kind": "gmm", "pca": 0.9, **BY_VARIANCE},
    "spectral, sizes by variance": {"kind": "spectral", **BY_VARIANCE},
    "Ward, sizes by variance": {"kind": "agglomerative", **BY_VARIANCE},
}
"""By the name in the tables: within coarse classes but for the first, PCA with 90 % of the variance."""

FULL_COVARIANCE = tuple(name for name in CLUSTERINGS if name.startswith(("mixture, full", "mixture, tied")))
"""Left out on the 765 genes of single cells, where a covariance has 293 thousand entries for a few dozen cells."""

UNTRAINED = {"objective": {"preset": "untrained"}, "model": {"backbone": {"kind": "identity"}}, "epochs": 1}
FALCON = {
    "model": {"backbone": {"kind": "mlp", "hidden": [128, 128], "norm": "batch"}},
    "relations": {"every_steps": 5},
    "augmentation": {"kind": "noise", "std": 0.2},
    "epochs": 100,
}


def values(data: dict[str, Any], settings: dict[str, Any], seed: int, transductive: bool) -> tuple[float, float]:
    """Accuracy on the test split without and with the coarse label of its samples, in one trial."""
    drawn = {**data, "split": {"transductive": transductive}}
    if data["kind"] == "hierarchy":
        drawn["data_seed"] = seed
    dataset = load_dataset(TrialConfig.from_plain({"data": drawn, "classes": {"num_fine": 1}}).data)
    plain = {"evaluation": {"every_epochs": 1000, "splits": ["test"]}, **settings}
    config = TrialConfig.from_plain({"data": drawn, "classes": {"num_fine": dataset.num_fine}, **plain})
    prepared = prepare_split(dataset, config, seed, threads=1)
    trainer = build_trainer(config, *views(dataset, prepared), prepared, seed)
    for _ in trainer:
        pass
    metrics = trainer.outcome().metrics
    return metrics["test/clustering_accuracy"], metrics["test/within_coarse_accuracy"]


TABLES = ("transductive", "held out, within coarse classes", "held out, without the label")


def measure(data: dict[str, Any], settings: dict[str, Any], seeds: int) -> list[np.ndarray]:
    """The accuracies of all seeds, for each table."""
    within = [values(data, settings, seed, True)[1] for seed in range(seeds)]
    held_out = np.array([values(data, settings, seed, False) for seed in range(seeds)])
    return [np.array(within), held_out[:, 1], held_out[:, 0]]


def print_table(title: str, found: dict[str, dict[str, np.ndarray]]) -> None:
    """One table; ``found`` has the accuracies of each arm and data set."""
    datasets = list(dict.fromkeys(data for row in found.values() for data in row))
    best = {data: max(row[data].mean() for row in found.values() if data in row) for data in datasets}
    print(f"\n{title}\n\n| clustering | {' | '.join(datasets)} |\n|---{'|---' * len(datasets)}|")
    for name, row in found.items():
        means = [row[data].mean() if data in row else None for data in datasets]
        shown = [
            "–" if mean is None else f"**{mean:.3f}**" if mean == best[data] else f"{mean:.3f}"
            for mean, data in zip(means, datasets, strict=True)
        ]
        print(f"| {name} | {' | '.join(shown)} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="+", default=[""], help="data sets whose name begins so")
    parser.add_argument("--arms", nargs="+", default=list(CLUSTERINGS), metavar="NAME")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message="Number of distinct clusters")
    arms = {name: {**UNTRAINED, "clustering": settings} for name, settings in CLUSTERINGS.items()} | {"FALCON": FALCON}
    datasets = {name: data for name, data in DATASETS.items() if name.startswith(tuple(arguments.only))}
    found: list[dict[str, dict[str, np.ndarray]]] = [{name: {} for name in arguments.arms} for _ in TABLES]
    for data_name, data in datasets.items():
        for name in arguments.arms:
            started = time.perf_counter()
            if data["kind"] == "single_cell" and name in FULL_COVARIANCE:
                continue
            for table, accuracies in zip(found, measure(data, arms[name], arguments.seeds), strict=True):
                table[name][data_name] = accuracies
            seconds = time.perf_counter() - started
            shown = [f"{table[name][data_name].mean():.3f}" for table in found]
            spread = f"sd {found[0][name][data_name].std(ddof=1):.3f}"
            print(data_name, name, *shown, spread, f"{seconds:.0f} s", sep=" / ", file=sys.stderr, flush=True)
    for title, table in zip(TABLES, found, strict=True):
        print_table(title, table)


if __name__ == "__main__":
    main()
