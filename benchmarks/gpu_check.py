"""What training on a graphics card has to hold and what it reaches, in minutes on one card.

    python benchmarks/gpu_check.py                 # on a card
    python benchmarks/gpu_check.py --miniature     # the same code on a CPU, in miniature

Needs what ``fgtune.training`` imports and nothing else: neither Ray nor MLflow nor Optuna. Checks that a cell reaches
the metrics of the CPU within a tolerance, that it repeats itself bit for bit and through a checkpoint, and that bf16
learns as much; counts what makes the host wait for the card; and times ResNet-18 on 45,000 images of 32 pixels: the
loop of the released code, and fgtune, also with channels-last, bf16, a compiled backbone and CUDA graphs, with the
memory that each takes and the share of the time in which the card computes. Then seeds of one cell train side by side
in processes on the one card. Prints a table, and fails where a check does; times fail nothing. Further checks are the
tests of ``pytest -m gpu``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import multiprocessing
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from falcon_loops import Loop, PlainLoop, ReleasedLoop
from step import fgtune_trainer, made, trial_config

from fgtune.config.schema.trial import TrialConfig
from fgtune.data.base import Dataset
from fgtune.data.load import load_dataset
from fgtune.training.prepared import prepare_split
from fgtune.training.step_graph import Recorder

CELL = {
    "model": {"backbone": {"kind": "mlp", "hidden": [128, 128]}},
    "classes": {"num_fine": 10},
    "relations": {"every_steps": 5},
    "augmentation": {"kind": "noise", "std": 0.2},
}
PRIMARY, TOLERANCE = "test/clustering_accuracy", 0.05
FORWARD_FLOPS = 1.11e9
"""Of ResNet-18 with its CIFAR stem, for one image of 32 pixels."""
PASSES = {"forward": 9.0, "memory": 4.0}
"""Forward passes a sample that a step is worth: the student's counts thrice, since it goes back as well."""
PARTS = ("numbers", "steps", "small", "stacking")
FAST = {"model": {"channels_last": True}, "precision": "bf16"}
FORMS: dict[str, dict[str, Any]] = {
    "forward": {"neighbors": {"targets": "forward"}},
    "forward, graph": {"neighbors": {"targets": "forward"}, "cuda_graph": True},
    "memory": {},
    "memory, graph": {"cuda_graph": True},
    "memory, channels_last": {"model": {"channels_last": True}},
    "memory, bf16": {"precision": "bf16"},
    "memory, channels_last and bf16": FAST,
    "memory, channels_last and bf16, graph": {**FAST, "cuda_graph": True},
    "memory, colour jitter": {"augmentation": {"kind": "imagenet_strong_weak", "size": 32}},
    "memory, colour jitter, graph": {"augmentation": {"kind": "imagenet_strong_weak", "size": 32}, "cuda_graph": True},
    "memory, compiled": {"model": {"compile": True}},
    "memory, compiled, channels_last and bf16": {**FAST, "model": {"compile": True, "channels_last": True}},
    "memory, compiled, channels_last and bf16, graph": {
        **FAST,
        "model": {"compile": True, "channels_last": True},
        "cuda_graph": True,
    },
}
"""Settings of ResNet-18 whose steps are timed."""


class Way(NamedTuple):
    """How cells that share a card are run: their settings, variables of the process, torch's strict mode."""

    settings: dict[str, Any]
    environment: dict[str, str]
    deterministic: bool


