"""The model folder: weights, config, relations and the labels of every sample, readable without unpickling.

A folder is built beside its final path and then renamed, so a reader finds a complete model or none. ``model.json``
lists the other files with their digests, and a damaged or replaced file is rejected.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError

from fgtune.arrays import IntArray
from fgtune.config.reading.source import parse_yaml
from fgtune.config.reading.writing import yaml_text
from fgtune.config.schema.base import Config
from fgtune.config.schema.trial import TrialConfig
from fgtune.data.terms import TextEmbedding, TextForm
from fgtune.errors import ConfigError
from fgtune.exporting.trained_model import FineLabels, FineModel, InputFacts, empty_network
from fgtune.files import read_text, write_atomically
from fgtune.memory import machine_memory, require_memory
from fgtune.results.archives import check_unpacked
from fgtune.text import first_line
from fgtune.training.clustering.rules import clusters_of
from fgtune.training.input_checks import view_shape
from fgtune.training.size_checks import check_size

if TYPE_CHECKING:
    import pandas as pd

FORMAT: Literal[1] = 1
"""Version of the folder's layout; readers reject any other."""

CARD = "model.json"
WEIGHTS, CONFIG, RELATIONS, LABELS = "weights.safetensors", "config.yaml", "relations.npz", "labels.parquet"
TERMS, EMBEDDING = "terms.json", "embedding.npz"
"""Of a model of texts: the terms it knows, and what it makes of them."""

MOST_CARD = 1 << 26
"""Bytes of ``model.json``, which names the columns of the inputs and the coarse classes."""
MOST_TERMS = 1 << 28
"""Bytes of ``terms.json``."""
_HEADERS = 1 << 10
"""Bytes before the numbers of ``embedding.npz``, at most."""
_Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class ModelCard(Config):
    """The contents of ``model.json``."""

    format: Literal[1] = FORMAT
    fgtune: str
    """Version that wrote the folder."""
    study: str
    study_hash: str
    arm: str
    seed: int
    cell_id: str
    """The cell of this arm and seed, which has the same id in every study."""
    chosen_by: str
    """How the arm was chosen, in a sentence."""
    data: str
    """Name of the data set."""
    fingerprint: str
    """Digest of its content, including labels."""
    samples: int
    """Number of samples in the data set."""
    trained_on: Literal["all samples", "training and validation samples"]
    trained_samples: int
    input: InputFacts
    weights: Literal["student", "teacher"]
    num_fine: Annotated[int, Field(ge=1)]
    num_coarse: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]
    """K_C of each source."""
    coarse_names: tuple[tuple[str, ...], ...] | None = None
    """Names of the coarse classes of each source, if the data have names."""
    metrics: dict[str, float]
    """After the last epoch; ``test/...`` on samples that were held out from training, if any were."""
    seconds: float
    """Training time."""
    files: dict[str, _Digest]
    """SHA-256 of every other file."""

    @property
    def key(self) -> tuple[object, ...]:
        """Models with the same key are the same: the same cell on the same data, given alike, by the same version."""
        return self.cell_id, self.fingerprint, self.trained_on, self.fgtune, self.input.scale


def label_table(
    labels: FineLabels, coarse_names: Sequence[Sequence[str]] | None = None, coarse: IntArray | None = None
) -> pd.DataFrame:
    """One row per sample: ``row, fine_class, confidence, coarse_parent``; with several sources ``coarse_parent_0`` etc.

    Args:
        labels: The model's predictions.
        coarse_names: Names of the coarse classes of each source; adds ``coarse_parent_name``.
        coarse: (n, sources) coarse labels of the data, -1 for none; adds ``coarse_label``, empty for none.
    """
    import pandas as pd

    columns: dict[str, object] = {
        "row": np.arange(len(labels.fine), dtype=np.int64),
        "fine_class": labels.fine,
        "confidence": labels.confidence,
    }
    sources = labels.parents.shape[1]
    for source in range(sources):
        suffix = f"_{source}" if sources > 1 else ""
        parents = labels.parents[:, source]
        columns[f"coarse_parent{suffix}"] = parents
        if coarse_names is not None:
            columns[f"coarse_parent_name{suffix}"] = np.asarray(coarse_names[source], dtype=object)[parents]
        if coarse is not None:
            known = pd.array(coarse[:, source], dtype="Int64")
            known[coarse[:, source] < 0] = pd.NA
            columns[f"coarse_label{suffix}"] = known
    return pd.DataFrame(columns)


