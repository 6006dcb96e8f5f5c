"""Initial backbone weights from a local file: plain state dicts (also timm's), checkpoints of MoCo and solo-learn.

Layouts: MoCo v3 (github.com/facebookresearch/moco-v3) stores ``base_encoder``, ``momentum_encoder`` and ``predictor``
under ``state_dict``, with ``module.`` before each key after training on several GPUs, and the projector in the
encoder's ``fc``. MoCo v1 and v2 (github.com/facebookresearch/moco) and CoIns, which is built on them, store
``encoder_q``, ``encoder_k`` and a queue in the same way. solo-learn (github.com/vturrisi/solo-learn) stores
``backbone``, ``projector``, ``classifier`` and for methods with a momentum encoder ``momentum_backbone`` and more,
beside settings that are objects of other packages. A file is read without unpickling code: an object in it is neither
imported nor made.
"""

from __future__ import annotations

import hashlib
import logging
import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from fgtune.config.schema.model import WeightsConfig
from fgtune.errors import ConfigError
from fgtune.files import require_file
from fgtune.memory import require_memory
from fgtune.models import tensor_pickle
from fgtune.models.tensor_pickle import Unread
from fgtune.results.archives import check_tensors
from fgtune.text import first_of

_DAMAGE = (
    *(pickle.UnpicklingError, RuntimeError, EOFError, LookupError, ValueError, SafetensorError),
    *(TypeError, AttributeError, AssertionError, ArithmeticError),
)
"""What torch and its unpicklers raise for files that are damaged, or say of themselves what cannot be."""
logger = logging.getLogger(__name__)

PREFIXES: dict[tuple[str, str], str] = {
    ("plain", "base"): "",
    ("moco_v2", "base"): "encoder_q.",
    ("moco_v2", "momentum"): "encoder_k.",
    ("moco_v3", "base"): "base_encoder.",
    ("moco_v3", "momentum"): "momentum_encoder.",
    ("solo_learn", "base"): "backbone.",
    ("solo_learn", "momentum"): "momentum_backbone.",
}
"""Prefix of the backbone's keys, by layout and encoder."""

HEADS = ("fc", "head", "classifier")
"""Modules of an encoder on top of the features; they are dropped."""


_REFUSED = "holds more than tensors ({}); it was refused, and nothing in it was run"
_TENSORS_ALONE = "where you trust its source, save its state dict alone: torch.save(checkpoint['state_dict'], path)"


@dataclass(frozen=True)
class WeightsReport:
    """What became of the tensors in a weights file.

    Attributes:
        loaded: Keys of the backbone that were set.
        dropped: Keys of the file that were dropped on purpose: classifiers, projectors, the other encoder.
    """

    loaded: tuple[str, ...]
    dropped: tuple[str, ...]


def load_weights(backbone: nn.Module, config: WeightsConfig) -> WeightsReport:
    """Set every parameter and buffer of ``backbone`` from a file.

    Raises:
        ConfigError: As for ``read_weights``; the backbone is then unchanged.
    """
    encoder, dropped = read_weights(backbone, config)
    backbone.load_state_dict(encoder, strict=False)  # read_weights has checked the keys, with better messages
    if dropped:
        logger.info("%s: left behind on purpose: %s", config.path, ", ".join(dropped))
    return WeightsReport(tuple(encoder), dropped)


def read_weights(backbone: nn.Module, config: WeightsConfig) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The tensors for ``backbone`` in a file, by the backbone's keys, and the file's keys that are dropped.

    Only ``num_batches_tracked`` may be missing, as in older torchvision files: nothing in use depends on it.

    Args:
        backbone: Determines keys and shapes; its tensors are not read, so it may be a meta module.
        config: File and layout.

    Raises:
        ConfigError: The file does not exist, has another layout or digest, holds code, lacks keys or has unexpected
            ones, or a shape differs.
    """
    wrapped = getattr(backbone, "wrapped", "")  # keys of a network of another package stand below this one
    expected = {key.removeprefix(wrapped): value for key, value in backbone.state_dict().items()}
    encoder, dropped = _encoder(_read(config), config, expected)
    _check_keys(expected, encoder, config)
    _check_shapes(expected, encoder, config)
    return {wrapped + key: value for key, value in encoder.items()}, dropped


def _error(rule: str, config: WeightsConfig, fix: str) -> ConfigError:
    return ConfigError(rule, path="trial.model.weights.path", value=config.path, fix=fix)


def _read(config: WeightsConfig) -> dict[str, Any]:
    """The state dict in the file: the entry ``state_dict``, or else the whole content."""
    path = Path(config.path)
    try:
        require_file(path)
        require_memory(
            path.stat().st_size, "the bytes of this file", path="trial.model.weights.path", where=config.path
        )
        if config.sha256 is not None:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest != config.sha256:
                fix = "use the file that the study was written for, or give its new digest"
                raise _error(f"has sha256 {digest}, and the study asks for {config.sha256}", config, fix)
        content = _content(path)
    except OSError as error:
        reason = error.strerror or str(error)
        fix = "give the path from the working directory, or an absolute one"
        raise _error(f"cannot be read ({reason})", config, fix) from error
    except _DAMAGE as error:
        raise _unreadable(error, config) from error
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if isinstance(content, Unread):
        raise _error(_REFUSED.format(_name_of(content)), config, _TENSORS_ALONE)
    if not isinstance(content, dict) or not content:
        raise _error("holds no state dict (a mapping from key to tensor)", config, "save model.state_dict()")
    return content


def _content(path: Path) -> Any:
    """What a file holds: a safetensors file by its name, else one of ``torch.save``; neither can run code."""
    if path.suffix.lower() == ".safetensors":
        return load_file(path)
    check_tensors(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        if not zipfile.is_zipfile(path):  # torch's format before 1.6, which is a chain of pickles
            raise
    content = torch.load(path, map_location="cpu", weights_only=False, pickle_module=tensor_pickle)
    logger.info("%s: objects beside the tensors were left unread", path)
    return content


def _unreadable(error: Exception, config: WeightsConfig) -> ConfigError:
    """The error for a file that holds more than plain tensors; torch's message would advise to trust it."""
    foreign = re.search(r"GLOBAL ([\w.]+)", str(error))
    if foreign is not None:
        return _error(_REFUSED.format(foreign.group(1)), config, _TENSORS_ALONE)
    what = "safetensors" if config.path.lower().endswith(".safetensors") else "torch.save"
    return _error(f"is not a complete file of {what}", config, "fetch or save it again")