_GRAPH, _CUBLAS = {"cuda_graph": True}, {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
WAYS = {
    "": Way({}, {}, deterministic=False),
    ", graph": Way(_GRAPH, {}, deterministic=False),
    ", graph, fixed workspaces": Way(_GRAPH, _CUBLAS, deterministic=False),
    ", graph, deterministic algorithms": Way(_GRAPH, _CUBLAS, deterministic=True),
}
"""Ways among which cells beside each other are compared with cells alone; on a CPU the first."""
PROFILED = ("memory", "memory, graph", "memory, channels_last and bf16", "memory, channels_last and bf16, graph")


class Report:
    """Lines of the table, and what failed."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.began = time.perf_counter()

    def add(self, what: str, value: str, ok: bool | None = None) -> None:
        """Print a line; ``ok`` is None for what only informs."""
        self.lines.append({"what": what, "value": value, "ok": ok})
        mark = {True: "ok", False: "FAILED", None: ""}[ok]
        print(f"{time.perf_counter() - self.began:6.1f} s  {what:46} {value:40} {mark}", flush=True)

    @property
    def failed(self) -> list[str]:
        """What has failed."""
        return [line["what"] for line in self.lines if line["ok"] is False]


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--miniature", action="store_true", help="tiny sizes, on the CPU")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="only these (default: all)")
    parser.add_argument("--out", type=Path, help="file for the table as JSON")
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=[*FORMS], help="of ResNet-18 (default: all)")
    arguments = parser.parse_args()
    if not arguments.miniature and not torch.cuda.is_available():
        parser.error("torch sees no card; --miniature runs the same code on the CPU")
    return arguments


def digits() -> Dataset:
    """The digits of scikit-learn."""
    plain = {"data": {"kind": "digits", "split": {"transductive": True}}, "classes": {"num_fine": 10}}
    return load_dataset(TrialConfig.from_plain(plain).data)


def trained(dataset: Dataset, device: str, epochs: int, seed: int = 0, **settings: Any) -> tuple[Any, dict[str, float]]:
    """A trainer at its end, and its last metrics."""
    trainer = fgtune_trainer(dataset, {**CELL, "epochs": epochs, "device": device, **settings}, seed)
    *_, last = trainer
    return trainer, dict(last.metrics)


def same_weights(one: Any, other: Any) -> bool:
    """Whether two trainers have the same weights, bit for bit."""
    pairs = zip(one.networks.model.parameters(), other.networks.model.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


class Outcome(NamedTuple):
    """What a cell in a process has come to: accuracy and a digest of the weights, and when it began and ended."""

    accuracy: float
    weights: str
    began: float
    ended: float


_start: threading.Barrier | None = None


def _ready(deterministic: bool, start: threading.Barrier) -> None:
    """Prepare a process whose cell begins when all that run beside it can."""
    global _start
    _start = start
    torch.use_deterministic_algorithms(deterministic)


def _outcome(arguments: tuple[str, int, int, dict[str, Any]]) -> Outcome:
    """Train one seed of the digits in a process."""
    device, epochs, seed, settings = arguments
    torch.set_num_threads(1)
    dataset = digits()
    if _start is not None:
        _start.wait()
    began = time.time()
    trainer, metrics = trained(dataset, device, epochs, seed, **settings)
    ended = time.time()
    digest = hashlib.sha256()
    for parameter in trainer.networks.model.parameters():
        digest.update(parameter.detach().cpu().numpy().tobytes())
    return Outcome(metrics[PRIMARY], digest.hexdigest(), began, ended)


def check_numbers(report: Report, device: str, epochs: int, seeds: int) -> None:
    """Metrics, which differ by the device's draws of views and neighbours, determinism, a checkpoint in between."""
    kinds = {"CPU": ("cpu", "fp32"), device: (device, "fp32"), "bf16": (device, "bf16")}
    cells = [(on, epochs, seed, {"precision": form}) for on, form in kinds.values() for seed in range(seeds)]
    with multiprocessing.get_context("spawn").Pool(min(seeds, os.cpu_count() or 1)) as pool:
        outcomes = pool.map(_outcome, cells, chunksize=1)
    found = np.reshape([outcome.accuracy for outcome in outcomes], (len(kinds), seeds))
    for name, values in zip(kinds, found, strict=True):
        off = values - found[0]
        error = off.std(ddof=1) / math.sqrt(seeds) if seeds > 1 else math.nan
        shown = f"{values.mean():.3f}, difference {off.mean():+.3f}, standard error {error:.3f}, {seeds} seeds"
        report.add(f"accuracy on digits, {name}", shown, None if name == "CPU" else abs(off.mean()) <= TOLERANCE)
    dataset = digits()
    one, first = trained(dataset, device, epochs)
    other, second = trained(dataset, device, epochs)
    report.add(
        "a cell repeats itself, bit for bit", "weights and metrics", first == second and same_weights(one, other)
    )
    cut = fgtune_trainer(dataset, {**CELL, "epochs": epochs, "device": device})
    next(cut)
    again = fgtune_trainer(dataset, {**CELL, "epochs": epochs, "device": device})
    again.load_state_dict(cut.state_dict())
    for _ in again:
        pass
    report.add("so does one that was cut off after an epoch", "weights", same_weights(one, again))


def waits_of(step: Callable[[], object], device: str, steps: int) -> float:
    """How often a step makes the host wait for the device."""
    if device == "cpu":
        with Recorder() as recorded:
            for _ in range(steps):
                step()
        return len(recorded.waits) / steps
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(steps):
                step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(each.message) for each in caught) / steps