# --- writing -------------------------------------------------------------------------------------------------------


def write_model(target: Path, model: FineModel, card: ModelCard, labels: pd.DataFrame) -> ModelCard:
    """Write a model folder, replacing an existing one.

    Args:
        target: The folder.
        model: The model.
        card: Its card; ``files`` is filled in here.
        labels: ``label_table`` of every sample of the data set.

    Returns:
        The card as written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    building = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    try:
        card = _write_files(building, model, card, labels)
        _move(building, target)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return card


def _write_files(folder: Path, model: FineModel, card: ModelCard, labels: pd.DataFrame) -> ModelCard:
    """Write all files of a model into an empty folder."""
    from safetensors.torch import save

    tensors = {name: value.detach().cpu().contiguous() for name, value in model.network.state_dict().items()}
    contents = {
        WEIGHTS: save(tensors, metadata={"format": "pt"}),
        CONFIG: _config_text(model.config),
        RELATIONS: _relations(model, card.num_coarse),
        LABELS: labels.to_parquet(None, index=False),
    }
    if model.embedding is not None:
        contents |= {TERMS: _terms(model.embedding), EMBEDDING: _arrays(model.embedding)}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    card = card.model_copy(update={"files": digests})
    contents[CARD] = (json.dumps(card.to_plain(), indent=2) + "\n").encode()
    for name, content in contents.items():
        write_atomically(folder / name, content)
    return card


def _move(building: Path, target: Path) -> None:
    """Rename a complete folder to ``target``; what was there is removed last."""
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    if target.exists():
        target.rename(old)
    try:
        building.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _config_text(config: TrialConfig) -> bytes:
    return yaml_text(config.to_plain(), "The config of this trial, every default filled in.").encode()


def _relations(model: FineModel, num_coarse: Sequence[int]) -> bytes:
    arrays: dict[str, npt.NDArray[Any]] = {"fine_to_coarse": model.fine_to_coarse}
    arrays["num_coarse"] = np.array(num_coarse, dtype=np.int64)
    if model.clusters is not None:
        arrays |= model.clusters.arrays()
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _terms(embedding: TextEmbedding) -> bytes:
    return (json.dumps(embedding.terms, ensure_ascii=False, indent=0) + "\n").encode()


def _arrays(embedding: TextEmbedding) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, idf=embedding.idf, components=embedding.components)
    return buffer.getvalue()


# --- reading -------------------------------------------------------------------------------------------------------


def read_card(folder: Path) -> ModelCard:
    """The contents of ``model.json``.

    Raises:
        ConfigError: There is no model, or ``model.json`` cannot be read by this version.
    """
    path = folder / CARD
    if not os.path.lexists(path):
        rule = "is no model folder, it has no model.json" if folder.exists() else "no such model folder"
        raise ConfigError(rule, where=str(folder), fix="make one with `fgtune refit STUDY_FOLDER`")
    try:
        plain = json.loads(read_text(path, MOST_CARD, what="model card"))
    except (ValueError, RecursionError) as error:
        raise ConfigError("is not JSON", where=str(path), fix=_AGAIN) from error
    version = plain.get("format") if isinstance(plain, dict) else None
    if version != FORMAT:
        rule = f"has format {version}, and this version of fgtune reads {FORMAT}"
        raise ConfigError(rule, where=str(path), fix="use the version of fgtune that wrote it, or refit the arm")
    try:
        return ModelCard.from_plain(plain)
    except ValidationError as error:
        raise ConfigError(f"is damaged: {_first_message(error)}", where=str(path), fix=_AGAIN) from error


def load_model(folder: Path) -> tuple[FineModel, ModelCard]:
    """Read a model folder; nothing in it is unpickled.

    Raises:
        ConfigError: There is no model, its format differs, or a file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    card = read_card(folder)
    check_files(folder, card)
    config = _read_config(folder / CONFIG)
    try:
        embedding = None if card.input.text is None else _embedding(folder, card.input.text)
        check_unpacked(folder / RELATIONS)
        with np.load(folder / RELATIONS, allow_pickle=False) as arrays:
            stored = {name: arrays[name] for name in arrays.files}
        _check_relations(stored["fine_to_coarse"], card)
        clusters = clusters_of(stored)
        seen = (1, *view_shape(config.augmentation, card.input.shape))
        check_size(config, seen, card.num_fine, max(card.num_coarse), None, elsewhere=False)
        network = empty_network(config, card.input, card.num_fine)
        network.load_state_dict(load((folder / WEIGHTS).read_bytes()))
    except ConfigError:
        raise
    except (
        SafetensorError,
        RuntimeError,
        KeyError,
        ValueError,
        OSError,
        MemoryError,
        BadZipFile,
        TokenError,
        SyntaxError,
    ) as error:
        rule = f"does not hold together ({first_line(error)})"
        raise ConfigError(rule, where=str(folder), fix=_AGAIN) from error
    network.eval()
    return FineModel(config, card.input, network, stored["fine_to_coarse"], clusters, embedding), card


