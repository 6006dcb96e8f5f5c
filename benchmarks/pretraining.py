"""What pretraining inside fgtune is worth: FALCON from random weights against FALCON from a pretrained backbone.

    OMP_NUM_THREADS=1 python benchmarks/pretraining.py --seeds 3 --only digits --arms none scarf

Prints a row a data set and arm: clustering accuracy of the test samples, the same where the coarse label restricts the
answer, the share of test samples whose nearest training sample in the features has their fine class before the trial
trains (1-NN), each as mean and standard deviation over seeds, and seconds of pretraining and of the trial. A seed is a
block: split, initial weights, data order and, for made data, the samples. Single process, no Ray. ``photographs`` need
the pictures that come with scikit-image (``pip install --no-deps scikit-image``).
"""

from __future__ import annotations

import argparse
import json
import time
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from fgtune.config.reading.merge import patch
from fgtune.config.schema.trial import TrialConfig
from fgtune.data.base import Dataset, TrainingView
from fgtune.data.load import load_dataset
from fgtune.neighbors import find_neighbors
from fgtune.training.build import build_trainer
from fgtune.training.prepared import prepare_split, views
from fgtune.training.threads import trial_threads
from fgtune.training.trainer import Trainer

BASE: dict[str, Any] = {
    "classes": {"num_fine": 10},
    "objective": {"preset": "falcon"},
    "relations": {"every_steps": 5},
    "optimizer": {"kind": "sgd", "lr": 0.1},
    "evaluation": {"every_epochs": 1000, "splits": ["test"]},
}
MLP = {"model": {"backbone": {"kind": "mlp"}}, "augmentation": {"kind": "noise", "std": 0.2}, "epochs": 60}
CELLS = {
    "model": {"backbone": {"kind": "mlp", "hidden": [64, 64]}},
    "augmentation": {"kind": "noise", "std": 1.0},
    "epochs": 60,
    "batch_size": 128,
}
CNN = {"model": {"backbone": {"kind": "small_cnn", "channels": [16, 32]}}, "epochs": 40, "batch_size": 64}
PATCHES = {
    "kind": "patches",
    "nested": True,
    "num_big": 4,
    "num_small": 16,
    "canvas": 16,
    "big_size": 7,
    "small_size": 4,
}
DATASETS: dict[str, dict[str, Any]] = {
    "digits 5/5": {"data": {"kind": "digits"}} | MLP,
    "digits 3/3/4": {"data": {"kind": "digits", "coarse_groups": [[0, 4, 6], [1, 7, 8], [2, 3, 5, 9]]}} | MLP,
    "hierarchy": {"data": {"kind": "hierarchy"}} | MLP | {"augmentation": {"kind": "noise", "std": 1.0}},
    "hierarchy, imbalance 10": {"data": {"kind": "hierarchy", "imbalance": 10.0}}
    | MLP
    | {"augmentation": {"kind": "noise", "std": 1.0}},
    "single cells": {"data": {"kind": "single_cell", "split": {"transductive": True}}} | CELLS,
    "patches, nested": {"data": PATCHES} | CNN,
    "digit images 5/5": {"data": {"kind": "arrays"}, "groups": [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]} | CNN,
    "digit images 3/3/4": {"data": {"kind": "arrays"}, "groups": [[0, 4, 6], [1, 7, 8], [2, 3, 5, 9]]} | CNN,
    "photographs": {"data": {"kind": "arrays"}, "classes": {"num_fine": 15}} | CNN,
}
"""Trials by the name in the table, over ``BASE``."""
NO_COLOUR = {"jitter": 0.0, "gray_p": 0.0}  # where the colour is the class
IMAGES: dict[str, dict[str, Any]] = {
    "photographs": {},
    "patches, nested": NO_COLOUR,
    "digit images 5/5": {"flip_p": 0.0},
    "digit images 3/3/4": {"flip_p": 0.0},
}
"""What these images need of SimSiam's views, known from what their classes are."""
PHOTOGRAPHS = {
    "surfaces": ("brick.png", "grass.png", "gravel.png"),
    "sky": ("hubble_deep_field.jpg", "moon.png", "rocket.jpg"),
    "bodies": ("ihc.png", "retina.jpg", "cell.png"),
    "scenes": ("astronaut.png", "chelsea.png", "coffee.png"),
    "outside": ("china.jpg", "flower.jpg", "motorcycle_left.png"),
}
"""Pictures of scikit-image and scikit-learn by coarse class; each is a fine class, whose samples are its tiles."""
TILE, TILES = 32, 120
"""Pixels of a side of a tile, and tiles of a picture, none of which overlap."""
ARMS: dict[str, dict[str, Any] | None] = {
    "none": None,
    "scarf": {"kind": "scarf"},
    "scarf + coarse": {"kind": "scarf", "coarse": 1.0},
    "denoising": {"kind": "denoising"},
    "denoising + coarse": {"kind": "denoising", "coarse": 1.0},
    "simsiam": {"kind": "simsiam"},
    "simsiam + coarse": {"kind": "simsiam", "coarse": 1.0},
}
"""Settings of ``model.pretrain`` by the name in the table."""
INITIAL = ", its neighbours"
"""Ends the name of an arm whose trial finds neighbours in the pretrained features instead of the raw inputs."""
ARMS |= {f"{name}{INITIAL}": pretrain for name, pretrain in list(ARMS.items()) if pretrain is not None}


