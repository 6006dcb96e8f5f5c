"""How well each estimator of K_F does without fine labels: estimates and errors against the true number.

    OMP_NUM_THREADS=1 python benchmarks/kf_estimation.py --seeds 3 --estimators silhouette pruning stability

Prints one row a data set and estimator: the true number, the estimates for each seed, the mean error in classes and in
per cent, and seconds an estimate. A seed changes the split, and for made data the samples as well. ``--set`` changes
settings of the estimator, as in ``--set pca_variance=0.9``. ``--study`` takes the data sets of a study file in place of
the ones here.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from fgtune.config.reading.load import load_study
from fgtune.config.schema.trial import TrialConfig
from fgtune.data.load import load_dataset
from fgtune.training.estimation.estimators import ESTIMATORS, estimate_num_fine
from fgtune.training.prepared import prepare_split, views

DATASETS: dict[str, dict[str, Any]] = {
    "digits": {"kind": "digits"},
    "digits 7 + 3": {"kind": "digits", "coarse_groups": [[0, 1, 2, 3, 4, 5, 6], [7, 8, 9]]},
    "digits 3 + 3 + 4": {"kind": "digits", "coarse_groups": [[0, 1, 2], [3, 4, 5], [6, 7, 8, 9]]},
    "single cells": {"kind": "single_cell"},
    "hierarchy": {"kind": "hierarchy"},
    "hierarchy, separation 2": {"kind": "hierarchy", "separation": 2.0},
    "hierarchy, separation 6": {"kind": "hierarchy", "separation": 6.0},
    "hierarchy, 64 dimensions": {"kind": "hierarchy", "dim": 64},
    "hierarchy, imbalance 10": {"kind": "hierarchy", "imbalance": 10.0},
    "hierarchy, 1 + 2 + 4 + 8 classes": {"kind": "hierarchy", "fine_per_coarse": [1, 2, 4, 8]},
    "hierarchy, 1 class each": {"kind": "hierarchy", "fine_per_coarse": 1},
    "hierarchy, coarse noise 20 %": {"kind": "hierarchy", "coarse_noise": 0.2},
    "patches, nested, 64": {"kind": "patches", "nested": True, "num_small": 64},
    "patches, nested, 128": {"kind": "patches", "nested": True},
    "patches, nested, 256": {"kind": "patches", "nested": True, "num_small": 256},
}
"""Data by the name in the table."""


def measure(data: dict[str, Any], kind: str, settings: dict[str, Any], seeds: int) -> tuple[int, list[int], float]:
    """True K_F, the estimate for each seed, and mean seconds an estimate."""
    estimates, seconds, truth = [], 0.0, 0
    for seed in range(seeds):
        drawn = data | {"data_seed": seed} if data["kind"] in {"hierarchy", "patches"} else data
        classes = {"num_fine": "estimate", "estimator": {"kind": kind, **settings}}
        config = TrialConfig.from_plain({"data": drawn, "classes": classes})
        dataset = load_dataset(config.data)
        view = views(dataset, prepare_split(dataset, config, seed, threads=1))[0]
        estimator = config.classes.estimator
        if estimator is None or dataset.num_fine is None:
            raise ValueError("the data need fine labels to judge an estimate by")
        truth = dataset.num_fine
        started = time.perf_counter()
        estimates.append(estimate_num_fine(estimator, view, seed))
        seconds += time.perf_counter() - started
    return truth, estimates, seconds / seeds


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--estimators", nargs="+", choices=list(ESTIMATORS), default=list(ESTIMATORS))
    parser.add_argument("--only", nargs="+", default=[""], help="data sets whose name begins so")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings of the estimators")
    parser.add_argument("--study", type=Path, help="a study file")
    arguments = parser.parse_args()
    settings = {name: json.loads(value) for name, _, value in (entry.partition("=") for entry in arguments.set)}
    print("| data | K_F* | estimator | estimates | mean error | per cent | seconds |\n|---|---|---|---|---|---|---|")
    sets = DATASETS
    if arguments.study is not None:
        study = load_study(arguments.study).study
        found = getattr(study.design, "datasets", {}) or {study.study: study.trial.data}
        sets = {name: config.to_plain() for name, config in found.items()}
    for name, data in sets.items():
        if not name.startswith(tuple(arguments.only)):
            continue
        for kind in arguments.estimators:
            truth, estimates, seconds = measure(data, kind, settings, arguments.seeds)
            error = float(np.mean(estimates)) - truth
            shown = ", ".join(map(str, estimates))
            row = (
                f"| {name} | {truth} | `{kind}` | {shown} | {error:+.1f} | {100 * error / truth:+.0f} | {seconds:.1f} |"
            )
            print(row, flush=True)


if __name__ == "__main__":
    main()
