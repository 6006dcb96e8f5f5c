"""Reads the tensors of a checkpoint beside objects of other packages, none of which is imported, made or run.

``torch.load`` takes this module in place of ``pickle``. Tensors are made by torch's own functions, from an allow-list;
every other name in a file, be it a class of settings or ``os.system``, becomes a class that takes everything, does
nothing and keeps nothing.
"""

from __future__ import annotations

import collections
import pickle
from collections.abc import Callable
from typing import IO, Any

import torch


class Unread:
    """Stands where a file has an object of some package."""

    def __new__(cls, *_: object, **__: object) -> Unread:
        """Take anything."""
        return object.__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __call__(self, *_: object, **__: object) -> Unread:
        """Be called as what a file takes it for, such as a method."""
        return self

    def __setstate__(self, state: object) -> None:
        pass

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def append(self, item: object) -> None:
        """Drop it."""

    def extend(self, items: object) -> None:
        """Drop them."""

    def add(self, item: object) -> None:
        """Drop it."""

    @classmethod
    def named(cls, module: str, name: str) -> type[Unread]:
        """The class that stands for one name of a file."""
        return type(name, (cls,), {"__module__": module})


class _Function:
    """A function of torch that a file may call, but not change."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function

    def __call__(self, *arguments: object) -> object:
        return self._function(*arguments)

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("a function has no state")


_FUNCTIONS = ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter")
_NAMES: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch", "Size"): torch.Size,
    ("torch", "device"): torch.device,
    **{("torch._utils", name): _Function(getattr(torch._utils, name)) for name in _FUNCTIONS},
    **{("torch", name): each for name, each in vars(torch).items() if isinstance(each, torch.dtype)},
}


class Unpickler(pickle.Unpickler):
    """Knows what tensors are made of, and gives every other name a class that does nothing."""

    def find_class(self, module: str, name: str, /) -> Any:
        """What a name of the file stands for."""
        known = _NAMES.get((module, name))
        return Unread.named(module, name) if known is None else known


def load(file: IO[bytes], **settings: Any) -> Any:
    """Read one pickle; a part of the interface that ``torch.load`` expects."""
    return Unpickler(file, **settings).load()