def config_of(name: str, arm: str, changes: dict[str, Any], folder: Path) -> TrialConfig:
    """The trial of a data set; digit images are written to a file first."""
    trial, pretrain = dict(DATASETS[name]), ARMS[arm]
    groups = trial.pop("groups", None)
    if name == "photographs":
        trial["data"] = {"kind": "arrays", "path": str(photographs(folder / "photographs.npz"))}
    if groups is not None:
        trial["data"] = {"kind": "arrays", "path": str(digit_images(groups, folder / f"{name.replace('/', '-')}.npz"))}
    if pretrain is not None:
        pretrain = pretrain | IMAGES.get(name, {}) | changes
    features = "initial" if arm.endswith(INITIAL) else "inputs"
    made = {"model.pretrain": pretrain, "neighbors.features": features}
    return TrialConfig.from_plain(patch(BASE | trial, made, TrialConfig))


def digit_images(groups: list[list[int]], path: Path) -> Path:
    """scikit-learn's digits as images (1, 8, 8) with the group of each digit as its coarse class."""
    from sklearn.datasets import load_digits

    if not path.exists():
        images, digit = load_digits(return_X_y=True)
        coarse = np.array([next(rank for rank, group in enumerate(groups) if each in group) for each in digit])
        np.savez(path, inputs=(images / 16).astype(np.float32).reshape(-1, 1, 8, 8), coarse=coarse, fine=digit)
    return path


