"""A training step as a CUDA graph: recorded once by the card and replayed as a whole, without the host's calls.

A graph holds the addresses and all numbers that the host gave while it was recorded. What differs from step to step is
therefore copied into fixed places beforehand, what differs from epoch to epoch makes a graph of its own, and a step is
recorded only after it was seen to call the same operators with the same numbers twice, none of which waits for the
card. Steps that do not get there run one by one, as without graphs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from fgtune.errors import TrialError

logger = logging.getLogger(__name__)

WAITS = frozenset(
    {"_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "_unique2", "unique_dim", "equal", "item"}
)
"""Operators that hand a number of the device to the host, or need one for the shape of their result."""
Values = dict[str, Tensor]


class Given(NamedTuple):
    """What differs from step to step, on the device.

    Attributes:
        rows: (B,) positions in the training split.
        relations: (sources, K_F).
        log_prior: (K_F,), or None.
    """

    rows: Tensor
    relations: Tensor
    log_prior: Tensor | None


Step = Callable[[Given], Values]


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes every operator with the shapes and numbers that it is called with.

    Attributes:
        calls: Operator and arguments; of a tensor, shape and type.
        waits: Names of the operators that make the host wait, or take from it what is not a plain number.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[tuple[Any, ...]] = []
        self.waits: list[str] = []

    @classmethod
    def ignore_compile_internals(cls) -> bool:
        """A compiled backbone is run as such while steps are seen."""
        return True

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Note one operator and call it."""
        kwargs = kwargs or {}
        self.calls.append((str(func), _plain(args), _plain(kwargs)))
        result = func(*args, **kwargs)
        name = getattr(func, "overloadpacket", func).__name__
        if name in WAITS or len(_devices((args, kwargs, result))) > 1:
            self.waits.append(name)
        return result


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor):
        return tuple(value.shape), value.dtype
    if isinstance(value, (list, tuple)):
        return tuple(_plain(each) for each in value)
    if isinstance(value, Mapping):
        return tuple((name, _plain(each)) for name, each in value.items())
    return type(value) if isinstance(value, (torch.Generator, torch.ScriptObject)) else value  # neither is a number


def _devices(value: Any) -> set[str]:
    if isinstance(value, Tensor):
        return {value.device.type}
    values = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return set[str]().union(*map(_devices, values))


class CudaGraph:
    """A step as the card has recorded it, which does not run it.

    Args:
        step: What to record; its memory stays where it is.
        streams: What the step draws from; every replay draws on from where they are.
        beside: A graph that is never replayed at the same time, to share memory with.

    Attributes:
        values: Filled by every replay.

    Raises:
        TrialError: The step cannot be recorded.
    """

    def __init__(
        self, step: Callable[[], Values], streams: Iterable[torch.Generator], beside: CudaGraph | None
    ) -> None:
        self._graph = torch.cuda.CUDAGraph()
        for generator in streams:
            self._graph.register_generator_state(generator)
        try:
            with torch.cuda.graph(self._graph, pool=None if beside is None else beside._graph.pool()):
                self.values = step()
        except RuntimeError as error:
            reason = str(error).partition("\n")[0]
            raise TrialError(f"cuda_graph: a step could not be recorded ({reason}); set cuda_graph: false") from error

    def replay(self) -> None:
        """Take the step."""
        self._graph.replay()


class _Size:
    """Steps of one number of samples: what is known of them, and their graph."""

    def __init__(self, given: Given) -> None:
        self.fixed = Given(*(None if each is None else each.clone() for each in given))  # type: ignore[arg-type]
        self.latest: Given | None = None
        self.seen, self.next_try = 0, 1  # the first step sets up what stays, and is no example
        self.is_steady = False
        self.numbers: tuple[Any, ...] = ()
        self.calls: list[tuple[Any, ...]] | None = None
        self.graph: CudaGraph | None = None

    def fill(self, given: Given) -> None:
        """Copy what is new to where the graph reads it."""
        for number, (place, value) in enumerate(zip(self.fixed, given, strict=True)):
            if place is not None and value is not None and (self.latest is None or self.latest[number] is not value):
                place.copy_(value)
        self.latest = given


class StepGraphs:
    """The graphs of a training: one for each size of a batch, recorded anew where a number of the host changes.

    Args:
        device: Where training runs.
        record: Makes a graph.

    Attributes:
        replays: Steps that were replayed.
        steps: All steps.

    Raises:
        TrialError: The device is no GPU.
    """

    def __init__(self, device: torch.device, record: type[CudaGraph] = CudaGraph) -> None:
        if device.type != "cuda" and record is CudaGraph:
            raise TrialError("cuda_graph: true needs a GPU, and this trial runs on the CPU; leave it out there")
        self._record = record
        self._sizes: dict[int, _Size] = {}
        self._reason: str | None = None
        self._has_told = False
        self.replays, self.steps = 0, 0

    def run(
        self, step: Step, given: Given, numbers: tuple[Any, ...], streams: Mapping[str, torch.Generator], *, known: bool
    ) -> Values:
        """Take one step; the values are overwritten by the next one.

        Args:
            step: The step. All that it does is on the device.
            given: What differs from step to step.
            numbers: What the step takes from the host, and memory that may be another one in another epoch.
            streams: What the step draws from.
            known: Whether nothing else can change; otherwise a step is seen twice again for other ``numbers``.
        """
        self.steps += 1
        size = self._sizes.get(len(given.rows))
        if size is None:
            size = self._sizes[len(given.rows)] = _Size(given)
        numbers = (*numbers, *streams.values())
        if len(size.numbers) != len(numbers) or not all(map(_same, size.numbers, numbers)):
            size.graph, size.calls, size.numbers = None, None, numbers
            size.is_steady = size.is_steady and known
        if not size.is_steady:
            return self._watched(step, given, size)
        size.fill(given)
        if size.graph is None:
            beside = next((other.graph for other in self._sizes.values() if other.graph is not None), None)
            size.graph = self._record(lambda: step(size.fixed), streams.values(), beside)
        size.graph.replay()
        self.replays += 1
        return size.graph.values

    def _watched(self, step: Step, given: Given, size: _Size) -> Values:
        """Take a step as without graphs, and see whether it is the same as the one before."""
        size.seen += 1
        if size.seen <= size.next_try:
            return step(given)
        with Recorder() as recorded:
            values = step(given)
        before, size.calls = size.calls, recorded.calls
        if recorded.waits:
            self._reason = f"{', '.join(sorted(set(recorded.waits)))} makes the host wait for the GPU"
        elif before is None:
            return values
        elif before == recorded.calls:
            size.is_steady, size.calls = True, None
            return values
        else:
            self._reason = "shapes or numbers change from step to step"
        size.calls, size.next_try = None, 2 * size.seen  # a queue may be full by then
        return values

    def tell(self) -> None:
        """Say once why no step was replayed so far, where steps were seen to be in the way; call after an epoch."""
        if self._reason is not None and not self.replays and not self._has_told:
            self._has_told = True
            logger.warning("cuda_graph: steps run one by one so far: %s", self._reason)

    def reset(self) -> None:
        """Forget all graphs; call when a state is restored, which puts other memory in place."""
        self._sizes.clear()


def _same(one: Any, other: Any) -> bool:
    return one is other or (not isinstance(one, Tensor) and not isinstance(other, Tensor) and bool(one == other))
