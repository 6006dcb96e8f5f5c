"""A study of many short cells: fgtune against plain Ray Tune with a function for a trial, in turns.

    OMP_NUM_THREADS=1 python benchmarks/sweep.py --cells 60 --epochs 100 --rounds 3

Both train FALCON on digits with the same network, epochs, batches and solver, one core a trial, every sample in every
part. The rival is what one writes without fgtune: a function that trains the loop of the released code with samples as
slices, with the data in Ray's object store, and reports its loss after every epoch and its accuracy at the end. fgtune
does what it always does: splits, ledger, curves, relations, predictions, statistics and the report; only MLflow is left
out. Prints seconds of the clock and of all processes, from the start of Ray to the end of Ray.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import psutil

LOOK_S = 0.2
RIVAL, OURS = "plain Ray Tune", "fgtune"
STUDY = """\
study: sweep
question: What does a study of many short cells take?
design: {{kind: sensitivity, factors: {{objective.lambda_reg: [1.0, 2.0]}}}}
seeds: {seeds}
metrics: {{primary: test/clustering_accuracy}}
trial:
  data: {{kind: digits, split: {{transductive: true}}}}
  model: {{backbone: {{kind: mlp, hidden: [128, 128]}}}}
  classes: {{num_fine_ratio: 1.0}}
  neighbors: {{targets: {targets}}}
  relations: {{every_steps: 5}}
  augmentation: {{kind: noise, std: 0.2}}
  epochs: {epochs}
  evaluation: {{splits: [test]}}
execution: {{cpus: 1}}
"""


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=60, help="an even number (default: 60)")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--targets", choices=["forward", "memory"], default="memory", help="of fgtune")
    parser.add_argument("--rival", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.cells < 2 or arguments.cells % 2 or min(arguments.epochs, arguments.rounds) < 1:
        parser.error("--cells must be even and >= 2, --epochs and --rounds >= 1")
    return arguments


def train(config: dict, inputs, coarse, fine, neighbors, epochs: int) -> None:
    """One trial of the rival."""
    import torch
    from falcon_loops import Problem, ReleasedLoop
    from ray import tune

    from fgtune.config.schema.model import MlpConfig, ModelConfig
    from fgtune.metrics.clustering import clustering_accuracy_from_counts, contingency

    torch.set_num_threads(1)
    model = ModelConfig(backbone=MlpConfig(hidden=(128, 128)))
    settings = {"epochs": epochs, "every_steps": 5, "noise": 0.2, "seed": config["seed"]}
    loop = ReleasedLoop(Problem(inputs.copy(), coarse.copy(), neighbors.copy(), 10, 2, model, **settings), False)
    for epoch in range(epochs):
        loop.train_epoch()
        accuracy = 0.0
        if epoch == epochs - 1:
            accuracy = clustering_accuracy_from_counts(contingency(loop.predict(), fine, 10, 10))
        tune.report({"epoch": epoch + 1, "accuracy": accuracy})


def run_rival(cells: int, epochs: int) -> None:
    """All trials of the rival, in this process."""
    import ray
    from ray import tune

    from fgtune.config.schema.trial import TrialConfig
    from fgtune.data.load import load_dataset
    from fgtune.training.prepared import prepare_split, views

    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    config = TrialConfig.from_plain(
        {"data": {"kind": "digits", "split": {"transductive": True}}, "classes": {"num_fine": 10}}
    )
    dataset = load_dataset(config.data)
    view = views(dataset, prepare_split(dataset, config, 0, threads=1))[0]
    rows = view.train
    data = {"inputs": view.inputs[rows], "coarse": view.train_coarse[:, 0], "fine": dataset.fine[rows]}
    shared = tune.with_parameters(train, **data, neighbors=view.neighbors, epochs=epochs)
    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            tune.with_resources(shared, {"cpu": 1}),
            param_space={"seed": tune.grid_search(list(range(cells)))},
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        )
        found = [result.metrics["accuracy"] for result in tuner.fit()]
    ray.shutdown()
    print(f"accuracy {sum(found) / len(found):.3f} over {len(found)} trials")


def seconds_of(command: list[str]) -> tuple[float, float, str]:
    """Seconds of the clock, of all processes that a command started, as last seen, and its last line."""
    started, seen = time.perf_counter(), dict[tuple[int, float], float]()
    process = psutil.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    while process.poll() is None:
        with contextlib.suppress(psutil.Error):
            for each in (process, *process.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    times = each.cpu_times()
                    seen[each.pid, each.create_time()] = times.user + times.system
        time.sleep(LOOK_S)
    took = time.perf_counter() - started
    lines = process.stdout.read().strip().splitlines()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}: {lines[-1:]}")
    return took, sum(seen.values()), (lines or [""])[-1]


def main() -> None:
    """Print a line a round, and the medians."""
    arguments = parse_arguments()
    if arguments.rival:
        run_rival(arguments.cells, arguments.epochs)
        return
    found: dict[str, list[tuple[float, float]]] = {RIVAL: [], OURS: []}
    for turn in range(arguments.rounds):
        with tempfile.TemporaryDirectory() as folder:
            study = Path(folder, "sweep.yaml")
            settings = {"seeds": arguments.cells // 2, "epochs": arguments.epochs, "targets": arguments.targets}
            study.write_text(STUDY.format(**settings), encoding="utf-8")
            ours = [sys.executable, "-m", "fgtune.run", str(study), "--out", folder, "--tracking-uri", "none"]
            sizes = ["--cells", str(arguments.cells), "--epochs", str(arguments.epochs)]
            commands = {RIVAL: [sys.executable, __file__, "--rival", *sizes], OURS: ours}
            for name, command in commands.items():
                wall, cpu, line = seconds_of(command)
                found[name].append((wall, cpu))
                print(f"round {turn + 1}, {name:15} {wall:7.1f} s, CPU {cpu:7.1f} s   {line}", flush=True)
    pairs = list(zip(found[RIVAL], found[OURS], strict=True))
    wall, cpu = (median(rival[part] / ours[part] for rival, ours in pairs) for part in (0, 1))
    print(f"fgtune takes 1/{wall:.2f} of the time and 1/{cpu:.2f} of the CPU time of {RIVAL}")


if __name__ == "__main__":
    main()
