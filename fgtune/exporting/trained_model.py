"""A standalone trained model: network, relations, and everything needed to predict fine classes of new samples.

Nothing here depends on the data set or the study that the model comes from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from fgtune.arrays import Float32Array, IntArray
from fgtune.config.schema.base import Config
from fgtune.config.schema.trial import TrialConfig
from fgtune.data.base import Dataset, Inputs, StoredInputs
from fgtune.data.preparation import InputScale
from fgtune.data.terms import TextEmbedding, TextForm
from fgtune.errors import ConfigError
from fgtune.metrics.coarse import allowed_classes
from fgtune.models.classifier import FineClassifier, build_classifier
from fgtune.text import first_of
from fgtune.training.augment import Views
from fgtune.training.clustering.rules import Clusters, softmax
from fgtune.training.compute import Compute
from fgtune.training.input_checks import view_shape
from fgtune.training.predictions import Predictions

if TYPE_CHECKING:
    import pandas as pd

_BLOCK = 8192
_REAL = "buif"
"""Kinds of NumPy's types that hold real numbers."""


class InputFacts(Config):
    """What samples look like, as the model saw them in training.

    Inputs are used unchanged, except that uint8 pixels are divided by 255; mean and standard deviation of images are
    settings of the augmentation, so the trial config holds them.
    """

    shape: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]
    """Shape of one sample."""
    dtype: Annotated[str, Field(pattern="^(float32|uint8)$")]
    """float32, or uint8 for the pixels of images."""
    low: float
    """Smallest number in the training samples."""
    high: float
    """Largest number in the training samples."""
    columns: tuple[str, ...] | None = None
    """Columns of the table that the inputs came from, in order; None if they came from no table."""
    raw: bool = False
    """Whether numbers of any type are accepted, including integers, because the training data were read that way."""
    scale: InputScale | None = None
    """What ``fgtune discover`` did to the user's numbers before training; None where inputs are what the user has."""
    text: TextForm | None = None
    """How texts become the inputs; None where samples are no texts."""


@dataclass(frozen=True)
class FineLabels:
    """Predictions of a model for n samples.

    Attributes:
        fine: (n,) int64 fine class, the most probable one; of those below the coarse labels where these are given.
        confidence: (n,) float32 probability of that class.
        parents: (n, sources) int64 coarse parent of that class, as learned.
    """

    fine: IntArray
    confidence: Float32Array
    parents: IntArray


class FineModel:
    """A trained network, ready to predict.

    Args:
        config: The trial config; ``classes.num_fine`` is a number.
        inputs: What samples must look like.
        network: The network that the study evaluated (student or teacher), on any device.
        fine_to_coarse: (sources, num_fine) learned parents.
        clusters: The fine classes of a model without a fine head; else None.
        embedding: What makes inputs of texts; None where samples are no texts.
    """

    def __init__(
        self,
        config: TrialConfig,
        inputs: InputFacts,
        network: FineClassifier,
        fine_to_coarse: IntArray,
        clusters: Clusters | None,
        embedding: TextEmbedding | None = None,
    ) -> None:
        self.config, self.inputs, self.clusters, self.embedding = config, inputs, clusters, embedding
        self.fine_to_coarse = fine_to_coarse
        gpu = torch.cuda.is_available()
        # A model that was trained on a GPU also predicts without one.
        device = config.device if gpu or config.device != "cuda" else "auto"
        on_gpu = gpu and device != "cpu"
        self._compute = Compute(device, config.precision if on_gpu or config.precision != "fp16" else "fp32")
        self._views = Views(config.augmentation)
        self.network = network.to(self._compute.device)

    def predict(self, inputs: Inputs, coarse: IntArray | None = None) -> FineLabels:
        """Fine class, confidence and coarse parent of new samples.

        Args:
            inputs: (n, ...), which ``checked_inputs`` has returned.
            coarse: (n, sources) coarse labels, -1 for none: the fine class is then one of those below them, and the
                confidence its share among these. None for samples without labels.
        """
        return self.labels(self.outputs(inputs), coarse)

    def outputs(self, inputs: Inputs, trained: IntArray | None = None) -> Predictions:
        """Probabilities of fine classes, clusters included, as the study's metrics take them.

        Args:
            inputs: (n, ...).
            trained: (n,) coarse label in the first source of samples that the model was trained on, -1 for others; a
                clustering has put them into clusters of their class. None where there are no such samples.
        """
        outputs = self._compute.predict(self.network, inputs, self._views.evaluation)
        if self.clusters is None:
            return outputs
        probs, log_probs = self.clusters.posterior(outputs.features, trained)
        return Predictions(probs, outputs.features, log_probs=log_probs)

    def labels(self, outputs: Predictions, coarse: IntArray | None = None) -> FineLabels:
        """The fine classes of ``outputs``; ``coarse`` as for ``predict``."""
        probs = outputs.probs
        if coarse is not None and outputs.log_probs is not None:
            allowed = allowed_classes(self.fine_to_coarse, coarse)
            known = (coarse >= 0).any(axis=1, keepdims=True)
            probs = np.where(known, softmax(np.where(allowed, outputs.log_probs, -np.inf)), probs)
        fine: IntArray = probs.argmax(axis=1).astype(np.int64)
        return FineLabels(fine, probs.max(axis=1), np.ascontiguousarray(self.fine_to_coarse[:, fine].T))