def photographs(path: Path) -> Path:
    """Tiles (3, TILE, TILE) of photographs, drawn without looking at them; grey ones have three equal channels."""
    from PIL import Image

    if not path.exists():
        packages = {"skimage": "data", "sklearn": "datasets/images"}
        specs = {name: find_spec(name) for name in packages}
        places = [
            Path(spec.origin).parent / packages[name]
            for name, spec in specs.items()
            if spec is not None and spec.origin
        ]
        if len(places) < len(packages):
            raise SystemExit("photographs need the pictures of scikit-image: pip install --no-deps scikit-image")
        path.parent.mkdir(parents=True, exist_ok=True)
        rng, tiles, coarse, fine = np.random.default_rng(0), [], [], []
        for group, names in enumerate(PHOTOGRAPHS.values()):
            for name in names:
                with Image.open(next(place / name for place in places if (place / name).exists())) as picture:
                    pixels = np.asarray(picture.convert("RGB"), dtype=np.float32) / 255
                rows, columns = (side // TILE for side in pixels.shape[:2])
                grid = pixels[: rows * TILE, : columns * TILE].reshape(rows, TILE, columns, TILE, 3)
                every = grid.transpose(0, 2, 4, 1, 3).reshape(-1, 3, TILE, TILE)
                tiles.append(every[np.sort(rng.permutation(len(every))[:TILES])])
                coarse += [group] * len(tiles[-1])
                fine += [len(tiles) - 1] * len(tiles[-1])
        np.savez(path, inputs=np.concatenate(tiles), coarse=np.array(coarse), fine=np.array(fine))
    return path


def one_nn(trainer: Trainer, training: TrainingView, dataset: Dataset) -> float:
    """Share of test samples whose nearest other sample in the features (training and test) has their fine class."""
    test = trainer.evaluator.rows("test")
    both = np.union1d(training.train, test)
    near = find_neighbors(trainer.networks.predict(trainer.networks.model, both).features, None, 1, 1)[:, 0]
    if dataset.fine is None:
        raise ValueError("the data need fine labels to judge features by")
    fine = dataset.fine[both]
    return float((fine[near] == fine)[np.isin(both, test)].mean())


def measure(config: TrialConfig, seed: int) -> dict[str, float]:
    """The numbers of a cell."""
    dataset = load_dataset(config.data)
    config = TrialConfig.from_plain(patch(config.to_plain(), {"classes.num_fine": dataset.num_fine}, TrialConfig))
    prepared = prepare_split(dataset, config, seed, threads=1)
    training, evaluation = views(dataset, prepared)
    started = time.perf_counter()
    trainer = build_trainer(config, training, evaluation, prepared, seed)
    built = time.perf_counter()
    found = {"1-NN": one_nn(trainer, training, dataset)}
    for _ in trainer:
        pass
    metrics = trainer.outcome().metrics
    found |= {"accuracy": metrics["test/clustering_accuracy"], "within coarse": metrics["test/within_coarse_accuracy"]}
    return found | {"pretraining": built - started, "trial": time.perf_counter() - built}


def seeded(config: TrialConfig, seed: int) -> TrialConfig:
    """The trial on made data of another seed."""
    if config.data.kind not in {"hierarchy", "patches"}:
        return config
    return TrialConfig.from_plain(patch(config.to_plain(), {"data.data_seed": seed}, TrialConfig))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--only", nargs="+", default=[""], help="data sets whose name begins so")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings of every pretraining")
    parser.add_argument("--photographs", type=Path, help="write the tiles of photographs to this file, and do no more")
    arguments = parser.parse_args()
    if arguments.photographs is not None:
        print(photographs(arguments.photographs))
        return
    changes = {name: json.loads(value) for name, _, value in (entry.partition("=") for entry in arguments.set)}
    print("| data | pretraining | accuracy | within coarse | 1-NN before | s pretraining | s trial |")
    print("|---|---|---|---|---|---|---|")
    with TemporaryDirectory() as folder, trial_threads(1):
        for name in DATASETS:
            if not name.startswith(tuple(arguments.only)):
                continue
            if name == "photographs" and arguments.only == [""] and find_spec("skimage") is None:
                print("| photographs | left out: pip install --no-deps scikit-image |", flush=True)
                continue
            for arm in arguments.arms:
                if arm != "none" and (arm.startswith("simsiam") != (name in IMAGES)):
                    continue
                config = config_of(name, arm, changes, Path(folder))
                seeds = range(arguments.first, arguments.first + arguments.seeds)
                cells = [measure(seeded(config, seed), seed) for seed in seeds]
                columns = [np.array([cell[key] for cell in cells]) for key in ("accuracy", "within coarse", "1-NN")]
                shown = [f"{each.mean():.3f} ± {each.std(ddof=len(each) > 1):.3f}" for each in columns]
                times = [f"{np.mean([cell[key] for cell in cells]):.1f}" for key in ("pretraining", "trial")]
                print(f"| {name} | {arm} | {' | '.join([*shown, *times])} |", flush=True)


if __name__ == "__main__":
    main()