def fgtune_step(trainer: Any, batch: int) -> Callable[[], object]:
    """One step of a trainer after another, on rows in order; relations are solved elsewhere, by request alone."""
    trainer.networks.start_epoch(2)
    device = trainer.compute.device
    streams = {name: torch.Generator(device).manual_seed(1) for name in ("x0", "x1", "draw", "term")}
    rows = torch.arange(batch, device=device)
    return lambda: trainer._train_step(rows, 2, streams)


def seconds_of(step: Callable[[], object], device: str, steps: int) -> float:
    """Seconds a step, after those that make a graph: of the clock on a card, of the CPU without one."""
    for _ in range(1 if device == "cpu" else 4):
        step()
    clock = time.process_time if device == "cpu" else time.perf_counter
    if device != "cpu":
        torch.cuda.synchronize()
    started = clock()
    for _ in range(steps):
        step()
    if device != "cpu":
        torch.cuda.synchronize()
    return (clock() - started) / steps


def peak_flops(device: str, dtype: torch.dtype, size: int) -> float:
    """Floating-point operations a second of the product of two matrices: what the device reaches at best."""
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    return 2 * size**3 / seconds_of(lambda: left @ right, device, 10)


def released_step(loop: Loop) -> Callable[[], object]:
    """One step of a rival loop after another: its epochs in turn."""
    if isinstance(loop, PlainLoop):
        loop.epoch = 1
        rows = torch.arange(loop.problem.batch_size, device=loop.device)
        return lambda: loop.train_step(rows)
    return loop.train_epoch


def peaks_of(report: Report, device: str) -> dict[str, float]:
    """``peak_flops`` by precision; convolutions in fp32 use TF32 on a card, torch's default, and products do not."""
    size = 256 if device == "cpu" else 8192
    bf16 = peak_flops(device, torch.bfloat16, size)
    was = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    fp32 = peak_flops(device, torch.float32, size)
    torch.backends.cuda.matmul.allow_tf32 = was
    report.add("product of two matrices, TF32 and bf16", f"{fp32 / 1e12:.3g} and {bf16 / 1e12:.3g} TFLOP/s")
    return {"fp32": fp32, "bf16": bf16}


def profiled(step: Callable[[], object], steps: int) -> tuple[float, float, list[tuple[str, float]]]:
    """On a card: the share of the time in which it computes, kernels a step, and the longest with their ms a step."""
    step()
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as recorded:
        started = time.perf_counter()
        for _ in range(steps):
            step()
        torch.cuda.synchronize()
        took = time.perf_counter() - started
    kernels = [event for event in recorded.key_averages() if event.self_device_time_total > 0]
    busy = sum(event.self_device_time_total for event in kernels) / 1e6
    longest = sorted(kernels, key=lambda event: -event.self_device_time_total)[:2]
    each = [(event.key, event.self_device_time_total / 1000 / steps) for event in longest]
    return busy / took, sum(event.count for event in kernels) / steps, each


def add_profile(report: Report, name: str, step: Callable[[], object]) -> None:
    """Lines on what the card does in a step."""
    share, kernels, longest = profiled(step, 10)
    report.add(f"  card computes, {name}", f"{share:.0%} of the time, {kernels:.0f} kernels a step")
    for kernel, milliseconds in longest:
        report.add(f"    {milliseconds:.3f} ms a step", kernel[:100])


