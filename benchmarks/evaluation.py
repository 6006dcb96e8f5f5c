"""What evaluating a trial adds to its training, and what building a trial costs once its data are prepared.

    OMP_NUM_THREADS=1 python benchmarks/evaluation.py --rounds 3

CPU time of one process with one thread, on digits. Each objective is trained with the default number of evaluations and
with one after every epoch, in turns; `share` is the time in the evaluation divided by all the rest of the training,
the median of the rounds with their least and largest.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch

from fgtune.config.schema.trial import TrialConfig
from fgtune.data.load import load_dataset
from fgtune.training.build import build_trainer
from fgtune.training.prepared import prepare_split, views
from fgtune.training.trainer import Trainer

GOAL_SHARE, GOAL_BUILD_S = 0.05, 0.1
PRESETS = ("falcon", "base")
CADENCES: dict[str, int | None] = {"default": None, "every epoch": 1}


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="trainings of each, in turns (default: 3)")
    parser.add_argument("--epochs", type=int, default=100)
    arguments = parser.parse_args()
    if min(arguments.rounds, arguments.epochs) < 1:
        parser.error("--rounds and --epochs must be >= 1")
    return arguments


def trial_config(preset: str, every: int | None, epochs: int) -> TrialConfig:
    """A trial on digits."""
    plain: dict[str, Any] = {
        "data": {"kind": "digits"},
        "model": {"backbone": {"kind": "mlp", "hidden": [128, 128]}},
        "classes": {"num_fine": 10},
        "objective": {"preset": preset},
        "augmentation": {"kind": "noise", "std": 0.2},
        "epochs": epochs,
    }
    if every is not None:
        plain["evaluation"] = {"every_epochs": every}
    return TrialConfig.from_plain(plain)


def timed(function: Callable[..., Any], seconds: list[float]) -> Callable[..., Any]:
    """``function``, whose CPU seconds are appended."""

    def run(*arguments: Any, **named: Any) -> Any:
        before = time.process_time()
        try:
            return function(*arguments, **named)
        finally:
            seconds.append(time.process_time() - before)

    return run


def measure(config: TrialConfig, seed: int) -> tuple[float, float]:
    """Share of the evaluation, and seconds of building the trial."""
    dataset = load_dataset(config.data)
    prepared = prepare_split(dataset, config, seed, threads=1)
    before = time.process_time()
    trainer = build_trainer(config, *views(dataset, prepared), prepared, seed)
    built = time.process_time() - before
    spent: list[float] = []
    trainer._evaluate = timed(Trainer._evaluate.__get__(trainer), spent)  # type: ignore[method-assign]
    before = time.process_time()
    for _ in trainer:
        pass
    whole = time.process_time() - before
    return sum(spent) / (whole - sum(spent)), built


def main() -> None:
    """Print a row for each objective and number of evaluations."""
    arguments = parse_arguments()
    torch.set_num_threads(1)
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for seed in range(arguments.rounds):
        for preset in PRESETS:
            for cadence, every in CADENCES.items():
                config = trial_config(preset, every, arguments.epochs)
                found.setdefault((preset, cadence), []).append(measure(config, seed))
    print(f"goals: share {GOAL_SHARE:.0%} by default, building {GOAL_BUILD_S} s")
    print(f"{'objective':12}{'evaluated':14}{'share':>8}{'least':>8}{'most':>8}{'building, s':>14}")
    for (preset, cadence), rows in found.items():
        shares, built = zip(*rows, strict=True)
        print(
            f"{preset:12}{cadence:14}{median(shares):>8.1%}{min(shares):>8.1%}{max(shares):>8.1%}{median(built):>14.3f}"
        )


if __name__ == "__main__":
    main()
