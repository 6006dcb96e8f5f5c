"""``fgtune predict``: the fine class of new samples, from a model that ``fgtune refit`` wrote."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from fgtune.config.reading.source import parse_value, parse_yaml
from fgtune.config.schema.data import DataConfig, SingleCellConfig
from fgtune.config.schema.data_tables import TABLE_SUFFIXES, CountsConfig, NoGenesConfig
from fgtune.config.schema.data_text import TEXT_SUFFIXES, TextConfig
from fgtune.errors import ConfigError
from fgtune.files import read_text, real_path, write_atomically
from fgtune.plugins import permitting

if TYPE_CHECKING:
    from fgtune.arrays import IntArray
    from fgtune.data.base import Dataset, Inputs
    from fgtune.data.terms import TextEmbedding
    from fgtune.exporting.folder import ModelCard
    from fgtune.exporting.trained_model import FineModel

OUT_SUFFIXES = (".parquet", ".csv")
DEFAULT_OUT = Path("predictions.parquet")


def predict(
    model: Path,
    data: str,
    out: Path = DEFAULT_OUT,
    plugins: Sequence[str] = (),
    say: Callable[[str], None] = print,
    coarse: Sequence[str] = (),
) -> Path:
    """Write fine class, confidence and coarse parent of every sample.

    Args:
        model: The model folder.
        data: A file of inputs (``.npz``, ``.npy``, ``.parquet``, ``.csv``, ``.tsv``), a YAML file with a data config or
            a study, or a data config on the command line: ``kind=digits,samples=odd``.
        out: Where the predictions go, ``.parquet`` or ``.csv``.
        plugins: Packages that may be imported because model or data name parts in them.
        say: Receives the outcome, one line at a time.
        coarse: Where the samples' coarse labels are, one entry a source of the training data: columns of a table, or
            the array ``coarse`` of an ``.npz`` or a data config. A fine class is then one of those below the label.

    Returns:
        The file.

    Raises:
        ConfigError: The model, the data or the file's name is wrong; nothing was written.
    """
    if out.suffix.lower() not in OUT_SUFFIXES:
        fix = "for example --out predictions.parquet"
        raise ConfigError("must end in .parquet or .csv", path="--out", value=str(out), fix=fix)
    if out.is_dir() or real_path(out) == real_path(Path(data)):
        raise ConfigError("must be a file of its own", path="--out", value=str(out), fix="name another file")
    from fgtune.analysis.table import encoded
    from fgtune.exporting.folder import label_table, load_model
    from fgtune.exporting.train import check_writable
    from fgtune.exporting.trained_model import range_warning

    check_writable(out)
    with permitting(plugins):
        loaded, card = load_model(model)
        inputs, labels = read_samples(data, loaded, card, coarse)
        warning = range_warning(inputs, loaded.inputs)
        if warning is not None:
            say(f"warning: {warning}")
        table = label_table(loaded.predict(inputs, labels), card.coarse_names, labels)
    write_atomically(out, encoded(table, out.suffix.lower()))
    mean, used = float(table["confidence"].mean()), table["fine_class"].nunique()
    say(f"{len(table):,} samples in {used} of {card.num_fine} fine classes, mean confidence {mean:.3f}: {out}")
    return out


# --- data ----------------------------------------------------------------------------------------------------------


def read_samples(
    data: str, model: FineModel, card: ModelCard, coarse: Sequence[str] = ()
) -> tuple[Inputs, IntArray | None]:
    """The samples that ``data`` names, checked against what the model was trained on, and their coarse labels.

    Returns:
        Inputs (n, ...), and labels (n, sources) with -1 for none; None where ``coarse`` names none.

    Raises:
        ConfigError: They cannot be read, or do not match the training samples.
    """
    from fgtune.data.preparation import preparation_of
    from fgtune.data.readers.npz import read_npy, read_npz
    from fgtune.data.readers.tables import cells, read_table
    from fgtune.exporting.coarse_labels import by_source, check_sources, coarse_codes
    from fgtune.exporting.trained_model import checked_inputs, table_inputs

    if model.embedding is not None:
        return _text_samples(data, model.embedding, card, coarse)
    path, facts = Path(data), model.inputs
    suffix = path.suffix.lower()
    inputs: Any
    columns: list[Any] = []
    described = False
    if suffix in (*TABLE_SUFFIXES, ".tsv"):
        if coarse:
            check_sources(len(coarse), card, data)
        named = [] if facts.columns is None else list(facts.columns)
        # An input such as colour=red is made of the column colour, so that all columns are read.
        whole = facts.columns is None or any("=" in name for name in named)
        texts = [*coarse, *(name.partition("=")[0] for name in named if "=" in name)]
        wanted = dict.fromkeys(coarse if whole else [*named, *coarse])
        frame = read_table(path, [*wanted], others=whole, labels=texts)
        columns = [cells(frame[name]) for name in coarse]
        inputs = table_inputs(frame if named else frame.drop(columns=list(coarse)), facts, data)
    else:
        if coarse and (tuple(coarse) != (_COARSE,) or suffix == ".npy"):
            fix = "give a table, or an .npz or a data config with --coarse coarse"
            raise ConfigError("holds no columns of labels", where=data, path="--coarse", value=coarse[0], fix=fix)
        if suffix == ".npz":
            arrays = read_npz(path, ("inputs", *coarse), ("coarse", "fine", "fine_values", "split"))
            inputs, columns = arrays["inputs"], by_source(arrays[_COARSE]) if coarse else []
        elif suffix == ".npy":
            inputs = read_npy(path, "inputs")
        else:
            dataset, described = _described(data, model, card), True
            inputs, columns = dataset.inputs, _named(dataset) if coarse else []
    # A data config is as that of the study, which prepared its features itself or read what was prepared before.
    as_studied = described and preparation_of(model.config.data) is None
    inputs = checked_inputs(inputs, facts, data, prepared=as_studied)
    return inputs, coarse_codes(columns, len(inputs), card, data) if coarse else None


def _text_samples(
    data: str, embedding: TextEmbedding, card: ModelCard, coarse: Sequence[str]
) -> tuple[Inputs, IntArray | None]:
    """The texts in a table, in a folder of ``.txt`` files, or of a data config, as the model takes them."""
    from fgtune.data.sets.texts import folder_texts, labelled_texts, table_texts
    from fgtune.exporting.coarse_labels import check_sources, coarse_codes

    path = Path(data)
    columns: list[list[Any]] = []
    suffix = path.suffix.lower()
    if suffix in TEXT_SUFFIXES:
        if coarse:
            check_sources(len(coarse), card, data)
        texts, columns = table_texts(path, embedding.form.column or "text", coarse)
    elif path.is_dir() and not coarse:
        texts = folder_texts(path)
    elif data.startswith("kind=") or suffix in (".yaml", ".yml"):
        config = data_config(_from_line(data) if data.startswith("kind=") else _from_file(path), data)
        if not isinstance(config, TextConfig):
            fix = "give texts: a config of kind text, a table or a folder of .txt files"
            raise ConfigError("the model takes texts", where=data, path="kind", value=config.kind, fix=fix)
        texts, dataset = labelled_texts(config)
        columns = _named(dataset) if coarse else []
    else:
        fix = "give a table with a column of texts, a folder of .txt files without --coarse, or a .yaml"
        raise ConfigError("is no data of texts that can be read", path="DATA", value=data, fix=fix)
    inputs = embedding(texts)
    return inputs, coarse_codes(columns, len(texts), card, data) if coarse else None


_COARSE = "coarse"
"""What holds the coarse labels where there are no columns."""


def _named(dataset: Dataset) -> list[list[Any]]:
    """The coarse labels of a data set, source by source: names where it has them, numbers else; -1 for none."""
    from fgtune.exporting.coarse_labels import by_source

    if dataset.coarse_names is None:
        return by_source(dataset.coarse)
    return [
        [-1 if code < 0 else names[code] for code in column]
        for names, column in zip(dataset.coarse_names, dataset.coarse.T.tolist(), strict=True)
    ]


def _described(data: str, model: FineModel, card: ModelCard) -> Dataset:
    """The data set of a data config, from a YAML file or the command line."""
    from fgtune.data.load import load_dataset

    if data.startswith("kind="):
        plain: Any = _from_line(data)
    elif Path(data).suffix.lower() in (".yaml", ".yml"):
        plain = _from_file(Path(data))
    else:
        fix = "give .npz, .npy, .parquet, .csv, .tsv, a .yaml with a data config, or kind=digits"
        raise ConfigError("is not data that can be read", path="DATA", value=data, fix=fix)
    config = data_config(plain, data)
    dataset = load_dataset(config)
    _check_genes(config, dataset, model, card)
    return dataset


def _from_line(text: str) -> dict[str, Any]:
    """A data config from ``kind=digits,samples=odd``; values are YAML."""
    # As a YAML flow mapping, so that commas inside brackets do not separate settings.
    value = parse_value("{" + re.sub(r"(^|,)\s*(\w+)=", r"\1 \2: ", text) + "}", text)
    if not isinstance(value, dict):
        raise ConfigError("must have the form kind=KIND,setting=value", path="DATA", value=text)
    return value


def _from_file(path: Path) -> Any:
    """The data config in a YAML file: the file itself, or its ``data``, or ``trial.data`` of a study."""
    found: Any = parse_yaml(read_text(path), str(path), begin="kind: digits").data
    for key in ("trial", "data"):
        if isinstance(found, dict) and "kind" not in found and key in found:
            found = found[key]
    if not isinstance(found, dict) or "kind" not in found:
        fix = "write `kind: digits`, say, or name a study file with trial.data"
        raise ConfigError("holds no data config", where=str(path), fix=fix)
    return found


def data_config(plain: Any, where: str) -> DataConfig:
    """Plain data as a data config; raises ``ConfigError`` with its first fault."""
    try:
        config: DataConfig = TypeAdapter(DataConfig).validate_json(json.dumps(plain))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        fix = "docs/settings.md lists the settings of every kind of data"
        raise ConfigError(first["msg"], where=where, path=place, fix=fix) from error
    return config


def _check_genes(config: DataConfig, dataset: Dataset, model: FineModel, card: ModelCard) -> None:
    """Refuse cells whose genes would be chosen anew: the model's inputs are the genes chosen in training."""
    if not isinstance(config, SingleCellConfig) or dataset.fingerprint == card.fingerprint:
        return
    preprocess = config.preprocess or (None if config.path is None else CountsConfig())
    if isinstance(preprocess, CountsConfig) and not isinstance(preprocess.genes, NoGenesConfig):
        rule = f"chooses variable genes among these cells, and the model takes the {model.inputs.shape[0]} of its own"
        fix = "write the expression of the model's genes into a file, and give it with preprocess: {kind: ready}"
        raise ConfigError(rule, where=dataset.name, path="preprocess.genes", value=preprocess.genes.kind, fix=fix)