def _embedding(folder: Path, form: TextForm) -> TextEmbedding:
    """The embedding of a model of texts.

    Raises:
        ValueError: Its files do not hold together.
    """
    terms = json.loads(read_text(folder / TERMS, MOST_TERMS, what="list of terms"))
    if not isinstance(terms, list) or not all(isinstance(term, str) for term in terms) or len({*terms}) < len(terms):
        raise ValueError("its terms are no list of different words")
    needed = np.dtype(np.float64).itemsize * len(terms) * (1 + form.dimension)
    check_unpacked(folder / EMBEDDING, min(needed + _HEADERS, machine_memory() // 2))
    with np.load(folder / EMBEDDING, allow_pickle=False) as arrays:
        idf, components = (np.asarray(arrays[name], dtype=np.float64) for name in ("idf", "components"))
    if idf.shape != (len(terms),) or components.ndim != 2 or components.shape[1] != len(terms):
        raise ValueError(f"its embedding has shape {components.shape}, and there are {len(terms):,} terms")
    if len(components) > form.dimension or not (np.isfinite(idf).all() and np.isfinite(components).all()):
        raise ValueError(f"its embedding must be finite and have at most {form.dimension} rows")
    return TextEmbedding(form, tuple(terms), idf, components)


_AGAIN = "refit the arm again, or restore the folder from a copy"


def _read_config(path: Path) -> TrialConfig:
    try:
        return TrialConfig.from_plain(parse_yaml(read_text(path), str(path)).data)
    except ValidationError as error:
        raise ConfigError(_first_message(error), where=str(path), fix=_AGAIN) from error


def _first_message(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def _check_relations(fine_to_coarse: object, card: ModelCard) -> None:
    """Raise ``ValueError`` unless they give every fine class of the card a coarse class of each of its sources."""
    shape = (len(card.num_coarse), card.num_fine)
    if not isinstance(fine_to_coarse, np.ndarray) or fine_to_coarse.dtype.kind not in "iu":
        raise ValueError("its relations are no whole numbers")
    if fine_to_coarse.shape != shape:
        raise ValueError(f"its relations have shape {fine_to_coarse.shape}, and the card says {shape}")
    if (fine_to_coarse < 0).any() or (fine_to_coarse >= np.array(card.num_coarse)[:, None]).any():
        raise ValueError("its relations name coarse classes that there are not")


def check_files(folder: Path, card: ModelCard) -> None:
    """Raise ``ConfigError`` unless every file exists, fits into memory and has the digest of the card."""
    of_texts = () if card.input.text is None else (TERMS, EMBEDDING)
    for name in (WEIGHTS, CONFIG, RELATIONS, LABELS, *of_texts):
        path = folder / name
        if not path.is_file():
            raise ConfigError("is missing from the model", where=str(path), fix=_AGAIN)
        require_memory(path.stat().st_size, "the bytes of this file", where=str(path), fix=_AGAIN)
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != card.files.get(name):
            raise ConfigError("is damaged: its content is not what was written", where=str(path), fix=_AGAIN)