def empty_network(config: TrialConfig, inputs: InputFacts, num_fine: int) -> FineClassifier:
    """A network of the model's shape, for stored weights; the weights file of the config is not read."""
    settings = config.model.model_copy(update={"weights": None, "compile": False})
    return build_classifier(settings, view_shape(config.augmentation, inputs.shape), num_fine, seed=0)


def facts_of(dataset: Dataset, rows: IntArray, kind: str, columns: Sequence[str] | None = None) -> InputFacts:
    """What samples of ``dataset`` look like; the range is that of ``rows``, read in blocks."""
    inputs = dataset.inputs
    low, high = 0.0, 255.0
    if inputs.dtype != np.uint8:
        low, high = np.inf, -np.inf
        for start in range(0, len(rows), _BLOCK):
            block = inputs[rows[start : start + _BLOCK]]
            low, high = min(low, float(block.min())), max(high, float(block.max()))
    return InputFacts(
        shape=tuple(int(length) for length in inputs.shape[1:]),
        dtype=str(inputs.dtype),
        low=low,
        high=high,
        columns=None if columns is None else tuple(columns),
        raw=kind == "arrays",
    )


# --- new inputs ----------------------------------------------------------------------------------------------------


def checked_inputs(data: Any, facts: InputFacts, where: str, *, prepared: bool = False) -> Inputs:
    """New samples in the form that the model was trained on.

    Args:
        data: An array (n, ...) of numbers as the user has them, or images stored on disk.
        facts: What samples must look like.
        where: Where they come from, for messages.
        prepared: ``data`` are as in training already, so that ``facts.scale`` is not applied.

    Raises:
        ConfigError: Wrong shape or type, no samples, or non-finite values.
    """
    stored = isinstance(data, StoredInputs)
    inputs = data if stored else np.asarray(data)
    shape = tuple(inputs.shape)
    if shape[1:] != facts.shape or not shape:
        fix = f"the model takes an array of shape (n, {', '.join(map(str, facts.shape))})"
        if shape == facts.shape:
            fix += "; give a single sample as inputs[None]"
        raise ConfigError(f"samples must have shape {facts.shape}", where=where, value=shape[1:], fix=fix)
    if not shape[0]:
        raise ConfigError("holds no samples", where=where, value=shape)
    if not (stored or prepared or facts.scale is None) and inputs.dtype.kind in _REAL:
        inputs = facts.scale(inputs)
    checked = inputs if stored else _checked_type(inputs, facts, where)
    if str(checked.dtype) != facts.dtype:
        rule, fix = f"samples must be {facts.dtype}, as in training", "give the data in the form of the training data"
        raise ConfigError(rule, where=where, value=str(checked.dtype), fix=fix)
    return checked


