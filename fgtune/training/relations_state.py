"""The relations during training: one M per source, re-solved from the teacher's predictions every few steps."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fgtune.arrays import FloatArray, IntArray
from fgtune.config.schema.classes import RelationsConfig
from fgtune.errors import TrialError
from fgtune.relations.base import RelationsProblem
from fgtune.relations.initial import beta_from_balance, initial_affinity, random_balanced, random_sized, towards
from fgtune.relations.solve import solve
from fgtune.results.records import SolverUse
from fgtune.streams import numpy_stream

MANY = 128
"""Coarse classes from which on affinities are summed by the classes that a batch holds."""


class RelationsState:
    """Holds M, collects the affinity, and solves when due.

    The affinity of a source is the mean, over its labelled samples since the last solve, of the teacher's prediction
    times the one-hot coarse label (released FALCON code: C = P'^T Y / n), so its entries sum to 1. A solve starts from
    the prices of the last one; they are part of the state, so that a training that was cut off finds the same optimum
    among equally good ones.

    Args:
        config: The relations config.
        num_fine: K_F.
        num_coarse: K_C of each source.
        seed: Seed of the cell, which determines the initial M.
        device: Where training runs.
        truth: (sources, K_F) true parents; required and read only by ``mode: oracle``.
        sizes: For each source, (K_C,) numbers of fine classes that M starts with and the balance pulls to; None for
            equal ones.
    """

    def __init__(
        self,
        config: RelationsConfig,
        num_fine: int,
        num_coarse: tuple[int, ...],
        seed: int,
        device: torch.device,
        truth: IntArray | None = None,
        sizes: tuple[IntArray, ...] | None = None,
    ) -> None:
        self.config, self.num_fine, self.num_coarse, self.device = config, num_fine, num_coarse, device
        self.learned = config.mode == "learned"
        self._uses: Counter[str] = Counter()
        self._sizes = sizes
        self._solves, self._seconds, self._max_gap = 0, 0.0, 0.0
        self._resolves, self._changes = 0, 0
        self._affinity = [torch.zeros(k, num_fine, dtype=torch.float64, device=device) for k in num_coarse]
        self._prices: list[FloatArray | None] = [None] * len(num_coarse)
        self._numbers = torch.arange(max(num_coarse), device=device)
        self._counts = torch.zeros(len(num_coarse), dtype=torch.int64, device=device)
        if config.mode == "oracle":
            self._set(self._checked_truth(truth))
            return
        streams = [numpy_stream(seed, "relations", source) for source in range(len(num_coarse))]
        if sizes is not None:
            self._set([random_sized(each, rng) for each, rng in zip(sizes, streams, strict=True)])
        elif config.mode == "random_balanced":
            self._set([random_balanced(num_fine, k, rng) for k, rng in zip(num_coarse, streams, strict=True)])
        else:
            drawn = [initial_affinity(num_fine, k, rng) for k, rng in zip(num_coarse, streams, strict=True)]
            self._set([self._solve(affinity, source, balanced=True) for source, affinity in enumerate(drawn)])

    def _checked_truth(self, truth: IntArray | None) -> list[IntArray]:
        shape = (len(self.num_coarse), self.num_fine)
        if truth is None or truth.shape != shape or (truth < 0).any():
            found = None if truth is None else truth.shape
            raise TrialError(f"relations.mode: oracle needs true relations of shape {shape} without gaps, got {found}")
        return list(truth)

    def _set(self, parents: list[IntArray]) -> None:
        self.fine_to_coarse = np.stack(parents).astype(np.int64)  # (sources, num_fine)
        self.tensor = torch.from_numpy(self.fine_to_coarse.copy()).to(self.device)

    def _solve(self, affinity: FloatArray, source: int, *, balanced: bool) -> IntArray:
        """The best parents of a source."""
        num_fine, num_coarse = affinity.shape
        beta = beta_from_balance(self.config.balance, num_fine, num_coarse) if balanced else 0.0
        if self._sizes is not None and beta > 0:
            affinity = towards(affinity, beta, self._sizes[source])
        solution = solve(RelationsProblem(affinity, beta, self._prices[source]), self.config.solver)
        self._prices[source] = solution.prices
        self._solves += 1
        self._seconds += solution.seconds
        self._uses[solution.status.value] += 1
        self._max_gap = max(self._max_gap, solution.gap)
        return solution.fine_to_coarse

    @torch.no_grad()
    def collect(self, teacher_probs: Tensor, coarse: Tensor) -> None:
        """Add a batch: ``teacher_probs`` (B, num_fine) on view x1, ``coarse`` (B, sources) with -1 for none.

        Nothing here waits for a GPU.
        """
        for source, sums in enumerate(self._affinity):
            add_by_label(sums, teacher_probs, coarse[:, source], self._numbers)
        self._counts += (coarse >= 0).sum(dim=0)

    def solve_for(self, fine_probs: np.ndarray, coarse: IntArray) -> None:
        """Set the best parents of fine classes that were found by clustering.

        Args:
            fine_probs: (n, num_fine) on the training split, rows summing to 1.
            coarse: (n, sources) with -1 for none.
        """
        parents = list(self.fine_to_coarse)
        for source, num_coarse in enumerate(self.num_coarse):
            labels = coarse[:, source]
            if num_coarse < MANY:  # a product, whose last bits are those of earlier versions
                onehot = labels[:, None] == np.arange(num_coarse)  # (n, K_C), no entry for -1
                sums = fine_probs.astype(np.float64).T @ onehot
            else:
                by_label = torch.zeros(num_coarse, fine_probs.shape[1], dtype=torch.float64)
                add_by_label(
                    by_label, torch.from_numpy(fine_probs), torch.from_numpy(labels.copy()), self._numbers.cpu()
                )
                sums = np.ascontiguousarray(by_label.numpy().T)
            parents[source] = self._solve(sums / max(1, int((labels >= 0).sum())), source, balanced=False)
        self._set(parents)

    def begin_with(self, parents: IntArray) -> None:
        """Set relations (sources, K_F) that were found elsewhere, in which every coarse class occurs."""
        self._set(list(parents))

    def start_from(self, labels: IntArray, coarse: IntArray) -> None:
        """Set the relations of all sources but the first, whose relations ``labels`` follow, by those labels.

        Args:
            labels: (n,) fine class that each training sample starts with.
            coarse: (n, sources) with -1 for none.
        """
        if self.learned and len(self.num_coarse) > 1:
            first = self.fine_to_coarse[:1]
            self.solve_for(np.eye(self.num_fine)[labels], coarse)
            self._set([*first, *self.fine_to_coarse[1:]])

    def solve_if_due(self, step: int, balanced: bool) -> None:
        """Re-solve every source if ``step``, counted from 1 over the whole training, is a multiple of the period."""
        if not self.learned or step % self.config.every_steps:
            return
        parents = list(self.fine_to_coarse)
        for source, (affinity, count) in enumerate(zip(self._affinity, self._counts.tolist(), strict=True)):
            if count:
                mean = np.ascontiguousarray(affinity.cpu().numpy().T) / count
                if not np.isfinite(mean).all():
                    raise TrialError(f"non-finite predictions of the teacher up to step {step}: training diverged")
                parents[source] = self._solve(mean, source, balanced=balanced)
                self._resolves += 1
                self._changes += not np.array_equal(parents[source], self.fine_to_coarse[source])
            affinity.zero_()
        self._counts.zero_()
        self._set(parents)

    def use(self) -> SolverUse | None:
        """All solves so far; None if there were none."""
        if not self._solves:
            return None
        return SolverUse(
            self.config.solver.kind,
            self._solves,
            self._seconds,
            dict(sorted(self._uses.items())),
            self._max_gap,
            self._resolves,
            self._changes,
        )

    def state_dict(self) -> dict[str, Any]:
        """Everything that is needed to continue exactly."""
        return {
            "fine_to_coarse": self.tensor.cpu(),
            "affinity": [affinity.T.cpu() for affinity in self._affinity],
            "prices": [None if prices is None else torch.from_numpy(prices) for prices in self._prices],
            "counts": self._counts.tolist(),
            "solves": self._solves,
            "seconds": self._seconds,
            "statuses": dict(self._uses),
            "max_gap": self._max_gap,
            "resolves": self._resolves,
            "changes": self._changes,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state."""
        self._set(list(state["fine_to_coarse"].numpy()))
        self._affinity = [affinity.T.contiguous().to(self.device) for affinity in state["affinity"]]
        prices = state.get("prices", [None] * len(self.num_coarse))  # earlier versions kept none
        self._prices = [None if each is None else each.numpy() for each in prices]
        self._counts = torch.tensor(state["counts"], dtype=torch.int64, device=self.device)
        self._solves, self._seconds, self._max_gap = state["solves"], state["seconds"], state["max_gap"]
        self._uses = Counter(state["statuses"])
        self._resolves, self._changes = state.get("resolves", 0), state.get("changes", 0)


def add_by_label(sums: Tensor, probs: Tensor, labels: Tensor, numbers: Tensor) -> None:
    """Add to each row of ``sums`` the predictions of the samples with its label, summed in the order of the batch.

    With many labels on a CPU only rows with samples are touched, so that a step costs B x num_fine, however many.
    Elsewhere it is a product with one-hot labels, which waits for no device.

    Args:
        sums: (num_coarse, num_fine) float64, changed in place.
        probs: (B, num_fine).
        labels: (B,) int64, -1 for none.
        numbers: (at least num_coarse,) int64: 0, 1, 2, ...
    """
    if sums.device.type != "cpu" or len(sums) < MANY:
        onehot = labels == numbers[: len(sums), None]  # (K_C, B), no entry for -1
        sums.addmm_(onehot.double(), probs.double())
        return
    known = labels >= 0
    present, row = labels[known].unique(return_inverse=True)  # type: ignore[no-untyped-call]
    added = sums.new_zeros(len(present), sums.shape[1]).index_add_(0, row, probs[known].double())
    sums[present] += added
