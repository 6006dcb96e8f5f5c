"""Independent random streams named by purpose, so that no draw depends on global state or on other draws.

A stream is a function of the study seed and of a purpose ("split", "order", "init/backbone.0.weight"). Arms that
share a seed therefore share split, data order and every initial weight whose name and shape agree, whatever else
differs between them (DESIGN rule 5.2).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # imported where a stream is made: configs, which name streams, need neither
    import numpy as np
    import numpy.typing as npt
    import torch


@dataclass(frozen=True)
class BlockSeeds:
    """The seeds of a cell's three groups of streams; the cell's own seed, where the trial fixes none.

    Attributes:
        split: Which samples train, validate and test, and which of these are drawn for metrics on a sample.
        weights: What training starts from: initial and pretrained weights, initial relations, classes that are found
            or counted before it.
        order: What happens while training: order of samples, views and noise, drawn neighbours, starts of clusterings.
    """

    split: int
    weights: int
    order: int


def derive_seed(seed: int, *purpose: object) -> int:
    """A 63-bit seed for ``purpose`` under ``seed``; distinct purposes give unrelated streams."""
    text = "/".join([str(int(seed)), *map(str, purpose)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def numpy_stream(seed: int, *purpose: object) -> np.random.Generator:
    """A NumPy generator for ``purpose``."""
    import numpy as np

    return np.random.default_rng(derive_seed(seed, *purpose))


def drawn_rows(number: int, limit: int, seed: int, *purpose: object) -> npt.NDArray[np.int64]:
    """Sorted rows of at most ``limit`` of ``number`` samples, drawn for ``purpose``; all where there are no more."""
    import numpy as np

    if number <= limit:
        return np.arange(number, dtype=np.int64)
    drawn = np.sort(numpy_stream(seed, *purpose).permutation(number)[:limit])
    return drawn.astype(np.int64)


def torch_stream(seed: int, *purpose: object, device: str | torch.device = "cpu") -> torch.Generator:
    """A torch generator for ``purpose`` on ``device``."""
    import torch

    return torch.Generator(device=device).manual_seed(derive_seed(seed, *purpose))
