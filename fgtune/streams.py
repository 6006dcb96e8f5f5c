"""Independent random streams named by purpose, so that no draw depends on global state or on other draws.

A stream is a function of the study seed and of a purpose ("split", "order", "init/backbone.0.weight"). Arms that
share a seed therefore share split, data order and every initial weight whose name and shape agree, whatever else
differs between them (DESIGN rule 5.2).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def derive_seed(seed: int, *purpose: object) -> int:
    """A 63-bit seed for ``purpose`` under ``seed``; distinct purposes give unrelated streams."""
    text = "/".join([str(int(seed)), *map(str, purpose)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def numpy_stream(seed: int, *purpose: object) -> np.random.Generator:
    """A NumPy generator for ``purpose``."""
    return np.random.default_rng(derive_seed(seed, *purpose))


def torch_stream(seed: int, *purpose: object, device: str | torch.device = "cpu") -> torch.Generator:
    """A torch generator for ``purpose`` on ``device``."""
    import torch

    return torch.Generator(device=device).manual_seed(derive_seed(seed, *purpose))
