"""What a training step of FALCON costs: fgtune's, that of the released code, and the least that plain torch needs.

    OMP_NUM_THREADS=1 python benchmarks/step.py --net mlp small_cnn resnet18 --rounds 9

CPU time of one process with one thread. The loops take turns, an epoch of ``--steps`` steps each, so that a machine
that is busy slows all of them; ratios are taken within a turn, and their median is printed with the middle half. One
more epoch of each is counted by torch's profiler: calls of operators, and those of them that make the host wait for
the device. ``--accuracy`` trains the loops on digits instead, so that a faster one is seen to learn as much.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Mapping
from statistics import median, quantiles
from typing import Any

import numpy as np
import torch
from falcon_loops import DRAWN, PlainLoop, Problem, ReleasedLoop
from torch.profiler import ProfilerActivity, profile

from fgtune.config.schema.trial import TrialConfig
from fgtune.data.base import Dataset
from fgtune.metrics.clustering import clustering_accuracy_from_counts, contingency
from fgtune.training.build import build_trainer
from fgtune.training.prepared import PreparedSplit, prepare_split, views
from fgtune.training.trainer import Trainer

WAITS = ("aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero", "aten::masked_select", "aten::unique_dim")
NETS: dict[str, tuple[tuple[int, ...], dict[str, Any], int, int]] = {
    "mlp": ((784,), {"kind": "mlp", "hidden": [128, 128]}, 256, 20),
    "small_cnn": ((3, 32, 32), {"kind": "small_cnn"}, 256, 5),
    "resnet18": ((3, 32, 32), {"kind": "resnet18", "stem": "cifar"}, 32, 2),
}
"""Shape of a sample, backbone, samples a batch, steps a turn."""
FLOOR = "plain torch, 2N"
RELEASED = "released loop, batched"


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", nargs="+", choices=sorted(NETS), default=["mlp"])
    parser.add_argument("--rounds", type=int, default=9, help="turns of every loop (default: 9)")
    parser.add_argument("--classes", type=int, nargs=2, default=(100, 20), metavar=("K_F", "K_C"))
    parser.add_argument("--steps", type=int, help="steps a turn (default: by network)")
    parser.add_argument("--accuracy", action="store_true", help="accuracies on digits in place of times")
    parser.add_argument("--seeds", type=int, default=5, help="of --accuracy (default: 5)")
    parser.add_argument("--profile", action="store_true", help="print the operators that take longest")
    arguments = parser.parse_args()
    if min(arguments.rounds, arguments.seeds, arguments.steps or 1) < 1:
        parser.error("--rounds, --steps and --seeds must be >= 1")
    return arguments


def trial_config(settings: Mapping[str, Any]) -> TrialConfig:
    """Of a trial that is evaluated after its last epoch only."""
    plain = {"evaluation": {"every_epochs": 10**6, "splits": ["test"]}, **settings}
    return TrialConfig.from_plain({"data": {"kind": "digits", "split": {"transductive": True}}, **plain})


def fgtune_trainer(
    dataset: Dataset, settings: Mapping[str, Any], seed: int = 0, prepared: PreparedSplit | None = None
) -> Trainer:
    """A trainer that evaluates after its last epoch only; ``prepared`` where trials share splits and neighbours."""
    config = trial_config(settings)
    prepared = prepared or prepare_split(dataset, config, seed, threads=1)
    return build_trainer(config, *views(dataset, prepared), prepared, seed)


def made(
    net: str, steps: int, num_fine: int, num_coarse: int, batch: int | None = None
) -> tuple[Dataset, Problem, dict[str, Any]]:
    """Random samples of the size that a network takes, and the settings of a trial on them."""
    shape, backbone, usual, _ = NETS[net]
    batch = batch or usual
    rng = np.random.default_rng(0)
    fine = np.arange(batch * steps) % num_fine
    if len(fine) < num_fine * 4:  # a few hundred, so that every coarse class has neighbours
        fine = np.arange(num_fine * 4) % num_fine
    centers = rng.normal(size=(num_fine, *shape))
    inputs = (0.5 * centers[fine] + rng.normal(size=(len(fine), *shape))).astype(np.float32)
    coarse = fine * num_coarse // num_fine
    dataset = Dataset(
        name="made",
        inputs=inputs,
        coarse=coarse[:, None],
        num_coarse=(num_coarse,),
        fine=fine,
        num_fine=num_fine,
    )
    settings = {
        "model": {"backbone": backbone},
        "classes": {"num_fine": num_fine},
        "relations": {"every_steps": 20},
        "epochs": 10**6,
        "batch_size": batch,
    }
    near = np.stack([rng.choice(np.flatnonzero(coarse == own), 20) for own in coarse])
    model = TrialConfig.from_plain({"data": {"kind": "digits"}, **settings}).model
    problem = Problem(inputs, coarse, near, num_fine, num_coarse, model, batch_size=batch, epochs=10**6)
    return dataset, problem, settings


def loops_of(dataset: Dataset, problem: Problem, settings: dict[str, Any]) -> dict[str, Callable[[], object]]:
    """By name, what trains one epoch of each loop."""
    forward, memory = (
        fgtune_trainer(dataset, {**settings, "neighbors": {"targets": targets}}) for targets in ("forward", "memory")
    )
    return {
        "released loop, one by one": ReleasedLoop(problem, one_by_one=True).train_epoch,
        RELEASED: ReleasedLoop(problem, one_by_one=False).train_epoch,
        "fgtune, targets: forward": forward.__next__,
        "fgtune, targets: memory": memory.__next__,
        FLOOR: PlainLoop(problem).train_epoch,
    }


def timed(loops: Mapping[str, Callable[[], object]], rounds: int, steps: int) -> dict[str, list[float]]:
    """Milliseconds of CPU a step of each loop, turn by turn; a first epoch of each is not counted."""
    found: dict[str, list[float]] = {name: [] for name in loops}
    for turn in range(rounds + 1):
        for name, epoch in loops.items():
            started = time.process_time()
            epoch()
            if turn:
                found[name].append(1000 * (time.process_time() - started) / steps)
    return found


def counted(epoch: Callable[[], object], steps: int, show: bool) -> tuple[float, float, str]:
    """Calls of operators a step, calls that make the host wait, and the names of the latter."""
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        epoch()
    events = recorded.key_averages()
    if show:
        print(events.table(sort_by="self_cpu_time_total", row_limit=25, max_name_column_width=40))
    calls = {event.key: event.count for event in events if event.key.startswith("aten::")}
    waits = {name: calls[name] for name in WAITS if calls.get(name)}
    names = ", ".join(f"{name.removeprefix('aten::')} {count / steps:.2g}" for name, count in waits.items())
    return sum(calls.values()) / steps, sum(waits.values()) / steps, names


def spread(values: list[float]) -> str:
    """Median with the middle half."""
    low, middle, high = quantiles(values, n=4) if len(values) > 1 else values * 3
    return f"{middle:8.2f} ({low:.2f} to {high:.2f})"


def print_times(net: str, arguments: argparse.Namespace) -> None:
    """The table of one network."""
    dataset, problem, settings = made(net, arguments.steps or NETS[net][3], *arguments.classes)
    steps = problem.steps
    loops = loops_of(dataset, problem, settings)
    found = timed(loops, arguments.rounds, steps)
    classes = f"{problem.num_fine} fine and {problem.num_coarse} coarse classes"
    print(f"\n{net}, {problem.batch_size} samples a batch, {classes}")
    print(f"{'loop':28} {'CPU ms a step':>26} {'x floor':>8} {'x released':>11} {'calls':>6} {'waits':>6}")
    for name, epoch in loops.items():
        ratios = (median(a / b for a, b in zip(found[name], found[other], strict=True)) for other in (FLOOR, RELEASED))
        to_floor, to_released = ratios
        calls, waits, names = counted(epoch, steps, arguments.profile)
        row = f"{name:28} {spread(found[name]):>26} {to_floor:8.2f} {to_released:11.2f} {calls:6.0f} {waits:6.2f}"
        print(f"{row}  {names}", flush=True)


def print_accuracies(seeds: int, epochs: int = 100) -> None:
    """Clustering accuracy of each loop on digits, every sample in every part."""
    from fgtune.data.load import load_dataset

    settings = {
        "model": {"backbone": {"kind": "mlp", "hidden": [128, 128]}},
        "classes": {"num_fine": 10},
        "relations": {"every_steps": 5},
        "augmentation": {"kind": "noise", "std": 0.2},
        "epochs": epochs,
        "batch_size": 256,
    }
    config = TrialConfig.from_plain({"data": {"kind": "digits", "split": {"transductive": True}}, **settings})
    dataset = load_dataset(config.data)
    found: dict[str, list[float]] = {}
    for seed in range(seeds):
        for targets in ("forward", "memory"):
            trainer = fgtune_trainer(dataset, {**settings, "neighbors": {"targets": targets}}, seed)
            *_, last = trainer
            found.setdefault(f"fgtune, targets: {targets}", []).append(last.metrics["test/clustering_accuracy"])
        prepared = prepare_split(dataset, config, seed, threads=1)
        view = views(dataset, prepared)[0]
        problem = Problem(
            np.asarray(view.inputs[view.train]),
            view.train_coarse[:, 0],
            np.asarray(view.neighbors),
            10,
            view.num_coarse[0],
            config.model,
            epochs=epochs,
            every_steps=5,
            noise=0.2,
            seed=seed,
        )
        for name, loop in (
            (RELEASED, ReleasedLoop(problem, one_by_one=False)),
            (FLOOR, PlainLoop(problem)),
        ):
            for _ in range(epochs):
                loop.train_epoch()
            counts = contingency(loop.predict(), dataset.fine[view.train], 10, 10)
            found.setdefault(name, []).append(clustering_accuracy_from_counts(counts))
    print(f"{'loop':28} accuracy on digits after {epochs} epochs, mean and sd of {seeds} seeds")
    for name, values in found.items():
        deviation = np.std(values, ddof=1) if seeds > 1 else float("nan")
        print(f"{name:28} {np.mean(values):.3f} {deviation:.3f}  {' '.join(f'{value:.3f}' for value in values)}")


def main() -> None:
    """Print the tables."""
    arguments = parse_arguments()
    torch.set_num_threads(1)
    assert TrialConfig.from_plain({"data": {"kind": "digits"}, "classes": {"num_fine": 2}}).neighbors.sampled == DRAWN
    if os.environ.get("OMP_NUM_THREADS") != "1":
        print("note: OMP_NUM_THREADS is not 1; the solver and the neighbour search may use several cores")
    if arguments.accuracy:
        print_accuracies(arguments.seeds)
        return
    for net in arguments.net:
        print_times(net, arguments)


if __name__ == "__main__":
    main()
