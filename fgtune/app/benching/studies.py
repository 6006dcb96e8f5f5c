"""The studies of a benchmark: one a data set, and a further one for methods that are added to it later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fgtune.analysis.bench.columns import ALSO, PRIMARY
from fgtune.config.reading.source import parse_yaml
from fgtune.config.reading.writing import yaml_text
from fgtune.data.benchmark import BenchmarkSet
from fgtune.files import read_text, write_atomically

SMOKE_SUFFIX = "-smoke"
_FEW = 2000
"""Data sets with fewer samples have smaller batches."""


def trial_of(data: Mapping[str, Any], samples: int) -> dict[str, Any]:
    """The trial that all methods share on a data set: one network, one training, the true number of fine classes."""
    return {
        "data": dict(data),
        "model": {"backbone": {"kind": "mlp", "hidden": [128, 128], "norm": "batch"}},
        "classes": {"num_fine_ratio": 1.0},
        "relations": {"every_steps": 5},
        "augmentation": {"kind": "noise", "std": 0.2},
        "optimizer": {"kind": "sgd", "lr": 0.1},
        "epochs": 60,
        "batch_size": 256 if samples >= _FEW else 64,
        "evaluation": {"every_epochs": 20, "splits": ["test"]},
    }


def study_text(
    name: str, of: BenchmarkSet, trial: Mapping[str, Any], methods: Mapping[str, Mapping[str, Any]], seeds: int
) -> str:
    """The study file of a data set."""
    arms = [{"name": method, "set": dict(settings)} for method, settings in methods.items()]
    plain = {
        "study": name,
        "question": f"Which method finds the fine classes of {of.name} best: {of.fine}, from {of.coarse}?",
        "source": of.citation,
        "design": {"kind": "comparison", "baseline": next(iter(methods)), "arms": arms},
        "seeds": seeds,
        "metrics": {"primary": PRIMARY, "also": list(ALSO)},
        "trial": dict(trial),
        "execution": {"cpus": 1, "gpus": 0, "max_failures": 1},
    }
    return yaml_text(plain, "Written by `fgtune bench`, which this file belongs to.")


def studies_of(out: Path, name: str) -> list[Path]:
    """The study files of a data set in a benchmark's folder: ``NAME.yaml``, ``NAME-2.yaml`` and so on."""
    numbers = [1]
    while (out / _file(name, numbers[-1])).is_file():
        numbers.append(numbers[-1] + 1)
    return [out / _file(name, number) for number in numbers[:-1]]


def next_study(out: Path, name: str) -> Path:
    """The file of a further study of a data set."""
    return out / _file(name, len(studies_of(out, name)) + 1)


def methods_in(files: Sequence[Path]) -> set[str]:
    """The methods that these studies have."""
    return {str(arm["name"]) for file in files for arm in _plain(file)["design"]["arms"]}


def seeds_in(file: Path) -> int:
    """The number of seeds that a study asks for."""
    return int(_plain(file)["seeds"])


def folder_of(file: Path, *, smoke: bool) -> Path:
    """The study folder of a study file."""
    return file.with_name(file.stem + SMOKE_SUFFIX * smoke)


def write_study(file: Path, text: str) -> None:
    """Write a study file."""
    write_atomically(file, text.encode())


def _plain(file: Path) -> Any:
    return parse_yaml(read_text(file), str(file)).data


def _file(name: str, number: int) -> str:
    return f"{name}.yaml" if number == 1 else f"{name}-{number}.yaml"
