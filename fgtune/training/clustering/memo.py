"""What this process has found from the same inputs before: arms of a block start from the same sizes and clusters."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TypeVar, cast

import numpy as np

Found = TypeVar("Found")

KEPT = 8
_FOUND: dict[str, object] = {}


def remembered(make: Callable[[], Found], *of: object) -> Found:
    """What ``make`` gives, or gave for the same inputs; of the latest of them, and not to be changed by who gets it.

    Args:
        make: Computes it; its last bits may depend on the number of threads.
        of: All that it depends on besides: arrays, and what ``repr`` tells apart. The first names what is made.
    """
    from threadpoolctl import threadpool_info

    digest = hashlib.sha256(
        repr(sorted((each["filepath"], each["num_threads"]) for each in threadpool_info())).encode()
    )
    for each in of:
        if isinstance(each, np.ndarray):
            digest.update(f"{each.dtype}{each.shape}".encode() + np.ascontiguousarray(each).tobytes())
        else:
            digest.update(f"{each!r}\0".encode())
    key = digest.hexdigest()
    if key not in _FOUND:
        found = make()
        while len(_FOUND) >= KEPT:
            del _FOUND[next(iter(_FOUND))]
        _FOUND[key] = found
    return cast(Found, _FOUND[key])
