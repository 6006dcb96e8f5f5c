"""Training a cell once more to keep its model, and checking that it may be written."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fgtune.catalog.terms import trains_fine_head
from fgtune.config.schema.clustering import ScanClusteringConfig
from fgtune.config.schema.trial import TrialConfig
from fgtune.data.base import Dataset, Splits
from fgtune.data.preparation import Fitted, InputScale, as_prepared, fitted_scale
from fgtune.data.splits import split_dataset
from fgtune.data.terms import TermCounts, TextEmbedding
from fgtune.errors import ConfigError
from fgtune.exporting.folder import CARD, check_files, label_table, read_card
from fgtune.exporting.trained_model import FineModel, empty_network, facts_of
from fgtune.results.storage import Storage
from fgtune.training.build import build_trainer
from fgtune.training.prepared import prepare_split, views
from fgtune.training.threads import trial_threads

if TYPE_CHECKING:
    import pandas as pd

    from fgtune.results.records import EpochMetrics
    from fgtune.training.trainer import Trainer


def check_writable(path: Path) -> None:
    """Raise unless a file or folder can be created at ``path``; nothing is created.

    Raises:
        ConfigError: The nearest existing ancestor is not a folder or not writable.
    """
    nearest = next(folder for folder in (path.absolute().parent, *path.absolute().parents) if folder.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        rule = f"cannot be written: {nearest} is no folder that you may write to"
        raise ConfigError(rule, where=str(path), fix="choose another place with --out")


def check_target(target: Path, key: tuple[object, ...], *, force: bool = False, replace_other: bool = False) -> bool:
    """Whether the folder already holds exactly this model, which is to stay; raise if it may not be written.

    Args:
        target: The folder.
        key: ``ModelCard.key`` of the model that is wanted.
        force: Any model may be replaced, and is.
        replace_other: A model that is another one or damaged may be replaced.

    Raises:
        ConfigError: It cannot be written, holds a model that may not be replaced, or holds anything but a model.
    """
    if not target.name:
        fix = "use --out models/best, say"
        raise ConfigError("must name a folder of its own", where="--out", value=str(target), fix=fix)
    check_writable(target)
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return False
    if not (target / CARD).is_file():
        raise ConfigError("is there already and holds no model", where=str(target), fix="choose another with --out")
    try:
        card = read_card(target)
        check_files(target, card)
    except ConfigError:
        card = None
    if card is not None and card.key == key:
        return not force
    if force or replace_other:
        return False
    what = "a damaged model" if card is None else f"another model ({card.arm}, seed {card.seed}, fgtune {card.fgtune})"
    raise ConfigError(f"holds {what}", where=str(target), fix="replace it with --force, or choose another with --out")


PROGRESS_EVERY_S = 2.0


@dataclass(frozen=True)
class Trained:
    """The result of training.

    Attributes:
        model: Ready to predict.
        splits: The samples that were trained on (``train``) and held out (``test``).
        metrics: After the last epoch; without ``val/...`` if validation samples were trained on.
        seconds: Trainer seconds.
    """

    model: FineModel
    splits: Splits
    metrics: dict[str, float]
    seconds: float


def train_on_all(
    config: TrialConfig,
    dataset: Dataset,
    seed: int,
    threads: int,
    report: Callable[[str], None],
    encoders: Storage | None = None,
) -> Trained:
    """Train on the training and validation samples of the seed's split; test samples are only evaluated on.

    Args:
        config: Resolved trial config.
        dataset: Its data.
        seed: Seed of split, initial weights and data order.
        threads: Threads of torch and of the neighbour search, as in the study.
        report: Called with one line of progress at a time.
        encoders: Where pretrained backbones are kept; None keeps none.

    Raises:
        ConfigError: The arm has a network for every coarse class.
        DataError: The split leaves a part empty.
        TrialError: Training failed.
    """
    if isinstance(config.clustering, ScanClusteringConfig) and not trains_fine_head(config.objective.to_plain()):
        rule = "makes a network for every coarse class, and one model can be kept"
        fix = "choose an arm of preset scan_distilled, which learns what they say"
        raise ConfigError(rule, path="trial.clustering.kind", value="scan", fix=fix)
    splits = all_training_splits(split_dataset(dataset, config.data.split, config.streams.seeds(seed).split))
    report(f"training on {len(splits.train):,} of {len(dataset.inputs):,} samples, {config.epochs} epochs")
    with trial_threads(threads):
        prepared = prepare_split(dataset, config, seed, threads, splits)
        trainer = build_trainer(config, *views(dataset, prepared), prepared, seed, threads, encoders)
        reported = time.monotonic()
        for entry in trainer:
            if time.monotonic() - reported >= PROGRESS_EVERY_S or entry.epoch == config.epochs:
                reported = time.monotonic()
                report(_progress(entry, config.epochs))
        outcome = trainer.outcome()
    held_out = not config.data.split.transductive
    metrics = {
        name: float(value)
        for name, value in sorted(outcome.metrics.items())
        if math.isfinite(value) and not (held_out and name.startswith("val/"))
    }
    return Trained(_model_of(trainer, dataset, prepared.scale), splits, metrics, outcome.seconds)


def all_training_splits(splits: Splits) -> Splits:
    """The same splits, with the validation samples added to the training samples."""
    train = np.union1d(splits.train, splits.val).astype(np.int64)
    train.setflags(write=False)
    return Splits(train, splits.val, splits.test)


def training_labels(
    model: FineModel, dataset: Dataset, splits: Splits, coarse_names: Sequence[Sequence[str]] | None, threads: int
) -> pd.DataFrame:
    """``label_table`` of every sample, and the same with what its coarse label in the data makes of its fine class."""
    trained = np.full(len(dataset.inputs), -1, dtype=np.int64)
    trained[splits.train] = dataset.coarse[splits.train, 0]
    with trial_threads(threads):
        # Inputs that a user's own form was brought to before the study are scaled already.
        form: Fitted | None = None if dataset.preparation is None else model.inputs.scale
        if isinstance(dataset.inputs, TermCounts):
            form = model.embedding
        outputs = model.outputs(as_prepared(dataset, form).inputs, trained)
    table = label_table(model.labels(outputs), coarse_names, dataset.coarse)
    table["fine_class_within"] = model.labels(outputs, dataset.coarse).fine
    table["trained_on"] = np.isin(table["row"].to_numpy(), splits.train)
    return table


def scale_of_training(config: TrialConfig, dataset: Dataset, seed: int) -> InputScale | None:
    """What ``train_on_all`` does to the features before it trains; None for nothing."""
    if dataset.preparation is None:
        return None
    splits = all_training_splits(split_dataset(dataset, config.data.split, config.streams.seeds(seed).split))
    return fitted_scale(dataset, splits.train)


def _model_of(trainer: Trainer, dataset: Dataset, form: Fitted | None) -> FineModel:
    """The model of a finished trainer, in a new network that is never compiled, just as it will be loaded."""
    config = trainer.config
    embedding = form if isinstance(form, TextEmbedding) else None
    facts = facts_of(as_prepared(dataset, form), trainer.view.train, config.data.kind, dataset.feature_names)
    scale, text = (form, None) if embedding is None else (None, embedding.form)
    facts = facts.model_copy(update={"scale": scale, "text": text})
    network = empty_network(config, facts, trainer.networks.num_fine)
    network.load_state_dict(trainer.networks.evaluated.state_dict())
    return FineModel(
        config,
        facts,
        network.eval(),
        trainer.relations.fine_to_coarse,
        trainer.networks.clusters,
        embedding,
    )


def _progress(entry: EpochMetrics, epochs: int) -> str:
    loss = entry.metrics.get("train/loss")
    return f"epoch {entry.epoch}/{epochs}" + ("" if loss is None else f", loss {loss:.4g}")
