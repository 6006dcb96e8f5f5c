"""After the choices: the classes of all samples from the refitted model, described, compared with other runs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fgtune.analysis.discovery.classes import Described, describe_classes
from fgtune.analysis.discovery.outcome import Comparison
from fgtune.app.discovery.source import csv_text
from fgtune.app.discovery.stages import accuracies, runs_of, scores_of
from fgtune.data.base import Dataset
from fgtune.data.labels import number_classes
from fgtune.data.preparation import as_prepared
from fgtune.data.views import vectors
from fgtune.files import write_atomically
from fgtune.metrics.exemplars import Assignment, assign

if TYPE_CHECKING:
    from fgtune.analysis.discovery.classes import FineClass
    from fgtune.analysis.inputs import StudyData
    from fgtune.app.discovery.source import Source
    from fgtune.arrays import AnyArray, IntArray
    from fgtune.data.principal import PrincipalSpace
    from fgtune.exporting.folder import ModelCard
    from fgtune.reporting.discovery import Sample

CLASSES, TO_LABEL = "classes.csv", "to_label.csv"
_COARSE_METRIC = "test/coarse_accuracy"


def assign_all(model: Path, dataset: Dataset) -> tuple[Assignment, IntArray, ModelCard]:
    """First and second choice of every sample by a model, the learned parents of its classes, and its card."""
    from fgtune.exporting.folder import load_model

    loaded, card = load_model(model)
    outputs = loaded.outputs(as_prepared(dataset, loaded.embedding).inputs)
    scores = np.log(outputs.probs + 1e-38) if outputs.log_probs is None else outputs.log_probs
    return assign(scores, loaded.fine_to_coarse, dataset.coarse), loaded.fine_to_coarse[0], card


def coarse_accuracy_of(card: ModelCard) -> float:
    """Share of the samples held out whose coarse label the model predicts; nan where it was not measured."""
    return card.metrics.get(_COARSE_METRIC, math.nan)


def describe_all(
    found: Assignment,
    parents: IntArray,
    dataset: Dataset,
    source: Source,
    space: PrincipalSpace,
    data: StudyData,
    arm: str,
    seed: int,
) -> tuple[tuple[FineClass, ...], int]:
    """Every class that has samples, and the number of other runs that it was looked for in.

    Args:
        found: The assignment of all samples.
        parents: (K_F,) learned parents.
        dataset: The data.
        source: Where they come from.
        space: The space in which the middle of a class is looked for.
        data: The study that holds the other runs.
        arm: The chosen method.
        seed: Its seed that the model repeats; that run does not count as another.
    """
    runs = {each: fine for each, fine in runs_of(data, arm).items() if each != seed}
    rows = np.arange(len(dataset.inputs), dtype=np.int64)
    about = Described(
        points=space.project(vectors(dataset.inputs, rows)).astype(np.float64),
        coarse=dataset.coarse[:, 0],
        coarse_names=coarse_names_of(source, dataset),
        runs=runs,
        values=source.numbers,
        features=source.features or (),
    )
    return describe_classes(found, about, parents), len(runs)


def coarse_names_of(source: Source, dataset: Dataset) -> tuple[str, ...]:
    """Names of the coarse classes."""
    if source.coarse_names is not None:
        return source.coarse_names
    if dataset.coarse_names is not None:
        return dataset.coarse_names[0]
    return tuple(f"class {number}" for number in range(dataset.num_coarse[0]))


def write_classes(
    out: Path, found: Assignment, classes: tuple[FineClass, ...], source: Source, dataset: Dataset
) -> Path:
    """One row a sample: name, coarse label, fine class by name, confidence, second choice, number in the model."""
    import pandas as pd

    names = {each.number: each.name for each in classes}
    coarse_names = (*coarse_names_of(source, dataset), "")
    frame = pd.DataFrame(
        {
            source.id_name: np.arange(len(found.fine)) if source.ids is None else list(source.ids),
            "coarse_label": [coarse_names[label] for label in dataset.coarse[:, 0]],
            "fine_class": [names[number] for number in found.fine.tolist()],
            "confidence": found.confidence.round(4),
            "second_choice": [names.get(number, "") for number in found.second.tolist()],
            "model_class": found.fine,
        }
    )
    path = out / CLASSES
    write_atomically(path, frame.to_csv(index=False).encode())
    return path


def compare(source: Source, column: str, found: Assignment, data: StudyData) -> Comparison:
    """How the classes agree with fine labels that nothing else has read."""
    fine, names = number_classes(list(source.fine or ()))
    accuracy, ari = scores_of(found.fine, fine)
    return Comparison(column, accuracy, ari, len(names), int((fine >= 0).sum()), dict(accuracies(data, fine)))


def samples_of(
    found: Assignment, classes: tuple[FineClass, ...], source: Source, dataset: Dataset
) -> dict[int, Sample]:
    """What the page shows of every sample that a class names."""
    from fgtune.reporting.discovery import Sample

    names = {each.number: each.name for each in classes}
    rows = sorted({row for each in classes for row in (each.medoid, *each.confident, *each.doubtful)})
    pixels = len(source.shape) == 3 and source.shape[0] in (1, 3)
    return {
        row: Sample(
            name=str(row) if source.ids is None else source.ids[row],
            confidence=float(found.confidence[row]),
            second=names.get(int(found.second[row]), ""),
            picture=_picture(dataset, row) if pixels else None,
        )
        for row in rows
    }


def _picture(dataset: Dataset, row: int) -> AnyArray:
    """(channels, height, width) in [0, 1]."""
    pixels: AnyArray = np.asarray(dataset.inputs[np.array([row])])[0]
    found: AnyArray = pixels / 255 if pixels.dtype == np.uint8 else pixels
    return found


def write_to_label(out: Path, classes: tuple[FineClass, ...], source: Source, dataset: Dataset) -> Path:
    """A few samples of each class with an empty column, for a person to fill in."""
    lines = []
    coarse_names = (*coarse_names_of(source, dataset), "")
    for each in classes:
        rows = dict.fromkeys([each.medoid, *each.confident[:2], *each.doubtful[:2]])
        for row in rows:
            name = str(row) if source.ids is None else source.ids[row]
            lines.append((name, coarse_names[dataset.coarse[row, 0]], each.name, ""))
    path = out / TO_LABEL
    write_atomically(path, csv_text((source.id_name, "coarse_label", "fine_class", "your_label"), lines))
    return path