def _encoder(
    state: Mapping[str, Any], config: WeightsConfig, expected: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The backbone's tensors by the backbone's keys, and the file's keys that are dropped."""
    names = {str(key): str(key).removeprefix("module.") for key in state}
    prefix = PREFIXES[config.layout, config.encoder]
    if config.layout == "plain" and all(name.startswith(("backbone.", "head.")) for name in names.values()):
        prefix = "backbone."  # a full classifier saved by fgtune
    encoder: dict[str, Tensor] = {}
    dropped: list[str] = []
    for key, name in names.items():
        inner = name.removeprefix(prefix)
        is_head = inner.partition(".")[0] in HEADS and inner not in expected  # ConvNeXt normalises features in its head
        if not name.startswith(prefix) or is_head:
            dropped.append(key)
        elif isinstance(state[key], Tensor):
            encoder[inner] = state[key]
        elif isinstance(state[key], Unread):
            raise _error(_REFUSED.format(_name_of(state[key])), config, _TENSORS_ALONE)
        else:
            kind = type(state[key]).__name__
            raise _error(f"{key} is not a tensor but of type {kind}", config, _layout_fix(names.values()))
    if not encoder:
        rule = f"has no key that begins with {prefix!r}, as layout {config.layout} ({config.encoder} encoder) has"
        raise _error(rule, config, _layout_fix(names.values()))
    return encoder, tuple(dropped)


def _name_of(unread: Unread) -> str:
    return f"{type(unread).__module__}.{type(unread).__name__}"


def _layout_fix(names: Any) -> str:
    """Advice based on the prefixes of the keys."""
    heads = list(dict.fromkeys(name.partition(".")[0] for name in names))
    return f"choose the layout that fits its keys, which begin with {first_of(heads)}"


def _check_keys(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], config: WeightsConfig) -> None:
    missing = [key for key in expected if key not in found and not key.endswith(".num_batches_tracked")]
    unexpected = [key for key in found if key not in expected]
    problems = [
        f"{what} {first_of(keys)}" for what, keys in (("lacks", missing), ("has unexpected", unexpected)) if keys
    ]
    if problems:
        rule = f"{' and '.join(problems)} (keys of the backbone)"
        raise _error(rule, config, "use the backbone and the layout that the file was saved from")


def _check_shapes(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], config: WeightsConfig) -> None:
    stem = "conv1.weight"
    if stem in expected and stem in found:
        mine, theirs = expected[stem].shape, found[stem].shape
        if len(mine) == len(theirs) == 4 and mine[2:] != theirs[2:]:
            names = {3: "the CIFAR stem", 7: "the ImageNet stem"}
            rule = (
                f"has {names.get(theirs[2], 'a stem')} (conv1 {theirs[2]}x{theirs[3]}), and the backbone has "
                f"{names.get(mine[2], 'another')} ({mine[2]}x{mine[3]}); stems are not converted"
            )
            other = {3: "cifar", 7: "imagenet"}.get(theirs[2])
            fix = f"set model.backbone.stem: {other}, or use other weights" if other else "use other weights"
            raise _error(rule, config, fix)
    differing = [
        f"{key} {tuple(found[key].shape)} instead of {tuple(expected[key].shape)}"
        for key in found
        if found[key].shape != expected[key].shape
    ]
    if differing:
        raise _error(
            f"differs in shape: {first_of(differing)}", config, "use the backbone that the file was saved from"
        )
