"""The default solver: exact successive shortest paths on the columns, many at a time, in NumPy.

The programme is a minimum-cost flow: each fine class sends one unit to a column, and each column sends n_j >= 1 units
through slots of rising cost to a sink (see ``fgtune.relations.structure``). Fine classes need not be nodes: between two
columns only the cheapest move matters, so the residual network has K_C + 1 nodes, the columns and the sink:

    j -> k     min over members i of j of A[i, j] - A[i, k]       one member of j moves to k
    j -> sink  u d_j,        u = 2 beta / K_C, d_j = n_j - q      one more slot of j is used
    sink -> j  u (1 - d_j),  only while n_j >= 2                  one slot of j is freed

(q = K_F // K_C; the common cost u (q + 1/2) of all slots is left out, since every unit pays it once.)

Why it is exact. For any prices p the start satisfies the optimality condition "no arc has a negative reduced cost"
with the potentials -p and 0 at the sink: each fine class is in its best column at these prices, and each column
provides the slots that are worth their price. It only violates conservation: columns have more or fewer members than
slots. Each phase sends units along shortest paths from surplus to shortage and adds the distances to the potentials,
which preserves the condition (Ahuja, Magnanti and Orlin, Network Flows, 1993, ch. 9.7). When no surplus is left, the
flow is feasible and satisfies complementary slackness, hence optimal; the final potentials are the prices for
``lagrangian_bound``, which proves it from the problem alone. So the prices that the search starts from
(``fgtune.relations.prices``: an auction, or an earlier solve) decide how long it takes, and nothing else but which of
several optima is found.

Why many paths at a time. All arcs of the tree of shortest paths have reduced cost 0 afterwards. Paths of the tree that
share no node but the one they start from move different fine classes, so they can all be used: a member that moves
along an arc of reduced cost 0 offers no move of negative reduced cost from where it arrives.

Why coverage and beta cost no precision. n_j >= 1 is the absence of an arc, not a large bonus. A column with surplus is
never empty, so moves alone reach every shortage: distances stay on the scale of the affinity, and a large u only makes
arcs unattractive. Ties always go to the lowest index, so the solution is a function of the problem.

Cost: one phase is O(K_C^2) per round of relaxation, and about n_j K_C for each column on its paths. At 5,000 x 1,000 an
auction leaves some two hundred units for some twenty phases.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from fgtune.arrays import FloatArray, IntArray
from fgtune.config.schema.classes import FlowSolverConfig
from fgtune.relations.base import RawSolution, RelationsProblem, SolveStatus, objective_value
from fgtune.relations.prices import slots_between, starting_prices
from fgtune.relations.structure import balanced_size, lagrangian_bound


def solve_flow(problem: RelationsProblem, config: FlowSolverConfig) -> RawSolution:  # noqa: ARG001 (no settings)
    """Solve ``problem``, which is in normal form, to proven optimality; deterministic, without a time limit.

    Example:
        >>> problem = RelationsProblem(np.array([[0.0, -0.5], [0.0, -0.1], [0.0, -0.6]]), beta=0.0)
        >>> solution = solve_flow(problem, FlowSolverConfig())
        >>> solution.fine_to_coarse.tolist(), solution.status.value
        ([0, 1, 0], 'optimal')
    """
    network = _Network(problem, starting_prices(problem))
    while network.surplus.max() > 0:
        network.send_units()
    prices = network.prices()
    return RawSolution(
        fine_to_coarse=network.parents,
        status=SolveStatus.OPTIMAL,
        objective=objective_value(problem, network.parents),
        bound=lagrangian_bound(problem, prices),
        prices=prices,
    )


class _Network:
    """The residual network; nodes 0..K_C-1 are the columns and node K_C is the sink."""

    def __init__(self, problem: RelationsProblem, prices: FloatArray) -> None:
        self.affinity = problem.affinity
        num_fine, self.sink = (int(number) for number in problem.affinity.shape)
        self.unit = 2.0 * problem.beta / self.sink
        self.base, _ = balanced_size(problem)
        prices = np.minimum(prices, self.unit * (num_fine - self.sink + 1 - self.base))  # no column wants them all
        self.parents: IntArray = (problem.affinity - prices).argmax(axis=1)  # (num_fine,)
        sizes = np.bincount(self.parents, minlength=self.sink)
        self.slots: IntArray = np.clip(sizes, *slots_between(problem, prices))  # (num_coarse,) the n_j
        self.surplus: IntArray = np.append(sizes - self.slots, self.slots.sum() - num_fine)  # (num_coarse + 1,)
        self.potential: FloatArray = np.append(-prices, 0.0)
        self.cost: FloatArray = np.full((self.sink + 1, self.sink + 1), np.inf)
        self._update(np.arange(self.sink))

    def prices(self) -> FloatArray:
        """(num_coarse,) prices for ``lagrangian_bound`` under which the current flow is optimal."""
        prices: FloatArray = self.potential[self.sink] - self.potential[: self.sink]
        return prices

    def send_units(self) -> None:
        """Send at least one unit from nodes with surplus to the nearest nodes with a shortage."""
        distance, previous, targets = self._shortest_paths()
        paths = self._disjoint_paths(previous, targets)
        self.potential += np.minimum(distance, max(distance[path[-1]] for path in paths))
        moves: list[tuple[int, int]] = []
        changed: set[int] = set()
        for path in paths:
            self.surplus[path[0]] -= 1
            self.surplus[path[-1]] += 1
            for source, target in pairwise(path):
                changed |= {source, target}
                if target == self.sink:
                    self.slots[source] += 1
                elif source == self.sink:
                    self.slots[target] -= 1
                else:
                    moves.append((self._mover(source, target), target))
        for fine, target in moves:  # all were chosen among the members before
            self.parents[fine] = target
        self._update(np.array(sorted(changed - {self.sink})))

    def _shortest_paths(self) -> tuple[FloatArray, IntArray, IntArray]:
        """Distances from the nearest surplus, the node before each (-1 at a start), and shortages, nearest first.

        Relaxes all arcs of the improved nodes at once until none of them is nearer than half as many shortages as
        there are units to send; what is farther than these has a distance that may be too large, and is not returned
        as a shortage. Reduced costs are >= 0 up to rounding and clipped there: labels then never decrease along
        ``previous``, so it cannot close a cycle even among ties.
        """
        short = np.flatnonzero(self.surplus < 0)
        improved = np.flatnonzero(self.surplus > 0)
        rank = min(short.size, int(self.surplus[improved].sum()) // 2 + 1) - 1
        distance = np.full(self.sink + 1, np.inf)
        distance[improved] = 0.0
        previous = np.full(self.sink + 1, -1)
        limit = np.inf
        while improved.size:
            start = distance[improved]
            through = self.cost[improved]
            through += (start + self.potential[improved])[:, None]
            better = np.flatnonzero(through.min(axis=0) - self.potential < distance)
            through = through[:, better]
            best = through.argmin(axis=0)
            label = np.maximum(through[best, np.arange(better.size)] - self.potential[better], start[best])
            kept = label < distance[better]
            better, label = better[kept], label[kept]
            distance[better] = label
            previous[better] = improved[best[kept]]
            limit = np.partition(distance[short], rank)[rank]
            improved = better[label < limit]
        short = short[distance[short] <= limit]
        return distance, previous, short[np.argsort(distance[short], kind="stable")]

    def _disjoint_paths(self, previous: IntArray, targets: IntArray) -> list[list[int]]:
        """Paths to as many of ``targets`` as possible, the first to the nearest, that share only where they start."""
        left = self.surplus.copy()
        used: set[int] = set()
        moved: set[int] = set()  # fine classes that leave a start
        paths: list[list[int]] = []
        for target in targets.tolist():
            path = [target]
            while previous[path[-1]] >= 0:
                path.append(int(previous[path[-1]]))
            path.reverse()
            start = path[0]
            if left[start] <= 0 or not used.isdisjoint(path[1:]):
                continue
            if self.sink not in path[:2]:
                mover = self._mover(start, path[1])
                if mover in moved:
                    continue
                moved.add(mover)
            left[start] -= 1
            used.update(path[1:])
            paths.append(path)
        return paths

    def _mover(self, source: int, target: int) -> int:
        """The member of column ``source`` that moves to column ``target`` most cheaply."""
        members = np.flatnonzero(self.parents == source)
        return int(members[(self.affinity[members, source] - self.affinity[members, target]).argmin()])

    def _update(self, columns: IntArray) -> None:
        """Recompute the cheapest moves and the slots' costs of ``columns``, in ascending order."""
        chosen = np.zeros(self.sink, dtype=bool)
        chosen[columns] = True
        members = np.flatnonzero(chosen[self.parents])
        members = members[np.argsort(self.parents[members], kind="stable")]
        column = self.parents[members]
        own = self.affinity[members, column]
        ends = np.searchsorted(column, columns, side="right").tolist()
        start = 0
        for source, end in zip(columns.tolist(), ends, strict=True):
            moves = self.cost[source, : self.sink]
            if start == end:
                moves[:] = np.inf
            else:
                np.subtract(own[start:end, None], self.affinity[members[start:end]]).min(axis=0, out=moves)
                moves[source] = np.inf
            start = end
        extra = self.slots[columns] - self.base
        self.cost[columns, self.sink] = self.unit * extra
        self.cost[self.sink, columns] = np.where(self.slots[columns] >= 2, self.unit * (1 - extra), np.inf)
