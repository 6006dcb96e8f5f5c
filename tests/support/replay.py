"""A CUDA graph without a card: operators are noted with their tensors and numbers, and called again with the same."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fgtune.training.step_graph import CudaGraph


class _Calls(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.made = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.made.append((func, args, kwargs or {}, result))
        return result


def _memory(values):
    return {each.untyped_storage().data_ptr() for each in tree_leaves(values) if isinstance(each, Tensor)}


class ReplayedCalls(CudaGraph):
    """What a graph holds fast, on a CPU: addresses, and every number that the host gave while it was recorded.

    A card records without running. Here recording is the first replay.
    """

    recorded = 0

    def __init__(self, step, streams, beside):
        del streams, beside
        with _Calls() as calls:
            self.values = step()
        self._calls, self._is_first = calls.made, True
        type(self).recorded += 1

    def replay(self):
        if self._is_first:
            self._is_first = False
            return
        with torch.no_grad():
            for func, args, kwargs, result in self._calls:
                again, known = func(*args, **kwargs), _memory((args, kwargs))
                for place, value in zip(tree_leaves(result), tree_leaves(again), strict=True):
                    if isinstance(place, Tensor) and place.numel() and not _memory(place) & known:
                        place.copy_(value)