def check_small_steps(report: Report, device: str, steps: int) -> None:
    """A step of a small network, where the calls take longer than the numbers."""
    dataset, _, settings = made("mlp", 20, 100, 20, 256)
    runs = {"cpu": {"device": "cpu"}, device: {"device": device}}
    if device != "cpu":
        runs[f"{device}, graph"] = {"device": device, "cuda_graph": True}
    for name, changes in runs.items():
        trial = {**settings, "relations": {"every_steps": 10**9}, **changes}
        step = fgtune_step(fgtune_trainer(dataset, trial), 256)
        seconds = seconds_of(step, trial["device"], steps)
        report.add(f"MLP 784-128-128, memory, on {name}", f"{1000 * seconds:.2f} ms a step")
        if trial["device"] != "cpu":
            add_profile(report, f"MLP, {name}", step)
    epochs = 8
    for name, changes in {"": {}, ", graph": {"cuda_graph": True}}.items():
        if device != "cpu" or not changes:
            trainer = fgtune_trainer(digits(), {**CELL, **changes, "device": device, "epochs": epochs})
            times = [trainer.train_epoch(epoch + 1) and time.perf_counter() for epoch in range(epochs)]
            found = ", ".join(f"{1000 * (after - before):.0f}" for before, after in pairwise(times))
            report.add(f"digits, MLP, epochs{name}", f"{found} ms")


