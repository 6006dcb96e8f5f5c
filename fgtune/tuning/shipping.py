"""What trials need, brought to where they run: data and weights by the object store, code by a runtime environment."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fgtune
from fgtune.data.base import Dataset
from fgtune.data.travelling import bytes_to_travel, travelling
from fgtune.files import private_folder, write_atomically
from fgtune.plugins import permitted

if TYPE_CHECKING:
    import ray

ALWAYS = 1_000_000_000
"""Bytes of image files that travel to a cluster even where all nodes see them: nodes may join that do not."""
MOST_CODE = 50_000_000
"""Bytes of a package that is sent to the nodes; a larger one is to be installed there."""


def code_for_nodes() -> list[str]:
    """Folders and files of fgtune and of permitted plugins, for ``py_modules`` of a runtime environment.

    Packages in several folders, and large ones, are left out: nodes have to have them.
    """
    found = [Path(fgtune.__file__).parent]
    for package in dict.fromkeys(name.partition(".")[0] for name in permitted()):
        spec = importlib.util.find_spec(package)
        places = [] if spec is None else list(spec.submodule_search_locations or [])
        if spec is not None and not places and spec.origin is not None and spec.origin.endswith(".py"):
            places = [spec.origin]
        if len(places) == 1 and _size(Path(places[0])) <= MOST_CODE:
            found.append(Path(places[0]))
    return [str(each) for each in found]


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())


def data_for_nodes(datasets: Mapping[str, Dataset], unseen: Iterable[str]) -> dict[str, Dataset]:
    """The data sets, by key; those that read files travel if some node does not see these, or if they are small."""
    lacking = set(unseen)
    return {
        key: travelling(dataset) if key in lacking or 0 < bytes_to_travel(dataset) <= ALWAYS else dataset
        for key, dataset in datasets.items()
    }


@dataclass(frozen=True)
class SentFile:
    """A file in the object store.

    Attributes:
        name: What it is called where it arrives: a digest of its content, and its suffix.
        size: In bytes.
        content: Its bytes.
    """

    name: str
    size: int
    content: ray.ObjectRef


def weights_for_nodes(paths: Sequence[str]) -> dict[str, SentFile]:
    """Files with weights in the object store, by the paths that a study states."""
    import ray

    found = {}
    for path in paths:
        if Path(path).is_file():
            content = Path(path).read_bytes()
            name = f"{hashlib.sha256(content).hexdigest()[:24]}{Path(path).suffix}"
            found[path] = SentFile(name, len(content), ray.put(content))
    return found


def with_local_weights(config: dict[str, Any], sent: Mapping[str, SentFile]) -> dict[str, Any]:
    """The plain config of a trial with the path of its weights on this machine, where they were sent."""
    weights = (config.get("model") or {}).get("weights") or {}
    path = str(weights.get("path"))
    if path not in sent:
        return config
    import ray

    file = sent[path]
    local = private_folder(Path(tempfile.gettempdir()) / f"fgtune-{os.getuid()}-weights") / file.name
    if not local.is_file() or local.stat().st_size != file.size:
        write_atomically(local, ray.get(file.content))
    return config | {"model": config["model"] | {"weights": weights | {"path": str(local)}}}
