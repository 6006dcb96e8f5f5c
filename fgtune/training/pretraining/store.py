"""Pretrained backbones as files, named by all that determines them, so that arms, restarts and refits share them.

A file is read back only if it is whole: its name stands for what was asked for, a digest in it for the tensors. Of
several processes that need a file, one trains and the others wait.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fgtune.config.schema.base import stable_hash
from fgtune.config.schema.trial import TrialConfig
from fgtune.data.base import StoredInputs, TrainingView
from fgtune.files import is_disk_fault
from fgtune.results.archives import check_tensors
from fgtune.results.storage import Storage
from fgtune.training.compute import Compute, save_state
from fgtune.training.input_checks import view_shape
from fgtune.training.pretraining.pretrain import Progress, normalisation_of, pretrained_weights, seed_of, settings_of

_RECIPE = 1
"""Increase it whenever the same settings would give other weights: files of earlier versions are then not read."""
_DIGEST = "content"

logger = logging.getLogger(__name__)


def pretrained(
    config: TrialConfig, view: TrainingView, seed: int, storage: Storage | None = None, progress: Progress | None = None
) -> dict[str, Tensor]:
    """The pretrained backbone of a cell: from its file in ``storage``, or trained now and written there.

    Args:
        config: A trial with ``model.pretrain``.
        view: The training split.
        seed: The block.
        storage: Where files are kept; None keeps none and gives the same weights.
        progress: Called after each epoch that is trained.

    Raises:
        TrialError: The loss became non-finite.
    """
    if storage is None:
        return pretrained_weights(config, view, seed, progress)
    name = f"{key_of(config, view, seed)}.pt"
    state = _stored(storage, name)
    if state is not None:
        return state
    with storage.locked(name):
        state = _stored(storage, name)  # another process may have been faster
        if state is None:
            made = pretrained_weights(config, view, seed, progress)
            state = _stored(storage, name)  # on another machine, which this lock does not hold up
            if state is None:
                _keep(storage, name, made)
                return made
    return state


def _keep(storage: Storage, name: str, made: Mapping[str, Tensor]) -> None:
    """Write weights where others find them; a disk or a bucket that takes nothing costs only their time."""
    try:
        storage.write(name, lambda path: write_encoder(path, made))
    except OSError as error:
        if not is_disk_fault(error):
            raise
        logger.warning("the pretrained backbone is not kept: %s", error.strerror)


def _stored(storage: Storage, name: str) -> dict[str, Tensor] | None:
    """The weights in a file of the storage; None if there is none, or if it is damaged."""
    with storage.reading(name) as path:
        return None if path is None else _read(path)


def key_of(config: TrialConfig, view: TrainingView, seed: int) -> str:
    """Digest of what determines the weights: training samples, view, backbone, settings, seed, precision, device.

    Coarse labels are part of it only if they are read, fine labels never: they are not in the view.
    """
    settings, augmentation = settings_of(config), config.augmentation
    normalised = normalisation_of(augmentation)
    return stable_hash(
        {
            "recipe": _RECIPE,
            "samples": _samples_digest(view, labels=settings.coarse > 0),
            "shape": view_shape(augmentation, view.inputs.shape[1:]),
            "normalised": None if normalised is None else [normalised.mean, normalised.std],
            "backbone": config.model.backbone.identity(),
            "channels_last": config.model.channels_last,
            "pretrain": settings.model_copy(update={"seed": None}).identity(),
            "seed": seed_of(settings, seed),
            "precision": config.precision,
            "device": Compute(config.device, config.precision).device.type,
        },
        length=24,
    )


def write_encoder(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write weights as a file that ``model.weights`` reads (layout ``plain``); whole or not at all."""
    save_state(path, {"state_dict": dict(state), _DIGEST: _digest(state)})


def _read(path: Path) -> dict[str, Tensor] | None:
    """The weights in a file; None if there is none, or if it is damaged."""
    try:
        check_tensors(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
        state: dict[str, Tensor] = content["state_dict"]
        return state if content[_DIGEST] == _digest(state) else None
    except Exception:  # torch raises errors of many types for a damaged file: it is then trained again
        return None


def _digest(state: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in state.items():
        digest.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _samples_digest(view: TrainingView, labels: bool) -> str:
    """Digest of the training samples in their order, and of their coarse labels."""
    digest, inputs = hashlib.sha256(), view.inputs
    if isinstance(inputs, StoredInputs):
        digest.update(inputs.fingerprint.encode() + view.train.tobytes())
    else:
        rows = np.ascontiguousarray(inputs[view.train])
        digest.update(f"{rows.dtype}{rows.shape}".encode() + rows.tobytes())
    if labels:
        digest.update(f"{view.num_coarse}".encode() + view.train_coarse.tobytes())
    return digest.hexdigest()