def check_steps(report: Report, device: str, images: int, batch: int, steps: int, forms: Sequence[str]) -> None:
    """Waits, memory, and seconds a step of ResNet-18 in every form."""
    dataset, problem, settings = made("resnet18", -(-images // batch), 100, 20, batch)
    # The released loop may end in NaN, and its solves are timed elsewhere.
    problem = replace(problem, device=device, lr=0.01, every_steps=10**9)
    peaks = peaks_of(report, device)
    small = replace(problem, inputs=problem.inputs[: steps * batch], coarse=problem.coarse[: steps * batch])
    small = replace(small, neighbors=np.minimum(problem.neighbors[: steps * batch], steps * batch - 1))
    whole = -(-len(small.inputs) // batch)
    base = seconds_of(released_step(ReleasedLoop(small, one_by_one=False)), device, 1) / whole
    report.add("released loop, batched", f"{1000 * base:.1f} ms a step, {batch / base:.0f} images/s")
    single = seconds_of(released_step(ReleasedLoop(small, one_by_one=True)), device, 1) / whole
    report.add("released loop, one by one", f"{1000 * single:.1f} ms a step, {batch / single:.0f} images/s")
    plain = seconds_of(released_step(PlainLoop(problem)), device, steps)
    report.add("plain torch, 2N", f"{1000 * plain:.1f} ms a step, {batch / plain:.0f} images/s")
    prepared = prepare_split(dataset, trial_config(settings), 0, threads=os.cpu_count() or 1)
    for name in forms:
        changes = FORMS[name]
        if device == "cpu" and ("compiled" in name or "graph" in name):
            continue
        model = {**settings["model"], **changes.get("model", {})}
        trial = {**settings, **changes, "model": model, "device": device}
        if device != "cpu":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        trainer = fgtune_trainer(dataset, {**trial, "relations": {"every_steps": 10**9}}, prepared=prepared)
        step = fgtune_step(trainer, batch)
        seconds = seconds_of(step, device, steps)
        passes = PASSES[name.partition(",")[0]]
        share = FORWARD_FLOPS * passes * batch / seconds / peaks["bf16" if "bf16" in name else "fp32"]
        shown = f"{1000 * seconds:.1f} ms a step, {batch / seconds:.0f} images/s, {share:.0%} of peak"
        if device != "cpu":
            shown += f", {torch.cuda.max_memory_reserved() / 2**30:.1f} GiB"
        report.add(f"fgtune, {name}", f"{shown}, {base / seconds:.2f}x")
        if "compiled" not in name:
            waits = waits_of(step, device, 3)
            picks = device == "cpu" and "jitter" in name  # which a CPU has less work with
            report.add(f"  waits of the host, {name}", f"{waits:.2f} a step", None if picks else waits == 0)
        if device != "cpu" and name in PROFILED:
            add_profile(report, name, step)


@contextmanager
def variables(changes: Mapping[str, str]) -> Iterator[None]:
    """Variables of the environment for as long as this lasts; those that were set before come back."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def side_by_side(cells: Sequence[tuple[str, int, int, dict[str, Any]]], processes: int, way: Way) -> list[Outcome]:
    """Train cells, so many at a time, each as the only one of its process, so that none has another's history.

    Those of a time begin together, when all their processes have started.
    """
    context, found = multiprocessing.get_context("spawn"), []
    for first in range(0, len(cells), processes):
        some = cells[first : first + processes]
        start = context.Barrier(len(some), timeout=300)
        with variables(way.environment), context.Pool(len(some), _ready, (way.deterministic, start)) as pool:
            found += pool.map(_outcome, some, chunksize=1)  # who waits for the others takes no second cell
    return found


def busy_seconds(outcomes: Sequence[Outcome], processes: int) -> float:
    """Seconds in which cells trained, so many at a time, without the start of processes."""
    times = [outcomes[first : first + processes] for first in range(0, len(outcomes), processes)]
    return math.fsum(max(each.ended for each in some) - min(each.began for each in some) for some in times)


def check_stacking(report: Report, device: str, epochs: int, together: Sequence[int]) -> None:
    """Seeds of one cell side by side on one card, in processes, against one after the other: rates, and the bits.

    Every cell has a process of its own, also alone, and those alone run twice: what differs between them is no matter
    of the cells beside them.
    """
    for form, way in {"": WAYS[""]}.items() if device == "cpu" else WAYS.items():
        cells = [(device, epochs, seed, way.settings) for seed in range(max(together))]
        alone = side_by_side(cells, 1, way)

        def compare(what: str, others: Sequence[Outcome], alone: Sequence[Outcome] = alone, form: str = form) -> None:
            same = sum(one[:2] == other[:2] for one, other in zip(alone, others, strict=True))
            shown = f"{same} of {len(alone)} have the weights that they have alone, bit for bit"
            report.add(f"  {what}{form}", shown, None if form else same == len(alone))  # with graphs seen not to

        compare("alone once more", side_by_side(cells, 1, way))
        for number in together:
            found = side_by_side(cells, number, way)
            mean = np.mean([outcome.accuracy for outcome in found])
            rate = busy_seconds(alone, 1) / max(1e-9, busy_seconds(found, number))
            report.add(
                f"{number} seeds on one device, in processes{form}",
                f"{rate:.2f}x cells an hour, mean accuracy {mean:.3f}",
            )
            compare(f"{number} beside each other", found)


def main() -> int:
    """Run all checks."""
    arguments = parse_arguments()
    device, report = "cpu" if arguments.miniature else "cuda", Report()
    torch.set_num_threads(1)
    named = "CPU, in miniature" if device == "cpu" else torch.cuda.get_device_name()
    report.add("device", f"{named}, torch {torch.__version__}")
    small, parts = arguments.miniature, arguments.parts
    if "numbers" in parts:
        check_numbers(report, device, epochs=3 if small else 60, seeds=2 if small else 10)
    if "small" in parts:
        check_small_steps(report, device, 3 if small else 100)
    if "stacking" in parts:
        check_stacking(report, device, epochs=3 if small else 150, together=(2,) if small else (4, 8))
    if "steps" in parts:
        sizes = {"images": 400, "batch": 8, "steps": 2} if small else {"images": 45000, "batch": 256, "steps": 30}
        check_steps(report, device, **sizes, forms=arguments.forms)
    heavy = sorted({"ray", "mlflow", "optuna"} & sys.modules.keys())
    report.add("imports beyond those of fgtune.training", ", ".join(heavy) or "none", not heavy)
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(report.lines, indent=1), encoding="utf-8")
    if report.failed:
        print(f"FAILED: {', '.join(report.failed)}")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
