"""A small search to be run for real, how any study of a test is run, and what is looked at afterwards."""

from __future__ import annotations

import contextlib
import io
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
from rich.console import Console

from fgtune.engine.run import execute
from fgtune.results.folder import StudyFolder
from fgtune.results.options import RunOptions

METRIC = "val/silhouette"
STUDY = {
    "study": "small",
    "question": "Which weights are best on an easy hierarchy?",
    "design": {
        "kind": "search",
        "metric": METRIC,
        "trials": 4,
        "sampler": {"kind": "tpe", "startup_trials": 2},
        "space": {
            "parameters": {
                "objective.lambda_nn": {"kind": "log_uniform", "low": 0.1, "high": 2.0},
                "objective.lambda_reg": {"kind": "quantized", "low": 0.0, "high": 4.0, "step": 1.0},
            }
        },
    },
    "seeds": 1,
    "metrics": {"primary": "test/clustering_accuracy", "also": []},
    "trial": {
        "data": {"kind": "hierarchy", "num_samples": 300, "num_coarse": 2, "fine_per_coarse": 3, "dim": 6},
        "model": {"backbone": {"kind": "mlp", "hidden": [16]}},
        "classes": {"num_fine": 6},
        "relations": {"every_steps": 3},
        "epochs": 8,
        "batch_size": 64,
    },
    "execution": {"checkpoint_every_epochs": 1},
}

ONE_WORKER = STUDY["execution"] | {"max_concurrent": 1}
"""One trial at a time: starting a second worker takes longer than all cells of a small search."""


def made(folder: Path, tracking: str = "none", study: Mapping[str, Any] = STUDY, **changes: Any) -> RunOptions:
    """Options for a study, changed at its top level, and in its design; its file and reports lie in the folder."""
    design = study["design"] | changes.pop("design", {})
    path = folder / f"{study['study']}.yaml"
    path.write_text(json.dumps({**study, "design": design, **changes}, indent=1))
    return RunOptions(path, out=folder / "reports", tracking_uri=tracking)


def run(options: RunOptions) -> tuple[int, str]:
    """Run a study; returns the exit code and what was printed."""
    out = io.StringIO()
    return execute(options, Console(file=out, width=500)), out.getvalue()


def folder_of(options: RunOptions) -> StudyFolder:
    """The folder of a study that ``made`` wrote."""
    return StudyFolder(options.out / options.study.stem)


def mirrored(folder):
    """Trials that optuna-dashboard would show: arm and state."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.load_study(study_name="small", storage=f"sqlite:///{folder.optuna_file}")
    return [(trial.user_attrs["arm"], trial.state.name) for trial in study.get_trials()]


def moments(count: int, rng: random.Random) -> Iterator[tuple[float, str | Callable[[Path], bool]]]:
    """When a driver is killed, as ``kill_driver`` takes it: some seconds after its start, and after trials went on.

    On a machine that is busy the former come while the driver starts. Each is made when it is asked for.
    """
    for number in range(count):
        if number % 2:
            yield rng.uniform(0.0, 5.0), _trained_since(time.time())
        else:
            yield rng.uniform(5.0, 14.0), "*/plan.csv"


def _trained_since(moment: float) -> Callable[[Path], bool]:
    """Whether a trial has written a checkpoint since a moment."""

    def has_trained(out: Path) -> bool:
        for path in out.rglob("checkpoints/*"):
            with contextlib.suppress(FileNotFoundError):  # of a trial that has just ended
                if path.stat().st_mtime > moment:
                    return True
        return False

    return has_trained