def _checked_type(inputs: npt.NDArray[Any], facts: InputFacts, where: str) -> npt.NDArray[Any]:
    """An array of the right type: real numbers as float32, pixels unchanged."""
    if inputs.dtype.kind not in _REAL:
        raise ConfigError("samples must be real numbers", where=where, value=str(inputs.dtype))
    if facts.dtype == "uint8":
        if inputs.dtype != np.uint8:
            fix = "give whole pixels from 0 to 255, as .astype(numpy.uint8)"
            raise ConfigError(
                "samples must be uint8 pixels, as in training", where=where, value=str(inputs.dtype), fix=fix
            )
        return inputs
    if inputs.dtype == np.uint8 and len(facts.shape) == 3 and not facts.raw:
        rule = f"samples are uint8 pixels, in training they were numbers from {facts.low:g} to {facts.high:g}"
        raise ConfigError(
            rule, where=where, value="uint8", fix="scale them as the training data were, e.g. inputs / 255"
        )
    with np.errstate(over="ignore"):
        numbers = np.ascontiguousarray(inputs, dtype=np.float32)
    finite = np.isfinite(numbers).reshape(len(numbers), -1).all(axis=1)
    if not finite.all():
        rule = f"must be finite in float32; {int((~finite).sum())} samples are not, first row {int(finite.argmin())}"
        raise ConfigError(rule, where=where, fix="remove or fill these samples")
    return numbers


def range_warning(inputs: Inputs, facts: InputFacts) -> str | None:
    """A sentence if the values of new samples lie far outside those in training; else None."""
    if inputs.dtype == np.uint8 or isinstance(inputs, StoredInputs):
        return None
    values = np.asarray(inputs)
    low, high = float(values.min()), float(values.max())
    span = facts.high - facts.low
    if low >= facts.low - span and high <= facts.high + span:
        return None
    return (
        f"the samples hold numbers from {low:g} to {high:g}, in training {facts.low:g} to {facts.high:g}: "
        "were they scaled in the same way?"
    )


def table_inputs(frame: pd.DataFrame, facts: InputFacts, where: str) -> npt.NDArray[Any]:
    """The samples in a pandas table: the columns named as in training, or all columns if training had no names.

    Raises:
        ConfigError: A column is missing or not numeric, or there is none.
    """
    frame = _with_values(frame.set_axis(frame.columns.map(str), axis=1), facts.columns or ())
    names = list(frame.columns)
    wanted = names if facts.columns is None else list(facts.columns)
    if not wanted:
        raise ConfigError("the table has no column of inputs", where=where, fix="give one with the inputs of training")
    missing = [name for name in wanted if name not in names]
    if missing:
        fix = f"it has {first_of(names)}; name its columns as in the training data"
        raise ConfigError(f"the table lacks the column {missing[0]!r}", where=where, fix=fix)
    columns = frame[wanted]
    for name, dtype in columns.dtypes.items():
        if dtype.kind not in _REAL:
            fix = "keep only the columns of inputs" if facts.columns is None else "give numbers"
            raise ConfigError(f"the column {name!r} must hold numbers", where=where, value=str(dtype), fix=fix)
    return np.stack([columns[name].to_numpy(dtype=np.float64, na_value=np.nan) for name in wanted], axis=1)


def _with_values(frame: pd.DataFrame, wanted: Sequence[str]) -> pd.DataFrame:
    """The table with the inputs that training made of the values of a column, such as ``colour=red`` of ``colour``."""
    from fgtune.data.labels import class_name, is_missing
    from fgtune.data.readers.tables import cells

    made: dict[str, npt.NDArray[Any]] = {}
    texts: dict[str, list[str | None]] = {}
    for name in wanted:
        column = next((each for each in frame.columns if name.startswith(f"{each}=")), None)
        if name in frame.columns or column is None:
            continue
        if column not in texts:
            texts[column] = [None if is_missing(cell) else class_name(cell) for cell in cells(frame[column])]
        made[name] = np.array([text == name[len(column) + 1 :] for text in texts[column]], dtype=np.float64)
    return frame.assign(**made) if made else frame
